/* drivers/dokploy/dokploy_internal.h - one request to Dokploy, for the files that make up its client. */
#pragma once

#include "drivers/dokploy/dokploy.h"

struct dokploy_param {
	const char *name, *value;
};
SUSPENDS bool dokploy_get(struct task *t, struct dokploy *d, const char *procedure, const struct dokploy_param *params,
                          size_t n, struct json *out, struct err *err);
SUSPENDS bool dokploy_get_by(struct task *t, struct dokploy *d, const char *procedure, const char *name,
                             const char *value, struct json *out, struct err *err);
/* An answer that is one JSON string. Text that was not JSON counts, an object does not. */
SUSPENDS bool dokploy_get_text(struct task *t, struct dokploy *d, const char *procedure,
                               const struct dokploy_param *params, size_t n, const char **text, struct err *err);
SUSPENDS bool dokploy_post(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                           struct json *out, struct err *err);
SUSPENDS bool dokploy_post_within(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                                  uint32_t timeout_ms, struct json *out, struct err *err);
/* The answer is not what the procedure answers; returns false. */
bool dokploy_strange(struct err *err, const char *procedure, const char *wanted);

/* A member as text: "" for null, absent or another type; and a status, trimmed and lower-cased. */
const char *dokploy_text(const struct json *row, const char *name);
const char *dokploy_status(struct arena *a, const struct json *row, const char *name);
void dokploy_read_deployments(struct arena *a, const struct json *j, struct dokploy_deployments *out);
void dokploy_read_domains(struct arena *a, const struct json *j, struct dokploy_domains *out);
