/* Configuration authority: bundles of runtime values and secrets, and which secret may reach which runtime
 * (facts/config-health.md 3, 4.6). */
#include "core/digest.h"
#include "core/log.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/idempotency.sql.h"
#include "storage/operation.h"
#include "storage/product_config.h"

/* ---- a local operator applies only what a dry-run of theirs has shown (facts/core.md 2.5) ---- */

/* The dry-runs' own name beside the route's: a client's Idempotency-Key never meets them. */
#define DRY_RUNS "/v1/product-config/apply (dry-run)"

static const char *fingerprint_of_both_modes(struct call *c)
{
	struct json same = json_object();
	for (uint32_t i = 0; i < c->json->n; i++) {
		const struct json_member *m = &c->json->members[i];
		if (strcmp(m->key, "mode") != 0 && strcmp(m->key, "reason") != 0 && strcmp(m->key, "plan_digest") != 0)
			json_set(c->arena, &same, m->key, m->value);
	}
	struct buf b = buf_in(c->arena);
	json_write_canonical(&b, &same);
	return sha256_text(c->arena, b.p, b.n);
}

static SUSPENDS bool remember_dry_run(struct call *c, struct err *err)
{
	const char *fingerprint = fingerprint_of_both_modes(c), *now = utc_now(c->t);
	const char *id = arena_printf(c->arena, "idempotency-%s", c->trace_id);
	struct json payload = json_object();
	json_set(c->arena, &payload, "schema_version", json_of_int(1));
	json_set_str(c->arena, &payload, "record_id", id);
	json_set_str(c->arena, &payload, "scope", c->principal->scope);
	json_set_str(c->arena, &payload, "route_path", DRY_RUNS);
	json_set_str(c->arena, &payload, "idempotency_key", fingerprint);
	json_set_str(c->arena, &payload, "request_fingerprint", fingerprint);
	json_set(c->arena, &payload, "response_status_code", json_of_int(202));
	json_set_str(c->arena, &payload, "response_trace_id", c->trace_id);
	json_set_str(c->arena, &payload, "recorded_at", now);
	json_set(c->arena, &payload, "response_payload", json_object());
	struct rows rows;
	return db_write(c->t, arena_printf(c->arena, "%s %s", c->principal->scope, fingerprint), &Q_dry_run_store,
	                PARAMS(P_TEXT(id), P_TEXT(c->principal->scope), P_TEXT(DRY_RUNS), P_TEXT(fingerprint),
	                       P_TEXT(c->trace_id), P_TEXT(now), P_TEXT(json_text(c->arena, &payload))),
	                &rows, err);
}

static SUSPENDS bool check_dry_run(struct call *c, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_dry_run_find,
	              PARAMS(P_TEXT(c->principal->scope), P_TEXT(DRY_RUNS), P_TEXT(fingerprint_of_both_modes(c))),
	              &rows, err))
		return false;
	return rows.n || err_set(err, &E_local_operator_dry_run_required,
	                         "local operators apply what they have seen: send the same request as a dry-run first");
}

/* Plans and writes in one transaction; a dry-run leaves nothing of it, not even a lock. */
static SUSPENDS bool run_config(struct call *c, const struct product_config *config, struct json *records,
                                struct config_plan *plan, const char **result, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!product_config_run(tx, config, c->t->loop->keyring, c->applies, plan, result, err)) {
		tx_rollback(tx);
		return false;
	}
	if (!c->applies) {
		tx_rollback(tx);
		return true;
	}
	call_store_answer(c, tx, records, *result);
	return tx_commit(tx, err);
}

static SUSPENDS bool product_config_apply(struct call *c, struct err *err)
{
	struct product_config config;
	if (!product_config_read(c->arena, c->body, c->principal->actor, utc_now(c->t), &config, err))
		return false;
	if (c->applies && c->principal->kind == PRINCIPAL_LOCAL_OPERATOR && !check_dry_run(c, err))
		return false;
	struct json records = json_object();
	struct config_plan plan = { 0 };
	const char *result = NULL;
	struct err ignored = { 0 };
	bool done = run_config(c, &config, &records, &plan, &result, err);
	/* The change is made or refused whether or not the reading behind it could be noted; the log has it then. */
	if (!secret_plans_note(c->t, plan.secrets, config.wishes, plan.secrets_n, &config.by, &ignored))
		log_error(c->t, "secret.audit_failed", LOG_ERR(&ignored));
	if (!done && err->code == &E_plan_changed)
		call_error_member(c, "plan", result);
	if (!done)
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	if (!c->applies && c->principal->kind == PRINCIPAL_LOCAL_OPERATOR && !remember_dry_run(c, err))
		return false;
	return call_accept(c, &records, result);
}

static const char *policy_result(struct arena *a, const struct key_safety_policy *p, bool changed)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_key(&o, "runtime_key_safety_policy");
	jo_open(&o, '{');
	jo_kv(&o, "record_id", p->record_id);
	jo_kv(&o, "status", p->status);
	jo_kv(&o, "source", p->source);
	jo_kv(&o, "updated_at", p->updated_at);
	jo_kv(&o, "policy_sha256", key_safety_digest(a, p));
	jo_kv_int(&o, "rule_count", (int64_t)p->rules.n);
	jo_key(&o, "binding_keys");
	jo_open(&o, '[');
	for (size_t i = 0; i < p->rules.n; i++)
		jo_str(&o, p->rules.v[i].binding_key);
	jo_close(&o, ']');
	jo_close(&o, '}');
	jo_kv_bool(&o, "changed", changed);
	jo_close(&o, '}');
	return b.p;
}

/* The text of the second after utc; of what is no time, a text that sorts behind it. */
static const char *second_after(struct arena *a, const char *utc)
{
	struct tm tm = { 0 };
	char text[32];
	if (!strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm))
		return arena_printf(a, "%s+", utc);
	time_t next = timegm(&tm) + 1;
	gmtime_r(&next, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

/* Merges into the active policy and writes the outcome when it differs; the lock keeps two writers in turn. */
static SUSPENDS bool merge_policy(struct call *c, struct tx *tx, struct key_safety_policy *merged, bool *changed,
                                  struct err *err)
{
	struct rows rows;
	struct key_safety_policy active;
	if (!tx_query(tx, &Q_key_safety_lock, PARAMS(), NULL, err) ||
	    !tx_query(tx, &Q_key_safety_active, PARAMS(), &rows, err))
		return false;
	if (rows.n) {
		const char *text = row_text(&rows, 0, 0);
		if (!contract_read_text(c->arena, &key_safety_policy_contract, text, strlen(text),
		                        "the stored key-safety policy", &active, err))
			return false;
	}
	key_safety_merge(c->arena, rows.n ? &active : NULL, c->body, merged);
	const char *digest = key_safety_digest(c->arena, merged);
	*changed = !rows.n || strcmp(digest, key_safety_digest(c->arena, &active)) != 0;
	if (!*changed) {
		*merged = active;
		return true;
	}
	merged->updated_at = utc_now(c->t);
	/* Two changes within a second need different ids and a clear order. */
	if (rows.n && strcmp(active.updated_at, merged->updated_at) >= 0)
		merged->updated_at = second_after(c->arena, active.updated_at);
	merged->record_id = arena_printf(c->arena, "runtime-key-safety-policy-%s-%.12s",
	                                 slug(c->arena, utc_compact(c->arena, merged->updated_at)), digest);
	tx_send(tx, &Q_key_safety_insert,
	        PARAMS(P_TEXT(merged->record_id), P_TEXT(merged->source), P_TEXT(merged->updated_at),
	               P_TEXT(contract_text(c->arena, &key_safety_policy_contract, merged))));
	return true;
}

static SUSPENDS bool key_safety_apply(struct call *c, struct err *err)
{
	struct tx *tx;
	struct key_safety_policy merged;
	bool changed;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!merge_policy(c, tx, &merged, &changed, err)) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "runtime_key_safety_policy_record_id", merged.record_id);
	const char *result = policy_result(c->arena, &merged, changed);
	call_store_answer(c, tx, &records, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, result);
}

const struct route config_routes[] = {
	{ HTTP_POST, "/v1/product-config/apply", "Plan or write runtime values and secrets of one place",
	  product_config_apply, .callers = CALLERS_WRITE_HUMAN, .action = "product_config.plan",
	  .apply_action = "product_config.apply", .product = "body:product", .context = "body:context",
	  .body = &product_config_request_contract, .idempotency = IDEMPOTENCY_APPLY, .has_secrets = true },
	{ HTTP_POST, "/v1/runtime-key-safety/policies/apply", "Merge rules into the key-safety policy",
	  key_safety_apply, .callers = CALLERS_WRITE, .action = "runtime_key_safety.write", .product = "=launchplane",
	  .context = "=launchplane", .body = &key_safety_request_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
