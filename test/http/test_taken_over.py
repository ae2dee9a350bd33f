"""A database that an earlier Launchplane made: documents in jsonb columns, rows of its own. MIG-07, MIG-08, core 9."""
import json
import pathlib

import psycopg
import pytest

import history
from checks import assert_ok
from plane import Plane
from rehearsal import policy as policies
from rehearsal.service import run_to_end
from replacement import inventory_of, replace

BASELINE = pathlib.Path(__file__).resolve().parents[2] / "migrations" / "0001_baseline.sql"
LATER = "-- What was added to some tables later"      # from here on the file brings old tables up to date
LEGACY_INVENTORY = """
    INSERT INTO launchplane_inventory
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    VALUES ('shop', 'testing', 'a-1', 'abc', '2025-01-01T00:00:00Z', 'dep-1', '', '',
            '{"schema_version": 1, "context": "shop", "instance": "testing", "bootstrap_record_id": "boot-1"}')
"""


def predecessor_tables(connection):
    """The tables as an earlier release had them: jsonb documents, no table of ours."""
    connection.execute(BASELINE.read_text().split(LATER)[0].replace("payload json not null", "payload jsonb not null"))
    connection.execute("ALTER TABLE launchplane_preview_desired_states ADD COLUMN label text NOT NULL")


def migrate(url):
    code, out, err = run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": url})
    assert code == 0, out + err


@pytest.fixture
def taken_over(empty_database):
    """A database that the predecessor made, with an inventory record of its own."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        predecessor_tables(connection)
        connection.execute(LEGACY_INVENTORY)
    migrate(empty_database)
    return empty_database


@pytest.fixture
def database(taken_over):
    return taken_over


def test_the_main_job_runs_on_a_taken_over_database(plane, lane):
    """MIG-08: every statement of the job works on jsonb columns, too"""
    assert replace(plane, lane)["status"] == "pass"
    assert inventory_of(plane, lane)["artifact_identity"]["artifact_id"] == lane.new.artifact_id


def test_evidence_and_replacement_keep_the_bootstrap_that_was_recorded(plane, lane):
    """odoo 7.4: bootstrap_record_id is history"""
    assert inventory_of(plane, lane)["bootstrap_record_id"] == "boot-1"     # after deployment evidence
    assert replace(plane, lane)["status"] == "pass"
    assert inventory_of(plane, lane)["bootstrap_record_id"] == "boot-1"


# A database as the predecessor left it: its tables without ours, jsonb documents, rows in every table

READER = policies.render(github_actions=[policies.workflow_rule([
    "product_environment.read", "product_profile.read", "driver.read", "operations.read", "secret.list", "secret.read", "deployment.read",
    "promotion.read", "preview.read", "inventory.read", "backup_gate.read", "release_tuple.read", "artifact.read",
    "artifact_protection.read", "launchplane_service.read", "authz_policy_grant.write", "odoo_target_replacement_apply.execute",
    "odoo_stable_bootstrap.execute"])])
VALUES = {"product": history.SHOP, "context": "shop", "instance": "prod", "environment": "prod", "driver_id": "odoo",
          "secret_id": "secret-runtime-environment-odoo-db-password-shop-prod", "artifact_id": "artifact-shop-0002",
          "preview_id": history.PREVIEW.format(7)}
RECORDS = {"/v1/deployments/{record_id}": history.DEPLOYMENTS[3]["record_id"],
           "/v1/promotions/{record_id}": history.PROMOTIONS[1]["record_id"],
           "/v1/backup-gates/{record_id}": "backup-shop-prod-20260602T095500Z"}
QUERIES = {"/v1/products/{product}/diff": "?from=testing&to=prod", "/v1/artifacts/protected": f"?product={history.SHOP}"}
TIMELY = {"/metrics"}                                 # tells of the process, not of records
# Operations, which only the predecessor had: below.
OWN = {"/v1/operations", "/v1/operations/{operation_id}", "/v1/operations/{operation_id}/events", "/v1/service/odoo-workers/status"}


@pytest.fixture
def left_behind(empty_database):
    with psycopg.connect(empty_database, autocommit=True) as connection:
        predecessor_tables(connection)
        history.insert(connection)
    migrate(empty_database)
    return empty_database


def test_every_table_has_rows_in_the_fixture(left_behind):
    with psycopg.connect(left_behind) as connection:
        tables = {name for (name,) in connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'payload'")}
    assert set(history.rows()) <= tables
    assert {table for table, documents in history.rows().items() if not documents} == set()
    named = {line.split()[5] for line in BASELINE.read_text().splitlines() if line.startswith("create table")}
    assert named == set(history.rows()), named ^ set(history.rows())


def test_nothing_is_lost_and_the_revision_is_stamped(left_behind):
    """MIG-07, MIG-08: every row of every table is there afterwards, document and columns"""
    with psycopg.connect(left_behind) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall()
        for table, documents in history.rows().items():
            found = [document for (document,) in connection.execute(f"SELECT payload FROM {table}")]
            assert sorted(map(canonical, found)) == sorted(map(canonical, documents)), table
        applied = connection.execute("SELECT count(*) FROM launchplane_schema_migrations").fetchone()
        assert applied[0] == len(list(BASELINE.parent.glob("*.sql")))
    migrate(left_behind)                              # and again changes nothing


def canonical(document):
    return json.dumps(document, sort_keys=True)


@pytest.fixture
def old_and_new(left_behind, cluster, template, doubles, state_dir):
    """The service on the taken-over database, and on a fresh one that holds the same rows."""
    fresh = cluster.create(template)
    with psycopg.connect(cluster.url(fresh), autocommit=True) as connection:
        history.insert(connection)
    doubles.clock.advance(history.seconds(history.NOW) - doubles.clock.now())
    planes = []
    try:
        for number, url in enumerate((left_behind, cluster.url(fresh))):
            directory = state_dir / str(number)
            directory.mkdir()
            planes.append(Plane(url, doubles, READER, directory, LAUNCHPLANE_MASTER_ENCRYPTION_KEY=history.MASTER_KEY).start())
        yield planes
    finally:
        for plane in planes:
            plane.check()
        cluster.drop(fresh)


def asked(path):
    """The path with a record that is there, where we know one."""
    filled = path.replace("{record_id}", RECORDS.get(path, "none"))
    while "{" in filled:
        name = filled[filled.index("{") + 1:filled.index("}")]
        filled = filled.replace("{" + name + "}", VALUES.get(name, "none"))
    return filled + QUERIES.get(path, "")


def without_trace(answer):
    if "json" not in answer.headers.get("Content-Type", ""):
        return answer.text
    body = answer.json()
    body.pop("trace_id", None)
    body.get("error", {}).pop("message", None)
    if "mapping" in body:
        del body["mapping"]["generated_at"]           # each answer's own second
    return body


def test_every_read_route_answers_as_on_a_fresh_database(old_and_new):
    old, new = old_and_new
    paths = [path for path, methods in old.get("/v1/openapi.json").json()["paths"].items() if "get" in methods]
    served = set()
    for path in sorted(set(paths) - TIMELY - OWN):
        answers = [plane.get(asked(path)) for plane in (old, new)]
        assert answers[0].status_code == answers[1].status_code, (path, answers[0].text)
        left, right = map(without_trace, answers)
        if path == "/v1/products/{product}/activity":     # each service seeded a policy of its own second
            for body in (left, right):
                body["activity"]["events"] = [e for e in body["activity"]["events"] if e["event_type"] != "authz_policy"]
        assert left == right, path
        if answers[0].status_code == 200:
            served.add(path)
    must = {"/v1/products", "/v1/products/{product}", "/v1/products/{product}/environments/{environment}", "/v1/lanes", "/v1/deployments",
            "/v1/deployments/{record_id}", "/v1/promotions", "/v1/inventory/{context}/{instance}", "/v1/product-profiles",
            "/v1/contexts/{context}/instances/{instance}/driver-view", "/v1/contexts/{context}/operations/recent", "/v1/secrets/{secret_id}"}
    assert must <= served, must - served


def test_operations_of_the_predecessor_are_listed(old_and_new):
    old, _ = old_and_new
    listed = assert_ok(old.get(f"/v1/operations?product={history.SHOP}"))["operations"]
    assert {row["operation_id"]: row["status"] for row in listed} == {
        "replacement-8": "fail", "replacement-2": "pass", "bootstrap-1": "pass"}
    assert assert_ok(old.get("/v1/operations/replacement-8"))["operation"]["error_message"] == "the deploy failed"
