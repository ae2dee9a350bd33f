/* drivers/dokploy/target_log.h - the last lines of a tracked target's log, bounded and redacted (facts/config-health.md
 * 5.3, dokploy.md 8). */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/target.h"

#define TARGET_LOG_LINES_MOST  1000
#define TARGET_LOG_SEARCH_MOST 500

/* "all", or digits and one of s, m, h, d. */
bool target_log_since_ok(const char *since);
/* Letters, digits, blank, dot, underscore, hyphen. */
bool target_log_search_ok(const char *search);
/* The answer's logs member: target, request and the redacted lines. E_target_logs_unavailable when the provider does
 * not deliver. */
SUSPENDS bool target_log_read(struct task *t, const struct dokploy_target *target, const struct dokploy_target_id *id,
                              const struct dokploy_log_wish *wish, struct json *out, struct err *err);
/* The lines of an answer in any of the forms that Dokploy's releases use, redacted; the last wish->lines of those that
 * still hold what was searched for, so that a search tells nothing about what is hidden. */
void target_log_lines(struct arena *a, const struct json *answer, const struct dokploy_log_wish *wish,
                      struct strings *out);
/* The web container, else the first; NULL when there is none. */
const struct dokploy_container *target_log_container(const struct dokploy_containers *list);
