/* The planner and writer of a bundle (facts/config-health.md 3.2, 3.3). */
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/plan.h"
#include "storage/product_config.h"
#include "storage/secret.sql.h"

/* ---- key-safety ---- */

static bool judge_lane(struct arena *a, const struct place *lane, const struct key_safety_policy *policy,
                       const struct secret_binding *bindings, size_t n, const struct strings *keys, struct err *err)
{
	struct key_safety_findings found;
	key_safety_evaluate(a, policy, lane, bindings, n, keys, &found);
	return found.n == 0 || key_safety_refuse(a, &found, err);
}

/* A secret of a context, or a global one, must be safe in every lane it reaches. Where no lane is known, nothing says
 * that it is. */
static SUSPENDS bool judge_lanes(struct tx *tx, const struct product_config *c, const struct key_safety_policy *policy,
                                 const struct secret_binding *bindings, size_t n, const struct strings *keys,
                                 struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	if (c->place.instance[0])
		return judge_lane(a, &c->place, policy, bindings, n, keys, err);
	if (!tx_query(tx, &Q_lanes_below, PARAMS(P_TEXT(c->place.context)), &rows, err))
		return false;
	if (rows.n == 0)
		return judge_lane(a, &c->place, policy, bindings, n, keys, err);
	for (size_t i = 0; i < rows.n; i++) {
		const struct place lane = { row_text(&rows, i, 0), row_text(&rows, i, 1) };
		if (!judge_lane(a, &lane, policy, bindings, n, keys, err)) {
			const char *why = arena_strdup(a, err->message);
			return err_set(err, err->code, "in lane %s/%s, which the secret reaches: %s", lane.context,
			               lane.instance, why);
		}
	}
	return true;
}

/* Judges the bundle's runtime secrets as if they were bound already. */
static SUSPENDS bool plan_safety(struct tx *tx, const struct product_config *c, struct config_plan *out,
                                 struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct product_config_request *r = c->request;
	out->safety = (struct key_safety_evidence){ .status = "skipped", .policy_record_id = "", .policy_sha256 = "" };
	for (size_t i = 0; i < r->secrets.n; i++)
		if (strcmp(r->secrets.v[i].integration, "runtime_environment") == 0)
			strings_add(a, &out->safety_keys, r->secrets.v[i].binding_key);
	if (out->safety_keys.n == 0)
		return true;
	struct rows policy_rows, rows;
	struct key_safety_policy policy;
	struct secret_binding *bindings;
	if (!tx_query(tx, &Q_key_safety_active, PARAMS(), &policy_rows, err) ||
	    !tx_query(tx, &Q_secret_bindings_for_lane,
	              PARAMS(P_TEXT("runtime_environment"), P_TEXT(c->place.context), P_TEXT(c->place.instance)), &rows,
	              err) ||
	    !key_safety_read_policy(a, &policy_rows, &policy, err) ||
	    !key_safety_read_bindings(a, &rows, r->secrets.n, &bindings, err))
		return false;
	out->safety.required = true;
	size_t n = rows.n;
	for (size_t i = 0; i < r->secrets.n; i++) {
		const struct config_secret *s = &r->secrets.v[i];
		if (strcmp(s->integration, "runtime_environment") != 0)
			continue;
		const char *secret_id = secret_id_of(a, s->integration, s->name, &c->place);
		const char *binding_id = secret_binding_id_of(a, secret_id, s->binding_key);
		/* A planned binding takes the place of itself and of all disabled ones for the same key and place. */
		size_t kept = 0;
		for (size_t k = 0; k < n; k++) {
			const struct secret_binding *b = &bindings[k];
			bool gives_way = strcmp(b->status, "disabled") == 0 &&
			                 strcmp(b->binding_key, s->binding_key) == 0 &&
			                 strcmp(b->context, c->place.context) == 0 &&
			                 strcmp(b->instance, c->place.instance) == 0;
			if (strcmp(b->binding_id, binding_id) != 0 && !gives_way)
				bindings[kept++] = *b;
		}
		bindings[kept] = (struct secret_binding){ .binding_id = binding_id,
			                                  .secret_id = secret_id,
			                                  .binding_key = s->binding_key,
			                                  .context = c->place.context,
			                                  .instance = c->place.instance,
			                                  .status = "configured" };
		n = kept + 1;
	}
	if (!judge_lanes(tx, c, &policy, bindings, n, &out->safety_keys, err))
		return false;
	out->safety.status = "pass";
	out->safety.policy_record_id = policy.record_id;
	out->safety.policy_sha256 = key_safety_digest(a, &policy);
	return true;
}

/* ---- the runtime record ---- */

static SUSPENDS bool plan_runtime(struct tx *tx, const struct product_config *c, struct config_plan *out,
                                  struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	struct runtime_environment stored;
	if (!tx_query(tx, &Q_runtime_environment_read_for_update,
	              PARAMS(P_TEXT(place_scope(&c->place)), P_TEXT(c->place.context), P_TEXT(c->place.instance)),
	              &rows, err))
		return false;
	if (rows.n) {
		const char *text = row_text(&rows, 0, 0);
		if (!contract_read_text(a, &runtime_environment_contract, text, strlen(text),
		                        "the stored runtime environment", &stored, err))
			return false;
	}
	if (rows.n)
		out->stored = stored.env;
	out->change = runtime_env_merge(a, out->stored, c->env, &out->merged, &out->changed, &out->unchanged);
	return true;
}

static bool writes_runtime(const struct config_plan *p)
{
	return p->change == RUNTIME_CREATED || p->change == RUNTIME_UPDATED;
}

static struct runtime_environment written_record(const struct product_config *c, const struct config_plan *p)
{
	return (struct runtime_environment){ .schema_version = 1,
		                             .scope = place_scope(&c->place),
		                             .context = c->place.context,
		                             .instance = c->place.instance,
		                             .env = &p->merged,
		                             .updated_at = c->by.now,
		                             .source_label = c->by.source_label };
}

static void send_runtime(struct tx *tx, const struct product_config *c, const struct config_plan *p)
{
	const struct runtime_environment r = written_record(c, p);
	tx_send(tx, &Q_runtime_environment_upsert,
	        PARAMS(P_TEXT(r.scope), P_TEXT(r.context), P_TEXT(r.instance), P_TEXT(c->by.now),
	               P_TEXT(contract_text(tx_task(tx)->arena, &runtime_environment_contract, &r))));
}

/* ---- the answer ---- */

static void write_runtime(struct json_out *o, const struct product_config *c, const struct config_plan *p, bool wrote)
{
	jo_key(o, "runtime_environment");
	jo_open(o, '{');
	jo_kv(o, "action", runtime_change_names[p->change]);
	jo_kv(o, "scope", place_scope(&c->place));
	jo_kv(o, "context", c->place.context);
	jo_kv(o, "instance", c->place.instance);
	struct strings keys = { 0 };
	for (uint32_t i = 0; c->env && i < c->env->n; i++)
		strings_add(o->buf->arena, &keys, c->env->members[i].key);
	strings_sort(&keys);
	jo_kv_strings(o, "keys", &keys);
	jo_kv_strings(o, "changed_keys", &p->changed);
	jo_kv_strings(o, "unchanged_keys", &p->unchanged);
	jo_kv_int(o, "env_value_count_after", p->merged.n);
	if (wrote) {
		const struct runtime_environment r = written_record(c, p);
		jo_key(o, "record");
		jo_open(o, '{');
		runtime_environment_summary(o, &r);
		jo_close(o, '}');
	}
	jo_close(o, '}');
}

/* config-health.md 3.3: what is left to do after an apply that changed a live lane's values. */
static void write_next_actions(struct json_out *o, const struct product_config *c, const struct config_plan *p,
                               bool wrote)
{
	static const char endpoint[] = "/v1/live-target-runtime/apply";
	jo_key(o, "next_actions");
	jo_open(o, '[');
	if (wrote && p->target_type) {
		jo_open(o, '{');
		jo_kv(o, "kind", "live_target_runtime_apply");
		jo_kv_bool(o, "required", true);
		jo_kv(o, "status", "live_sync_required");
		jo_key(o, "target");
		jo_open(o, '{');
		jo_kv(o, "context", c->place.context);
		jo_kv(o, "instance", c->place.instance);
		jo_kv(o, "target_type", p->target_type);
		jo_kv(o, "target_name", p->target_name);
		jo_close(o, '}');
		jo_kv_strings(o, "changed_keys", &p->changed);
		static const char *const steps[][2] = { { "dry_run", "dry-run" }, { "apply", "apply" } };
		for (size_t i = 0; i < countof(steps); i++) {
			jo_key(o, steps[i][0]);
			jo_open(o, '{');
			jo_kv(o, "method", "POST");
			jo_kv(o, "endpoint", endpoint);
			jo_kv(o, "mode", steps[i][1]);
			jo_close(o, '}');
		}
		jo_kv(o, "instruction",
		      "The records changed, the running target did not: review the dry-run, then apply it with a "
		      "reason.");
		jo_close(o, '}');
	}
	jo_close(o, ']');
}

/* The tracked target the changed values must still be brought to; NULL when there is nothing to sync. */
static SUSPENDS bool live_target(struct tx *tx, const struct product_config *c, struct config_plan *p, struct err *err)
{
	if (!writes_runtime(p) || !c->place.instance[0])
		return true;
	struct rows rows;
	struct json target;
	if (!tx_query(tx, &Q_target_read, PARAMS(P_TEXT(c->place.context), P_TEXT(c->place.instance)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	if (!text)
		return true;
	if (!json_parse(tx_task(tx)->arena, text, strlen(text), "the stored target", &target, err))
		return false;
	p->target_type = json_str(&target, "target_type", "compose");
	p->target_name = json_str(&target, "target_name", "");
	return true;
}

static void write_secrets(struct json_out *o, const struct product_config *c, const struct config_plan *p)
{
	jo_key(o, "secrets");
	jo_open(o, '[');
	for (size_t i = 0; i < c->request->secrets.n; i++) {
		const struct secret_wish *w = &c->wishes[i];
		jo_open(o, '{');
		jo_kv(o, "action", secret_action_names[p->secrets[i].action]);
		jo_kv(o, "scope", place_secret_scope(&c->place));
		jo_kv(o, "integration", w->integration);
		jo_kv(o, "name", w->name);
		jo_kv(o, "binding_key", w->binding_key);
		jo_kv(o, "context", c->place.context);
		jo_kv(o, "instance", c->place.instance);
		jo_kv(o, "secret_id", p->secrets[i].secret_id);
		jo_close(o, '}');
	}
	jo_close(o, ']');
}

static const char *result_of(struct arena *a, const struct product_config *c, const struct config_plan *p, bool wrote)
{
	const struct product_config_request *r = c->request;
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "status", wrote && p->target_type ? "records_applied_live_sync_required" : "ok");
	jo_kv(&o, "mode", wrote ? "apply" : "dry-run");
	jo_kv(&o, "product", r->product);
	jo_kv(&o, "context", r->context);
	jo_kv(&o, "instance", r->instance);
	jo_kv(&o, "actor", c->by.actor);
	jo_kv(&o, "source_label", c->by.source_label);
	write_runtime(&o, c, p, wrote && writes_runtime(p));
	key_safety_write(&o, &c->place, &p->safety_keys, &p->safety);
	write_secrets(&o, c, p);
	jo_key(&o, "summary");
	jo_open(&o, '{');
	jo_kv_int(&o, "runtime_changed_key_count", (int64_t)p->changed.n);
	jo_kv_int(&o, "secret_change_count", (int64_t)p->secret_changes);
	jo_close(&o, '}');
	write_next_actions(&o, c, p, wrote);
	jo_kv(&o, "plan_digest", p->digest);
	jo_close(&o, '}');
	return b.p;
}

/* ---- plan and write ---- */

/* What is written, over what: keys with their values before and after, secrets with the version they replace. */
static const char *digest_of(struct arena *a, const struct product_config *c, const struct config_plan *p,
                             const struct keyring *keyring)
{
	struct json plan = json_object(), secrets = json_array();
	struct text_map before = { 0 }, after = { 0 };
	for (uint32_t i = 0; c->env && i < c->env->n; i++) {
		const struct json_member *m = &c->env->members[i];
		const struct json *old = p->stored ? json_get(p->stored, m->key) : NULL;
		map_set(a, &after, m->key, scalar_text(a, &m->value));
		if (old)
			map_set(a, &before, m->key, scalar_text(a, old));
	}
	json_set_str(a, &plan, "product", c->request->product);
	json_set_str(a, &plan, "context", c->place.context);
	json_set_str(a, &plan, "instance", c->place.instance);
	json_set_str(a, &plan, "action", runtime_change_names[p->change]);
	plan_set_veiled(a, &plan, "before", keyring, &before);
	plan_set_veiled(a, &plan, "after", keyring, &after);
	for (size_t i = 0; i < c->request->secrets.n; i++) {
		struct json one = json_object();
		json_set_str(a, &one, "secret_id", p->secrets[i].secret_id);
		json_set_str(a, &one, "binding_key", c->wishes[i].binding_key);
		json_set_str(a, &one, "description", c->wishes[i].description);
		json_set_str(a, &one, "action", secret_action_names[p->secrets[i].action]);
		json_set_str(a, &one, "replaces", p->secrets[i].version_id);
		json_set_str(a, &one, "value", plan_veil(a, keyring, c->wishes[i].value));
		json_push(a, &secrets, one);
	}
	json_set(a, &plan, "secrets", secrets);
	return plan_digest(a, &plan);
}

static SUSPENDS bool plan_secrets(struct tx *tx, const struct product_config *c, const struct keyring *keyring,
                                  struct config_plan *out, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	size_t n = c->request->secrets.n;
	out->secrets = arena_array(a, n + 1, sizeof(*out->secrets));
	for (out->secrets_n = 0; out->secrets_n < n; out->secrets_n++) {
		size_t i = out->secrets_n;
		if (!secret_plan_make(tx, keyring, &c->wishes[i], arena_printf(a, "secrets[%zu]", i), &out->secrets[i],
		                      err))
			return false;
		out->secret_changes += out->secrets[i].action != SECRET_UNCHANGED;
	}
	return true;
}

static bool send_all(struct tx *tx, const struct product_config *c, const struct keyring *keyring,
                     const struct config_plan *p, struct err *err)
{
	const char *version_id;
	for (size_t i = 0; i < p->secrets_n; i++)
		if (!secret_plan_send(tx, keyring, &c->wishes[i], &p->secrets[i], &c->by, &version_id, err))
			return false;
	if (writes_runtime(p))
		send_runtime(tx, c, p);
	return true;
}

bool product_config_run(struct tx *tx, const struct product_config *c, const struct keyring *keyring, bool apply,
                        struct config_plan *p, const char **result, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	*p = (struct config_plan){ 0 };
	if (c->request->secrets.n && !keyring)
		return err_set(err, &E_secret_configuration_required,
		               "secrets cannot be written: the service has no " MASTER_KEY_SETTING);
	if ((apply && !config_place_lock(tx, &c->place, err)) || !plan_safety(tx, c, p, err) ||
	    !plan_runtime(tx, c, p, err) || !plan_secrets(tx, c, keyring, p, err))
		return false;
	p->digest = digest_of(a, c, p, keyring);
	*result = result_of(a, c, p, false);
	if (!apply)
		return true;
	if (!plan_check(c->request->plan_digest, p->digest, err) || !live_target(tx, c, p, err) ||
	    !send_all(tx, c, keyring, p, err))
		return false;
	*result = result_of(a, c, p, true);
	return true;
}
