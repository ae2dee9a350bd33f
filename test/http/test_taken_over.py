"""A database that an earlier Launchplane made: documents in jsonb columns, rows of its own. MIG-07, MIG-08, core 9."""
import pytest

from replacement import inventory_of, replace

LEGACY_INVENTORY = """
    INSERT INTO launchplane_inventory
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    VALUES ('shop', 'testing', 'a-1', 'abc', '2025-01-01T00:00:00Z', 'dep-1', '', '',
            '{"schema_version": 1, "context": "shop", "instance": "testing", "bootstrap_record_id": "boot-1"}')
"""


@pytest.fixture
def taken_over(cluster, empty_database):
    """The service's own tables with every document column as the predecessor had it, and without our version table."""
    import psycopg

    from rehearsal.service import run_to_end

    def migrate():
        code, out, err = run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": empty_database})
        assert code == 0, out + err

    migrate()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("DROP TABLE launchplane_schema_migrations")
        connection.execute("DROP TABLE launchplane_operation_events")
        connection.execute("DROP TABLE launchplane_operations CASCADE")
        tables = connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'payload'")
        for (name,) in tables.fetchall():
            connection.execute(f"ALTER TABLE {name} ALTER COLUMN payload TYPE jsonb USING payload::jsonb")
        connection.execute(LEGACY_INVENTORY)
    migrate()
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
