"""launchplane secrets ...: managed secrets straight in the database. config-health 4, SEC-01 to SEC-06."""
import os

import pytest

import live
from cli import bare
from test_records import current_versions

KEY = "ODOO_DB_PASSWORD"
ID = "secret-runtime-environment-odoo-db-password-shop-testing"


@pytest.fixture
def secrets(plane):
    """secrets("put", ...): everything printed is searched for secrets at the end."""
    def run(*words, **settings):
        settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key, **settings}
        result = bare("secrets", *words, **settings)
        plane.answers += [result.out, result.err]
        return result
    return run


@pytest.fixture
def value_file(plane, tmp_path):
    def write(value):
        if value.strip():
            plane.secrets.append(value.rstrip("\n"))
        path = tmp_path / "value"
        path.write_text(value)
        os.chmod(path, 0o600)
        return str(path)
    return write


LANE = ("--scope", "instance", "--context", "shop", "--instance", "testing")


def events(plane, kind):
    return [row["payload"] for row in plane.query(
        "SELECT payload FROM launchplane_secret_audit_events WHERE event_type = %s ORDER BY recorded_at", kind)]


def test_put_rotates_and_knows_an_unchanged_value(plane, lane, secrets, value_file):
    """config-health 4.4"""
    before = plane.query("SELECT payload FROM launchplane_secrets WHERE secret_id = %s", ID)[0]["payload"]
    path = value_file("value-from-the-file\n")
    result = secrets("put", *LANE, "--name", KEY, "--value-file", path, "--actor", "me").json()
    assert (result["secret_id"], result["action"]) == (ID, "rotated")
    assert current_versions(plane)[KEY]["version_id"] == result["version_id"]
    after = plane.query("SELECT payload FROM launchplane_secrets WHERE secret_id = %s", ID)[0]["payload"]
    assert (after["created_at"], after["updated_by"]) == (before["created_at"], "me")
    again = secrets("put", *LANE, "--name", KEY, "--value-file", path).json()
    assert again["action"] == "unchanged" and "version_id" not in again
    assert len(events(plane, "rotated")) == 1 and events(plane, "rotated")[0]["metadata"]["source"] == "cli:secrets:put"
    assert [event["secret_id"] for event in events(plane, "compared")] == [ID, ID]
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == [KEY]


@pytest.mark.parametrize("words, word", [
    (("--name", "A_TOKEN"), "--value-file"), (("--value-file", "x"), "--name"),
    (("--name", "A-TOKEN", "--value-file", "x"), "--binding-key")])
def test_bad_input_names_the_flag(plane, secrets, words, word):
    result = secrets("put", *LANE, *words)
    assert result.code == 1 and word in result.err


@pytest.mark.parametrize("value", ["", " \n"])
def test_a_blank_value_is_refused(plane, secrets, value_file, value):
    result = secrets("put", *LANE, "--name", "A_TOKEN", "--value-file", value_file(value))
    assert result.code == 1 and "blank" in result.err
    assert plane.query("SELECT * FROM launchplane_secrets") == []


def test_without_the_master_key_nothing_is_written(plane, secrets, value_file):
    result = secrets("put", *LANE, "--name", "A_TOKEN", "--value-file", value_file("some-value"), LAUNCHPLANE_MASTER_ENCRYPTION_KEY=None)
    assert result.code == 1 and "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in result.err


def test_another_master_key_cannot_compare_and_writes_nothing(plane, lane, secrets, value_file):
    before = plane.counts()
    result = secrets("put", *LANE, "--name", KEY, "--value-file", value_file("another-value"), LAUNCHPLANE_MASTER_ENCRYPTION_KEY="wrong")
    assert result.code == 1 and "master key" in result.err
    assert plane.counts() == before


def test_an_id_that_is_another_secrets_is_refused(plane, lane, secrets, value_file):
    """Two names, one id: nothing is rotated by accident"""
    before = current_versions(plane)[KEY]["version_id"]
    result = secrets("put", *LANE, "--name", "odoo.db.password", "--binding-key", "OTHER", "--value-file", value_file("x-value-x"))
    assert result.code == 1 and KEY in result.err
    assert current_versions(plane)[KEY]["version_id"] == before


def test_relabel_moves_a_secret_to_another_key(plane, lane, secrets):
    """config-health 4.4"""
    result = secrets("relabel", "--secret-id", ID, "--binding-key", "PGPASSWORD").json()
    assert result["action"] == "relabelled"
    bindings = {row["binding_key"]: row["status"] for row in plane.query(
        "SELECT binding_key, status FROM launchplane_secret_bindings WHERE secret_id = %s", ID)}
    assert bindings == {KEY: "disabled", "PGPASSWORD": "configured"}
    metadata = events(plane, "relabelled")[0]["metadata"]
    assert (metadata["old_binding_key"], metadata["new_binding_key"]) == (KEY, "PGPASSWORD")
    assert secrets("relabel", "--secret-id", ID, "--binding-key", "PGPASSWORD").json()["action"] == "unchanged"
    assert len(events(plane, "relabelled")) == 1


def test_a_disabled_secret_stays_and_is_not_used(plane, lane, secrets):
    """SEC-03"""
    assert secrets("disable", "--secret-id", ID).json()["action"] == "disabled"
    assert secrets("disable", "--secret-id", ID).json()["action"] == "unchanged"
    assert len(events(plane, "disabled")) == 1
    answer = live.apply(plane, lane)
    assert answer.json()["error"]["code"] == "runtime_secret_values_missing"
    assert secrets("relabel", "--secret-id", ID, "--binding-key", "PGPASSWORD").code == 1
    live.record(plane, lane)
    assert live.look(plane, lane)["runtime_environment"]["changed_keys"] == []
