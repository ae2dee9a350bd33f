"""launchplane product-config apply and product-profiles upsert. config-health 1.7, 3.4, CFG-01 to CFG-04."""
import json

import pytest

from checks import assert_ok
from cli import Cli, bare, input_file
from test_records import current_versions

KEY = "ODOO_DB_PASSWORD"


@pytest.fixture
def apply(plane, lane, tmp_path):
    """apply(document, "--dry-run", ...) straight in the database: everything printed is searched for secrets at the end."""
    def run(document, *words, **settings):
        settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key, **settings}
        result = bare("product-config", "apply", "--input-file", input_file(tmp_path, document), *words, **settings)
        plane.answers += [result.out, result.err]
        return result
    return run


def bundle(lane, **changes):
    return {"product": lane.product, "context": lane.context, "instance": lane.instance, **changes}


def environment(plane):
    return plane.query("SELECT payload FROM launchplane_runtime_environments WHERE scope = 'instance'")[0]["payload"]


def test_a_bundle_is_planned_and_written_without_the_service(plane, lane, apply):
    plane.secrets.append("value-of-the-direct-bundle")
    document = bundle(lane, runtime_env={"ODOO_DB_USER": "direct"},
                      secrets=[{"name": KEY, "value": "value-of-the-direct-bundle", "scope": "context_instance"}])
    before, versions = plane.counts(), current_versions(plane)
    plan = apply(document, "--dry-run").json()
    assert (plan["mode"], plan["runtime_environment"]["changed_keys"]) == ("dry-run", ["ODOO_DB_USER"])
    assert [secret["action"] for secret in plan["secrets"]] == ["rotated"]
    assert current_versions(plane) == versions
    changed = {name for name, n in plane.counts().items() if n != before[name]}
    assert changed <= {"launchplane_secret_audit_events"}                     # the comparison read a value
    plane.terminate()
    done = apply(document, "--apply", "--plan-digest", plan["plan_digest"], "--actor", "me", "--reason", "by hand").json()
    assert (done["mode"], done["actor"], done["source_label"]) == ("apply", "me", "product-config-apply")
    assert done["status"] == "records_applied_live_sync_required" and done["next_actions"]
    assert environment(plane)["env"]["ODOO_DB_USER"] == "direct"
    assert current_versions(plane)[KEY]["version_id"] != versions[KEY]["version_id"]
    assert apply(document, "--dry-run").json()["summary"] == {"runtime_changed_key_count": 0, "secret_change_count": 0}


def test_a_reviewed_bundle_that_no_longer_applies_shows_what_would(plane, lane, apply):
    document = bundle(lane, runtime_env={"ODOO_DB_USER": "direct"})
    digest = apply(document, "--dry-run").json()["plan_digest"]
    assert apply(bundle(lane, runtime_env={"ODOO_DB_USER": "quicker"}), "--apply").code == 0
    refused = apply(document, "--apply", "--plan-digest", digest)
    assert refused.code == 1 and refused.json()["plan_digest"] != digest
    assert environment(plane)["env"]["ODOO_DB_USER"] == "quicker"


@pytest.mark.parametrize("words, settings, code, told", [
    ([], {}, 2, "--dry-run"), (["--apply", "--dry-run"], {}, 2, "exclude"),
    (["--apply"], {"LAUNCHPLANE_MASTER_ENCRYPTION_KEY": ""}, 1, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY")])
def test_what_a_direct_apply_refuses(plane, lane, apply, words, settings, code, told):
    before = plane.counts()
    refused = apply(bundle(lane, secrets=[{"name": KEY, "value": "another-value"}]), *words, **settings)
    assert refused.code == code and told in refused.err, refused
    assert plane.counts() == before


def test_a_profile_from_flags(plane, lane, tmp_path):
    cli = Cli(plane)
    words = ["product-profiles", "upsert", "--product", lane.product, "--display-name", "Site", "--repository", "example-org/site",
             "--image-repository", "registry.example.com/site", "--runtime-port", "8080", "--health-path", "/health",
             "--lanes-json", json.dumps([{"instance": "testing", "context": "site"}]), "--preview-enabled",
             "--preview-context", "site-previews", "--preview-slug-template", "pr-{number}"]
    done = cli(*words)
    assert done.code == 0, done
    profile = assert_ok(plane.get(f"/v1/product-profiles/{lane.product}"))["profile"]
    assert (profile["driver_id"], profile["source"], profile["runtime_port"]) == ("generic-web", "cli:product-profiles:upsert", 8080)
    assert (profile["preview"]["enabled"], profile["preview"]["context"]) == (True, "site-previews")
    assert profile["lanes"][0]["context"] == "site" and profile["image"] == {"repository": "registry.example.com/site"}
    # flags over a file: what no flag names stays as it is in the file
    path = input_file(tmp_path, {**profile, "source": "a file"})
    assert cli("product-profiles", "upsert", "--input-file", path, "--display-name", "Renamed", "--preview-disabled").code == 0
    after = assert_ok(plane.get(f"/v1/product-profiles/{lane.product}"))["profile"]
    assert (after["display_name"], after["source"], after["preview"]["enabled"]) == ("Renamed", "a file", False)
    assert after["updated_at"] == profile["updated_at"]


@pytest.mark.parametrize("words, told", [
    (["--lanes-json", "[{"], "--lanes-json"), (["--runtime-port", "x"], "--runtime-port"), ([], "product")])
def test_flags_that_make_no_profile(plane, words, told):
    refused = Cli(plane)("product-profiles", "upsert", *words)
    assert refused.code in (1, 2) and told in refused.err, refused
