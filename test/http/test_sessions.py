"""Sessions of people: how long they live, who ends them, what they may do, and what a browser must show to change anything."""
import concurrent.futures
import datetime
import hashlib
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from browser import CLIENT_ID, CLIENT_SECRET, PUBLIC, SESSION_COOKIE, Browser
from checks import assert_accepted, assert_ok, assert_rejected, assert_unauthenticated
from cli import Cli
from raw import Connection, reserved
from rehearsal.policy import CONTEXT, PRODUCT, lane_rules, render, workflow_rule
from rehearsal.waiting import wait_until
from test_audit import leaves
from test_identities import TOKENS, settings as token_settings, token_rule
from test_sign_in import RUNTIME, SESSION, human_rule, make_signed, sessions    # noqa: F401, a fixture

DAY = 86400
GRANT = "/v1/authz-policies/github-actions/grants"
REVOKE = "/v1/auth/sessions/revocations"
EVERYTHING = human_rule(logins=["octocat"], roles=["admin"], products=[], contexts=[], actions=[])
POLICY = render(github_actions=[*lane_rules(), workflow_rule(["authz_policy_grant.write", "human_session.revoke",
                                                              "human_session.read"], ["launchplane"], ["launchplane"])],
                github_humans=[EVERYTHING, human_rule(teams=["big-org/readers"], roles=["read_only"], products=[], contexts=[],
                                                      actions=[])],
                terminal_agents=[token_rule()], local_operators=[token_rule()], local_admins=[token_rule()])


@pytest.fixture
def signed(make_signed):
    return make_signed(POLICY)


@pytest.fixture
def browser(signed):
    made = Browser(signed)
    made.sign_in()
    return made


def grant(**changes):
    return {"product": "launchplane", "mode": "apply", "reason": "agreed",
            "grant": {"repository": "example-org/other", "actions": ["launchplane_service.read"]}, **changes}


def revocation(login="octocat"):
    return {"login": login, "reason": "left the company"}


# how long it lives

def test_a_session_ends_two_weeks_after_its_last_use(signed, browser):
    """core 2.3: ttl 14 days; an expired one is deleted on read"""
    signed.pass_time(seconds=14 * DAY - 60)
    other = Browser(signed)
    other.cookies = dict(browser.cookies)
    signed.pass_time(seconds=120)
    assert_unauthenticated(browser.get(SESSION))
    assert sessions(signed) == []
    signed.pass_time(seconds=-14 * DAY)
    assert_unauthenticated(other.get(SESSION))          # not even when the clock goes back


def test_a_session_in_use_is_renewed(signed, browser):
    """core 2.3: with less than ttl minus a day left the whole ttl begins anew; id and creation stay"""
    before, = sessions(signed)
    kept = len(browser.kept)
    cookie = browser.session_cookie
    signed.pass_time(seconds=DAY - 600)
    assert_ok(browser.get(SESSION))
    assert sessions(signed) == [before] and len(browser.kept) == kept
    signed.pass_time(seconds=1200)
    assert_ok(browser.get(RUNTIME))
    after, = sessions(signed)
    assert len(browser.kept) == kept + 1 and "Max-Age=1209" in browser.kept[-1]
    assert browser.session_cookie == cookie
    assert (after["session_id"], after["created_at"]) == (before["session_id"], before["created_at"])
    moved = (datetime.datetime.fromisoformat(after["expires_at"]) - datetime.datetime.fromisoformat(before["expires_at"]))
    assert abs(moved.total_seconds() - DAY - 600) < 120
    assert after["payload"]["expires_at"] == after["expires_at"]


def test_a_renewed_cookie_goes_with_refusals_too(signed, browser):
    """core 1.4"""
    kept = len(browser.kept)
    signed.pass_time(seconds=2 * DAY)
    assert_rejected(browser.get("/v1/deployments/none"), 404, "not_found")
    assert len(browser.kept) == kept + 1


def test_no_session_lives_longer_than_thirty_days(signed, browser):
    for _ in range(3):
        signed.pass_time(seconds=9 * DAY)
        assert_ok(browser.get(SESSION))
    created, expires = (datetime.datetime.fromisoformat(sessions(signed)[0][name]) for name in ("created_at", "expires_at"))
    assert (expires - created).days == 30
    signed.pass_time(seconds=3 * DAY + 60)
    assert_unauthenticated(browser.get(SESSION))


def test_a_taken_over_table_serves_too(signed):
    """Its payload is jsonb, and may hold what nobody can read"""
    signed.query("ALTER TABLE launchplane_human_sessions ALTER COLUMN payload TYPE jsonb USING payload::jsonb")
    browser, broken = Browser(signed), Browser(signed)
    browser.sign_in()
    signed.pass_time(seconds=2 * DAY)
    assert_ok(browser.get(SESSION))
    row, = sessions(signed)
    assert row["payload"]["expires_at"] == row["expires_at"]
    broken.sign_in()
    signed.query("UPDATE launchplane_human_sessions SET payload = '{}' WHERE session_id <> %s", row["session_id"])
    assert_unauthenticated(broken.get(SESSION))
    assert_ok(browser.get(SESSION))


def test_expired_sessions_go_with_the_next_sign_in(signed, browser):
    signed.pass_time(seconds=15 * DAY)
    Browser(signed).sign_in()
    assert len(sessions(signed)) == 1


# what is no session

@pytest.mark.parametrize("change", [
    lambda c: c[:-1], lambda c: c + "0", lambda c: c[1:], lambda c: c.upper(), lambda c: c.replace(".", ""),
    lambda c: c.partition(".")[0], lambda c: "." + c.partition(".")[2], lambda c: c.partition(".")[0] + ".",
    lambda c: c.replace(".", ". "), lambda c: "x" + c, lambda c: c + "; launchplane_session=" + c, lambda c: "",
    lambda c: c.partition(".")[2] + "." + c.partition(".")[0],
], ids=range(13))
def test_a_cookie_that_is_not_ours_is_no_session(signed, browser, change):
    browser.cookies[SESSION_COOKIE] = change(browser.session_cookie)
    assert_unauthenticated(browser.get(SESSION))
    assert_unauthenticated(browser.get(RUNTIME))


def test_what_the_table_shows_opens_nothing(signed, browser):
    """The stored hash instead of the id, with the proof of the real one or of any"""
    row, = sessions(signed)
    proof = browser.session_cookie.partition(".")[2]
    for value in (row["session_id"], f"{row['session_id']}.{proof}", f"{row['session_id']}.{row['session_id']}"):
        browser.cookies[SESSION_COOKIE] = value
        assert_unauthenticated(browser.get(SESSION))


def test_signing_in_makes_a_new_session(signed, browser):
    """Session fixation: what the browser had before is not what it has afterwards, and has ended"""
    planted = browser.session_cookie
    browser.sign_in()
    assert browser.session_cookie != planted and len(sessions(signed)) == 1
    victim = Browser(signed)
    victim.cookies[SESSION_COOKIE] = planted
    assert_unauthenticated(victim.get(SESSION))


def test_a_session_under_another_secret_is_none(signed, browser, make_signed):
    other = make_signed(POLICY, LAUNCHPLANE_SESSION_SECRET="another-session-secret-000000000")
    elsewhere = Browser(other)
    elsewhere.cookies = dict(browser.cookies)
    assert_unauthenticated(elsewhere.get(SESSION))
    assert_ok(browser.get(SESSION))


# who ends it

def test_logout_ends_it_everywhere(signed, browser, make_signed):
    other = Browser(make_signed(POLICY))
    other.cookies = dict(browser.cookies)
    assert_ok(other.get(SESSION))                       # another service on the same database knows it
    answer = browser.post("/auth/logout")
    assert set(assert_ok(answer)) == {"status", "trace_id"}
    assert SESSION_COOKIE not in browser.cookies and sessions(signed) == []
    assert_unauthenticated(other.get(SESSION))


def test_logout_without_a_session_only_clears(signed):
    for cookie in (None, "", "forged.cookie"):
        browser = Browser(signed)
        if cookie is not None:
            browser.cookies[SESSION_COOKIE] = cookie
        assert_ok(browser.post("/auth/logout", headers={}))
        assert "Max-Age=0" in browser.kept[-1] and SESSION_COOKIE not in browser.cookies


def test_logout_from_elsewhere_is_refused(signed, browser):
    for headers in ({}, browser.page_headers(Origin="https://evil.example"), browser.page_headers(**{"X-CSRF-Token": "x"})):
        assert_rejected(browser.post("/auth/logout", headers=headers), 403, "browser_mutation_denied")
    assert_ok(browser.get(SESSION))


def test_revocation_ends_all_of_a_person(signed, doubles):
    mine, phone, reader = Browser(signed), Browser(signed), Browser(signed)
    mine.sign_in()
    phone.sign_in()
    doubles.github.signed_in = "reader"
    reader.sign_in()
    result = assert_accepted(signed.post(REVOKE, revocation("OctoCat"), key="k"))["result"]
    assert result == {"revoked_session_count": 2}
    for browser in (mine, phone):
        assert_unauthenticated(browser.get(SESSION))
    assert_ok(reader.get(SESSION))
    doubles.github.signed_in = "octocat"
    mine.sign_in()
    assert assert_accepted(signed.post(REVOKE, revocation("OctoCat"), key="k"))["replayed"] is True
    assert_ok(mine.get(SESSION))                        # a replay revokes nothing
    assert assert_accepted(signed.post(REVOKE, revocation("nobody")))["result"] == {"revoked_session_count": 0}


def test_revocation_needs_its_grant_and_a_reason(signed, browser, doubles):
    before = sessions(signed)
    for body, path in (({}, "login"), ({"login": " ", "reason": "x"}, "login"), ({"login": "octocat"}, "reason"),
                       ({**revocation(), "more": 1}, "more")):
        assert_rejected(signed.post(REVOKE, body), 400, "invalid_request", path)
    token = signed.token(repository="example-org/stranger")
    assert_rejected(signed.post(REVOKE, revocation(), token=token), 403, "authorization_denied")
    assert_rejected(signed.get("/v1/auth/sessions", token=token), 403, "authorization_denied")
    assert sessions(signed) == before


def test_sessions_are_listed_without_anything_to_use_them(signed, browser, doubles):
    doubles.github.signed_in = "reader"
    Browser(signed).sign_in()
    answer = signed.get("/v1/auth/sessions")
    rows = assert_ok(answer)["sessions"]
    assert {row["login"] for row in rows} == {"octocat", "reader"}
    assert all(set(row) == {"login", "github_id", "role", "created_at", "expires_at"} for row in rows)
    assert all(row["session_id"] not in answer.text for row in sessions(signed))
    assert [row["login"] for row in assert_ok(signed.get("/v1/auth/sessions?login=OCTOCAT"))["sessions"]] == ["octocat"]
    signed.pass_time(seconds=15 * DAY)
    assert assert_ok(signed.get("/v1/auth/sessions"))["sessions"] == []


def test_every_worker_knows_it_and_forgets_it_at_once(make_signed):
    plane = make_signed(POLICY, LAUNCHPLANE_WORKERS="2")
    browser = Browser(plane)
    browser.sign_in()
    statuses = [one_answer(plane, browser) for _ in range(12)]
    assert set(statuses) == {200}
    assert_accepted(plane.post(REVOKE, revocation()))
    assert {one_answer(plane, browser) for _ in range(12)} == {401}


def one_answer(plane, browser):
    """On a connection of its own, so that both workers get some."""
    with Connection(plane.url) as connection:
        connection.get(SESSION, f"Cookie: {SESSION_COOKIE}={browser.session_cookie}")
        return connection.answer()[0]


def test_a_sign_in_outlives_the_process(signed, browser):
    """Sessions and sign-ins under way survive a restart; what was revoked stays revoked"""
    coming, gone = Browser(signed), Browser(signed)
    gone.sign_in()
    query = coming.at_github(coming.begin())
    assert_ok(gone.post("/auth/logout", headers=gone.page_headers()))
    ended = Browser(signed)
    ended.cookies = {**gone.cookies, SESSION_COOKIE: gone.kept[1].split("=", 1)[1].split(";")[0]}
    signed.restart()
    assert_ok(browser.get(SESSION))
    assert coming.come_back(query).status_code == 302
    signed.secrets.append(coming.session_cookie)
    assert_unauthenticated(ended.get(SESSION))


# what it may do

def test_a_rule_that_goes_takes_the_role_with_it(signed, doubles):
    """The role is the one at sign-in, or less as soon as the policy gives less"""
    doubles.github.signed_in = "reader"
    reader = Browser(signed)
    reader.sign_in()
    assert_ok(reader.get(RUNTIME))
    change_policy(signed, lambda rules: [rule for rule in rules if not rule["teams"]])
    wait_until(lambda: reader.get(SESSION).status_code == 401, "the role to be gone", 30)
    assert_unauthenticated(reader.get(RUNTIME))


def test_an_admin_becomes_read_only_at_once_and_never_the_other_way(signed, doubles):
    browser, reader = Browser(signed), Browser(signed)
    browser.sign_in()
    doubles.github.signed_in = "reader"
    reader.sign_in()
    change_policy(signed, lambda rules: [{**rule, "roles": ["read_only"] if rule["logins"] else ["admin"]} for rule in rules])

    def role(of):
        return assert_ok(of.get(SESSION))["identity"]["role"]
    wait_until(lambda: role(browser) == "read_only", "the role to be less", 30)
    assert role(reader) == "read_only"
    reader.sign_in()
    assert role(reader) == "admin"


def change_policy(plane, change):
    """A new record in the database, as another host would write it."""
    row = plane.query("SELECT * FROM launchplane_authz_policies ORDER BY updated_at DESC, record_id DESC LIMIT 1")[0]
    policy = {**row["payload"]["policy"], "github_humans": change(row["payload"]["policy"]["github_humans"])}
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    payload = {**row["payload"], "policy": policy, "policy_sha256": digest, "record_id": "z-changed", "updated_at": "2999-01-01T00:00:00Z"}
    plane.query("INSERT INTO launchplane_authz_policies (record_id, status, source, updated_at, policy_sha256, payload)"
                " VALUES ('z-changed', 'active', 'test', '2999-01-01T00:00:00Z', %s, %s::json)", digest, json.dumps(payload))
    plane.query("NOTIFY launchplane_policy")


def test_read_only_people_get_no_further_than_safe_writes(signed, doubles):
    """core 3.2, 3.5; AUTH-74: though their rule allows everything"""
    doubles.github.signed_in = "reader"
    reader = Browser(signed)
    reader.sign_in()
    assert_ok(reader.get(RUNTIME))
    before = signed.counts()
    for path, body in ((GRANT, grant()), (REVOKE, revocation()), ("/v1/product-config/apply", {
            "schema_version": 1, "product": PRODUCT, "context": CONTEXT, "mode": "dry-run", "runtime_env": {"A": "b"}})):
        assert_rejected(reader.post(path, body), 403, "authorization_denied")
    assert signed.counts() == before


@pytest.mark.parametrize("changes", [{"logins": ["somebody"]}, {"products": ["other"]}, {"contexts": ["other"]}, {"contexts": ["launch*"]},
                                     {"actions": ["deployment.read"]}], ids=str)
def test_every_condition_of_a_persons_rule_counts(make_signed, changes):
    """AUTH-74: exact product, context and action"""
    may_sign_in = human_rule(logins=["octocat"], products=["none"], contexts=["none"], actions=["none"])
    plane = make_signed(render(github_humans=[may_sign_in, human_rule(logins=["octocat"], roles=["admin"], **changes)
                                              if "logins" not in changes else human_rule(**changes)]))
    browser = Browser(plane)
    browser.sign_in()
    assert_rejected(browser.get(RUNTIME), 403, "authorization_denied")


def test_a_person_changes_the_policy(signed, browser):
    """AUTH-23; core 3.7, 4: who it was stands in the record, and the key is theirs"""
    body = grant()
    made = assert_accepted(browser.post(GRANT, body, key="k"))
    assert assert_accepted(browser.post(GRANT, body, key="k"))["replayed"] is True
    row = signed.query("SELECT payload -> 'audit' AS audit FROM launchplane_authz_policies WHERE record_id = %s",
                       made["records"]["authz_policy_record_id"])[0]
    assert row["audit"]["principal_type"] == "github_human"
    assert row["audit"]["operator"] == {"type": "github_human", "login": "octocat", "role": "admin"}
    assert signed.query("SELECT scope FROM launchplane_idempotency_records WHERE idempotency_key = 'k'") == [
        {"scope": "github-human|octocat|583231"}]


# which credential counts

def test_a_bearer_token_comes_first(signed, browser):
    """core 2.1: and when it is bad the cookie does not help"""
    assert_unauthenticated(browser.get(RUNTIME, token="x.y.z"))
    assert_unauthenticated(browser.get(SESSION, token=signed.token()))
    assert assert_unauthenticated(browser.get(SESSION, token="bad"))["configured"] is True
    # the workflow may not read that, the person may
    path = "/v1/authz-policies/local-admins/grants"
    assert_rejected(signed.post(path, grant()), 400, "invalid_request")
    answer = browser.request("POST", GRANT, json=grant(), token=signed.token(repository="example-org/stranger"))
    assert_rejected(answer, 403, "authorization_denied")
    # no browser headers are asked of a token, even with a cookie beside it
    assert_accepted(browser.request("POST", GRANT, json=grant(), token=signed.token()))


@pytest.mark.parametrize("value", ["Basic abc", "Bearer", "Bearer ", "bearer\t", "Token x", ""])
def test_what_is_no_bearer_token_leaves_the_cookie(signed, browser, value):
    """core 2.1: no bearer token at all"""
    assert_ok(browser.get(RUNTIME, headers={"Authorization": value}))


def test_two_credentials_of_a_kind_are_none(signed, browser):
    with Connection(signed.url) as connection:
        connection.get(RUNTIME, f"Cookie: {SESSION_COOKIE}={browser.session_cookie}", f"Cookie: {SESSION_COOKIE}=a.b")
        assert connection.answer()[0] == 401


# a matrix over all routes

def routes_of(plane):
    document = plane.get("/v1/openapi.json", token=None).json()
    return [(path, method, entry.get("security", [])) for path, entries in document["paths"].items()
            for method, entry in entries.items()]


def filled(path):
    return re.sub(r"\{[^}]*\}", "none", path)


WRONG = [
    {"Origin": None}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": PUBLIC.replace("https", "http")},
    {"Origin": PUBLIC + ":444"}, {"Origin": PUBLIC + "/"}, {"Origin": PUBLIC + ".evil.example"}, {"Origin": PUBLIC.upper()},
    {"Sec-Fetch-Site": None}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Mode": None}, {"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": None}, {"Sec-Fetch-Dest": "document"}, {"Sec-Fetch-Dest": "iframe"},
    {"X-CSRF-Token": None}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "v1.0.x"},
]


def test_no_route_takes_a_change_from_elsewhere(signed, browser):
    """core 2.4: every POST that the document says takes a session, with every header wrong in turn; the others ignore the cookie"""
    with_session = without = 0
    before = signed.counts()
    good = browser.page_headers()
    for path, method, security in routes_of(signed):
        if method != "post":
            continue
        if {"session": []} in security:
            with_session += 1
            for change in WRONG:
                headers = {name: value for name, value in {**good, **change}.items() if value is not None}
                answer = browser.post(filled(path), {}, headers=headers)
                assert_rejected(answer, 403, "browser_mutation_denied")
        elif security:
            without += 1
            assert_unauthenticated(browser.post(filled(path), {}, headers=good))
    assert signed.counts() == before
    assert with_session >= 8 and without >= 5
    assert_accepted(browser.post(GRANT, grant(), headers=good))          # and the headers were good all the time


def test_reads_ask_no_browser_headers(signed, browser):
    for path, method, security in routes_of(signed):
        if method == "get" and security:
            assert {"session": []} in security, path
            assert browser.get(filled(path)).status_code not in (401,), path


def test_headers_that_come_twice_are_wrong(signed, browser):
    headers = browser.page_headers()
    for twice in headers:
        with Connection(signed.url) as connection:
            lines = [f"{name}: {value}" for name, value in headers.items()]
            connection.post(GRANT, grant(), f"Cookie: {SESSION_COOKIE}={browser.session_cookie}", *lines, f"{twice}: {headers[twice]}")
            status, _, text = connection.answer()
        assert status == 403 and json.loads(text)["error"]["code"] == "browser_mutation_denied", twice


# the token

def test_a_token_serves_one_change(signed, browser):
    """core 2.4: each accepted mutation bumps the generation; the answer carries the next"""
    headers = browser.page_headers()
    answer = browser.post(GRANT, grant(), headers=headers)
    assert_accepted(answer)
    following = answer.headers["X-CSRF-Token"]
    assert following == browser.csrf_token() != headers["X-CSRF-Token"]
    assert_rejected(browser.post(GRANT, grant(), headers=headers), 403, "browser_mutation_denied")
    assert_accepted(browser.post(GRANT, grant(), headers={**headers, "X-CSRF-Token": following}))


def test_what_is_refused_or_only_shown_spends_no_token(signed, browser):
    headers = browser.page_headers()
    before = signed.query("SELECT csrf_generation FROM launchplane_human_sessions")
    assert_rejected(browser.post(GRANT, {}, headers=headers), 400, "invalid_request")
    assert_accepted(browser.post(GRANT, grant(mode="dry_run"), headers=headers))
    assert signed.query("SELECT csrf_generation FROM launchplane_human_sessions") == before
    assert_accepted(browser.post(GRANT, grant(), headers=headers))


def test_of_two_changes_with_one_token_one_is_made(signed, browser):
    headers = browser.page_headers()
    bodies = [grant(grant={"repository": f"example-org/r{i}", "actions": ["x.read"]}) for i in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: browser.post(GRANT, body, headers=headers).status_code, bodies))
    assert sorted(answers) == [202] + [403] * 5


def test_the_token_of_another_session_is_wrong(signed, browser):
    other = Browser(signed)
    other.sign_in()
    for headers in (browser.page_headers(**{"X-CSRF-Token": other.csrf_token()}),
                    browser.page_headers(**{"X-CSRF-Token": browser.csrf_token().replace("v1.0.", "v1.1.")})):
        assert_rejected(browser.post(GRANT, grant(), headers=headers), 403, "browser_mutation_denied")


@pytest.mark.parametrize("public, origin", [
    ("https://Launchplane.Example.com:443/base/", "https://launchplane.example.com"),
    ("http://launchplane.example.com:80", "http://launchplane.example.com"),
    ("https://launchplane.example.com:8443", "https://launchplane.example.com:8443"),
])
def test_the_origin_is_the_public_urls(make_signed, doubles, public, origin):
    """core 2.4: lower-case scheme and host, default port dropped, no path"""
    plane = make_signed(POLICY, LAUNCHPLANE_PUBLIC_URL=public)
    browser = Browser(plane, origin)
    answer = browser.get("/auth/github/login")
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    doubles.github.app(CLIENT_ID, CLIENT_SECRET, asked["redirect_uri"][0])
    assert asked["redirect_uri"] == [public.rstrip("/") + "/auth/github/callback"]
    back = requests.get(answer.headers["Location"], allow_redirects=False, timeout=30).headers["Location"]
    assert browser.come_back({name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}).status_code == 302
    plane.secrets.append(browser.session_cookie)
    assert_accepted(browser.post(GRANT, grant()))


def test_static_tokens_need_no_browser_headers(make_signed):
    plane = make_signed(POLICY, **token_settings())
    plane.secrets += TOKENS.values()
    assert_accepted(plane.post(GRANT, grant(), token=TOKENS["local_admins"]))


# the command line

def test_commands_with_a_session_cookie(make_signed, doubles, tmp_path):
    """AUTH-36"""
    with reserved() as address:
        plane = make_signed(POLICY, LAUNCHPLANE_PUBLIC_URL=f"http://{address}", LAUNCHPLANE_LISTEN=address)
    browser = Browser(plane, f"http://{address}")
    browser.sign_in()
    cli = Cli(plane)
    cookie = {"LAUNCHPLANE_SESSION_COOKIE": f"{SESSION_COOKIE}={browser.session_cookie}"}
    assert cli("auth", "session", token=None, **cookie).fields()["login"] == "octocat"
    arguments = ("authz-policies", "grant-workflow", "--repository", "example-org/other", "--action", "x.read", "--reason", "agreed")
    assert cli(*arguments, "--dry-run", token=None, **cookie).code == 0
    for _ in range(2):
        assert cli(*arguments, "--apply", token=None, **cookie).code == 0
    path = tmp_path / "cookie"
    path.write_text(browser.session_cookie + "\n")
    listed = cli("auth", "sessions", "--session-cookie-file", str(path), LAUNCHPLANE_TOKEN="not this one")
    assert [row["LOGIN"] for row in listed.rows()] == ["octocat"]
    both = cli("auth", "session", "--session-cookie-file", str(path), "--token-file", str(path))
    assert both.code == 2 and "exclude each other" in both.err
    assert cli("auth", "revoke-sessions", "--login", "nobody", "--reason", "test").fields()["result.revoked_session_count"] == "0"
    assert cli("auth", "logout", token=None, **cookie).code == 0
    assert cli("auth", "session", token=None, **cookie).code == 1
    assert sessions(plane) == []


# the audit log

def test_signing_in_and_out_and_revocation_are_told(signed, browser, doubles):
    """Who it was, under which policy, and no more than that of the session"""
    assert_ok(browser.post("/auth/logout"))
    browser.sign_in()
    assert_accepted(signed.post(REVOKE, revocation()))
    told = [leaf for leaf in leaves(signed, type="request") if leaf["action"].startswith("human_session.")]
    assert [(leaf["action"], leaf["route"], leaf["actor"]) for leaf in told[:-1]] == [
        ("human_session.create", "GET /auth/github/callback", "github:octocat"),
        ("human_session.end", "POST /auth/logout", "github:octocat"),
        ("human_session.create", "GET /auth/github/callback", "github:octocat")]
    assert all(leaf["caller"] == {"type": "github_human", "login": "octocat", "role": "admin"} and leaf["policy_sha256"]
               for leaf in told[:-1])
    revoked = told[-1]
    assert (revoked["action"], revoked["caller"]["type"], revoked["reason"]) == (
        "human_session.revoke", "github_actions", "left the company")
    assert "octocat" in json.dumps(revoked)


def test_a_change_from_elsewhere_is_told_as_refused(signed, browser):
    assert_rejected(browser.post(GRANT, grant(), headers={}), 403, "browser_mutation_denied")
    signed.pass_time(minutes=5)
    denied = wait_until(lambda: leaves(signed, event="denied"), "the refusals to be told", 60)
    assert any(leaf["actor"] == "github:octocat" for leaf in denied)
