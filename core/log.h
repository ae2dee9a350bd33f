/* core/log.h - one JSON object a line on standard error: a time, a level, an event name, the task's own fields, then
 * typed pairs. Secrets and bodies never. Error: a person must look. Warn: we went on. Info: a change of state, one line
 * a request. Debug: the rest. A line is written with one write(2), so that processes sharing stderr do not mix. */
#pragma once

#include "core/err.h"
#include "core/task.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_pair {
	const char *key;
	enum { LOG_STR, LOG_INT, LOG_BOOL } type;
	const char *s;
	int64_t i;
};

#define S(k, v) ((struct log_pair){ .key = (k), .type = LOG_STR, .s = (v) })
#define I(k, v) ((struct log_pair){ .key = (k), .type = LOG_INT, .i = (int64_t)(v) })
#define B(k, v) ((struct log_pair){ .key = (k), .type = LOG_BOOL, .i = (v) })

void log_set_level(enum log_level level);
bool log_level_of(const char *name, enum log_level *out); /* debug info warn error */
bool log_enabled(enum log_level level);

/* t may be NULL. The variadic part is a list of S(), I(), B(). */
void log_write(enum log_level level, const struct task *t, const char *event, const struct log_pair *pairs, size_t n);
#define LOG_PAIRS(...)                                                                                                 \
	(const struct log_pair[]){ { 0 }, ##__VA_ARGS__ } + 1,                                                         \
	        countof(((const struct log_pair[]){ { 0 }, ##__VA_ARGS__ })) - 1
#define log_debug(t, event, ...) log_write(LOG_DEBUG, t, event, LOG_PAIRS(__VA_ARGS__))
#define log_info(t, event, ...)  log_write(LOG_INFO, t, event, LOG_PAIRS(__VA_ARGS__))
#define log_warn(t, event, ...)  log_write(LOG_WARN, t, event, LOG_PAIRS(__VA_ARGS__))
#define log_error(t, event, ...) log_write(LOG_ERROR, t, event, LOG_PAIRS(__VA_ARGS__))
/* The pairs every logged error has: code, message, cause. */
#define LOG_ERR(err)                                                                                                   \
	S("code", (err)->code ? (err)->code->name : ""), S("message", (err)->message), S("cause", (err)->cause)
