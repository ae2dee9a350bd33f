/* drivers/dokploy/dokploy_internal.h - one request to Dokploy, for the files that make up its client. */
#pragma once

#include "drivers/dokploy/dokploy.h"

struct dokploy_param {
	const char *name, *value;
};
SUSPENDS bool dokploy_get(struct task *t, struct dokploy *d, const char *procedure, const struct dokploy_param *params,
                          size_t n, struct json *out, struct err *err);
SUSPENDS bool dokploy_post(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                           struct json *out, struct err *err);
/* The answer is not what the procedure answers; returns false. */
bool dokploy_strange(struct err *err, const char *procedure, const char *wanted);
