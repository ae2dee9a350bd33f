"""launchplane GROUP COMMAND against the service: records in, records out. CLI-01 to CLI-33."""
import json

import pytest

from cli import Cli, bare, input_file


@pytest.fixture
def cli(shared_plane):
    return Cli(shared_plane)


@pytest.fixture
def own_cli(plane):
    return Cli(plane)


# reading

def test_a_record_is_shown_as_lines(cli, shared_lane):
    shown = cli("inventory", "show", shared_lane.context, shared_lane.instance)
    assert (shown.code, shown.err) == (0, "")
    assert shown.fields()["artifact_identity.artifact_id"] == shared_lane.old.artifact_id


def test_json_prints_the_answer_of_the_service(cli, shared_lane, shared_plane):
    path = f"/v1/inventory/{shared_lane.context}/{shared_lane.instance}"
    shown = cli("inventory", "show", shared_lane.context, shared_lane.instance, "--json").json()
    assert shown["record"] == shared_plane.get(path).json()["record"]


def test_a_deployment_is_shown_by_its_id(cli, shared_lane):
    record_id = shared_lane.deployment()["deployment"]["record_id"]
    assert cli("deployments", "show", record_id).fields()["record_id"] == record_id


def test_a_list_is_a_table(cli, shared_lane):
    listed = cli("product-profiles", "list", "--driver-id", "odoo")
    # Reading all profiles is granted to nobody here.
    assert listed.code == 1 and "authorization_denied" in listed.err
    shown = cli("product-profiles", "show", shared_lane.product)
    assert shown.fields()["lanes[0].instance"] == shared_lane.instance


def test_an_id_with_odd_characters_stays_one_segment(cli):
    shown = cli("deployments", "show", "a?b&c=%")
    assert shown.code == 1
    assert "not_found" in shown.err and "a?b&c=%" in shown.err


# the service itself

def test_health_needs_no_token(cli):
    shown = cli("service", "health", token=None)
    assert (shown.code, shown.fields()["storage_backend"]) == (0, "postgres")


def test_ready_and_metrics_are_printed_as_they_come(cli):
    assert cli("service", "ready", token=None).out == "ok\n"
    assert "# TYPE" in cli("service", "metrics", token=None).out


def test_runtime_shows_the_policy_in_force(cli):
    assert len(cli("service", "runtime").fields()["authz_policy_sha256"]) == 64


# writing

def test_a_lane_is_made_from_the_command_line(own_cli, unprepared_lane, plane, tmp_path):
    lane = unprepared_lane
    commands = {
        "/v1/product-profiles": ("product-profiles", "upsert"),
        "/v1/runtime-key-safety/policies/apply": ("runtime-key-safety", "apply"),
        "/v1/product-config/apply": ("product-config", "apply", "--apply", "--reason", "by hand"),
        "/v1/dokploy-targets/setup": ("dokploy-targets", "setup", "--apply"),
        "/v1/drivers/odoo/artifact-publish": ("odoo-artifacts", "record"),
        "/v1/evidence/deployments": ("deployments", "write"),
    }
    for title, path, body, key in lane.steps():
        keyed = ("--idempotency-key", key) if key else ()
        done = own_cli(*commands[path], "--input-file", input_file(tmp_path, body), *keyed)
        assert done.code == 0, (title, done)
    planned = own_cli("odoo-targets", "replacement-plan", "--product", lane.product, "--instance", lane.instance,
                      "--artifact-id", lane.new.artifact_id, "--source-git-ref", lane.new.source_commit)
    assert planned.fields()["result.plan_status"] == "ready", planned


def test_a_change_is_a_dry_run_unless_told(own_cli, plane, lane, tmp_path):
    before = plane.counts()
    config = {**lane.lane_config(), "mode": "apply", "runtime_env": {"ODOO_ADMIN_LOGIN": "somebody"}}
    path = input_file(tmp_path, {**config, "secrets": [{**secret, "value": "another"} for secret in config["secrets"]]})
    planned = own_cli("product-config", "apply", "--input-file", path)
    assert planned.code == 0, planned
    assert plane.counts() == before
    assert own_cli("product-config", "apply", "--apply", "--input-file", path).code == 0
    assert plane.counts() != before


def test_the_same_key_is_answered_not_repeated(own_cli, lane, plane, tmp_path):
    path = input_file(tmp_path, lane.deployment("deployment-by-hand"))
    words = ("deployments", "write", "--input-file", path, "--idempotency-key", "once")
    assert "replayed" not in own_cli(*words).fields()
    before = plane.counts()
    assert "replayed" in own_cli(*words).fields()
    assert plane.counts() == before


def test_a_key_that_the_user_did_not_give_is_told(own_cli, lane, tmp_path):
    setup = own_cli("dokploy-targets", "setup", "--input-file", input_file(tmp_path, lane.target_setup()))
    assert setup.code == 0, setup
    assert setup.err.startswith("--idempotency-key cli-")


# refusals

def test_a_refusal_is_one_line_with_code_and_trace(cli):
    shown = cli("deployments", "show", "no-such-deployment")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.count("\n") == 1
    assert "[not_found, trace launchplane_req_" in shown.err


def test_a_refused_field_is_named(cli, shared_lane, tmp_path):
    body = shared_lane.deployment()
    body["deployment"]["surprise"] = 1
    refused = cli("deployments", "write", "--input-file", input_file(tmp_path, body))
    assert refused.code == 1
    assert "deployment.surprise" in refused.err


def test_a_missing_token_says_where_it_comes_from(cli):
    refused = cli("service", "runtime", token=None)
    assert refused.code == 1
    assert "LAUNCHPLANE_TOKEN" in refused.err and "--token-file" in refused.err


def test_a_token_may_lie_in_a_file(cli, shared_plane, tmp_path):
    path = tmp_path / "token"
    path.write_text(shared_plane.token() + "\n")
    assert cli("service", "runtime", "--token-file", str(path), token=None).code == 0
    missing = cli("service", "runtime", "--token-file", str(tmp_path / "none"), token=None)
    assert missing.code == 2 and "cannot be read" in missing.err


def test_json_prints_a_refusal_as_it_came(cli):
    refused = cli("deployments", "show", "no-such-deployment", "--json")
    assert (refused.code, refused.json()["error"]["code"]) == (1, "not_found")


def test_nobody_at_the_address(cli):
    refused = cli("service", "health", LAUNCHPLANE_SERVICE_URL="http://127.0.0.1:1")
    assert refused.code == 1
    assert "http://127.0.0.1:1" in refused.err


def test_somebody_else_at_the_address(cli, shared_plane):
    refused = cli("service", "runtime", LAUNCHPLANE_SERVICE_URL=shared_plane.doubles.odoo.url)
    assert refused.code == 1
    assert "check the address" in refused.err


# usage

USAGE = [
    (("operatins",), 'did you mean "operations"'),
    (("operations", "wacth"), 'did you mean "operations watch"'),
    (("operations", "list"), "--product"),
    (("operations", "show"), "OPERATION_ID is missing"),
    (("operations", "show", "a", "b"), "unexpected argument b"),
    (("operations", "list", "--produkt", "x"), "did you mean --product"),
    (("deployments", "write"), "--input-file"),
    (("deployments", "write", "--input-file", "/no/such/file"), "cannot be read"),
    (("operations", "list", "--product", "x", "--timeout", "soon"), "--timeout"),
    (("operations", "list", "--product", "x", "--service-url", "example.com"), "http://"),
    (("docs", "print", "rutes"), "did you mean routes"),
]


@pytest.mark.parametrize("words, told", USAGE, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_wrong_usage_says_what_is_right(words, told):
    refused = bare(*words)
    assert (refused.code, refused.out) == (2, "")
    assert told in refused.err


@pytest.mark.parametrize("text, told", [("{", "JSON"), ("[]", "JSON object"), ('{"a": 1, "a": 2}', "a")])
def test_an_input_file_that_is_no_object_is_not_sent(text, told, tmp_path):
    refused = bare("deployments", "write", "--input-file", input_file(tmp_path, text))
    assert refused.code == 2
    assert told in refused.err


def test_apply_and_dry_run_exclude_each_other(tmp_path):
    refused = bare("product-config", "apply", "--apply", "--dry-run", "--input-file", input_file(tmp_path, {}))
    assert refused.code == 2


def test_a_group_lists_its_commands():
    listed = bare("operations", "--help")
    assert listed.code == 0
    for name in ("list", "show", "watch", "cancel"):
        assert f"launchplane operations {name}" in listed.out
    assert bare("operations").code == 2


def test_no_option_takes_a_token():
    """A flag's value shows in process lists."""
    assert "--token " not in bare("--help").out
    assert bare("operations", "list", "--product", "x", "--token", "secret").code == 2


def test_control_characters_do_not_reach_the_terminal(own_cli, lane, plane):
    body = lane.profile()
    body["display_name"] = "Shop \x1b[31mred\x1b[0m"
    answer = plane.post("/v1/product-profiles", body)
    if answer.status_code == 202:
        assert "\x1b" not in own_cli("product-profiles", "show", lane.product).out
    else:
        assert json.loads(answer.text)["error"]["code"] == "invalid_request"
