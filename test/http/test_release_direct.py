"""Releases without the service's HTTP: on its database, and the loud rehearsal on files. CLI-40, CLI-41, ART-16."""
import json

import psycopg
import pytest

from cli import bare
from evidence import ARTIFACT, DEPLOYMENTS, deployment, gate, inventory_of, send
from rehearsal.lane import Artifact
from rehearsal.policy import CONTEXT, PRODUCT
from release import Product

NEW = Artifact(CONTEXT, 2)
WORDS = ("--product", PRODUCT, "--context", CONTEXT, "--artifact-id", NEW.artifact_id)
SHIP = ("ship", "execute", *WORDS, "--instance", "testing")
PROMOTE = ("promote", "execute", *WORDS, "--from-instance", "testing", "--to-instance", "prod", "--backup-record-id", "gate-1")


def on_database(plane, *words):
    return bare(*words, LAUNCHPLANE_DATABASE_URL=plane.database_url, LAUNCHPLANE_TEST_CLOCK_FILE=str(plane.doubles.clock.path))


def test_ship_on_the_database_is_carried_out_by_the_service(plane, doubles):
    """CLI-40: the same engine, whoever submits"""
    product = Product(plane, doubles).create().prepare()
    first = on_database(plane, *SHIP, "--idempotency-key", "once")
    assert first.code == 0, first
    operation_id = first.fields()["operation_id"]
    assert plane.finish(operation_id)["status"] == "pass"
    again = on_database(plane, *SHIP, "--idempotency-key", "once", "--watch")
    assert again.code == 0 and f"pass  {operation_id}" in again.out
    assert plane.doubles.dokploy.deploys(product.testing.compose_id) == 1
    assert inventory_of(plane)["artifact_identity"]["artifact_id"] == NEW.artifact_id


def test_a_release_that_is_blocked_fails_the_command(plane, doubles):
    Product(plane, doubles).create().prepare()
    submitted = on_database(plane, *PROMOTE)
    assert submitted.code == 0 and submitted.err.startswith("--idempotency-key cli-")
    operation = plane.finish(submitted.fields()["operation_id"])
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked")


def test_a_wrong_request_is_refused_before_it_is_submitted(shared_plane):
    before = shared_plane.counts()
    refused = on_database(shared_plane, "ship", "execute", *WORDS, "--instance", "stage")
    assert refused.code != 0 and "instance" in refused.err
    assert shared_plane.counts() == before


def test_protected_artifacts_of_the_database(plane, doubles):
    """ART-16"""
    Product(plane, doubles).create().prepare()
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    shown = on_database(plane, "artifacts", "protected", "--product", PRODUCT)
    assert shown.code == 0, shown
    assert ARTIFACT in shown.out and "stable-inventory" in shown.out
    document = json.loads(on_database(plane, "artifacts", "protected", "--product", PRODUCT, "--json").out)
    assert ARTIFACT in document["artifact_ids"]


def test_protected_artifacts_show_their_warnings(plane, doubles):
    """ART-13: behind the table"""
    Product(plane, doubles).create().prepare()
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM launchplane_artifact_manifests")
    shown = on_database(plane, "artifacts", "protected", "--product", PRODUCT).out
    assert f"warning: artifact {ARTIFACT} " in shown and "has no stored manifest" in shown


# the rehearsal


def put(directory, family, name, document):
    (directory / family).mkdir(exist_ok=True)
    (directory / family / f"{name}.json").write_text(json.dumps(document))


def rehearse(directory, words):
    return bare(*words, "--local-rehearsal", "--state-dir", str(directory))


def read(directory, family, name):
    return json.loads((directory / family / f"{name}.json").read_text())


@pytest.fixture
def files(tmp_path):
    put(tmp_path, "artifacts", NEW.artifact_id, NEW.manifest())
    return tmp_path


def test_a_rehearsal_is_loud_and_leaves_files(files):
    """CLI-41"""
    done = rehearse(files, SHIP)
    assert done.code == 0, done
    assert "LOCAL REHEARSAL" in done.err
    shown = read(files, "inventory", "shop-testing")
    assert (shown["deploy"]["deploy_mode"], shown["deploy"]["status"]) == ("local-rehearsal", "skipped")
    assert read(files, "deployments", shown["deployment_record_id"])["source_git_ref"] == NEW.source_commit
    assert read(files, "release_tuples", "shop-testing")["provenance"] == "ship"
    put(files, "backup_gates", "gate-1", gate("gate-1")["backup_gate"])
    assert rehearse(files, PROMOTE).code == 0
    minted = read(files, "release_tuples", "shop-prod")
    assert (minted["provenance"], minted["promoted_from_channel"]) == ("promotion", "testing")


@pytest.mark.parametrize("missing, told", [
    ("artifacts", NEW.artifact_id), ("release_tuples", "shop-testing"), ("backup_gates", "gate-1")])
def test_a_rehearsal_fails_closed_too(files, missing, told):
    assert rehearse(files, SHIP).code == 0
    put(files, "backup_gates", "gate-1", gate("gate-1")["backup_gate"])
    for file in (files / missing).iterdir():
        file.unlink()
    refused = rehearse(files, PROMOTE)
    assert refused.code == 1 and told in refused.err
    assert not (files / "inventory" / "shop-prod.json").exists()


@pytest.mark.parametrize("status, instance", [("fail", "prod"), ("pass", "testing")])
def test_a_rehearsed_gate_must_pass_and_be_of_the_lane(files, status, instance):
    assert rehearse(files, SHIP).code == 0
    put(files, "backup_gates", "gate-1", gate("gate-1", status=status, instance=instance)["backup_gate"])
    assert rehearse(files, PROMOTE).code == 1


def test_a_rehearsal_needs_a_directory_and_stays_in_it(files):
    refused = bare(*SHIP, "--local-rehearsal")
    assert refused.code == 2 and "--state-dir" in refused.err
    outside = tuple("../escape" if word == NEW.artifact_id else word for word in SHIP)
    assert rehearse(files, outside).code == 1


def profile(*contexts):
    return {"schema_version": 1, "product": PRODUCT, "display_name": "Shop", "repository": "example-org/shop", "driver_id": "odoo",
            "updated_at": "2026-03-01T10:00:00Z", "source": "test",
            "lanes": [{"instance": "testing", "context": context} for context in contexts]}


PROTECTED = ("artifacts", "protected", "--product", PRODUCT)


def test_a_rehearsed_inventory_is_loud_and_never_one_to_delete_by(files):
    """ART-05, ART-17"""
    assert rehearse(files, SHIP).code == 0
    put(files, "product_profiles", PRODUCT, profile(CONTEXT))
    shown = rehearse(files, (*PROTECTED, "--json"))
    assert shown.code == 0 and "LOCAL REHEARSAL" in shown.err, shown
    found = json.loads(shown.out)
    assert [(entry["reason"], entry["source_record_id"], entry["image_digest"]) for entry in found["entries"]] == [
        ("stable-inventory", "shop-testing", NEW.digest), ("release-tuple", f"shop-testing-{NEW.artifact_id}", NEW.digest)]
    assert found["artifact_ids"] == [NEW.artifact_id] and NEW.image in found["image_references"]
    assert len(found["warnings"]) == 1 and "delete nothing" in found["warnings"][0]
    assert NEW.artifact_id not in rehearse(files, (*PROTECTED, "--context", "other")).out
    (files / "artifacts" / f"{NEW.artifact_id}.json").unlink()
    shown = rehearse(files, PROTECTED)
    assert f"artifact {NEW.artifact_id} " in shown.out and "has no stored manifest" in shown.out
    put(files, "product_profiles", PRODUCT, profile("other"))
    assert NEW.artifact_id not in rehearse(files, PROTECTED).out


def test_a_rehearsed_inventory_fails_closed(files):
    refused = rehearse(files, PROTECTED)
    assert refused.code == 1 and f"product_profiles/{PRODUCT}.json" in refused.err and refused.out == ""
    put(files, "product_profiles", PRODUCT, profile(CONTEXT))
    put(files, "inventory", "shop-testing", {"context": CONTEXT})
    refused = rehearse(files, PROTECTED)
    assert refused.code == 1 and "shop-testing.json" in refused.err and refused.out == ""
    assert bare(*PROTECTED, "--local-rehearsal").code == 2
