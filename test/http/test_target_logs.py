"""Logs of tracked targets: bounded, redacted, for compose services and applications. DOK-22..33, config-health 5.3."""
import pytest

from checks import assert_ok, assert_rejected
from cli import Cli
from rehearsal.lane import CONFIRM_SETUP

LOGS = "/v1/contexts/shop/instances/testing/logs"
PLANTED = ["hunter2-planted", "tok-planted-1", "se cret planted", "bearer-planted", "pg-planted", "MIIplanted", "single planted"]
LINES = [
    "web is up", "DB_PASSWORD=hunter2-planted rest", 'x api_token: "tok-planted-1"', 'CLIENT_SECRET="se cret planted"',
    "Authorization: Bearer bearer-planted", "connect postgres://odoo:pg-planted@db/shop",
    "PRIVATE_KEY='single planted'", "-----BEGIN PRIVATE KEY-----", "MIIplanted", "-----END PRIVATE KEY-----", "boot failed: module x",
]


def logs_of(plane, query="", path=LOGS, **options):
    return assert_ok(plane.get(path + query, **options))


@pytest.fixture
def planted(plane, lane):
    plane.doubles.dokploy.log_lines["web"] = list(LINES)
    plane.secrets += PLANTED
    return lane


def test_lines_of_the_web_container_are_redacted(plane, planted):
    """DOK-25, DOK-28; plane.check() looks for the planted values in answers and log"""
    logs = logs_of(plane)
    assert set(logs) == {"status", "trace_id", "context", "instance", "target", "request", "logs"}
    assert set(logs["target"]) == {"target_id", "target_type", "target_name", "app_name", "server_id", "source_label"}
    text = "\n".join(logs["logs"]["lines"])
    assert not any(secret in text for secret in PLANTED)
    assert text.count("[redacted]") >= 6
    assert "web is up" in text and "boot failed: module x" in text and "rest" in text
    assert logs["logs"]["redacted"] is True
    assert (logs["target"]["target_id"], logs["target"]["target_type"]) == (planted.compose_id, "compose")
    assert logs["target"]["app_name"].startswith(planted.target_name)
    assert logs["request"] == {"line_count": 200, "since": "all", "search": ""}


def test_only_the_last_lines_are_kept(plane, planted):
    logs = logs_of(plane, "?lines=2")
    assert logs["logs"]["line_count"] == len(logs["logs"]["lines"]) == 2
    assert "boot failed" in logs["logs"]["lines"][-1]
    assert plane.doubles.dokploy.sent("GET", "compose.readLogs")[-1]["tail"] == "2"


def test_since_and_search_reach_the_provider(plane, planted):
    plane.doubles.dokploy.log_lines["web"] = [(7200, "old failed"), (60, "new failed"), (30, "fine")]
    assert len(logs_of(plane)["logs"]["lines"]) == 3
    assert ["new failed"] == [line.split(" ", 1)[1] for line in logs_of(plane, "?since=1h&search=failed")["logs"]["lines"]]


def test_a_search_tells_nothing_about_what_is_hidden(plane, planted):
    assert logs_of(plane, "?search=hunter2")["logs"]["lines"] == []


@pytest.mark.parametrize("query", ["lines=0", "lines=1001", "lines=x", "lines=2x", "since=yesterday", "since=5", "since=5w", "since=m",
                                   "search=a%3Bb", "search=%22", "search=" + "a" * 501])
def test_bad_bounds(shared_lane, query):
    assert_rejected(shared_lane.plane.get(f"{LOGS}?{query}"), 400, "invalid_query", query.split("=")[0])


def test_bounds_that_are_good(plane, planted):
    for query in ("lines=1", "lines=1000", "since=all", "since=90s", "since=3d", "search=a.b_c-d%20E9"):
        logs_of(plane, f"?{query}")


def test_the_lane_is_named_in_any_case(plane, planted):
    """Resolution: stripped and lower-cased"""
    assert logs_of(plane, path="/v1/contexts/Shop/instances/TESTING/logs")["context"] == "shop"


def test_who_may(plane, planted):
    """DOK-32, 33: one grant per context"""
    assert_rejected(plane.get("/v1/contexts/other/instances/testing/logs"), 403, "authorization_denied")
    assert_rejected(plane.get(LOGS, token=plane.token(repository="example-org/stranger")), 403, "authorization_denied")


@pytest.mark.parametrize("table, missing", [("dokploy_targets", "target"), ("dokploy_target_ids", "target id")])
def test_both_records_are_required(plane, lane, table, missing):
    """DOK-23: nothing is asked of the provider without them"""
    plane.query(f"DELETE FROM launchplane_{table}")
    calls = len(plane.doubles.dokploy.requests)
    body = assert_rejected(plane.get(LOGS), 400, "invalid_request")
    assert body["error"]["message"].endswith(f"tracked {missing}")
    assert len(plane.doubles.dokploy.requests) == calls


def test_no_container_and_no_provider(plane, planted):
    plane.doubles.dokploy.on("GET", "docker.getContainersByAppNameMatch").lie("no_containers")
    assert_rejected(plane.get(LOGS), 503, "target_logs_unavailable", "no container")
    plane.doubles.dokploy.faults.clear()
    plane.doubles.dokploy.on("GET", "compose.readLogs").answer(500, {"message": "password=hunter2-planted", "code": "INTERNAL_SERVER_ERROR"})
    assert_rejected(plane.get(LOGS), 503, "target_logs_unavailable")
    plane.doubles.dokploy.faults.clear()
    plane.doubles.dokploy.on("GET", "compose.one").drop_before()
    assert_rejected(plane.get(LOGS), 503, "target_logs_unavailable")


FORMS = {
    "text": "one\ntwo", "list": ["one", "two"], "objects": [{"message": "one"}, {"log": "two"}, {"line": "three"}],
    "logs": {"logs": ["one", "two"]}, "output": {"output": "one\ntwo"}, "lines": {"message": "one", "lines": [{"line": "two"}]},
    "raw": {"raw": "one\r\ntwo\r\n"},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_answer(plane, lane, form):
    plane.doubles.dokploy.on("GET", "compose.readLogs").answer(200, FORMS[form])
    assert logs_of(plane)["logs"]["lines"][:2] == ["one", "two"]


def test_an_applications_log(plane, unprepared_lane):
    """DOK-24"""
    lane = unprepared_lane
    lane.prepare(plane, without=["Dokploy target"])
    application = plane.doubles.dokploy.add_application("site", lane.environment_id)
    plane.doubles.dokploy.log_lines["site"] = ["site is up", "TOKEN=tok-planted-1"]
    plane.secrets += ["tok-planted-1"]
    body = {"mode": "apply", "operation": "adopt", "product": "launchplane", "context": "shop", "instance": "testing",
            "target_type": "application", "target_id": application, "confirmation": CONFIRM_SETUP, "reason": "rehearsal"}
    assert plane.post("/v1/dokploy-targets/setup", body, key="app").status_code == 202
    logs = logs_of(plane)
    assert logs["target"]["target_type"] == "application"
    assert [line.split(" ", 1)[1] for line in logs["logs"]["lines"]] == ["site is up", "TOKEN=[redacted]"]


def test_the_command(plane, planted):
    """DOK-22, 26, 27"""
    cli = Cli(plane)
    result = cli("environments", "logs", "--context", "shop", "--instance", "testing", "--lines", "1", "--since", "2h",
                 "--search", "boot", "--json")
    assert result.code == 0 and len(result.json()["logs"]["lines"]) == 1
    assert cli("environments", "logs", "--context", "shop", "--instance", "testing", "--lines", "0").code == 1
    assert cli("environments", "logs", "--context", "shop").code == 2


# inspection and preflight

def test_inspecting_shows_no_value(plane, lane):
    """5.4"""
    inspect = assert_ok(plane.get("/v1/dokploy-targets/inspect?context=Shop&instance=testing"))["inspect"]
    assert (inspect["status"], inspect["target_id"], inspect["provider_payload_redacted"]) == ("ok", lane.compose_id, True)
    provider = inspect["provider"]
    assert provider["env"]["keys"] == sorted(lane.live_env) and provider["env"]["values_redacted"] is True
    assert provider["domains"][0]["host"] == lane.host and provider["environment"]["project_id"] == lane.project_id
    assert inspect["tracked_target"]["target_name"] == lane.target_name
    assert inspect["provider_target_record"]["status"] == "present"
    by_id = assert_ok(plane.get(f"/v1/dokploy-targets/inspect?target_type=compose&target_id={lane.compose_id}"))["inspect"]
    assert by_id["provider"] == provider and "tracked_target" not in by_id
    assert Cli(plane)("dokploy-targets", "inspect", "--context", "shop", "--instance", "testing").code == 0


@pytest.mark.parametrize("query", ["", "context=shop", "target_type=compose", "context=shop&instance=testing&target_type=compose",
                                   "target_type=stack&target_id=x", "context=shop&instance=prod", "target_type=compose&target_id=nobody"])
def test_bad_inspections(shared_lane, query):
    assert_rejected(shared_lane.plane.get(f"/v1/dokploy-targets/inspect?{query}"), 400, "invalid_dokploy_target_inspect")


OWN_ENV = {
    "LAUNCHPLANE_DATABASE_URL": "postgresql://launchplane:pg-planted@db.example.com/launchplane",
    "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": "key-planted", "LAUNCHPLANE_POLICY_B64": "cG9saWN5", "DOCKER_IMAGE_REFERENCE": "image@sha256:1",
}


def preflight(plane, lane, **members):
    plane.doubles.dokploy.state.composes[lane.compose_id].update(members)
    cli = Cli(plane)("service", "inspect-dokploy-target", "--target-type", "compose", "--target-id", lane.compose_id, "--json")
    found = cli.json()["preflight"]
    assert (cli.code == 0) == (found["status"] == "ok") == (found["blockers"] == [])
    return found


def own_env(**changes):
    return "\n".join(f"{key}={value}" for key, value in {**OWN_ENV, **changes}.items() if value)


def test_a_target_that_may_run_the_control_plane(plane, lane):
    """DOK-01, 02"""
    plane.secrets += ["pg-planted", "key-planted"]
    found = preflight(plane, lane, env=own_env())
    assert found["status"] == "ok" and found["runtime_contract"]["database_host"] == "db.example.com"
    assert found["runtime_contract"]["master_encryption_key_present"] is True


BLOCKERS = {
    "database": (dict(env=own_env(LAUNCHPLANE_DATABASE_URL="")), "LAUNCHPLANE_DATABASE_URL is missing"),
    "sqlite": (dict(env=own_env(LAUNCHPLANE_DATABASE_URL="sqlite:///x")), "no PostgreSQL"),
    "no host": (dict(env=own_env(LAUNCHPLANE_DATABASE_URL="postgresql:///x")), "names no host"),
    "master key": (dict(env=own_env(LAUNCHPLANE_MASTER_ENCRYPTION_KEY="")), "LAUNCHPLANE_MASTER_ENCRYPTION_KEY"),
    "policy": (dict(env=own_env(LAUNCHPLANE_POLICY_B64="")), "no policy"),
    "path": (dict(env=own_env(), composePath=""), "compose path"),
    "ssh": (dict(env=own_env(), sourceType="git", customGitUrl="git@github.com:example-org/x.git", customGitBranch="main"), "SSH key"),
    "branch": (dict(env=own_env(), sourceType="git", customGitUrl="https://example.com/x.git"), "no branch"),
}


@pytest.mark.parametrize("name", BLOCKERS)
def test_each_preflight_blocker(plane, lane, name):
    """DOK-03, 04, 06"""
    members, words = BLOCKERS[name]
    found = preflight(plane, lane, **members)
    assert len(found["blockers"]) == 1 and words in found["blockers"][0]


def test_missing_dokploy_bindings_block(plane, lane):
    """DOK-05"""
    plane.query("UPDATE launchplane_secret_bindings SET status = 'disabled' WHERE binding_key = 'DOKPLOY_TOKEN'")
    found = preflight(plane, lane, env=own_env())
    assert "DOKPLOY_TOKEN" in found["blockers"][0]
