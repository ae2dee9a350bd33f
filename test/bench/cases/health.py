"""GET /v1/health beside nginx returning the same bytes (P1)."""
import machine


def measure(run):
    bench, nginx = run.bench, None
    body = bench.api.get("/v1/health", token=None).text
    try:
        nginx = machine.Nginx(bench.directory / "nginx", body).start()
        programs = []
        for n in run.options.connections:
            programs.append(lambda n=n: run.ask("health", n))
            programs.append(lambda n=n: run.ask("health", n, "nginx", nginx.url, nginx.process.pid, BENCH_PATH="/constant"))
        run.rounds("health", *programs)
    finally:
        if nginx:
            nginx.stop()
    for n in run.options.connections:
        limit = ("health", "nginx"), n
        run.row(f"GET /v1/health, {n} connections", f"nginx returning the same {len(body)} bytes", run.ratios("health", n, *limit),
                goal="P1", at_least=0.95 if n > 1 else None, **run.figures("health", n),
                cpu_ratio=run.ratio("health", n, *limit, "server_us"))
        run.row(f"GET /v1/health, {n} connections: p99", "the same", run.ratios("health", n, *limit, "p99_us"), goal="P1", at_most=1)
