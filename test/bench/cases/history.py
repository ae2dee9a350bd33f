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

from plane import with_values
from statements import statements

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PLAIN = 100_000     # up to here every family grows; beyond, deployments alone
BATCH, FILL_S = 50_000, 120
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
OF_OTHER_ROWS = ("list of promotions", "recent operations")


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


def fill(bench, first, last):
    """Rows of history up to last; answers how many deployments there are now.

    Beyond PLAIN rows only deployments grow, in batches and for FILL_S seconds: a slow machine measures what it got to.
    """
    fills = [text for text in FILL.split(";\n") if text.strip()]
    if last <= PLAIN:
        for statement in fills:
            bench.query(statement.format(first=first, last=last))
        return last
    began = time.monotonic()
    for start in range(first, last + 1, BATCH):
        bench.query(fills[0].format(first=start, last=min(start + BATCH - 1, last)))
        if time.monotonic() - began > FILL_S:
            return min(start + BATCH - 1, last)
    return last


def grow(run):
    bench, flat, rows = run.bench, {}, SIZES[0]
    for size in SIZES[:-1] if run.options.quick else SIZES:
        print(f"history: {size} rows", file=sys.stderr)
        if size > rows:
            rows = fill(bench, rows + 1, size)
            bench.query("VACUUM ANALYZE")
        for name, path in PATHS.items():
            if rows <= PLAIN or name not in OF_OTHER_ROWS:
                asked = path + (cursor(rows) if path.endswith("cursor=") else "")
                flat.setdefault(name, []).append((rows, median_us(bench.api, asked)))
    for name, medians in flat.items():
        (_, first), (reached, last) = medians[0], medians[-1]
        run.row(f"{name}, {reached} rows", f"the same with {SIZES[0]} rows", last / first, p50_us=last)


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
        script.write_text(" ".join(with_values(statements()[query].sql, values).split()) + ";\n", encoding="utf-8")
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
