#include "server/worker.h"

#include "core/hidden.h"
#include "core/http_client.h"
#include "core/log.h"
#include "drivers/registry.h"
#include "server/app.h"
#include "server/auth/failure_limit.h"
#include "server/auth/oidc.h"
#include "server/auth/policy_store.h"
#include "server/http/server.h"
#include "server/measures.h"
#include "server/operations/followers.h"
#include "server/operations/owner.h"
#include "server/operations/runner.h"
#include "server/routes/dispatch.h"
#include "server/supervisor.h"
#include "storage/audit_log.h"
#include "storage/db.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>

/* Of the 30 s after which the supervisor kills. */
#define DRAIN_MS 20000 /* for requests and phases to end by themselves */
#define CLOSE_MS 5000  /* for what is in flight to PostgreSQL, afterwards */

bool worker_config_read(const struct settings *s, struct worker_config *out, struct err *err)
{
	long long pool;
	*out = (struct worker_config){
		.database_url = setting(s, "--database-url"),
		.audience = setting(s, "--audience"),
		.issuer = setting(s, "--oidc-issuer"),
		.jwks_url = setting(s, "--oidc-jwks-url"),
		.public_url = setting(s, "--public-url"),
	};
	if (!setting_int(s, "--db-pool", 2, 100, &pool, err))
		return false;
	out->db_pool = (unsigned)pool;
	const char *key = setting(s, MASTER_KEY_SETTING), *previous = setting(s, PREVIOUS_KEYS_SETTING);
	if (key || !is_blank(previous)) {
		if (!keyring_init(&out->keyring, key, previous, err))
			return false;
		out->has_keyring = true;
	}
	const char *seed = setting(s, AUDIT_KEY_SETTING);
	if (seed && !audit_seed_parse(seed, out->audit_seed, err)) {
		worker_config_done(out);
		return false;
	}
	out->has_audit_seed = seed != NULL;
	return true;
}

void worker_config_done(struct worker_config *c)
{
	if (c->has_keyring)
		keyring_done(&c->keyring);
	c->has_keyring = false;
	OPENSSL_cleanse(c->audit_seed, sizeof(c->audit_seed));
}

struct worker_state {
	struct app app;
	struct worker_config *config; /* with the keys: no core dump shows it */
	uv_signal_t sigterm, sigint;
	uv_timer_t heart;
	int code;
};

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	struct worker_state *w = handle->data;
	w->app.draining = true;
	if (!w->app.main_task)
		return;
	if (!w->app.ready)
		w->app.main_task->deadline_ms = 0; /* it is starting: whatever it waits for, it need not */
	task_wake(w->app.main_task);
}

static void on_heart(uv_timer_t *timer)
{
	(void)timer;
	worker_heartbeat();
}

static bool fail_start(struct worker_state *w, const struct err *err)
{
	if (w->app.draining)
		return false; /* told to end before it had begun */
	log_error(NULL, "worker.cannot_start", LOG_ERR(err));
	w->code = err->code->retry ? EXIT_FAILURE : EXIT_CANNOT_START;
	return false;
}

static SUSPENDS bool start(struct task *t, struct worker_state *w)
{
	struct app *app = &w->app;
	const struct worker *self = worker_self();
	struct err err = { 0 };
	const struct db_options db_options = { .url = w->config->database_url,
		                               .pool_size = w->config->db_pool,
		                               .min_open = 2 };
	app->db = db_new(&app->loop, &db_options, &err);
	if (!app->db || !db_ready(t, &err))
		return fail_start(w, &err);
	app->http = http_client_new(&app->loop);
	app->oidc = oidc_new(&app->loop, w->config->issuer, w->config->audience, w->config->jwks_url);
	struct bootstrap_policy bootstrap;
	if (!bootstrap_policy_read(t->arena, &app->settings, &bootstrap, &err))
		return fail_start(w, &err);
	app->policy = policy_store_open(t, bootstrap.sha256, &err);
	if (!app->policy)
		return fail_start(w, &err);
	const struct audit_log_options audit_options = { .seed = w->config->has_audit_seed ? w->config->audit_seed
		                                                                           : NULL };
	app->audit = audit_log_new(&app->loop, &audit_options);
	char *owner = lease_owner_make(app->arena, self->slot, self->incarnation);
	lease_owners_release_dead(t, owner);
	const struct runner_options runner_options = { .kinds = all_op_kinds, .owner = owner };
	app->runner = runner_new(&app->loop, &runner_options);
	app->followers = followers_new(&app->loop);
	const struct http_server_options http_options = { 0 };
	app->server = http_server_new(&app->loop, &http_options, &launchplane_app, app);
	if (!http_server_listen_fd(app->server, self->listen_fd, &err))
		return fail_start(w, &err);
	return true;
}

static SUSPENDS void drain(struct task *t, struct worker_state *w)
{
	struct app *app = &w->app;
	uint64_t until = loop_now_ms(t->loop) + DRAIN_MS;
	log_info(t, "worker.draining");
	if (app->runner)
		runner_claim_no_more(app->runner);
	if (app->server) {
		http_server_drain(app->server, DRAIN_MS);
		while (!app->drained && loop_now_ms(t->loop) < until) {
			struct err over = { 0 };
			task_wait(t, until - loop_now_ms(t->loop), &over);
		}
		http_server_cut(app->server);
		while (!app->drained)
			task_wait_out(t);
	}
	uint64_t now = loop_now_ms(t->loop);
	if (app->runner)
		runner_stop(t, app->runner, until > now ? until - now : 0);
}

static SUSPENDS void worker_main(struct task *t, void *arg)
{
	struct worker_state *w = arg;
	struct app *app = &w->app;
	app->main_task = t;
	bool has_started = !app->draining && start(t, w);
	t->deadline_ms = TASK_FOREVER;
	if (has_started) {
		worker_report_ready();
		app->ready = true;
		log_info(t, "worker.ready", I("slot", worker_self()->slot));
		struct err err = { 0 };
		while (!app->draining)
			if (!task_wait(t, TASK_FOREVER, &err))
				break;
	}
	drain(t, w);
	followers_stop(t, app->followers);
	policy_store_stop(t, app->policy);
	audit_log_stop(t, app->audit);
	if (app->db)
		db_close(t, app->db, CLOSE_MS);
	app->db = NULL;
	app->main_task = NULL;
	loop_stop(&app->loop);
}

int worker_run(struct settings *s)
{
	struct worker_state w = { .config = hidden_alloc(sizeof(struct worker_config)) };
	struct app *app = &w.app;
	struct err err = { 0 };
	const struct worker *self = worker_self();
	if (!w.config)
		abort();
	if (setting_on(s, "--core-dumps"))
		core_dumps_allow();
	app->settings = *s;
	app->arena = arena_new();
	if (!worker_config_read(s, w.config, &err) || !sign_in_read(app->arena, s, &app->sign_in, &err) ||
	    !(app->failures = failure_limit_new(s, &err)) ||
	    !loop_init(&app->loop, setting(s, "LAUNCHPLANE_TEST_CLOCK_FILE"), &err) ||
	    !metrics_open(all_metrics, all_metrics_n, self->metrics_fd, self->slot, self->slots, &err)) {
		fail_start(&w, &err);
		failure_limit_free(app->failures);
		arena_free(app->arena);
		return w.code;
	}
	setting_forget(s, MASTER_KEY_SETTING);
	setting_forget(s, PREVIOUS_KEYS_SETTING);
	setting_forget(s, AUDIT_KEY_SETTING);
	app->audience = w.config->audience;
	static_tokens_read(app->arena, s, &app->tokens);
	app->public_url = w.config->public_url ? w.config->public_url : "";
	app->loop.keyring = w.config->has_keyring ? &w.config->keyring : NULL;
	app->loop.app = app;
	signal(SIGPIPE, SIG_IGN);
	uv_signal_init(&app->loop.uv, &w.sigterm);
	uv_signal_init(&app->loop.uv, &w.sigint);
	w.sigterm.data = w.sigint.data = &w;
	uv_signal_start(&w.sigterm, on_signal, SIGTERM);
	uv_signal_start(&w.sigint, on_signal, SIGINT);
	uv_timer_init(&app->loop.uv, &w.heart);
	uv_timer_start(&w.heart, on_heart, 1000, 1000);
	task_start(&app->loop, "worker", worker_main, &w);
	loop_run(&app->loop);
	if (app->server)
		http_server_free(app->server);
	if (app->http)
		http_client_free(app->http);
	if (app->oidc)
		oidc_free(app->oidc);
	loop_done(&app->loop);
	policy_store_free(app->policy);
	followers_free(app->followers);
	runner_free(app->runner);
	audit_log_free(app->audit);
	metrics_close();
	worker_config_done(w.config);
	hidden_free(w.config, sizeof(*w.config));
	failure_limit_free(app->failures);
	arena_free(app->arena);
	return w.code;
}
