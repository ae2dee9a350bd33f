#include "core/log.h"

#include "core/json.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum log_level threshold = LOG_INFO;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level >= threshold;
}

bool log_level_of(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < countof(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* A line has a fixed size: what does not fit is cut, so that logging never allocates. */
struct line {
	char p[4096];
	size_t n;
};

static void put(struct line *l, char c)
{
	if (l->n < sizeof(l->p) - 8)
		l->p[l->n++] = c;
}

static void put_raw(struct line *l, const char *s)
{
	while (*s)
		put(l, *s++);
}

static void put_str(struct line *l, const char *s)
{
	put(l, '"');
	for (size_t used = 0; s && *s && used < 1000; s++, used++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\') {
			put(l, '\\');
			put(l, (char)c);
		} else if (c < 0x20 || c == 0x7f) {
			char hex[8];
			snprintf(hex, sizeof(hex), "\\u%04x", c);
			put_raw(l, hex);
		} else {
			put(l, (char)c);
		}
	}
	put(l, '"');
}

static void put_key(struct line *l, const char *key)
{
	put(l, ',');
	put_str(l, key);
	put(l, ':');
}

static void put_field(struct line *l, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	put_key(l, key);
	put_str(l, value);
}

void log_write(enum log_level level, const struct task *t, const char *event, const struct log_pair *pairs, size_t n)
{
	if (level < threshold)
		return;
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	struct tm tm;
	gmtime_r(&ts.tv_sec, &tm);
	struct line l = { .n = 0 };
	char head[80];
	snprintf(head, sizeof(head),
	         "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\"level\":\"%s\",\"event\":", tm.tm_year + 1900,
	         tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, level_names[level]);
	put_raw(&l, head);
	put_str(&l, event);
	if (t) {
		put_field(&l, "task", t->name);
		put_field(&l, "trace_id", t->trace_id);
		put_field(&l, "operation", t->operation);
		put_field(&l, "phase", t->phase);
	}
	for (size_t i = 0; i < n; i++) {
		if (pairs[i].type == LOG_STR) {
			put_field(&l, pairs[i].key, pairs[i].s);
			continue;
		}
		char number[24];
		snprintf(number, sizeof(number), "%lld", (long long)pairs[i].i);
		put_key(&l, pairs[i].key);
		put_raw(&l, pairs[i].type == LOG_BOOL ? (pairs[i].i ? "true" : "false") : number);
	}
	l.p[l.n++] = '}';
	l.p[l.n++] = '\n';
	ssize_t written = write(STDERR_FILENO, l.p, l.n);
	(void)written;
}
