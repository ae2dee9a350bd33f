"""A new master key beside the old one: POST /v1/secrets/rekey. No read fails, and a kill costs nothing."""
import base64

import pytest
from cryptography.fernet import Fernet

import live
from checks import assert_accepted, assert_rejected
from cli import Cli
from plane import TERMINAL
from rehearsal.waiting import wait_until
from replacement import replace
from test_records import current_versions, store_ciphertext

REKEY = "/v1/secrets/rekey"
NEW_KEY = base64.urlsafe_b64encode(b"n" * 32).decode()
BODY = {"reason": "the key is a year old"}


def key_ids(plane):
    return {row["key_id"] for row in plane.query("SELECT DISTINCT payload->>'key_id' AS key_id FROM launchplane_secret_versions")}


def change_keys(plane, current=NEW_KEY, previous=None):
    plane.secrets.append(current)
    plane.settings["LAUNCHPLANE_MASTER_ENCRYPTION_KEY"] = current
    plane.settings["LAUNCHPLANE_PREVIOUS_MASTER_ENCRYPTION_KEYS"] = previous
    plane.restart()


def many_versions(plane, n):
    """Versions of an earlier Launchplane, more than fit into one batch."""
    fernet = Fernet(plane.master_key)
    for number in range(n):
        version = f"secret-old-version-{number:04d}"
        plane.query("INSERT INTO launchplane_secret_versions (version_id, secret_id, created_at, payload)"
                    " VALUES (%s, 'secret-old', '2020-01-01T00:00:00Z', json_build_object('schema_version', 1,"
                    " 'version_id', %s::text, 'secret_id', 'secret-old', 'created_at', '2020-01-01T00:00:00Z',"
                    " 'created_by', 'cli', 'cipher_alg', 'fernet-v1', 'key_id', 'launchplane-master-key',"
                    " 'ciphertext', %s::text))", version, version, fernet.encrypt(f"old-value-{number}".encode()).decode())


def rekey(plane, key="rekey-1", **changes):
    return plane.post(REKEY, {**BODY, **changes}, key=key)


def finished(plane):
    operation_id = plane.query("SELECT operation_id FROM launchplane_operations WHERE kind = 'secrets_rekey'")[0]["operation_id"]
    return plane.finish(operation_id)


def test_both_keys_read_and_afterwards_the_old_one_is_not_needed(plane, lane):
    before = key_ids(plane)
    change_keys(plane, previous=plane.master_key)
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []
    result = assert_accepted(rekey(plane))["result"]
    versions = plane.query("SELECT count(*) AS n FROM launchplane_secret_versions")[0]["n"]
    assert (result["rekeyed_count"], result["unreadable_count"]) == (versions, 0)
    assert key_ids(plane) == {result["key_id"]} and result["key_id"] not in before
    events = plane.query("SELECT payload FROM launchplane_secret_audit_events WHERE event_type = 'rekeyed'")
    assert len(events) == versions and events[0]["payload"]["detail"] == BODY["reason"]
    change_keys(plane)
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []
    assert replace(plane, lane)["status"] == "pass"


def test_tokens_of_an_earlier_launchplane_are_upgraded(plane, lane):
    """The same key: only the form changes"""
    row = current_versions(plane)["ODOO_DB_PASSWORD"]
    token = Fernet(plane.master_key).encrypt(lane.secrets["ODOO_DB_PASSWORD"].encode()).decode()
    store_ciphertext(plane, row["version_id"], token, "fernet-v1", "launchplane-master-key")
    result = assert_accepted(rekey(plane))["result"]
    assert (result["rekeyed_count"], result["upgraded_count"]) == (1, 1)
    row = current_versions(plane)["ODOO_DB_PASSWORD"]
    assert row["ciphertext"].startswith("lpseal1.") and row["alg"] == "aes-256-gcm-v1"
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []


def test_a_second_rekey_has_nothing_to_do(plane, lane):
    assert assert_accepted(rekey(plane))["result"]["rekeyed_count"] == 0


def test_no_read_fails_while_batches_are_done(plane, lane):
    change_keys(plane, previous=plane.master_key)
    many_versions(plane, 120)
    plane.post(REKEY, BODY, key="slow", headers={"Prefer": "respond-async"}, timeout=60)

    def is_over():
        row, = plane.query("SELECT operation_id, status FROM launchplane_operations WHERE kind = 'secrets_rekey'")
        assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []
        plane.skip_sleep(row["operation_id"])
        return row["status"] in TERMINAL

    wait_until(is_over, "the end", 120)
    assert finished(plane)["result"]["upgraded_count"] == 120


@pytest.mark.parametrize("point", ["phase.reseal:1", "phase.reseal:2", "phase.reseal:3", "phase.verify:1", "claim.after:2"])
def test_a_kill_in_the_middle_is_resumed(plane, lane, state_dir, point):
    many_versions(plane, 120)
    done = state_dir / "fault-done"
    plane.settings.update(LAUNCHPLANE_TEST_FAULT=f"{point}:kill", LAUNCHPLANE_TEST_FAULT_DONE=str(done))
    change_keys(plane, previous=plane.master_key)
    answer = None
    while answer is None:
        try:
            answer = rekey(plane)
        except OSError:
            if not plane.service.runs():
                plane.kill()
                plane.restart()
    operation = finished(plane)
    assert done.exists()
    assert operation["status"] == "pass", operation
    assert operation["result"]["rekeyed_count"] >= 120
    assert key_ids(plane) == {operation["result"]["key_id"]}
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []


def test_what_does_not_open_is_named_and_left(plane, lane):
    many_versions(plane, 3)
    plane.query("UPDATE launchplane_secret_versions SET payload = (payload::jsonb || '{\"ciphertext\":\"gAAAnonsense\"}')::json"
                " WHERE version_id = 'secret-old-version-0001'")
    body = assert_rejected(rekey(plane), 409, "secrets_unreadable", None)
    assert "secret-old-version-0001" in body["error"]["message"]
    left = plane.query("SELECT version_id FROM launchplane_secret_versions WHERE payload->>'cipher_alg' = 'fernet-v1'")
    assert [row["version_id"] for row in left] == ["secret-old-version-0001"]


def test_a_rotation_while_the_rekey_runs_is_not_overwritten(plane, lane):
    row = current_versions(plane)["ODOO_DB_PASSWORD"]
    live.record(plane, lane, secrets={"ODOO_DB_PASSWORD": "rotated-beside-the-rekey"})
    change_keys(plane, previous=plane.master_key)
    assert_accepted(rekey(plane))
    assert current_versions(plane)["ODOO_DB_PASSWORD"]["version_id"] != row["version_id"]
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == ["ODOO_DB_PASSWORD"]


# bad input

@pytest.mark.parametrize("changes, path", [({"reason": " "}, "reason"), ({"product": "shop"}, "product"),
                                           ({"key_id": "0123456789abcdef"}, "key_id"), ({"key": "x"}, "key")])
def test_bad_input_names_the_field(shared_plane, changes, path):
    assert_rejected(shared_plane.post(REKEY, {**BODY, **changes}), 400, "invalid_request", path)


@pytest.mark.settings(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=None)
def test_without_a_master_key_nothing_can_be_sealed(plane):
    assert_rejected(plane.post(REKEY, BODY), 503, "secret_configuration_required")


def test_the_command_line_rekeys(plane, lane):
    result = Cli(plane)("secrets", "rekey", "--reason", "by hand")
    assert result.code == 0, result
    assert result.fields()["result.rekeyed_count"] == "0"
