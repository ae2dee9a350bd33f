"""Artifact manifests, what cleanup must not delete, and what is derived from stored records. core 6.1 to 6.4."""
import json
import tomllib

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli, bare, input_file
from evidence import (
    ARTIFACT, DEPLOYMENTS, DESTROYED, GENERATIONS, PREVIEW_ID, PROMOTIONS, SHA, at, deployment, destroyed, generation, inventory_of,
    promotion, put_tuple, send, tuple_rows)
from rehearsal.lane import Artifact, Lane
from rehearsal.policy import CONTEXT, PRODUCT, lane_rules, render, workflow_rule

ARTIFACTS = "/v1/artifacts"
DIGEST = "d" * 64
EVERYTHING = render(github_actions=[
    *lane_rules(), *lane_rules("other-product", "other"), workflow_rule(["artifact_protection.read"], [PRODUCT], ["*"]),
    workflow_rule(["release_tuple.read"], ["launchplane"], ["*"])])


def manifest(number=1, **changes):
    return {"product": PRODUCT, "context": CONTEXT, "manifest": {**Artifact(CONTEXT, number).manifest(), **changes}}


def protected(plane, **query):
    return assert_ok(plane.get("/v1/artifacts/protected", params={"product": PRODUCT, **query}))["protected_artifacts"]


# manifests


def test_a_manifest_is_stored_and_shown(plane):
    """ART-01, ART-03, ART-04"""
    assert send(plane, ARTIFACTS, manifest())["records"] == {"artifact_id": ARTIFACT}
    record = assert_ok(plane.get(f"{ARTIFACTS}/{ARTIFACT}"))["record"]
    assert record["odoo_install_modules"] == manifest()["manifest"]["odoo_install_modules"]
    assert record["image"] == manifest()["manifest"]["image"]
    assert_rejected(plane.get(f"{ARTIFACTS}/artifact-unknown"), 404, "not_found")


@pytest.mark.parametrize("changes", [
    {"source_commit": "b" * 40}, {"odoo_install_modules": []}, {"addon_sources": []},
    {"image": {"repository": "registry.example.com/shop", "digest": "sha256:" + "f" * 64}}])
def test_an_artifact_never_changes(plane, changes):
    send(plane, ARTIFACTS, manifest())
    before = plane.counts()
    assert_rejected(plane.post(ARTIFACTS, manifest(**changes), key="key"), 409, "conflict", "manifest.artifact_id")
    assert plane.counts() == before


def test_the_same_manifest_again_and_other_tags_are_accepted(plane):
    send(plane, ARTIFACTS, manifest())
    send(plane, ARTIFACTS, manifest())
    image = {**manifest()["manifest"]["image"], "tags": ["testing", "prod"]}
    send(plane, ARTIFACTS, manifest(image=image))
    assert assert_ok(plane.get(f"{ARTIFACTS}/{ARTIFACT}"))["record"]["image"]["tags"] == ["testing", "prod"]


# protected artifacts


def test_nothing_is_protected_where_nothing_lives(plane, doubles):
    assert_accepted(plane.post("/v1/product-profiles", Lane(doubles).profile()))
    found = protected(plane, context=CONTEXT)
    assert found == {"schema_version": 1, "product": PRODUCT, "context": CONTEXT, "entries": [], "artifact_ids": [],
                     "image_references": [], "image_digests": [], "warnings": []}


def test_a_product_without_a_profile_is_warned_about(plane):
    """ART-13: an empty list of a mistyped product must not look like one that cleanup may work by"""
    found = protected(plane, context=CONTEXT)
    assert found["entries"] == []
    assert found["warnings"] == [f"product {PRODUCT} has no profile: nothing is known of what it needs"]


def prepare(plane, doubles):
    """Profile with previews, a lane's inventory, a tuple, a preview with a serving and a later build, and its feedback."""
    lane = Lane(doubles)
    profile = {**lane.profile(), "preview": {"enabled": True, "context": CONTEXT, "slug_template": "pr-{number}"}}
    assert_accepted(plane.post("/v1/product-profiles", profile))
    send(plane, ARTIFACTS, manifest(1))
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    put_tuple(plane, artifact=ARTIFACT)
    send(plane, GENERATIONS, generation("ready", 1, artifact_id="artifact-preview-1"))
    send(plane, GENERATIONS, generation("building", 2, artifact_id="artifact-preview-2"))
    send(plane, GENERATIONS, generation("failed", 0, pr=8, artifact_id="artifact-preview-8"))
    feedback = {"immutable_image_reference": "registry.example.com/shop@sha256:" + "9" * 64,
                "refresh_image_reference": "registry.example.com/shop:pr-7"}
    for number, (status, minute) in enumerate([("ready", 1), ("ready", 5), ("failed", 9)]):
        document = {**feedback, "refresh_image_reference": f"{feedback['refresh_image_reference']}-{number}"}
        plane.query("INSERT INTO launchplane_preview_pr_feedback VALUES (%s, %s, %s, 'odoo-tenant-shop', 7, %s, %s, 'sent', %s::json)",
                    f"feedback-{number}", PRODUCT, CONTEXT, at(minute), status, json.dumps(document))


@pytest.mark.policy(EVERYTHING)
def test_all_four_sources_protect(plane, doubles):
    """ART-06 to ART-10, ART-13"""
    prepare(plane, doubles)
    found = protected(plane, context=CONTEXT)
    reasons = [(entry["reason"], entry["source_record_id"]) for entry in found["entries"]]
    assert reasons == [
        ("stable-inventory", "shop-testing"), ("release-tuple", f"shop-testing-{ARTIFACT}"),
        ("active-preview-generation", f"{PREVIEW_ID}-generation-0002"),
        ("active-preview-generation", f"{PREVIEW_ID}-generation-0001"), ("active-preview-feedback", "feedback-1")]
    image = Artifact(CONTEXT, 1)
    stable, minted, newer, _, feedback = found["entries"]
    assert stable == {
        "schema_version": 1, "product": PRODUCT, "context": CONTEXT, "instance": "testing", "environment_kind": "stable",
        "artifact_id": ARTIFACT, "image_references": sorted([image.image, f"{image.repository}:testing"]),
        "source_git_ref": SHA, "reason": "stable-inventory", "source_record_type": "environment_inventory",
        "source_record_id": "shop-testing", "image_repository": image.repository, "image_digest": image.digest,
        "preview_id": "", "preview_generation_id": "", "anchor_repo": "", "anchor_pr_number": 0}
    assert (minted["instance"], minted["source_git_ref"], minted["source_record_type"]) == ("testing", SHA, "release_tuple")
    assert (newer["preview_id"], newer["anchor_repo"], newer["anchor_pr_number"], newer["source_git_ref"]) == (
        PREVIEW_ID, "odoo-tenant-shop", 7, SHA)
    assert feedback["artifact_id"] == "" and len(feedback["image_references"]) == 2
    assert "registry.example.com/shop:pr-7-1" in found["image_references"]
    assert found["artifact_ids"] == ["artifact-preview-1", "artifact-preview-2", ARTIFACT]
    assert found["image_digests"] == sorted([image.digest, "sha256:" + "9" * 64])
    assert len(found["warnings"]) == 2
    assert all(name in "".join(found["warnings"]) for name in ("artifact-preview-1", "artifact-preview-2"))


@pytest.mark.policy(EVERYTHING)
def test_an_artifact_without_a_manifest_is_protected_and_warned_about(plane, doubles):
    """ART-13"""
    prepare(plane, doubles)
    plane.query("DELETE FROM launchplane_artifact_manifests")
    found = protected(plane)
    assert ARTIFACT in found["artifact_ids"]
    assert any(ARTIFACT in warning for warning in found["warnings"])


@pytest.mark.policy(EVERYTHING)
def test_an_inventory_that_names_nothing_is_warned_about(plane, doubles):
    assert_accepted(plane.post("/v1/product-profiles", Lane(doubles).profile()))
    body = deployment("deployment-1")
    del body["deployment"]["artifact_identity"]
    send(plane, DEPLOYMENTS, body)
    found = protected(plane)
    assert found["entries"] == []
    assert len(found["warnings"]) == 1 and "shop-testing" in found["warnings"][0]


@pytest.mark.policy(EVERYTHING)
def test_a_destroyed_preview_protects_nothing(plane, doubles):
    prepare(plane, doubles)
    send(plane, DESTROYED, destroyed(30))
    assert {entry["environment_kind"] for entry in protected(plane)["entries"]} == {"stable"}


@pytest.mark.policy(EVERYTHING)
def test_without_a_pointer_every_ready_build_is_protected(plane, doubles):
    prepare(plane, doubles)
    plane.query("UPDATE launchplane_preview_records SET payload = (payload::jsonb || '{\"serving_generation_id\": \"\","
                " \"active_generation_id\": \"\", \"latest_generation_id\": \"\"}')::json")
    ids = [entry["preview_generation_id"] for entry in protected(plane)["entries"] if entry["preview_generation_id"]]
    assert ids == [f"{PREVIEW_ID}-generation-0001"]


@pytest.mark.policy(EVERYTHING)
def test_what_no_profile_owns_stays_out_of_a_products_view(plane, doubles):
    prepare(plane, doubles)
    send(plane, DEPLOYMENTS, {**deployment("theirs", context="other", artifact="artifact-other-1"), "product": "other-product"})
    assert "artifact-other-1" not in protected(plane)["artifact_ids"]


def test_a_whole_product_needs_a_grant_for_all_contexts(shared_plane):
    """ART-14, ART-15"""
    path = "/v1/artifacts/protected"
    assert_rejected(shared_plane.get(path, params={"product": PRODUCT}), 403, "authorization_denied")
    assert_ok(shared_plane.get(path, params={"product": PRODUCT, "context": CONTEXT}))
    assert_rejected(shared_plane.get(path), 400, "invalid_query", "product")
    assert_rejected(shared_plane.get(path, params={"product": " "}), 400, "invalid_query", "product")


TAKEN_OVER = ("artifact_manifests", "inventory", "release_tuples", "preview_records", "preview_generations", "preview_pr_feedback",
              "product_profiles")


@pytest.mark.policy(EVERYTHING)
def test_the_payloads_may_be_jsonb(plane, doubles):
    """core 9.1: as in a database that was taken over"""
    prepare(plane, doubles)
    before = protected(plane)
    for table in TAKEN_OVER:
        plane.query(f"ALTER TABLE launchplane_{table} ALTER COLUMN payload TYPE jsonb")
    plane.restart()
    assert protected(plane) == before


# inventory


def test_status_shows_what_a_lane_rests_on_and_what_was_before(plane):
    """INV-05"""
    send(plane, ARTIFACTS, manifest(1))
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    first = assert_ok(plane.get("/v1/inventory/shop/testing/status"))["inventory"]
    assert first["prior"] is None and first["release_tuple"] is None
    assert first["provenance"]["deployment_stored"] and first["provenance"]["artifact_manifest_stored"]
    send(plane, DEPLOYMENTS, deployment("deployment-2", 5, artifact="artifact-shop-0002"))
    send(plane, DEPLOYMENTS, deployment("deployment-2", 6, artifact="artifact-shop-0002"))
    put_tuple(plane, artifact="artifact-shop-0002")
    second = assert_ok(plane.get("/v1/inventory/shop/testing/status"))["inventory"]
    assert second["record"]["deployment_record_id"] == "deployment-2"
    assert second["prior"] == first["record"]
    assert second["release_tuple_matches"] and not second["provenance"]["artifact_manifest_stored"]
    assert_rejected(plane.get("/v1/inventory/shop/prod/status"), 404, "not_found")


def derive(plane, path, record_id, context=CONTEXT, **options):
    return plane.post(path, {"product": PRODUCT, "context": context, "record_id": record_id}, **options)


FROM_DEPLOYMENT, FROM_PROMOTION = "/v1/inventory/write-from-deployment", "/v1/inventory/write-from-promotion"
TUPLE_FROM = "/v1/release-tuples/write-from-promotion"


def test_an_inventory_is_made_from_a_stored_deployment(plane):
    """CLI-29"""
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    evidence = inventory_of(plane)
    plane.query("DELETE FROM launchplane_inventory")
    answer = assert_accepted(derive(plane, FROM_DEPLOYMENT, "deployment-1"))
    assert answer["records"] == {"deployment_record_id": "deployment-1", "inventory_record_id": "shop-testing"}
    assert {**inventory_of(plane), "updated_at": ""} == {**evidence, "updated_at": ""}


def test_an_older_deployment_does_not_take_the_inventory_back(plane):
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    send(plane, DEPLOYMENTS, deployment("deployment-2", 5))
    assert_rejected(derive(plane, FROM_DEPLOYMENT, "deployment-1"), 409, "conflict", "record_id")
    assert inventory_of(plane)["deployment_record_id"] == "deployment-2"


def test_inventory_and_tuple_are_made_from_a_stored_promotion(plane):
    """CLI-30, CLI-31"""
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    send(plane, PROMOTIONS, promotion("promotion-1", 2, link="deployment-prod"))
    plane.query("DELETE FROM launchplane_inventory")
    assert_accepted(derive(plane, FROM_PROMOTION, "promotion-1"))
    assert inventory_of(plane, "prod")["promotion_record_id"] == "promotion-1"
    assert_rejected(derive(plane, TUPLE_FROM, "promotion-1"), 409, "conflict", "record_id")
    put_tuple(plane)
    first = assert_accepted(derive(plane, TUPLE_FROM, "promotion-1", key="once"))
    assert assert_accepted(derive(plane, TUPLE_FROM, "promotion-1", key="once"))["replayed"]
    assert first["records"]["release_tuple_id"] == tuple_rows(plane, "prod")[0]["tuple_id"] == f"shop-prod-{ARTIFACT}"
    shown = assert_ok(plane.get("/v1/release-tuples/shop/prod"))["record"]
    assert (shown["provenance"], shown["promoted_from_channel"]) == ("promotion", "testing")


REFUSED = [
    ("unlinked", TUPLE_FROM, 400, "invalid_request"), ("unlinked", FROM_PROMOTION, 400, "invalid_request"),
    ("unknown", TUPLE_FROM, 400, "invalid_request"), ("unknown", FROM_PROMOTION, 400, "invalid_request"),
    ("unknown", FROM_DEPLOYMENT, 400, "invalid_request"), ("failed", TUPLE_FROM, 409, "conflict"),
    ("overtaken", TUPLE_FROM, 409, "conflict"), ("overtaken", FROM_PROMOTION, 409, "conflict"),
    ("elsewhere", FROM_PROMOTION, 400, "invalid_request"), ("unstable", TUPLE_FROM, 400, "invalid_request"),
]


def prepare_refusals(plane):
    """The records that REFUSED names."""
    put_tuple(plane)
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    send(plane, DEPLOYMENTS, deployment("deployment-stage", instance="stage"))
    send(plane, PROMOTIONS, promotion("unlinked"))
    send(plane, PROMOTIONS, promotion("overtaken", 2, link="deployment-prod"))
    send(plane, PROMOTIONS, promotion("failed", 2, link="deployment-prod", status="fail"))
    send(plane, PROMOTIONS, promotion("unstable", 2, link="deployment-stage", to_instance="stage"))
    send(plane, DEPLOYMENTS, deployment("deployment-next", 9, instance="prod"))
    plane.query("INSERT INTO launchplane_promotions SELECT 'elsewhere', 'other', from_instance, to_instance, artifact_id,"
                " deploy_started_at, deploy_finished_at, payload FROM launchplane_promotions WHERE record_id = 'overtaken'")


@pytest.mark.parametrize("record_id, path, status, code", REFUSED)
def test_a_step_that_cannot_be_done_is_refused(plane, record_id, path, status, code):
    prepare_refusals(plane)
    before = plane.counts()
    assert_rejected(derive(plane, path, record_id, key="key"), status, code, "record_id")
    assert plane.counts() == before


# from the command line


@pytest.mark.policy(EVERYTHING)
def test_the_catalogue_is_toml(plane, tmp_path):
    """TUP-05, TUP-06"""
    put_tuple(plane)
    put_tuple(plane, "prod", artifact="artifact-shop-0009")
    shown = Cli(plane)("release-tuples", "export-catalog")
    assert shown.code == 0, shown
    assert tomllib.loads(shown.out) == {"schema_version": 1, "contexts": {"shop": {"channels": {
        "prod": {"tuple_id": "shop-prod-artifact-shop-0009", "repo_shas": {"tenant-shop": SHA}},
        "testing": {"tuple_id": f"shop-testing-{ARTIFACT}", "repo_shas": {"tenant-shop": SHA}}}}}}
    directory = tmp_path / "release_tuples"
    directory.mkdir()
    for channel in ("testing", "prod"):
        record = assert_ok(plane.get(f"/v1/release-tuples/{CONTEXT}/{channel}"))["record"]
        (directory / f"{CONTEXT}-{channel}.json").write_text(json.dumps(record))
    of_files = bare("release-tuples", "export-catalog", "--state-dir", str(tmp_path))
    assert (of_files.code, of_files.out) == (0, shown.out), of_files
    assert "for review" in of_files.err
    none = bare("release-tuples", "export-catalog", "--state-dir", str(tmp_path), "--context", "other")
    assert none.out == "schema_version = 1\n"


def test_a_catalogue_of_files_fails_closed(tmp_path):
    """TUP-05: a record that cannot be read is not left out"""
    assert bare("release-tuples", "export-catalog", "--state-dir", str(tmp_path / "nowhere")).code == 1
    directory = tmp_path / "release_tuples"
    directory.mkdir()
    (directory / "shop-prod.json").write_text("{}")
    refused = bare("release-tuples", "export-catalog", "--state-dir", str(tmp_path))
    assert refused.code == 1 and "shop-prod.json" in refused.err and refused.out == ""
    record = {"tuple_id": "t", "context": CONTEXT, "channel": "prod", "artifact_id": ARTIFACT, "minted_at": at(1),
              "repo_shas": {"tenant-shop": SHA}, "provenance": "ship"}
    for name in ("shop-prod", "again"):
        (directory / f"{name}.json").write_text(json.dumps(record))
    refused = bare("release-tuples", "export-catalog", "--state-dir", str(tmp_path))
    assert refused.code == 1 and "two tuples of shop/prod" in refused.err


@pytest.mark.policy(EVERYTHING)
def test_each_command_does_its_request(plane, tmp_path):
    """CLI-08 to CLI-15, CLI-20, CLI-21, CLI-23, CLI-29 to CLI-31"""
    cli = Cli(plane)

    def write(group, name, body, *words):
        done = cli(group, name, "--input-file", input_file(tmp_path, body), *words)
        assert done.code == 0, done
        return done.fields()

    from evidence import gate
    scope = ("--product", PRODUCT, "--context", CONTEXT)
    assert write("artifacts", "ingest", manifest()["manifest"], *scope)["artifact_id"] == ARTIFACT
    assert write("artifacts", "write", manifest())["artifact_id"] == ARTIFACT
    assert cli("artifacts", "show", ARTIFACT).fields()["artifact_id"] == ARTIFACT
    put_tuple(plane)
    write("backup-gates", "write", gate("gate-1"))
    assert cli("backup-gates", "show", "gate-1").fields()["status"] == "pass"
    write("deployments", "write", deployment("deployment-prod", instance="prod"))
    write("promotions", "write", promotion("promotion-1", 2, link="deployment-prod"))
    assert cli("promotions", "show", "promotion-1").fields()["to_instance"] == "prod"
    for words in (("inventory", "write-from-deployment", "deployment-prod"), ("inventory", "write-from-promotion", "promotion-1"),
                  ("release-tuples", "write-from-promotion", "promotion-1")):
        done = cli(*words[:2], *scope, "--record-id", words[2])
        assert done.code == 0, done
    assert cli("inventory", "status", CONTEXT, "prod").fields()["provenance.promotion_record_id"] == "promotion-1"
    assert cli("release-tuples", "show", CONTEXT, "prod").fields()["artifact_id"] == ARTIFACT
    assert cli("artifacts", "protected", *scope).out.startswith("CONTEXT  INSTANCE  ARTIFACT")
    assert "artifact_ids" in cli("artifacts", "protected", *scope, "--json").out
    write("launchplane-previews", "write-from-generation", generation())
    assert cli("launchplane-previews", "show", PREVIEW_ID).fields()["state"] == "active"
    assert PREVIEW_ID in cli("launchplane-previews", "history", PREVIEW_ID).out
    write("launchplane-previews", "write-destroyed", destroyed(9))
    assert cli("launchplane-previews", "show", PREVIEW_ID).fields()["state"] == "destroyed"


def test_a_previews_parts_come_from_files_of_their_own(plane, tmp_path):
    """PREV-15, PREV-20: --preview-input-file with --generation-input-file, and the bare record of a destruction"""
    cli, whole = Cli(plane), generation()
    paths = {}
    for name, document in {"preview": whole["preview"], "generation": whole["generation"], "destroy": destroyed(9)["destroy"]}.items():
        paths[name] = tmp_path / name
        paths[name].write_text(json.dumps(document))
    parts = ("--preview-input-file", str(paths["preview"]), "--generation-input-file", str(paths["generation"]))
    lacking = cli("launchplane-previews", "write-from-generation", *parts)
    assert lacking.code == 1 and "product" in lacking.err
    done = cli("launchplane-previews", "write-from-generation", "--product", PRODUCT, *parts)
    assert done.code == 0, done
    assert cli("launchplane-previews", "show", PREVIEW_ID).fields()["state"] == "active"
    lacking = cli("launchplane-previews", "destroy-preview", "--input-file", str(paths["destroy"]))
    assert lacking.code == 2 and "--product" in lacking.err
    ended = cli("launchplane-previews", "destroy-preview", "--product", PRODUCT, "--input-file", str(paths["destroy"]))
    assert ended.code == 0, ended
    assert cli("launchplane-previews", "show", PREVIEW_ID).fields()["state"] == "destroyed"
    again = cli("launchplane-previews", "destroy-preview", "--product", PRODUCT, "--input-file", str(tmp_path / "nothing"))
    assert again.code == 2 and "nothing" in again.err
