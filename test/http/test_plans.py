"""No read of the service scans a table that grows: the plan of every query of storage/*.sql, by EXPLAIN on 20,000 rows each.

Queries come from the .sql files themselves, so a new one is judged without being named here. Those that the service
prepares are judged by their generic plan; those it plans anew for the filters given, filter by filter.
"""
import json
import re

import psycopg
import pytest

from statements import statements

ROWS = 20000
FEW = {"launchplane_product_profiles", "launchplane_inventory", "launchplane_release_tuples", "launchplane_provider_targets",
       "launchplane_dokploy_targets", "launchplane_dokploy_target_ids", "launchplane_odoo_instance_overrides",
       "launchplane_runtime_environments", "launchplane_schema_migrations"}     # a row for each product, lane or migration
FEW_ROWS = 200
# Rows that only their own module can make; a handful each.
CHECKED = {"launchplane_audit_keys", "launchplane_audit_checkpoints"}
QUEUES = {"launchplane_audit_pending"}                        # emptied all the time
SEQUENCES = {"launchplane_audit_pending_entry_id_seq"}        # one row
# What reads everything by intent.
WHOLE = {"artifacts_protected": "every live preview protects its artifact", "target_preflight_counts": "counts whole tables",
         "secret_versions_not_under": "a rekey counts what is left"}
# Sent unprepared (call_query_planned): their filters may be absent.
PLANNED = {"secret_status_list": 3, "lane_page": 9, **{name: None for name in (
    "deployment_page", "promotion_page", "backup_gate_page", "preview_page", "inventory_page", "release_tuple_page",
    "artifact_manifest_page", "operation_page")}}
FILTERS = {"context": "context-7", "product": "product-7", "instance": "prod", "status": "fail", "artifact_id": "artifact-7"}


def reads():
    """{name: (sql, number of parameters)} of every query that changes nothing."""
    return {name: (s.sql, s.parameters) for name, s in statements().items()
            if not s.writes and re.match(r"\s*(select|with)\b", s.sql, re.I) and "launchplane_" in s.sql}


READS = reads()


def cell(name, kind, primary):
    """An SQL expression over n for a column."""
    if name in ("context", "product"):
        return f"'{name}-' || n % 200"
    if kind in ("integer", "bigint"):
        return "n"
    if kind == "boolean":
        return "false"
    if kind.startswith("timestamp"):
        return "timestamptz '2026-01-01' + n * interval '1 minute'"
    if kind in ("json", "jsonb"):
        return "'{\"deploy\": {\"status\": \"pass\"}, \"destination_health\": {\"verified\": true}}'"
    if kind == "bytea":
        return "decode(repeat('00', 32), 'hex')"
    if name in ("instance", "to_instance", "channel"):
        return "CASE n / 200 % 2 WHEN 0 THEN 'prod' ELSE 'testing' END"
    if name == "status":
        return "CASE n % 50 WHEN 0 THEN 'active' ELSE 'pass' END"
    if name.endswith("_at"):
        return "to_char(timestamptz '2026-01-01' + n * interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    return f"'{name}-' || n" if primary else f"'{name}-' || n % 4000"


@pytest.fixture(scope="module")
def grown(cluster, template):
    name = cluster.create(template)
    with psycopg.connect(cluster.url(name), autocommit=True, prepare_threshold=None) as connection:
        tables = [row[0] for row in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'launchplane_schema_migrations'")]
        connection.execute("SET session_replication_role = replica")
        for table in tables:
            columns = connection.execute(
                "SELECT a.attname, format_type(a.atttypid, NULL), EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid"
                "  AND i.indisunique AND a.attnum = ANY (i.indkey)), a.atthasdef, a.attgenerated::text || a.attidentity::text FROM pg_attribute a"
                " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped", (table,)).fetchall()
            columns = [column for column in columns if not column[4] and (not column[3] or column[0] in ("product", "context", "instance"))]
            if any(kind not in ("text", "integer", "bigint", "boolean", "json", "jsonb", "bytea", "timestamp with time zone") for _, kind, *_ in columns):
                continue
            values = [cell(column, kind, unique) for column, kind, unique, *_ in columns]
            if table == "launchplane_operations":
                columns.append(("finished_at", "", False))
                columns = [c for c in columns if c[0] not in ("next_run_at", "started_at")]
                columns = list({c[0]: c for c in columns}.values())
                known = {"finished_at": "now()", "status": "CASE n % 50 WHEN 0 THEN 'fail' ELSE 'pass' END"}
                values = [known.get(c[0]) or cell(c[0], c[1], c[2]) for c in columns]
            if table == "launchplane_promotion_holds":       # lifted ones, as one lane has at most one that is not
                columns += [("lifted_at", "text", False), ("lift_reason", "text", False)]
                values += [cell("lifted_at", "text", False), "'over'"]
            if table in CHECKED:
                continue
            connection.execute(
                f"INSERT INTO {table} ({', '.join(column[0] for column in columns)}) SELECT {', '.join(values)}"
                f" FROM generate_series(1, {FEW_ROWS if table in FEW else ROWS}) n ON CONFLICT DO NOTHING")
        connection.execute("ANALYZE")
        yield connection
    cluster.drop(name)


def scans(plan, found=None):
    """Tables read from end to end."""
    found = [] if found is None else found
    if plan["Node Type"] == "Seq Scan":
        found.append(plan["Relation Name"])
    for child in plan.get("Plans", []):
        scans(child, found)
    return [table for table in found if table not in FEW | CHECKED | QUEUES | SEQUENCES and not table.startswith("pg_")]


def explain(connection, name, parameters, mode):
    sql, n = READS[name]
    connection.execute(f"SET plan_cache_mode = {mode}")
    connection.execute("DEALLOCATE PREPARE ALL")
    connection.execute(f"PREPARE judged AS {sql}".encode())
    arguments = ", ".join("NULL" if value is None else "'" + str(value) + "'" for value in parameters)
    rows = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE judged{f'({arguments})' if n else ''}".encode()).fetchone()[0]
    return (rows if isinstance(rows, list) else json.loads(rows))[0]["Plan"]


def test_the_database_has_grown(grown):
    for table in ("launchplane_deployments", "launchplane_promotions", "launchplane_backup_gates", "launchplane_preview_records",
                  "launchplane_operations", "launchplane_secret_audit_events", "launchplane_public_ingress_observations"):
        assert grown.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > ROWS / 4, table
    assert set(PLANNED) <= set(READS)


@pytest.mark.parametrize("name", sorted(set(READS) - set(PLANNED) - set(WHOLE)))
def test_a_prepared_read_uses_indexes(grown, name):
    _, n = READS[name]
    plan = explain(grown, name, [None] * n, "force_generic_plan")
    assert scans(plan) == [], json.dumps(plan, indent=1)


def filters_of(name):
    """{parameter number: column} of the filters, from the query's own conditions."""
    sql, _ = READS[name]
    return {int(number): column for number, column in re.findall(r"\(\$(\d+)::text IS NULL OR (?:\w\.)?(\w+) = \$\d+\)", sql)}


def cursor_of(name):
    """(first parameter, how many) of the keys a page goes on behind."""
    sql, _ = READS[name]
    keys = re.search(r"\(\$(\d+)::\w+ IS NULL OR \(?[\w., ]+\)?\s*[<>]\s*\(?([^)]*\$\d+[^)]*)\)", sql)
    return (int(keys.group(1)), len(set(re.findall(r"\$\d+", keys.group(2))))) if keys else (0, 0)


CASES = [(name, one) for name in sorted(set(PLANNED) - {"lane_page", "secret_status_list"})
         for one in [None, *filters_of(name).values(), "cursor"]]


@pytest.mark.parametrize("name, one", CASES)
def test_a_page_uses_indexes_whatever_is_asked(grown, name, one):
    sql, n = READS[name]
    parameters = [None] * n
    parameters[n - 1] = 51
    for number, column in filters_of(name).items():
        if column == one:
            parameters[number - 1] = FILTERS.get(column, f"{column}-7")
    if name == "operation_page":
        parameters[0] = "product-7"
    if one == "cursor":
        first, many = cursor_of(name)
        assert first, sql
        for number in range(first, first + many):
            parameters[number - 1] = 1770000000000000 if name == "operation_page" and number == first else "2026-01-10T00:00:00Z"
    plan = explain(grown, name, parameters, "force_custom_plan")
    assert scans(plan) == [], json.dumps(plan, indent=1)


@pytest.mark.parametrize("parameters", [["context-7", "", None], ["context-7", "prod", None], [None, None, "secret_id-7"]])
def test_the_status_of_secrets_uses_indexes(grown, parameters):
    assert scans(explain(grown, "secret_status_list", parameters, "force_custom_plan")) == []


def test_the_lanes_use_indexes(grown):
    plan = explain(grown, "lane_page", [None] * 7 + [51, "2026-06-10T12:00:00Z"], "force_custom_plan")
    assert scans(plan) == [], json.dumps(plan, indent=1)


def test_a_scan_would_be_noticed(grown):
    grown.execute("DROP INDEX launchplane_deployments_context_recent_idx")
    grown.execute("DROP INDEX launchplane_deployments_recent_idx")
    try:
        plan = explain(grown, "deployment_page", [None] * 8 + [51], "force_custom_plan")
        assert scans(plan) == ["launchplane_deployments"]
    finally:
        grown.execute("CREATE INDEX launchplane_deployments_recent_idx ON launchplane_deployments"
                      " (deploy_finished_at DESC, deploy_started_at DESC)")
