"""Reads beside pgbench running the same statement, and lists and read models while history grows.

One round: a deployment and the environment of a product over HTTP against pgbench, one client each. Then history of 10^3 rows
and more in one context; the medians of single requests must stay where they were.
"""
import base64
import datetime
import json
import statistics
import sys
import time

from plane import queries, with_values

SIZES = (1_000, 10_000, 100_000, 1_000_000)
TRIES = 60
PRODUCT, CONTEXT = "grown", "grown"
FILL = """
INSERT INTO launchplane_deployments
SELECT 'grown-' || n, 'grown', CASE n % 3 WHEN 0 THEN 'prod' ELSE 'testing' END, 'a-' || n % 500, 'abc', stamp, stamp,
       json_build_object('schema_version', 1, 'record_id', 'grown-' || n, 'context', 'grown', 'source_git_ref', 'abc',
                         'artifact_identity', json_build_object('artifact_id', 'a-' || n % 500),
                         'deploy', json_build_object('status', CASE n % 200 WHEN 0 THEN 'fail' ELSE 'pass' END),
                         'destination_health', json_build_object('verified', true, 'status', 'pass'))
  FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS stamp
          FROM generate_series({first}, {last}) n) rows;
INSERT INTO launchplane_promotions
SELECT 'grown-' || n, 'grown', 'testing', 'prod', 'a-' || n % 500, stamp, stamp,
       json_build_object('record_id', 'grown-' || n, 'deploy', json_build_object('status', 'pass'))
  FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS stamp
          FROM generate_series({first}, {last}) n) rows;
INSERT INTO launchplane_backup_gates
SELECT 'grown-' || n, 'grown', 'prod', stamp, 'pass', json_build_object('record_id', 'grown-' || n)
  FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS stamp
          FROM generate_series({first}, {last}) n) rows;
"""
PROFILE = """
INSERT INTO launchplane_product_profiles VALUES ('grown', 'Grown', 'example-org/grown', 'generic-web', '2026-01-01T00:00:00Z',
 '{"lanes": [{"instance": "testing", "context": "grown"}, {"instance": "prod", "context": "grown"}]}')
"""
PATHS = {
    "list of deployments": f"/v1/deployments?context={CONTEXT}",
    "failed deployments": f"/v1/deployments?context={CONTEXT}&status=fail",
    "list of promotions": f"/v1/promotions?context={CONTEXT}",
    "a page in the middle": f"/v1/deployments?context={CONTEXT}&cursor=",
    "product environment": f"/v1/products/{PRODUCT}/environments/prod",
    "product activity": f"/v1/products/{PRODUCT}/activity",
    "rollback target": f"/v1/products/{PRODUCT}/environments/prod/rollback-target",
    "recent operations": f"/v1/contexts/{CONTEXT}/operations/recent",
    "driver view of a lane": f"/v1/contexts/{CONTEXT}/instances/prod/driver-view",
}


def cursor(size):
    """Behind the deployment in the middle of the history."""
    at = (datetime.datetime(2020, 1, 1) + datetime.timedelta(minutes=size // 2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = json.dumps(["deployments", at, at, f"grown-{size // 2}"]).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def median_us(api, path):
    took = []
    for _ in range(TRIES):
        start = time.perf_counter()
        answer = api.get(path)
        took.append((time.perf_counter() - start) * 1e6)
        assert answer.status_code == 200, answer.text
    return statistics.median(took[TRIES // 10:])


def grow(run):
    bench, flat, before = run.bench, {}, SIZES[0]
    for size in SIZES[:-1] if run.options.quick else SIZES:
        print(f"history: {size} rows", file=sys.stderr)
        statements = [text for text in FILL.format(first=before + 1, last=max(size, before)).split(";\n") if text.strip()]
        for statement in statements[:1] if size > 100_000 else statements:    # the last step is deployments alone: it takes a minute
            bench.query(statement)
        bench.query("VACUUM ANALYZE")
        before = size
        for name, path in PATHS.items():
            flat.setdefault(name, []).append(median_us(bench.api, path + (cursor(size) if path.endswith("cursor=") else "")))
    for name, medians in flat.items():
        run.row(f"{name}, {before} rows", f"the same with {SIZES[0]} rows", medians[-1] / medians[0], p50_us=medians[-1])


def beside_pgbench(run):
    """The same statement, one caller each, in turns."""
    bench, script = run.bench, run.bench.directory / "reads.sql"
    drivers = json_of_drivers(bench)
    cases = {
        "one deployment": ("deployment_read", ["'grown-500'"], "/v1/deployments/grown-500"),
        "product environment": ("product_environment",
                                [f"'{PRODUCT}'", "'prod'", "'2026-06-10T12:00:00Z'", ":catalog", ":grants"], PATHS["product environment"]),
    }
    for name, (query, values, path) in cases.items():
        script.write_text(" ".join(with_values(queries()[query], values).split()) + ";\n", encoding="utf-8")
        variables = {"catalog": drivers, "grants": "{}"} if ":catalog" in values else None
        run.rounds(name, lambda: run.sql("pgbench", script, 1, variables), lambda: run.ask("path", 1, BENCH_PATH=path))
        run.row(f"GET {name}, 1 connection", "pgbench, the same prepared select, 1 client",
                run.ratios(name, 1, (name, "pgbench"), 1), **run.figures(name, 1),
                p50_ratio=run.ratio(name, 1, (name, "pgbench"), 1, "p50_us"))


def json_of_drivers(bench):
    """The catalog as near as it is shown: descriptors by id, their actions as offered."""
    drivers = bench.api.get("/v1/drivers").json()["drivers"]
    return json.dumps({driver["driver_id"]: {"base_driver_id": driver["base_driver_id"], "has_previews": True, "descriptor": driver,
                                             "actions": [{**action, "offered": True} for action in driver["actions"]]}
                       for driver in drivers})


def measure(run):
    run.bench.query(PROFILE)
    for statement in FILL.format(first=1, last=SIZES[0]).split(";\n"):
        if statement.strip():
            run.bench.query(statement)
    run.bench.query("VACUUM ANALYZE")
    beside_pgbench(run)
    grow(run)
