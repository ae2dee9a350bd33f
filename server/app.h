/* server/app.h - one worker process's state: what handlers reach through call->app. Made and ended by server/worker.c.
 */
#pragma once

#include "core/settings.h"
#include "core/task.h"
#include "server/auth/sign_in.h"
#include "server/auth/static_tokens.h"

struct failure_limit;
struct policy;
struct oidc;
struct runner;
struct metrics;
struct http_server;
struct policy_store;
struct audit_log;

struct app {
	struct loop loop;
	struct arena *arena; /* settings and other things that live as long as the process */
	struct settings settings;
	struct db *db;
	struct http_client *http;
	struct http_server *server;
	struct oidc *oidc;
	struct policy_store *policy;
	struct static_tokens tokens;
	struct sign_in sign_in;
	struct failure_limit *failures;
	struct runner *runner;
	struct followers *followers;
	struct audit_log *audit;
	const char *audience, *public_url;
	struct task *main_task; /* woken when something it waits for happened */
	bool draining, drained, ready;
};
