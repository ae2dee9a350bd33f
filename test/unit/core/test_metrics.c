#include "core/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const methods[] = { "GET", "POST" };
static const char *const classes[] = { "2xx", "4\"x" };
static const uint64_t bounds[] = { 1000, 10000 };

static struct metric requests = {
	.name = "requests_total",
	.help = "Requests\nby \\ kind",
	.labels = { { "method", methods, 2 }, { "status", classes, 2 } },
};
static struct metric open_now = { .name = "connections", .help = "Open", .type = METRIC_GAUGE };
static struct metric took = {
	.name = "took_seconds", .help = "Time", .type = METRIC_HISTOGRAM, .bounds = bounds, .bounds_n = 2, .scale = 1e-6
};
static struct metric *const all[] = { &requests, &open_now, &took };

static char *text(struct arena *a)
{
	struct buf b = buf_in(a);
	metrics_write(&b);
	return b.p;
}

static void the_text_is_prometheus_format(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct arena *a = arena_new();
	metric_count(&open_now); /* before metrics_open: nothing happens */
	assert_true(metrics_open(all, countof(all), -1, 0, 1, &err));
	metric_add(&requests, 1, 1, 3);
	metric_set(&open_now, 0, 0, -2);
	metric_observe(&took, 0, 0, 1000);
	metric_observe(&took, 0, 0, 1001);
	metric_observe(&took, 0, 0, 2000000);
	assert_string_equal(text(a), "# HELP requests_total Requests\\nby \\\\ kind\n"
	                             "# TYPE requests_total counter\n"
	                             "requests_total{method=\"POST\",status=\"4\\\"x\"} 3\n"
	                             "# HELP connections Open\n"
	                             "# TYPE connections gauge\n"
	                             "connections -2\n"
	                             "# HELP took_seconds Time\n"
	                             "# TYPE took_seconds histogram\n"
	                             "took_seconds_bucket{le=\"0.001\"} 1\n"
	                             "took_seconds_bucket{le=\"0.01\"} 2\n"
	                             "took_seconds_bucket{le=\"+Inf\"} 3\n"
	                             "took_seconds_sum 2.002001\n"
	                             "took_seconds_count 3\n");
	metrics_close();
	arena_free(a);
}

static void workers_are_added_up_and_restarts_keep_counting(void **state)
{
	(void)state;
	int fd = metrics_region_new(3);
	struct err err = { 0 };
	assert_true(fd >= 0);
	for (int i = 0; i < 4; i++) { /* slot 1 twice: its worker died */
		pid_t pid = fork();
		if (pid == 0) {
			unsigned slot = i == 3 ? 1 : (unsigned)i;
			if (!metrics_open(all, countof(all), fd, slot, 3, &err))
				_exit(1);
			metric_add(&requests, 0, 0, 10);
			metric_set(&open_now, 0, 0, 5);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
	}
	struct arena *a = arena_new();
	assert_true(metrics_open(all, countof(all), fd, 2, 3, &err)); /* zeroes the gauges of slot 2 */
	assert_non_null(strstr(text(a), "requests_total{method=\"GET\",status=\"2xx\"} 40\n"));
	assert_non_null(strstr(text(a), "connections 10\n"));
	metrics_close();
	assert_false(metrics_open(all, countof(all), fd, 3, 3, &err));
	close(fd);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_prometheus_format),
		cmocka_unit_test(workers_are_added_up_and_restarts_keep_counting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
