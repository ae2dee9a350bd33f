/* core/metrics.h - counters, gauges and histograms, added up over all worker processes, in Prometheus' text format.
 *
 * A metric is a static object that its module defines; the program hands all of them to metrics_open() once, in the
 * same order in every worker. Values live in a shared memory region with one slot for each worker; a worker writes only
 * its own slot, with plain stores, and metrics_write() adds up the slots. So any worker answers for all, and a
 * restarted worker goes on counting where its slot stood. Before metrics_open() everything here does nothing. */
#pragma once

#include "core/buf.h"
#include "core/err.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_label {
	const char *name;
	const char *const *values;
	size_t n;
};

struct metric {
	const char *name, *help;
	enum metric_type type;
	struct metric_label labels[2]; /* the second only after the first; may be filled until metrics_open() */
	const uint64_t *bounds;        /* of a histogram's buckets, rising */
	size_t bounds_n;
	double scale; /* from what is counted to what is shown: 1e-6 for microseconds shown as seconds; 0 means 1 */

	uint64_t *own; /* this worker's cells; metrics.c's */
	size_t first;
};

/* Buckets for durations in microseconds: 100 us to 30 s. */
extern const uint64_t metric_micros[];
extern const size_t metric_micros_n;
#define METRIC_MICROS .type = METRIC_HISTOGRAM, .bounds = metric_micros, .bounds_n = 14, .scale = 1e-6

/* A region for that many workers, as a close-on-exec descriptor to be inherited by them; -1 when it cannot be made. */
int metrics_region_new(unsigned slots);
/* fd -1: a region of this process alone, slot 0. Gauges of the slot start at zero. The descriptor may be closed
 * afterwards. */
bool metrics_open(struct metric *const *all, size_t n, int fd, unsigned slot, unsigned slots, struct err *err);
void metrics_close(void);

/* i and j choose the labels' values; 0 where there is no label. Out of range is our own bug. */
void metric_add(struct metric *m, size_t i, size_t j, uint64_t by);
void metric_set(struct metric *m, size_t i, size_t j, int64_t value); /* gauges */
void metric_observe(struct metric *m, size_t i, size_t j, uint64_t value);
static inline void metric_count(struct metric *m)
{
	metric_add(m, 0, 0, 1);
}

/* Series with labels that nobody has touched are left out. */
void metrics_write(struct buf *b);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
