"""How often one address may fail to authenticate, and who is not kept out by it."""
import re

import pytest

from browser import SESSION_COOKIE, Browser
from checks import assert_accepted, assert_ok, assert_rejected, assert_unauthenticated
from rehearsal.waiting import wait_until
from test_identities import TOKENS, policy, settings as token_settings
from test_sign_in import RUNTIME, SESSION, make_signed    # noqa: F401, a fixture

LIMIT = 2        # one comes back each 30 s: no machine is so slow that one does within a test
PROXY = {"LAUNCHPLANE_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8, fd00::/8"}
AGENT = TOKENS["terminal_agents"]


@pytest.fixture
def make_limited(make_plane):
    def make(**changes):
        plane = make_plane(policy(), **{**token_settings(), "LAUNCHPLANE_AUTH_FAILURE_LIMIT": str(LIMIT), **changes})
        plane.secrets += TOKENS.values()
        return plane
    return make


@pytest.fixture
def limited(make_limited):
    return make_limited()


def ask(plane, token, address=None):
    return plane.get(RUNTIME, token=token, headers={"X-Forwarded-For": address} if address else None)


def use_up(plane, address=None, token="a.bad.token"):
    for _ in range(LIMIT):
        assert_unauthenticated(ask(plane, token, address))
    return assert_limited(ask(plane, token, address))


def assert_limited(answer):
    body = assert_rejected(answer, 429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return body


def limited_total(plane):
    return float(re.search(r"^launchplane_auth_limited_total (\S+)$", plane.get("/metrics", token=None).text, re.M)[1])


def test_too_many_failures_are_told_to_wait(limited):
    before = limited_total(limited)
    use_up(limited)
    answer = ask(limited, "another.bad.token")
    assert_limited(answer)
    assert limited_total(limited) == before + 2
    assert wait_until(lambda: limited.logged(event="auth.limited", address="127.0.0.1"), "the log line")
    limited.pass_time(seconds=int(answer.headers["Retry-After"]))
    assert_unauthenticated(ask(limited, "x.y.z"))          # one more, and no more than that
    assert_limited(ask(limited, "x.y.z"))
    limited.pass_time(minutes=2)
    use_up(limited)


def test_good_signatures_are_let_in_all_the_same(limited):
    """Others' failures lock nobody out who cannot have guessed"""
    use_up(limited)
    for _ in range(2 * LIMIT):
        assert_ok(limited.get(RUNTIME))
    assert_limited(ask(limited, limited.token(repository="x") + "x"))


def test_sessions_are_let_in_all_the_same(make_signed):
    plane = make_signed(LAUNCHPLANE_AUTH_FAILURE_LIMIT=str(LIMIT))
    browser, forger = Browser(plane), Browser(plane)
    browser.sign_in()
    forger.cookies[SESSION_COOKIE] = "forged.cookie"
    for _ in range(LIMIT):
        assert_unauthenticated(forger.get(SESSION))
    assert_limited(forger.get(SESSION))
    assert_ok(browser.get(SESSION))


def test_no_token_is_guessed_behind_the_limit(limited):
    """Not even the right one: so nobody learns that it was right"""
    use_up(limited)
    assert_limited(ask(limited, AGENT))
    limited.pass_time(minutes=2)
    assert_ok(ask(limited, AGENT))


def test_an_address_that_knows_its_token_goes_on(limited):
    assert_ok(ask(limited, AGENT))
    use_up(limited)
    assert_ok(ask(limited, AGENT))
    limited.pass_time(hours=1)
    use_up(limited)
    assert_limited(ask(limited, AGENT))                     # that was long ago


def test_who_shows_nothing_has_not_failed(limited):
    for _ in range(3 * LIMIT):
        assert_unauthenticated(limited.get(RUNTIME, token=None))
    use_up(limited)


def test_good_credentials_use_nothing_up(limited):
    for _ in range(3 * LIMIT):
        assert_ok(limited.get(RUNTIME))
        assert_ok(ask(limited, AGENT))
    use_up(limited)


def test_sign_ins_that_fail_count(make_signed):
    plane = make_signed(LAUNCHPLANE_AUTH_FAILURE_LIMIT=str(LIMIT))
    query = {"code": "guess", "state": "guess"}
    for _ in range(LIMIT):
        assert_rejected(Browser(plane).come_back(query), 400, "invalid_oauth_callback")
    answer = Browser(plane).come_back(query)
    assert_limited(answer)
    waiting = Browser(plane)
    good = waiting.at_github(waiting.begin())
    assert_limited(waiting.come_back(good))                 # GitHub is not asked while the limit holds
    plane.pass_time(seconds=int(answer.headers["Retry-After"]))
    assert waiting.come_back(good).status_code == 302       # and the sign-in was not lost
    plane.secrets.append(waiting.session_cookie)


def test_addresses_do_not_share(make_limited):
    plane = make_limited(**PROXY)
    use_up(plane, "192.0.2.1")
    use_up(plane, "192.0.2.2")
    assert_ok(ask(plane, AGENT, "192.0.2.3"))


def test_an_ipv6_network_is_one_address(make_limited):
    plane = make_limited(**PROXY)
    use_up(plane, "2001:db8:1:2::1")
    assert_limited(ask(plane, "x.y.z", "2001:db8:1:2:ffff::9"))
    assert_unauthenticated(ask(plane, "x.y.z", "2001:db8:1:3::1"))


def test_nobody_but_a_proxy_says_for_whom_it_speaks(limited):
    use_up(limited, "192.0.2.1")
    assert_limited(ask(limited, "x.y.z", "192.0.2.77"))


@pytest.mark.parametrize("said, counted", [
    ("192.0.2.1", "192.0.2.1"), ("1.2.3.4, 192.0.2.1", "192.0.2.1"), ("192.0.2.1,10.1.1.1", "192.0.2.1"),
    ("192.0.2.1 , 10.1.1.1 , 10.2.2.2", "192.0.2.1"), ("192.0.2.1, fd00::5", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"),
    ("garbage, 192.0.2.1", "192.0.2.1"), ("garbage", "127.0.0.1"), ("10.9.9.9", "10.9.9.9"), ("192.0.2.1, garbage", "127.0.0.1"),
    ("", "127.0.0.1"),
])
def test_the_last_address_that_is_no_proxy_counts(make_limited, said, counted):
    """What a client writes itself stands before what our proxies add."""
    plane = make_limited(**PROXY)
    use_up(plane, said)
    if counted == "127.0.0.1":
        assert_limited(ask(plane, "x.y.z"))
    else:
        assert_limited(ask(plane, "x.y.z", counted))
        assert_unauthenticated(ask(plane, "x.y.z"))


def test_many_addresses_take_no_more_memory(make_limited):
    """A table of fixed size: the address that failed longest ago makes room"""
    plane = make_limited(**PROXY)
    for i in range(5000):
        answer = ask(plane, "x", f"198.{18 + i // 65536}.{i // 256 % 256}.{i % 256}")
        assert answer.status_code == 401, (i, answer.text)
    use_up(plane, "203.0.113.9")


def test_without_a_limit_there_is_none(make_limited):
    plane = make_limited(LAUNCHPLANE_AUTH_FAILURE_LIMIT="0")
    for _ in range(100):
        assert_unauthenticated(ask(plane, "x.y.z"))
    assert_ok(ask(plane, AGENT))
    assert_accepted(plane.post("/v1/authz-policies/github-actions/grants", {
        "product": "launchplane", "mode": "dry_run", "reason": "x",
        "grant": {"repository": "a/b", "actions": ["x.read"]}}, token=TOKENS["local_admins"]))
