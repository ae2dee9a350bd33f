#include "core/metrics.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT_CELLS 65536u /* 512 KiB of addresses a worker; untouched pages cost nothing */
#define SLOT_BYTES (SLOT_CELLS * sizeof(uint64_t))

const uint64_t metric_micros[] = { 100,   250,   500,    1000,   2500,    5000,     10000,
	                           25000, 50000, 100000, 500000, 2500000, 10000000, 30000000 };
const size_t metric_micros_n = countof(metric_micros);
_Static_assert(countof(metric_micros) == 14, "METRIC_MICROS says 14");

static struct {
	uint64_t *region;
	unsigned slots;
	struct metric *const *all;
	size_t n;
} metrics;

static size_t series(const struct metric *m)
{
	return (m->labels[0].name ? m->labels[0].n : 1) * (m->labels[1].name ? m->labels[1].n : 1);
}

/* A histogram's series: its buckets, the one above the last bound, the sum. */
static size_t cells(const struct metric *m)
{
	return m->type == METRIC_HISTOGRAM ? m->bounds_n + 2 : 1;
}

int metrics_region_new(unsigned slots)
{
	int fd = memfd_create("metrics", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, (off_t)(slots * SLOT_BYTES)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

bool metrics_open(struct metric *const *all, size_t n, int fd, unsigned slot, unsigned slots, struct err *err)
{
	assert(!metrics.region);
	if (fd < 0) {
		slot = 0;
		slots = 1;
	}
	if (slot >= slots)
		return err_set(err, &E_internal_error, "there is no metrics slot %u of %u", slot, slots);
	void *p = mmap(NULL, slots * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd,
	               0);
	if (p == MAP_FAILED)
		return err_set(err, &E_internal_error, "memory for metrics cannot be mapped");
	metrics.region = p;
	metrics.slots = slots;
	metrics.all = all;
	metrics.n = n;
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		struct metric *m = all[i];
		size_t need = series(m) * cells(m);
		if (SLOT_CELLS - at < need) {
			metrics_close();
			return err_set(err, &E_internal_error, "the metric %s has too many series", m->name);
		}
		m->first = at;
		m->own = metrics.region + slot * (size_t)SLOT_CELLS + at;
		if (m->type == METRIC_GAUGE)
			memset(m->own, 0, need * sizeof(uint64_t));
		at += need;
	}
	return true;
}

void metrics_close(void)
{
	for (size_t i = 0; i < metrics.n; i++)
		metrics.all[i]->own = NULL;
	if (metrics.region)
		munmap(metrics.region, metrics.slots * SLOT_BYTES);
	metrics.region = NULL;
	metrics.n = 0;
}

static inline uint64_t load(const uint64_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static inline void store(uint64_t *cell, uint64_t v)
{
	__atomic_store_n(cell, v, __ATOMIC_RELAXED);
}

static uint64_t *own_series(struct metric *m, size_t i, size_t j)
{
	assert(i < (m->labels[0].name ? m->labels[0].n : 1) && j < (m->labels[1].name ? m->labels[1].n : 1));
	return m->own + (i * (m->labels[1].name ? m->labels[1].n : 1) + j) * cells(m);
}

void metric_add(struct metric *m, size_t i, size_t j, uint64_t by)
{
	if (!m->own)
		return;
	uint64_t *cell = own_series(m, i, j);
	store(cell, load(cell) + by);
}

void metric_set(struct metric *m, size_t i, size_t j, int64_t value)
{
	if (m->own)
		store(own_series(m, i, j), (uint64_t)value);
}

void metric_observe(struct metric *m, size_t i, size_t j, uint64_t value)
{
	if (!m->own)
		return;
	uint64_t *p = own_series(m, i, j);
	size_t bucket = 0;
	while (bucket < m->bounds_n && value > m->bounds[bucket])
		bucket++;
	store(p + bucket, load(p + bucket) + 1);
	store(p + m->bounds_n + 1, load(p + m->bounds_n + 1) + value);
}

/* ---- the text ---- */

static uint64_t total(const struct metric *m, size_t cell)
{
	uint64_t sum = 0;
	for (unsigned slot = 0; slot < metrics.slots; slot++)
		sum += load(metrics.region + slot * (size_t)SLOT_CELLS + m->first + cell);
	return sum;
}

static void put_escaped(struct buf *b, const char *s, bool quotes)
{
	for (; *s; s++) {
		if (*s == '\n') {
			buf_str(b, "\\n");
			continue;
		}
		if (*s == '\\' || (quotes && *s == '"'))
			buf_char(b, '\\');
		buf_char(b, *s);
	}
}

/* {label="value",...} with le last, where there is one. */
static void put_labels(struct buf *b, const struct metric *m, size_t s, const char *le)
{
	size_t inner = m->labels[1].name ? m->labels[1].n : 1;
	const size_t chosen[2] = { s / inner, s % inner };
	char open = '{';
	for (int k = 0; k < 2 && m->labels[k].name; k++) {
		buf_char(b, open);
		buf_str(b, m->labels[k].name);
		buf_str(b, "=\"");
		put_escaped(b, m->labels[k].values[chosen[k]], true);
		buf_char(b, '"');
		open = ',';
	}
	if (le)
		buf_printf(b, "%cle=\"%s\"", open, le);
	if (le || open == ',')
		buf_char(b, '}');
}

static double scaled(const struct metric *m, uint64_t v)
{
	return (double)v * (m->scale != 0 ? m->scale : 1);
}

static void put_histogram(struct buf *b, const struct metric *m, size_t s)
{
	size_t at = s * cells(m);
	uint64_t count = 0;
	for (size_t k = 0; k <= m->bounds_n; k++) {
		char le[32] = "+Inf";
		if (k < m->bounds_n)
			snprintf(le, sizeof(le), "%.12g", scaled(m, m->bounds[k]));
		count += total(m, at + k);
		buf_printf(b, "%s_bucket", m->name);
		put_labels(b, m, s, le);
		buf_printf(b, " %llu\n", (unsigned long long)count);
	}
	buf_printf(b, "%s_sum", m->name);
	put_labels(b, m, s, NULL);
	buf_printf(b, " %.15g\n", scaled(m, total(m, at + m->bounds_n + 1)));
	buf_printf(b, "%s_count", m->name);
	put_labels(b, m, s, NULL);
	buf_printf(b, " %llu\n", (unsigned long long)count);
}

static bool is_untouched(const struct metric *m, size_t s)
{
	for (size_t k = 0; k < cells(m); k++) {
		if (total(m, s * cells(m) + k))
			return false;
	}
	return true;
}

static void put_value(struct buf *b, const struct metric *m, size_t s)
{
	uint64_t v = total(m, s);
	buf_str(b, m->name);
	put_labels(b, m, s, NULL);
	if (m->scale != 0)
		buf_printf(b, " %.15g\n", m->type == METRIC_GAUGE ? (double)(int64_t)v * m->scale : scaled(m, v));
	else if (m->type == METRIC_GAUGE)
		buf_printf(b, " %lld\n", (long long)(int64_t)v);
	else
		buf_printf(b, " %llu\n", (unsigned long long)v);
}

void metrics_write(struct buf *b)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	for (size_t i = 0; i < metrics.n; i++) {
		const struct metric *m = metrics.all[i];
		buf_printf(b, "# HELP %s ", m->name);
		put_escaped(b, m->help, false);
		buf_printf(b, "\n# TYPE %s %s\n", m->name, types[m->type]);
		for (size_t s = 0; s < series(m); s++) {
			if (m->labels[0].name && is_untouched(m, s))
				continue;
			if (m->type == METRIC_HISTOGRAM)
				put_histogram(b, m, s);
			else
				put_value(b, m, s);
		}
	}
}
