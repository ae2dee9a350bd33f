/* The service about itself: health, readiness, metrics, runtime (facts/core.md 1.7, 1.8). */
#include "core/metrics.h"
#include "server/auth/policy_store.h"
#include "server/measures.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

#include <stdlib.h>

static bool health(struct call *c, struct err *err)
{
	(void)err;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_kv(&o, "storage_backend", "postgres");
	return call_close_ok(c, &o);
}

static bool livez(struct call *c, struct err *err)
{
	(void)err;
	c->rs->status = 200;
	response_body(c->rs, "text/plain", "ok\n", 3);
	return true;
}

static bool readyz(struct call *c, struct err *err)
{
	struct db_stats stats;
	db_stats(c->app->db, &stats);
	if (c->app->draining)
		return err_set(err, &E_service_unavailable, "the service is shutting down");
	if (stats.open == 0)
		return err_set(err, &E_database_unavailable, "no connection to PostgreSQL is open");
	return livez(c, err);
}

static bool metrics(struct call *c, struct err *err)
{
	(void)err;
	measure_app(c->app);
	struct buf b = buf_in(c->arena);
	metrics_write(&b);
	c->rs->status = 200;
	response_body(c->rs, METRICS_CONTENT_TYPE, buf_cstr(&b), b.n);
	return true;
}

static SUSPENDS bool runtime(struct call *c, struct err *err)
{
	(void)err;
	const char *image = getenv("DOCKER_IMAGE_REFERENCE");
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "runtime");
	jo_open(&o, '{');
	jo_kv(&o, "authz_policy_sha256", policy_store_digest(c->app->policy));
	jo_kv(&o, "authz_policy_source", policy_store_source(c->app->policy));
	jo_kv(&o, "bootstrap_authz_policy_sha256", policy_store_bootstrap_digest(c->app->policy));
	jo_kv(&o, "docker_image_reference", trimmed(c->arena, image ? image : ""));
	jo_kv(&o, "service_audience", trimmed(c->arena, c->app->audience));
	jo_kv(&o, "storage_backend", "postgres");
	jo_close(&o, '}');
	return call_close_ok(c, &o);
}

const struct route service_routes[] = {
	{ HTTP_GET, "/v1/health", "Whether the service runs, and on which store", health, .is_inline = true },
	{ HTTP_GET, "/livez", "Whether the process answers", livez, .is_inline = true },
	{ HTTP_GET, "/readyz", "Whether the service can work: not draining, database reachable", readyz,
	  .is_inline = true },
	{ HTTP_GET, "/metrics", "Prometheus metrics, summed over the worker processes", metrics, .is_inline = true },
	{ HTTP_GET, "/v1/service/runtime", "Image, audience and policy in force", runtime, .callers = CALLERS_READ,
	  .action = "launchplane_service.read", .product = "=launchplane", .context = "=launchplane" },
	{ 0 },
};
