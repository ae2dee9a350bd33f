#include "server/measures.h"

#include "server/app.h"
#include "server/http/server.h"
#include "server/operations/runner.h"
#include "storage/db.h"

static const char *const classes[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };
static const char *const outcomes[] = { "pass", "fail" };

static struct metric requests = { .name = "launchplane_http_requests_total",
	                          .help = "Answers by class of status",
	                          .type = METRIC_COUNTER,
	                          .labels = { { "class", classes, countof(classes) } } };
static struct metric request_seconds = { .name = "launchplane_http_request_seconds",
	                                 .help = "From a request's head to its answer",
	                                 METRIC_MICROS };
static struct metric auth_refused = { .name = "launchplane_auth_refused_total",
	                              .help = "Credentials refused",
	                              .type = METRIC_COUNTER };
static struct metric auth_limited = {
	.name = "launchplane_auth_limited_total",
	.help = "Attempts to authenticate turned away because their address had failed too often",
	.type = METRIC_COUNTER
};
static struct metric operations_ended = { .name = "launchplane_operations_ended_total",
	                                  .help = "Operations by outcome",
	                                  .type = METRIC_COUNTER,
	                                  .labels = { { "outcome", outcomes, countof(outcomes) } } };
static struct metric connections = { .name = "launchplane_http_connections",
	                             .help = "Open client connections",
	                             .type = METRIC_GAUGE };
static struct metric tasks = { .name = "launchplane_tasks", .help = "Tasks alive", .type = METRIC_GAUGE };
static struct metric operations_active = { .name = "launchplane_operations_active",
	                                   .help = "Operations a worker holds the lease of",
	                                   .type = METRIC_GAUGE };
static struct metric db_open = { .name = "launchplane_db_connections",
	                         .help = "Open PostgreSQL connections",
	                         .type = METRIC_GAUGE };
static struct metric db_waiting = { .name = "launchplane_db_waiting",
	                            .help = "Requests waiting for a PostgreSQL connection",
	                            .type = METRIC_GAUGE };

struct metric *const all_metrics[] = {
	&requests,    &request_seconds, &auth_refused,      &auth_limited, &operations_ended,
	&connections, &tasks,           &operations_active, &db_open,      &db_waiting,
};
const size_t all_metrics_n = countof(all_metrics);

void measure_request(int status, uint64_t micros)
{
	metric_add(&requests, (size_t)(status >= 100 && status < 600 ? status / 100 - 1 : 4), 0, 1);
	metric_observe(&request_seconds, 0, 0, micros);
}

void measure_auth_refused(void)
{
	metric_count(&auth_refused);
}

void measure_auth_limited(void)
{
	metric_count(&auth_limited);
}

void measure_operation(bool passed)
{
	metric_add(&operations_ended, passed ? 0 : 1, 0, 1);
}

void measure_app(const struct app *app)
{
	struct db_stats stats;
	db_stats(app->db, &stats);
	metric_set(&connections, 0, 0, (int64_t)http_server_counters(app->server).connections);
	metric_set(&tasks, 0, 0, (int64_t)app->loop.tasks_alive);
	metric_set(&operations_active, 0, 0, (int64_t)runner_active(app->runner));
	metric_set(&db_open, 0, 0, stats.open);
	metric_set(&db_waiting, 0, 0, stats.waiting);
}
