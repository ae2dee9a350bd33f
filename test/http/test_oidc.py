"""Workflow tokens: which are accepted, which are refused, and what happens when the issuer is in trouble."""
import concurrent.futures

import pytest

from checks import assert_ok, assert_unauthenticated
from double.issuer import sign
from rehearsal.policy import CONTEXT
from rehearsal.waiting import wait_until

INVENTORY = f"/v1/inventory/{CONTEXT}/testing"


def accepted(plane, token):
    """A valid token gets past the 401; what it may see is another matter."""
    return plane.get("/v1/service/runtime", token=token).status_code == 200


BAD_TOKENS = {
    "alg none": lambda issuer: issuer.mint_unsigned(),
    "HS256 keyed with the public key": lambda issuer: issuer.mint_hs256_with_public_key(),
    "unknown kid": lambda issuer: issuer.mint_unknown_kid(),
    "no kid": lambda issuer: issuer.mint_without_kid(),
    "known kid, other key": lambda issuer: issuer.mint_with_other_key(),
    "claims changed after signing": lambda issuer: issuer.mint_tampered(repository="evil/evil"),
    "expired a second ago": lambda issuer: issuer.mint_expired(seconds=1),
    "expired long ago": lambda issuer: issuer.mint_expired(seconds=500),
    "not valid yet": lambda issuer: issuer.mint_not_yet_valid(),
    "issued in the future": lambda issuer: issuer.mint_from_the_future(),
    "foreign issuer": lambda issuer: issuer.mint(iss="https://token.actions.githubusercontent.com.evil.example"),
    "issuer with a slash more": lambda issuer: issuer.mint(iss=issuer.url + "/"),
    "no issuer": lambda issuer: issuer.mint(iss=None),
    "issuer of a wrong type": lambda issuer: issuer.mint(iss=[issuer.url]),
    "foreign audience": lambda issuer: issuer.mint(aud="somebody-else"),
    "several foreign audiences": lambda issuer: issuer.mint(aud=["somebody", "else"]),
    "audience in another case": lambda issuer: issuer.mint(aud=issuer.audience.upper()),
    "no audience": lambda issuer: issuer.mint(aud=None),
    "audience of a wrong type": lambda issuer: issuer.mint(aud=5),
    "no expiry": lambda issuer: issuer.mint(exp=None),
    "expiry is text": lambda issuer: issuer.mint(exp="tomorrow"),
    "no repository": lambda issuer: issuer.mint(repository=None),
    "blank repository": lambda issuer: issuer.mint(repository="  "),
    "repository of a wrong type": lambda issuer: issuer.mint(repository=5, sub="repo:x"),
    "no workflow_ref": lambda issuer: issuer.mint(workflow_ref=None),
    "blank workflow_ref": lambda issuer: issuer.mint(workflow_ref=""),
    "two parts": lambda issuer: issuer.mint().rsplit(".", 1)[0],
    "four parts": lambda issuer: issuer.mint() + ".more",
    "empty signature": lambda issuer: issuer.mint().rsplit(".", 1)[0] + ".",
    "signature cut short": lambda issuer: issuer.mint()[:-10],
    "not base64": lambda issuer: "?.?.?",
    "nonsense": lambda issuer: "nonsense",
    "enormous": lambda issuer: "a" * 9000 + "." + "b" * 9000 + ".c",
}


@pytest.mark.parametrize("bad", BAD_TOKENS, ids=str)
def test_a_bad_token_is_a_401_that_tells_nothing(shared_plane, bad):
    """AUTH-07, SVC-27: one public answer for every reason"""
    answer = shared_plane.get("/v1/service/runtime", token=BAD_TOKENS[bad](shared_plane.issuer))
    if bad == "enormous" and answer.status_code == 431:
        return
    body = assert_unauthenticated(answer)
    good = assert_unauthenticated(shared_plane.get("/v1/service/runtime", token=None))
    assert set(body) == set(good)


@pytest.mark.parametrize("header", [
    "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token {token}", "{token}", "Bearer {token} {token}",
])
def test_other_authorization_headers_are_a_401(shared_plane, header):
    value = header.format(token=shared_plane.token())
    answer = shared_plane.get("/v1/service/runtime", token=None, headers={"Authorization": value})
    assert_unauthenticated(answer)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(shared_plane, scheme):
    """core 2.1"""
    headers = {"Authorization": f"{scheme} {shared_plane.token()}"}
    assert_ok(shared_plane.get("/v1/service/runtime", token=None, headers=headers))


def test_an_audience_list_that_contains_ours_is_accepted(shared_plane):
    """core 2.2"""
    assert accepted(shared_plane, shared_plane.token(aud=["other", shared_plane.issuer.audience]))


def test_the_actor_decides_nothing(shared_plane):
    """core 2.2: claims never used for decisions"""
    assert accepted(shared_plane, shared_plane.token(actor="somebody-else", actor_id=None))


def test_a_token_expires_with_the_clock(plane):
    token = plane.token()
    assert accepted(plane, token)
    plane.pass_time(seconds=301)
    assert_unauthenticated(plane.get("/v1/service/runtime", token=token))


def test_keys_are_fetched_once_and_kept(plane):
    for _ in range(5):
        assert accepted(plane, plane.token())
    assert plane.issuer.jwks_fetches == 1


def test_a_new_key_is_found_without_restart(plane):
    assert accepted(plane, plane.token())
    plane.issuer.rotate()
    plane.pass_time(minutes=1)
    assert accepted(plane, plane.token())


def test_a_withdrawn_key_is_forgotten_in_the_end(plane):
    old_key = plane.issuer.key
    assert accepted(plane, plane.token())
    plane.issuer.rotate(keep_old=False)
    plane.pass_time(hours=2)
    assert accepted(plane, plane.token())
    assert_unauthenticated(plane.get("/v1/service/runtime", token=sign(plane.issuer.claims(), old_key)))


def test_unknown_keys_do_not_make_the_service_hammer_the_issuer(plane):
    assert accepted(plane, plane.token())
    for _ in range(30):
        assert_unauthenticated(plane.get("/v1/service/runtime", token=plane.issuer.mint_unknown_kid()))
    assert plane.issuer.jwks_fetches <= 3


@pytest.mark.parametrize("trouble", ["fail", "garbage", "down"])
def test_known_keys_survive_trouble_at_the_issuer(plane, trouble):
    assert accepted(plane, plane.token())
    for path in ("jwks", "discovery"):
        getattr(plane.issuer, trouble)(path=path)
    plane.pass_time(hours=1)
    assert accepted(plane, plane.token())


def test_a_service_that_starts_while_the_issuer_is_down_recovers(doubles, make_plane):
    for path in ("jwks", "discovery"):
        doubles.issuer.down(path)
    plane = make_plane()
    refused = plane.get("/v1/service/runtime")
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1, refused.text
    doubles.issuer.heal()
    plane.pass_time(minutes=5)
    assert accepted(plane, plane.token())


def test_a_slow_issuer_does_not_hold_up_other_requests(plane):
    plane.issuer.slow(3600, path="jwks")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(plane.get, "/v1/service/runtime")
        wait_until(lambda: plane.issuer.jwks_fetches, "the issuer to be asked")
        assert plane.get("/v1/health", token=None).status_code == 200
        assert not slow.done()
        plane.issuer.heal()
        plane.pass_time(hours=2)
        assert slow.result(60).status_code in (200, 401, 503)        # 401: two hours later its token has expired


def test_the_log_names_the_reason_and_never_the_token(plane):
    """Every refusal has its own reason in the log."""
    tokens = {name: make(plane.issuer) for name, make in list(BAD_TOKENS.items())[:15]}
    for token in tokens.values():
        plane.get(INVENTORY, token=token)
    log = "\n".join(plane.log_lines)
    assert not any(token in log for token in tokens.values())
    assert not any(token.split(".")[-1] in log for token in tokens.values() if token.split(".")[-1])
