"""The double of GitHub refuses what GitHub refuses, in GitHub's words."""
import http.client
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from double.github import _challenge

CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 64
API = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


@pytest.fixture
def github(doubles):
    made = doubles.github
    made.app("client", "secret", CALLBACK)
    made.person("octocat", 1, teams=[("org", "crew")], organizations=[f"o{i}" for i in range(120)], emails=[("a@x", True, True)])
    made.signed_in = "octocat"
    return made


def code(github, **changes):
    asked = {"client_id": "client", "redirect_uri": CALLBACK, "scope": "read:user read:org user:email", "state": "s" * 43,
             "code_challenge": _challenge(VERIFIER), "code_challenge_method": "S256", **changes}
    answer = requests.get(f"{github.url}/login/oauth/authorize", params=asked, allow_redirects=False, timeout=30)
    back = urlsplit(answer.headers["Location"])
    return {name: values[0] for name, values in parse_qs(back.query).items()}


def exchange(github, given, **changes):
    sent = {"client_id": "client", "client_secret": "secret", "code": given, "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER, **changes}
    return requests.post(f"{github.url}/login/oauth/access_token", data=sent, headers={"Accept": "application/json"},
                         timeout=30).json()


def read(github, path, token, **headers):
    return requests.get(github.url + path, headers={**API, "Authorization": f"Bearer {token}", **headers}, timeout=30)


def test_the_flow(github):
    given = code(github)
    assert given["state"] == "s" * 43
    token = exchange(github, given["code"])
    assert token["token_type"] == "bearer" and token["scope"] == "read:org,read:user,user:email"
    assert read(github, "/user", token["access_token"]).json()["login"] == "octocat"
    page = read(github, "/user/orgs?per_page=100", token["access_token"])
    assert len(page.json()) == 100 and 'rel="next"' in page.headers["Link"]
    assert len(read(github, "/user/orgs?per_page=100&page=2", token["access_token"]).json()) == 21
    assert github.defects == []


@pytest.mark.parametrize("changes, error", [
    ({"client_secret": "other"}, "incorrect_client_credentials"), ({"client_id": "other"}, "incorrect_client_credentials"),
    ({"code": "other"}, "bad_verification_code"), ({"code_verifier": "w" * 64}, "bad_verification_code"),
    ({"redirect_uri": "https://evil.example"}, "redirect_uri_mismatch"),
])
def test_refused_exchanges(github, changes, error):
    given = code(github)["code"]
    assert exchange(github, given, **changes)["error"] == error


def test_a_code_is_good_once_and_for_ten_minutes(github, doubles):
    given = code(github)["code"]
    assert "access_token" in exchange(github, given)
    assert exchange(github, given)["error"] == "bad_verification_code"
    late = code(github)["code"]
    doubles.clock.advance(601)
    assert exchange(github, late)["error"] == "bad_verification_code"


def test_refused_at_the_authorize_page(github):
    assert code(github, redirect_uri="https://evil.example")["error"] == "redirect_uri_mismatch"
    github.signed_in = None
    assert code(github)["error"] == "access_denied"


def test_refused_reads(github):
    token = exchange(github, code(github, scope="read:user")["code"])["access_token"]
    assert read(github, "/user", "gho_other").status_code == 401
    bare = http.client.HTTPConnection(urlsplit(github.url).netloc, timeout=30)
    bare.request("GET", "/user", headers={**API, "Authorization": f"Bearer {token}"})
    assert bare.getresponse().status == 403                 # no User-Agent
    bare.close()
    assert read(github, "/user", token, **{"X-GitHub-Api-Version": "1999-01-01"}).status_code == 400
    assert read(github, "/user/orgs", token).status_code == 403
    assert read(github, "/user/teams", token).status_code == 403
    assert read(github, "/user/emails", token).status_code == 404
    github.revoke_tokens()
    assert read(github, "/user", token).status_code == 401
