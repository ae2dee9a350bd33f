"""Migrations: an empty, a current, an edited, a newer and a legacy database. MIG-01 to MIG-09, core 9."""
import concurrent.futures
import json

import psycopg
import pytest

from rehearsal.service import run_to_end

# The table set of the original's first revision (core 9.3).
BASELINE = [
    "artifact_manifests", "backup_gates", "deployments", "dokploy_target_ids", "dokploy_targets",
    "idempotency_records", "inventory", "odoo_instance_overrides", "preview_generations", "preview_records",
    "promotions", "release_tuples", "runtime_environments", "secret_audit_events", "secret_bindings",
    "secret_versions", "secrets",
]


def storage(command, url, *arguments):
    return run_to_end("storage", command, *arguments, settings={"LAUNCHPLANE_DATABASE_URL": url})


def execute(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def tables(url):
    return {row[0] for row in execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def shape(url):
    return execute(url, "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
                        " WHERE table_schema = 'public' ORDER BY 1, 2")


def test_an_empty_database_gets_the_whole_chain(empty_database):
    """MIG-09"""
    code, out, err = storage("status", empty_database)
    assert code != 0 and "pending" in (out + err).lower()
    assert storage("migrate", empty_database)[0] == 0
    assert tables(empty_database) >= {f"launchplane_{name}" for name in BASELINE}
    assert storage("status", empty_database)[0] == 0


def test_migrating_again_changes_nothing(database):
    before = shape(database)
    assert storage("migrate", database)[0] == 0
    assert shape(database) == before


def test_the_documented_unique_indexes_exist(database):
    """core 9.2"""
    found = {row[0] for row in execute(database, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")}

    def has(*parts):
        return any(all(part in text for part in ("UNIQUE", *parts)) for text in found)

    assert has("launchplane_idempotency_records", "(scope, route_path, idempotency_key)")
    assert has("launchplane_secrets", "(scope, integration, name, context, instance)")
    assert has("launchplane_operations", "(context, instance)", "WHERE (holds_lane AND")    # whatever the product


def test_many_migrate_at_once_under_one_lock(empty_database):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = [result[0] for result in pool.map(lambda _: storage("migrate", empty_database), range(4))]
    assert codes == [0] * 4
    assert storage("status", empty_database)[0] == 0


FILED = ["at", "product", "action", "deployment_record_id", "promotion_record_id"]


def test_entries_of_an_earlier_release_are_filed_and_stay_as_they_are(database):
    """Lists go by columns that an earlier release did not have"""
    leaf = {"at": "2026-01-02T03:04:05.678Z", "product": "shop", "action": "deployment.write",
            "records": {"deployment_record_id": "d-1"}}
    drop = ", ".join(f"DROP COLUMN {name}" for name in FILED)
    execute(database, "DROP TRIGGER launchplane_audit_entries_filed ON launchplane_audit_entries")
    execute(database, f"ALTER TABLE launchplane_audit_entries {drop}")
    execute(database, "DELETE FROM launchplane_schema_migrations WHERE name >= '0016'")
    execute(database, "INSERT INTO launchplane_audit_entries (position, leaf, hashes)"
                      f" VALUES (0, '{json.dumps(leaf)}', sha256('x')), (1, '{{}}', sha256('y'))")
    assert storage("migrate", database)[0] == 0
    assert execute(database, f"SELECT {', '.join(FILED)} FROM launchplane_audit_entries ORDER BY position") == [
        (leaf["at"], "shop", "deployment.write", "d-1", None), (None,) * 5]
    with pytest.raises(psycopg.errors.RestrictViolation):
        execute(database, "UPDATE launchplane_audit_entries SET product = 'other'")


def version_table(url):
    """Our own table of applied migrations: the one with a checksum."""
    rows = execute(url, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                        " AND column_name IN ('checksum', 'sha256', 'digest') AND table_name LIKE '%migration%'")
    assert len(rows) == 1, rows
    return rows[0]


def refused(url, *words):
    code, out, err = storage("migrate", url)
    assert code != 0
    assert all(word in (out + err).lower() for word in words), out + err
    assert storage("status", url)[0] != 0


def test_an_edited_migration_is_refused(database):
    """MIG-02"""
    table, column = version_table(database)
    kind = execute(database, f"SELECT pg_typeof({column})::text FROM {table} LIMIT 1")[0][0]
    value = "'\\x00'" if kind == "bytea" else "'0'"
    execute(database, f"UPDATE {table} SET {column} = {value} WHERE ctid = (SELECT min(ctid) FROM {table})")
    before = shape(database)
    refused(database, "edit")
    assert shape(database) == before


def test_a_database_that_is_ahead_is_refused(database):
    """MIG-02"""
    table, _ = version_table(database)
    columns = [row[0] for row in execute(
        database, f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position")]
    number = next(name for name in columns if name in ("version", "number", "id"))
    chosen = ", ".join(f"{number} + 1000" if name == number else name for name in columns)
    execute(database, f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table} ORDER BY {number} DESC LIMIT 1")
    refused(database, "does not know", "start the newer program")


LEGACY_TABLES = {
    "artifact_manifests": "artifact_id text PRIMARY KEY, source_commit text, image_repository text, image_digest text",
    "backup_gates": "record_id text PRIMARY KEY, context text, instance text, created_at text, status text",
    "deployments": "record_id text PRIMARY KEY, context text, instance text, artifact_id text, source_git_ref text,"
                   " deploy_started_at text, deploy_finished_at text",
    "dokploy_target_ids": "context text, instance text, target_id text, updated_at text, PRIMARY KEY (context, instance)",
    "dokploy_targets": "context text, instance text, updated_at text, PRIMARY KEY (context, instance)",
    "idempotency_records": "record_id text PRIMARY KEY, scope text, route_path text, idempotency_key text,"
                           " request_fingerprint text, response_status_code integer, response_trace_id text,"
                           " recorded_at text",
    "inventory": "context text, instance text, artifact_id text, source_git_ref text, updated_at text,"
                 " deployment_record_id text, promotion_record_id text, promoted_from_instance text,"
                 " PRIMARY KEY (context, instance)",
    "odoo_instance_overrides": "context text, instance text, updated_at text, PRIMARY KEY (context, instance)",
    "preview_generations": "generation_id text PRIMARY KEY, preview_id text, sequence integer, state text,"
                           " requested_at text, finished_at text, artifact_id text",
    "preview_records": "preview_id text PRIMARY KEY, context text, anchor_repo text, anchor_pr_number integer,"
                       " state text, updated_at text",
    "promotions": "record_id text PRIMARY KEY, context text, from_instance text, to_instance text, artifact_id text,"
                  " deploy_started_at text, deploy_finished_at text",
    "release_tuples": "context text, channel text, tuple_id text, artifact_id text, minted_at text, provenance text,"
                      " PRIMARY KEY (context, channel)",
    "runtime_environments": "scope text, context text, instance text, updated_at text,"
                            " PRIMARY KEY (scope, context, instance)",
    "secret_audit_events": "event_id text PRIMARY KEY, secret_id text, event_type text, recorded_at text",
    "secret_bindings": "binding_id text PRIMARY KEY, secret_id text, integration text, binding_key text, context text,"
                       " instance text, status text, updated_at text",
    "secret_versions": "version_id text PRIMARY KEY, secret_id text, created_at text",
    "secrets": "secret_id text PRIMARY KEY, scope text, integration text, name text, context text, instance text,"
               " status text, current_version_id text, updated_at text",
}


def make_legacy(url, stamp):
    for name in BASELINE:
        execute(url, f"CREATE TABLE launchplane_{name} ({LEGACY_TABLES[name]}, payload jsonb NOT NULL)")
    if stamp:
        execute(url, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        execute(url, "INSERT INTO alembic_version VALUES ('fe94a0486977')")
    record = {
        "schema_version": 1, "context": "shop", "instance": "testing", "source_git_ref": "r",
        "updated_at": "2026-01-01T00:00:00Z", "deployment_record_id": "d",
        "deploy": {"target_name": "t", "target_type": "compose", "deploy_mode": "m", "status": "pass"},
    }
    execute(url, "INSERT INTO launchplane_inventory VALUES ('shop', 'testing', 'a', 'r', '2026-01-01T00:00:00Z', 'd', '', '',"
                 f" '{json.dumps(record)}')")


@pytest.mark.parametrize("stamped", [True, False])
def test_a_legacy_database_is_taken_over_with_its_records(empty_database, stamped):
    """MIG-07, MIG-08"""
    make_legacy(empty_database, stamped)
    code, out, err = storage("migrate", empty_database)
    assert code == 0, out + err
    assert storage("status", empty_database)[0] == 0
    kept = execute(empty_database, "SELECT payload->>'deployment_record_id' FROM launchplane_inventory")
    assert kept == [("d",)]
    assert "launchplane_authz_policies" in tables(empty_database)


def test_a_legacy_database_ends_with_the_shape_of_a_new_one(empty_database, database):
    make_legacy(empty_database, stamp=False)
    assert storage("migrate", empty_database)[0] == 0
    ours = {(row[0], row[1]) for row in shape(database)}
    taken_over = {(row[0], row[1]) for row in shape(empty_database)}
    assert ours <= taken_over


def test_foreign_tables_are_not_mistaken_for_a_legacy_database(empty_database):
    execute(empty_database, "CREATE TABLE somebody_elses (id integer)")
    assert storage("migrate", empty_database)[0] == 0
    assert "somebody_elses" in tables(empty_database)
