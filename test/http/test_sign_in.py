"""Signing in with GitHub: the way there and back, every refusal, roles, and what the cookies are."""
import base64
import concurrent.futures
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from browser import (CALLBACK, CLIENT_ID, CLIENT_SECRET, PUBLIC, SESSION_SECRET, SESSION_COOKIE, SIGN_IN_COOKIE, Browser,
                     attributes, settings)
from checks import assert_ok, assert_rejected, assert_unauthenticated
from rehearsal.policy import render
from rehearsal.service import run_to_end

SESSION = "/v1/auth/session"
RUNTIME = "/v1/service/runtime"


def human_rule(**changes):
    return {"logins": [], "organizations": [], "teams": [], "roles": [], "products": ["launchplane"],
            "contexts": ["launchplane"], "actions": ["launchplane_service.read"], **changes}


POLICY = render(github_humans=[
    human_rule(logins=["octocat"], roles=["admin"]),
    human_rule(teams=["big-org/readers"], roles=["read_only"]),
    human_rule(organizations=["owners-*"]),
])


@pytest.fixture
def make_signed(make_plane, doubles):
    """A service that people can sign in to, with a few people at GitHub."""
    def make(policy=POLICY, **changes):
        github = doubles.github
        plane = make_plane(policy, **settings(doubles, **changes))
        plane.secrets += [CLIENT_SECRET, SESSION_SECRET]
        github.person("octocat", 583231, name="The Octocat", email="octocat@example.com", organizations=["zoo", "big-org"],
                      teams=[("big-org", "crew"), ("big-org", "admins")],
                      emails=[("second@example.com", False, True), ("octo@example.com", True, True),
                              ("unproved@example.com", False, False)])
        github.person("reader", 7, teams=[("big-org", "readers")])
        github.person("owner", 8, organizations=["owners-of-it"])
        github.person("stranger", 9, organizations=["big-org"])
        github.signed_in = "octocat"
        return plane
    return make


@pytest.fixture
def signed(make_signed):
    return make_signed()


def sessions(plane):
    return plane.query("SELECT * FROM launchplane_human_sessions ORDER BY created_at, session_id")


# the way there and back

def test_the_whole_way(signed, doubles):
    """core 2.3; AUTH-11"""
    browser = Browser(signed)
    answer = browser.get("/auth/github/login", params={"return_to": "/ui/products?tab=1"})
    assert answer.status_code == 302 and answer.headers["Cache-Control"] == "no-store"
    address = urlsplit(answer.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{doubles.github.url}/login/oauth/authorize"
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert set(asked) == {"client_id", "redirect_uri", "scope", "state", "response_type", "code_challenge", "code_challenge_method"}
    assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (CLIENT_ID, CALLBACK, "code")
    assert asked["scope"] == "read:user read:org user:email" and asked["code_challenge_method"] == "S256"
    assert len(base64.urlsafe_b64decode(asked["state"] + "=")) == 32
    assert sessions(signed) == []

    query = browser.at_github(answer.headers["Location"])
    answer = browser.come_back(query)
    assert answer.status_code == 302 and answer.headers["Location"] == "/ui/products?tab=1"
    assert answer.headers["Cache-Control"] == "no-store"
    signed.secrets.append(browser.session_cookie)
    assert [path for _, path in doubles.github.requests] == [
        "/login/oauth/authorize", "/login/oauth/access_token", "/user", "/user/orgs", "/user/teams", "/user/emails"]
    assert SIGN_IN_COOKIE not in browser.cookies

    answer = browser.get(SESSION)
    assert answer.headers["Cache-Control"] == "no-store"
    body = assert_ok(answer)
    assert set(body) == {"status", "trace_id", "identity", "csrf_token"}
    assert body["identity"] == {
        "provider": "github", "login": "octocat", "github_id": 583231, "name": "The Octocat", "email": "octo@example.com",
        "organizations": ["big-org", "zoo"], "teams": ["admins", "big-org/admins", "big-org/crew", "crew"], "role": "admin"}
    assert_ok(browser.get(RUNTIME))


def test_only_a_hash_of_the_session_is_kept(signed):
    """core 2.3, 9.2: id.HMAC in the cookie, the SHA-256 of the id in the table"""
    browser = Browser(signed)
    browser.sign_in()
    session_id, _, proof = browser.session_cookie.partition(".")
    assert len(base64.urlsafe_b64decode(session_id + "=")) == 32 and len(proof) == 64
    row, = sessions(signed)
    assert row["session_id"] == hashlib.sha256(session_id.encode()).hexdigest()
    assert (row["login"], row["github_id"], row["role"]) == ("octocat", 583231, "admin")
    assert row["created_at"].endswith("+00:00") and row["expires_at"].endswith("+00:00")
    assert set(row["payload"]) == {"session_id", "created_at", "expires_at", "identity"}
    assert row["payload"]["identity"]["login"] == "octocat"
    assert session_id not in json.dumps(row)          # and nowhere else: plane.check() looks everywhere


def test_pages_of_organizations_and_teams_are_all_read(signed, doubles):
    doubles.github.person("octocat", 583231, organizations=[f"org-{i:03d}" for i in range(250)],
                          teams=[("owners-x", f"team-{i:03d}") for i in range(101)])
    browser = Browser(signed)
    browser.sign_in()
    identity = assert_ok(browser.get(SESSION))["identity"]
    assert len(identity["organizations"]) == 251 and len(identity["teams"]) == 202


@pytest.mark.parametrize("emails, public, shown", [
    ([("a@x", False, True), ("b@x", True, True)], "p@x", "b@x"),
    ([("a@x", False, True), ("b@x", True, False)], "p@x", "p@x"),
    ([("a@x", False, True), ("b@x", True, False)], None, "a@x"),
    ([("b@x", True, False)], None, ""),
    ([], None, ""),
])
def test_the_address_that_is_shown(signed, doubles, emails, public, shown):
    """core 2.3: verified primary, else public, else first verified"""
    doubles.github.person("octocat", 583231, email=public, emails=emails)
    browser = Browser(signed)
    browser.sign_in()
    assert assert_ok(browser.get(SESSION))["identity"]["email"] == shown


def test_the_document_tells_how_the_routes_answer(signed):
    paths = signed.get("/v1/openapi.json", token=None).json()["paths"]
    told = {path: {status for status in next(iter(paths[path].values()))["responses"] if status < "400"}
            for path in ("/auth/github/login", "/auth/github/callback", "/auth/logout", SESSION)}
    assert told == {"/auth/github/login": {"302"}, "/auth/github/callback": {"302"}, "/auth/logout": {"200"}, SESSION: {"200"}}


# configuration

@pytest.mark.parametrize("missing", ["LAUNCHPLANE_GITHUB_CLIENT_ID", "LAUNCHPLANE_GITHUB_CLIENT_SECRET",
                                     "LAUNCHPLANE_PUBLIC_URL", "LAUNCHPLANE_SESSION_SECRET"])
def test_without_one_setting_nobody_signs_in(make_signed, missing):
    """core 2.3: 503, and the session says that it is not configured; logout works"""
    plane = make_signed(**{missing: " " if missing != "LAUNCHPLANE_PUBLIC_URL" else ""})
    browser = Browser(plane)
    for path in ("/auth/github/login", "/auth/github/callback?code=x&state=y"):
        assert_rejected(browser.get(path), 503, "auth_not_configured")
    browser.cookies[SESSION_COOKIE] = "some.thing"
    assert assert_unauthenticated(browser.get(SESSION))["configured"] is False
    assert_ok(browser.post("/auth/logout", headers={}))
    assert SESSION_COOKIE not in browser.cookies


def test_nobody_is_signed_in_yet(signed):
    body = assert_unauthenticated(Browser(signed).get(SESSION))
    assert body["configured"] is True


@pytest.mark.parametrize("public, secure, expected", [
    (PUBLIC, None, True), (PUBLIC, "1", True), (PUBLIC, "0", False), (PUBLIC, "False", False), (PUBLIC, "no", False),
    ("http://localhost:8080", None, True), ("http://localhost:8080", "0", False), (f"{PUBLIC}/", None, True),
])
def test_cookie_attributes(make_signed, doubles, public, secure, expected):
    """core 2.3: Path, Max-Age, HttpOnly, SameSite=Lax, Secure unless it is switched off"""
    changes = {} if secure is None else {"LAUNCHPLANE_COOKIE_SECURE": secure}
    plane = make_signed(LAUNCHPLANE_PUBLIC_URL=public, **changes)
    origin = public.rstrip("/")
    doubles.github.app(CLIENT_ID, CLIENT_SECRET, f"{origin}/auth/github/callback")
    browser = Browser(plane, origin)
    browser.sign_in()
    assert assert_ok(browser.post("/auth/logout"))
    of = {}
    for line in browser.kept:
        of.setdefault(line.split("=")[0], []).append(attributes(line))
    expected_flags = {"httponly": True, "samesite": "Lax", **({"secure": True} if expected else {})}
    ttl = str(14 * 86400)
    assert of[SESSION_COOKIE] == [{"path": "/", "max-age": ttl, **expected_flags}, {"path": "/", "max-age": "0", **expected_flags}]
    assert of[SIGN_IN_COOKIE] == [{"path": "/auth", "max-age": "600", **expected_flags},
                                  {"path": "/auth", "max-age": "0", **expected_flags}]


# where to go afterwards

@pytest.mark.parametrize("wanted, gone", [
    (None, "/"), ("", "/"), ("/", "/"), ("/ui/x?a=1#b", "/ui/x?a=1#b"), ("/a//b", "/a//b"),
    ("//evil.example", "/"), ("https://evil.example", "/"), ("evil.example", "/"), ("/\\evil.example", "/"), ("\\\\evil.example", "/"),
    ("/\t/evil.example", "/"), ("/x\r\nSet-Cookie: a=b", "/"), (" /x", "/"), ("/é", "/"), ("javascript:alert(1)", "/"),
    ("/" + "x" * 2000, "/"),
])
def test_no_open_redirect(signed, wanted, gone):
    """core 2.3: kept only if it starts with one slash"""
    answer = Browser(signed).sign_in(wanted)
    assert answer.headers["Location"] == gone


# the state

def refused_callback(browser, query):
    answer = browser.come_back(query)
    assert_rejected(answer, 400, "invalid_oauth_callback")
    assert browser.session_cookie is None
    return answer


def test_a_state_comes_back_once(signed, doubles):
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    kept = dict(browser.cookies)
    assert browser.come_back(query).status_code == 302
    signed.secrets.append(browser.session_cookie)
    asked = len(doubles.github.requests)
    again = Browser(signed)
    again.cookies = kept
    refused_callback(again, query)
    assert len(doubles.github.requests) == asked          # GitHub is not even asked
    assert len(sessions(signed)) == 1


def test_a_code_serves_once(signed):
    """Another sign-in with the code of the first: GitHub refuses it."""
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    assert browser.come_back(query).status_code == 302
    signed.secrets.append(browser.session_cookie)
    other = Browser(signed)
    other_query = other.at_github(other.begin())
    refused_callback(other, {**other_query, "code": query["code"]})


def test_a_foreign_code_does_not_fit_our_verifier(signed):
    """PKCE: a code that was made for another sign-in, not used yet"""
    attacker, victim = Browser(signed), Browser(signed)
    stolen = attacker.at_github(attacker.begin())
    own = victim.at_github(victim.begin())
    refused_callback(victim, {**own, "code": stolen["code"]})


def test_nobody_is_signed_in_as_somebody_else(signed):
    """Callback CSRF: a sign-in that another browser has begun, with code and state that are good there"""
    attacker, victim = Browser(signed), Browser(signed)
    query = attacker.at_github(attacker.begin())
    refused_callback(victim, query)
    victim.begin()
    refused_callback(victim, query)
    assert attacker.come_back(query).status_code == 302    # the state was not spent by it
    signed.secrets.append(attacker.session_cookie)


def test_a_sign_in_may_take_ten_minutes(signed, doubles):
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    signed.pass_time(seconds=570)
    assert browser.come_back(query).status_code == 302
    signed.secrets.append(browser.session_cookie)
    late = Browser(signed)
    query = late.at_github(late.begin())
    signed.pass_time(seconds=601)
    asked = len(doubles.github.requests)
    refused_callback(late, query)
    assert len(doubles.github.requests) == asked          # GitHub would have refused it, too: it is not asked


@pytest.mark.parametrize("change", [
    lambda q: {}, lambda q: {"code": q["code"]}, lambda q: {"state": q["state"]}, lambda q: {**q, "code": ""},
    lambda q: {**q, "state": ""}, lambda q: {**q, "state": q["state"][:-1]}, lambda q: {**q, "state": q["state"] + "x"},
    lambda q: {**q, "code": "wrong"}, lambda q: {**q, "code": [q["code"], "x"]}, lambda q: {**q, "state": [q["state"]] * 2},
    lambda q: {**q, "error": "access_denied"},
], ids=range(11))
def test_what_is_not_githubs_callback_is_refused(signed, change):
    browser = Browser(signed)
    refused_callback(browser, change(browser.at_github(browser.begin())))
    assert sessions(signed) == []


@pytest.mark.parametrize("change", [
    lambda c: c[:-1], lambda c: c[:-1] + ("A" if c[-1] != "A" else "B"), lambda c: "v2" + c[2:], lambda c: "x", lambda c: "....",
    lambda c: c.rpartition(".")[0] + ".", lambda c: c + "; launchplane_sign_in=" + c,
], ids=range(7))
def test_a_sign_in_cookie_that_is_not_ours_is_refused(signed, change):
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    browser.cookies[SIGN_IN_COOKIE] = change(browser.cookies[SIGN_IN_COOKIE])
    refused_callback(browser, query)


def test_who_gives_up_at_github_is_told_so(signed, doubles):
    doubles.github.signed_in = None
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    assert query["error"] == "access_denied"
    refused_callback(browser, query)


# GitHub in trouble

EXCHANGE = ("POST", "/login/oauth/access_token")


@pytest.mark.parametrize("body", [
    "<html>", "[]", "{}", '{"access_token": ""}', '{"access_token": "x", "token_type": "mac", "scope": "read:org,user"}',
    '{"access_token": "a b", "token_type": "bearer", "scope": "read:org,user"}', '{"access_token": 5, "token_type": "bearer"}',
])
def test_an_exchange_that_nobody_can_read(signed, doubles, body):
    """core 1.5: a token exchange failure"""
    doubles.github.on(*EXCHANGE).answer(200, body)
    refused_callback_of_new(signed)


def refused_callback_of_new(plane):
    browser = Browser(plane)
    refused_callback(browser, browser.at_github(browser.begin()))
    assert sessions(plane) == []


@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_an_exchange_that_fails(signed, doubles, status):
    doubles.github.on(*EXCHANGE).answer(status)
    refused_callback_of_new(signed)


def test_an_exchange_whose_answer_is_lost(signed, doubles):
    doubles.github.on(*EXCHANGE).drop_after()
    refused_callback_of_new(signed)


def test_a_wrong_client_secret(make_signed):
    plane = make_signed(LAUNCHPLANE_GITHUB_CLIENT_SECRET="not-the-apps-secret-0123")
    refused_callback_of_new(plane)


@pytest.mark.parametrize("scopes", [[], ["read:user"], ["read:org", "read:user"], ["user", "user:email"]], ids=str)
def test_too_few_scopes(signed, doubles, scopes):
    doubles.github.scopes_granted = scopes
    refused_callback_of_new(signed)


@pytest.mark.parametrize("scopes", [["admin:org", "user"], ["read:org", "user"]], ids=str)
def test_wider_scopes_do(signed, doubles, scopes):
    doubles.github.scopes_granted = scopes
    Browser(signed).sign_in()


@pytest.mark.parametrize("path", ["/user", "/user/orgs", "/user/teams", "/user/emails"])
@pytest.mark.parametrize("answer, status, code", [
    ((500, None), 502, "upstream_failed"), ((200, "<html>"), 502, "upstream_failed"), ((200, '"x"'), 502, "upstream_failed"),
    ((200, '[{"login": ""}]'), 502, "upstream_failed"), ((401, None), 400, "invalid_oauth_callback"),
    ((403, None), 400, "invalid_oauth_callback"),
], ids=str)
def test_a_person_that_cannot_be_read(signed, doubles, path, answer, status, code):
    doubles.github.on("GET", path).answer(*answer)
    browser = Browser(signed)
    answer = browser.come_back(browser.at_github(browser.begin()))
    assert_rejected(answer, status, code)
    assert browser.session_cookie is None and sessions(signed) == []


def test_a_token_that_is_revoked_meanwhile(signed, doubles):
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    rule = doubles.github.on("GET", "/user").hold_before()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = pool.submit(browser.come_back, query)
        assert rule.reached.wait(30)
        doubles.github.revoke_tokens()
        rule.release()
        assert_rejected(coming.result(60), 400, "invalid_oauth_callback")
    assert sessions(signed) == []


def test_a_github_that_does_not_answer_is_given_up(signed, doubles):
    """10 s for each call, on the clock of the test"""
    browser = Browser(signed)
    query = browser.at_github(browser.begin())
    rule = doubles.github.on("GET", "/user/teams").hold_before()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        coming = pool.submit(browser.come_back, query)
        assert rule.reached.wait(30)
        signed.pass_time(seconds=11)
        answer = coming.result(60)
        rule.release()
    assert_rejected(answer, answer.status_code, answer.json()["error"]["code"])
    assert answer.status_code in (502, 504) and sessions(signed) == []


# roles

@pytest.mark.parametrize("login, role", [("octocat", "admin"), ("reader", "read_only"), ("owner", "admin")])
def test_the_role_is_the_highest_a_rule_gives(signed, doubles, login, role):
    """core 2.3, 3.3.2: by login, team or organization; a rule without roles makes an admin"""
    doubles.github.signed_in = login
    browser = Browser(signed)
    browser.sign_in()
    assert assert_ok(browser.get(SESSION))["identity"]["role"] == role


def test_who_has_no_role_stays_outside(signed, doubles):
    doubles.github.signed_in = "stranger"
    browser = Browser(signed)
    assert_rejected(browser.try_sign_in(), 403, "authorization_denied")
    assert browser.session_cookie is None and sessions(signed) == []


@pytest.mark.parametrize("address, emails, public", [
    ("Boss@Example.com", [("other@x", True, True), ("boss@example.com", False, True)], None),
    ("boss@example.com", [], "BOSS@example.com"),
    (" a@x , boss@example.com", [("boss@example.com", True, True)], None),
])
def test_a_bootstrap_admin(make_signed, doubles, address, emails, public):
    """core 2.3: any verified or public address, in any case; the address that matched is shown"""
    plane = make_signed(LAUNCHPLANE_BOOTSTRAP_ADMIN_EMAILS=address)
    doubles.github.person("boss", 11, email=public, emails=emails)
    doubles.github.signed_in = "boss"
    browser = Browser(plane)
    browser.sign_in()
    identity = assert_ok(browser.get(SESSION))["identity"]
    assert identity["role"] == "admin" and identity["email"].lower() == "boss@example.com"
    assert_rejected(browser.get(RUNTIME), 403, "authorization_denied")     # a role is no grant


@pytest.mark.parametrize("emails", [[("boss@example.com", True, False)], [("notboss@example.com", True, True)],
                                    [("boss@example.com.evil", True, True)], []])
def test_no_bootstrap_admin(make_signed, doubles, emails):
    plane = make_signed(LAUNCHPLANE_BOOTSTRAP_ADMIN_EMAILS="boss@example.com,")
    doubles.github.person("boss", 11, emails=emails)
    doubles.github.signed_in = "boss"
    assert_rejected(Browser(plane).try_sign_in(), 403, "authorization_denied")


@pytest.mark.parametrize("name, value", [
    ("LAUNCHPLANE_SESSION_SECRET", "too-short"), ("LAUNCHPLANE_PUBLIC_URL", "https://user@launchplane.example.com"),
    ("LAUNCHPLANE_AUTH_FAILURE_LIMIT", "many"), ("LAUNCHPLANE_TRUSTED_PROXIES", "10.0.0.0/33"),
    ("LAUNCHPLANE_TRUSTED_PROXIES", "proxy.example.com"), ("LAUNCHPLANE_GITHUB_URL", "github.com"),
])
def test_a_wrong_setting_ends_the_start(signed, doubles, name, value):
    code, out, err = run_to_end("service", "serve", settings={**signed.settings, name: value})
    assert code != 0 and out == "" and name in err and "too-short" not in err
