"""Rehearsals on files: one at a time works on a lane, and a reservation nobody stands behind is recovered. TREP-22, odoo 6.4."""
import json
import threading

import pytest

from cli import Result
from rehearsal.lane import Artifact
from rehearsal.policy import CONTEXT, PRODUCT
from rehearsal.service import run_to_end, spawn
from test_release_direct import NEW, SHIP, profile, put, read

REPLACE = ("odoo-targets", "replace", "--product", PRODUCT, "--instance", "testing")
OLD = Artifact(CONTEXT, 1)
FAR, PAST = "2999-01-01T00:00:00Z", "2026-01-01T00:00:00Z"
KINDS = {"ship": "ship_operations", "odoo-target-replacement": "odoo_stable_target_replacement_operations"}


@pytest.fixture
def files(tmp_path):
    for artifact in (OLD, NEW):
        put(tmp_path, "artifacts", artifact.artifact_id, artifact.manifest())
    put(tmp_path, "product_profiles", PRODUCT, profile(CONTEXT))
    return tmp_path


def rehearse(directory, words, settle=0):
    return Result(*run_to_end(*words, "--local-rehearsal", "--state-dir", str(directory), "--settle-seconds", str(settle), settings={}))


def reserve(directory, text):
    (directory / "lane_reservations").mkdir(exist_ok=True)
    path = directory / "lane_reservations" / f"{CONTEXT}-testing"
    path.write_text(text)
    return path


def own(directory, operation_id="ship-shop-testing-other", lease=FAR, **changes):
    put(directory, KINDS["ship"], operation_id, {
        "operation_id": operation_id, "product": PRODUCT, "context": CONTEXT, "instance": "testing", "status": "running",
        "phase": "running", "created_at": PAST, "updated_at": PAST, "lease_owner": "rehearsal/1", "lease_expires_at": lease, **changes})
    return operation_id


def operations(directory, prefix):
    family = directory / KINDS[prefix]
    return [json.loads(file.read_text()) for file in sorted(family.glob(f"{prefix}-*.json"))] if family.exists() else []


def test_an_operation_is_recorded_and_gives_its_lane_back(files):
    assert rehearse(files, SHIP).code == 0
    operation, = operations(files, "ship")
    assert (operation["status"], operation["phase"], operation["error_message"]) == ("pass", "completed", "")
    assert operation["finished_at"] >= operation["started_at"] > PAST
    assert read(files, "inventory", "shop-testing")["deployment_record_id"] == operation["deployment_record_id"]
    assert not (files / "lane_reservations" / "shop-testing").exists()


def test_a_failed_rehearsal_gives_its_lane_back_too(files):
    (files / "artifacts" / f"{NEW.artifact_id}.json").unlink()
    assert rehearse(files, SHIP).code == 1
    operation, = operations(files, "ship")
    assert operation["status"] == "fail" and NEW.artifact_id in operation["error_message"]
    put(files, "artifacts", NEW.artifact_id, NEW.manifest())
    assert rehearse(files, SHIP).code == 0


def test_a_lane_that_is_worked_on_is_refused(files):
    owner = own(files)
    path = reserve(files, f"{owner}\n")
    refused = rehearse(files, SHIP, settle=30)      # its record is there: nothing has to be waited for
    assert refused.code == 1 and owner in refused.err
    assert path.read_text() == f"{owner}\n" and not (files / "deployments").exists()


@pytest.mark.parametrize("text", ["", "ship-shop-testing-ab", "ship-shop-testing-nobody\n"], ids=["empty", "half", "no-record"])
def test_an_abandoned_reservation_is_recovered_after_the_window(files, text):
    """The owner, or the owner's record, never appears"""
    path = reserve(files, text)
    done = rehearse(files, SHIP, settle=1)
    assert done.code == 0, done
    assert "waiting up to 1 s" in done.err and not path.exists()


@pytest.mark.parametrize("changes", [{"status": "pass"}, {"status": "fail"}, {"lease": PAST}], ids=str)
def test_the_reservation_of_an_ended_operation_is_taken_at_once(files, changes):
    reserve(files, own(files, **changes) + "\n")
    done = rehearse(files, SHIP, settle=30)
    assert done.code == 0 and "waiting" not in done.err, done


def test_within_the_window_the_owner_may_still_appear(files):
    path = reserve(files, "")
    command = spawn(*SHIP, "--local-rehearsal", "--state-dir", str(files), settings={})
    said = [command.stderr.readline(), command.stderr.readline()]
    assert "waiting up to 30 s" in said[1], said
    owner = own(files)
    path.write_text(f"{owner}\n")
    assert command.wait(60) == 1
    assert owner in command.stderr.read() and not (files / "deployments").exists()
    command.stdout.close()
    command.stderr.close()


def test_of_many_that_find_an_abandoned_reservation_one_at_a_time_gets_the_lane(files):
    reserve(files, "")
    results = []
    threads = [threading.Thread(target=lambda: results.append(rehearse(files, SHIP, settle=1))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    passed = [result for result in results if result.code == 0]
    assert len(results) == 6 and passed, results
    assert all("is being worked on" in result.err or "was taken over" in result.err for result in results if result.code), results
    assert len([row for row in operations(files, "ship") if row["status"] == "pass"]) == len(passed)
    assert not (files / "lane_reservations" / "shop-testing").exists()


# a replacement, rehearsed

def test_a_replacement_takes_the_inventorys_artifact(files):
    """TREP-38: and reserves the same lane as a release"""
    first = rehearse(files, (*REPLACE, "--artifact-id", OLD.artifact_id, "--source-git-ref", OLD.source_commit))
    assert first.code == 0 and "LOCAL REHEARSAL" in first.err, first
    assert rehearse(files, REPLACE).code == 0
    assert [row["status"] for row in operations(files, "odoo-target-replacement")] == ["pass", "pass"]
    assert operations(files, "odoo-target-replacement")[0]["request"]["instance"] == "testing"
    assert read(files, "inventory", "shop-testing")["artifact_identity"]["artifact_id"] == OLD.artifact_id
    reserve(files, own(files) + "\n")
    assert rehearse(files, REPLACE).code == 1


@pytest.mark.parametrize("words, told", [
    ((), "artifact_id"),
    (("--artifact-id", NEW.artifact_id), "source_git_ref"),
    (("--artifact-id", NEW.artifact_id, "--source-git-ref", "f" * 40), "source_git_ref"),
    (("--artifact-id", NEW.artifact_id, "--source-git-ref", NEW.source_commit, "--expected-current-artifact-id", "other"),
     "expected_current_artifact_id"),
    (("--data-source-mode", "upstream_restore", "--allow-empty-data", "--confirmation", "x"), "data_source_mode"),
], ids=["nothing-runs", "half-a-pair", "other-commit", "other-current", "data"])
def test_a_replacement_that_may_not_be_is_refused(files, words, told):
    refused = rehearse(files, (*REPLACE, *words))
    assert refused.code == 1 and told in refused.err, refused
    assert not (files / "inventory").exists()


def test_only_testing_is_replaced(files):
    """TREP-23"""
    refused = rehearse(files, (*REPLACE[:-1], "prod"))
    assert refused.code == 1 and "testing" in refused.err


@pytest.mark.parametrize("settle", ["-1", "ten", "1000", ""])
def test_a_nonsense_window_is_refused(files, settle):
    refused = rehearse(files, SHIP, settle=settle)
    assert refused.code == 2 and "--settle-seconds" in refused.err, refused
    assert not (files / "lane_reservations").exists()
