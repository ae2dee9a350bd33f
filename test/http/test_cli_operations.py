"""launchplane operations ..., launchplane odoo-targets ...: the main job from the command line."""
import json

import pytest

from cli import Cli
from raw import reserved
from replacement import replace, submit
from rehearsal.waiting import wait_until


@pytest.fixture
def cli(plane):
    return Cli(plane)


def words_to_replace(lane):
    return ("odoo-targets", "replace", "--product", lane.product, "--instance", lane.instance,
            "--artifact-id", lane.new.artifact_id, "--source-git-ref", lane.new.source_commit)


def test_an_operation_is_listed_and_shown(cli, plane, lane):
    operation = replace(plane, lane)
    listed = cli("operations", "list", "--product", lane.product, "--context", lane.context)
    assert listed.code == 0, listed
    assert [row["OPERATION"] for row in listed.rows()] == [operation["operation_id"]]
    assert listed.rows()[0]["STATUS"] == "pass"
    shown = cli("operations", "show", operation["operation_id"])
    assert shown.fields()["status"] == "pass"
    polled = cli("odoo-targets", "show", operation["operation_id"])
    assert polled.fields()["operation_id"] == operation["operation_id"], polled


def test_a_list_goes_on_at_its_cursor(cli, plane, lane):
    ids = {replace(plane, lane, key=key)["operation_id"] for key in ("one", "two")}
    words = ("operations", "list", "--product", lane.product, "--context", lane.context, "--limit", "1")
    first = cli(*words)
    cursor = first.out.splitlines()[-1].split()[-1]
    second = cli(*words, "--cursor", cursor)
    assert {first.rows()[0]["OPERATION"], second.rows()[0]["OPERATION"]} == ids


def test_replace_and_watch_in_one_command(cli, plane, lane):
    watching = cli.start(*words_to_replace(lane), "--watch")
    operation_id = wait_until(
        lambda: next((row["operation_id"] for row in plane.query(
            "SELECT operation_id FROM launchplane_operations WHERE kind = 'odoo_stable_target_replacement'")), None),
        "the operation")
    plane.finish(operation_id)
    watched = watching()
    assert watched.code == 0, watched
    lines = watched.out.splitlines()
    assert operation_id in lines[0]
    assert lines[-1].startswith(f"pass  {operation_id}")
    phases = [line.split()[1] for line in lines if "phase_done" in line]
    assert phases[0] == "plan" and "deploy" in phases
    assert lane.compose_id and plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_the_same_key_finds_the_same_operation(cli, plane, lane):
    words = (*words_to_replace(lane), "--idempotency-key", "once")
    first, second = cli(*words), cli(*words)
    assert first.code == second.code == 0
    assert first.out.split()[1] == second.out.split()[1]
    plane.finish(first.out.split()[1])
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_a_failed_operation_is_exit_code_1(cli, plane, lane):
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation = replace(plane, lane)
    watched = cli("operations", "watch", operation["operation_id"])
    assert watched.code == 1
    assert watched.out.splitlines()[-1].startswith("fail  ")


def test_a_watch_outlives_a_restart_of_the_service(cli, plane, lane):
    rule = plane.doubles.dokploy.on("POST", "compose.deploy").hold_before().times(1)
    operation_id = submit(plane, lane)
    watching = cli.start("operations", "watch", operation_id)
    wait_until(rule.reached.is_set, "the deploy to be asked for", 30)
    address = plane.url.removeprefix("http://")
    plane.kill()
    rule.release()
    with reserved(address):
        plane.settings["LAUNCHPLANE_LISTEN"] = address
        plane.restart()
    plane.finish(operation_id)
    watched = watching()
    assert watched.code == 0, watched
    events = [line for line in watched.out.splitlines() if "phase_done" in line]
    assert len(events) == len(set(events))
    assert watched.out.splitlines()[-1].startswith("pass  ")


def test_a_watch_as_json_is_a_line_each(cli, plane, lane):
    operation = replace(plane, lane)
    watched = cli("operations", "watch", operation["operation_id"], "--json")
    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert [line["seq"] for line in lines[:-1]] == list(range(1, len(lines)))
    assert lines[-1]["status"] == "pass"


def test_a_watch_can_give_up(cli, plane, lane):
    plane.doubles.dokploy.queue_seconds = 3600
    operation_id = submit(plane, lane)
    watched = cli("operations", "watch", operation_id, "--give-up-after", "1")
    assert watched.code == 1
    assert "goes on" in watched.err
    plane.doubles.dokploy.queue_seconds = 0
    plane.finish(operation_id)


def test_a_busy_lane_names_the_active_operation(cli, plane, lane):
    plane.doubles.dokploy.queue_seconds = 3600
    operation_id = submit(plane, lane)
    refused = cli(*words_to_replace(lane))
    assert refused.code == 1
    assert f"launchplane operations watch {operation_id}" in refused.err
    plane.doubles.dokploy.queue_seconds = 0
    plane.finish(operation_id)


def test_cancel_needs_a_reason_and_is_told_when_too_late(cli, plane, lane):
    operation = replace(plane, lane)
    assert cli("operations", "cancel", operation["operation_id"]).code == 2
    late = cli("operations", "cancel", operation["operation_id"], "--reason", "changed my mind")
    assert late.code == 1
    assert "operation_finished" in late.err


def test_an_unknown_operation_ends_the_watch(cli, lane):
    watched = cli("operations", "watch", "no-such-operation")
    assert watched.code == 1
    assert "not_found" in watched.err
