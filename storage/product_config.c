#include "storage/product_config.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/config.sql.h"

/* ---- the bundle ---- */

static bool check_secret(struct arena *a, void *record, const char *path, struct err *err)
{
	struct config_secret *s = record;
	if (is_blank(s->name) && is_blank(s->binding_key))
		return contract_fail(a, err, path, "name", "or binding_key is required");
	if (is_blank(s->name))
		s->name = s->binding_key;
	if (is_blank(s->binding_key))
		s->binding_key = s->name;
	if (is_blank(s->integration))
		s->integration = "runtime_environment";
	if (!is_env_key(s->binding_key))
		return contract_fail(a, err, path, "binding_key",
		                     "must be an environment key (letters, digits and _, not starting with a digit)");
	return true;
}

static const struct field config_secret_fields[] = {
	F_STR(config_secret, name, TRIMMED, .max = 200, .help = "Default: binding_key"),
	F_STR(config_secret, binding_key, TRIMMED, .max = 200, .help = "The environment key; default: name"),
	F_STR(config_secret, value, REQUIRED | NON_BLANK | SECRET, .help = "Write-only plaintext"),
	F_STR(config_secret, scope, TRIMMED,
	      .help = "global, context or context_instance; default: the bundle's place"),
	F_STR(config_secret, context, TRIMMED),
	F_STR(config_secret, instance, TRIMMED),
	F_STR(config_secret, integration, TRIMMED, .fallback = "runtime_environment",
	      .help = "runtime_environment: becomes part of the lane's environment; dokploy: DOKPLOY_HOST, "
	              "DOKPLOY_TOKEN"),
	F_STR(config_secret, description, 0),
	F_END,
};
static const struct contract config_secret_contract =
        CONTRACT(config_secret, config_secret_fields, "A secret to write", .check = check_secret);

static bool check_config_request(struct arena *a, void *record, const char *path, struct err *err)
{
	struct product_config_request *r = record;
	if (r->schema_version != 1)
		return contract_fail(a, err, path, "schema_version", "must be 1");
	if (strcmp(r->mode, "dry-run") != 0 && strcmp(r->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (r->instance[0] && !r->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	if (r->runtime_env && r->runtime_environment)
		return contract_fail(a, err, path, "runtime_environment",
		                     "is another name of runtime_env; send one of them");
	if (is_blank(r->source_label))
		r->source_label = "product-config-api";
	return true;
}

static const struct field config_request_fields[] = {
	F_INT(product_config_request, schema_version, 0, .min = 1, .max = 1, .fallback = "1"),
	F_STR(product_config_request, mode, LOWERED, .fallback = "dry-run", .help = "dry-run or apply"),
	F_STR(product_config_request, product, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(product_config_request, context, TRIMMED | NO_BLANKS),
	F_STR(product_config_request, instance, TRIMMED | NO_BLANKS,
	      .help = "With context: that lane; context alone: all its lanes; neither: global"),
	F_JSON(product_config_request, runtime_env, 0,
	       .help = "Keys and scalar values, or an object with env, scope, context, instance"),
	F_JSON(product_config_request, runtime_environment, 0, .help = "Another name of runtime_env"),
	F_LIST(product_config_request, secrets, 0, &config_secret_contract, .max = 200),
	F_STR(product_config_request, source_label, TRIMMED, .fallback = "product-config-api"),
	F_STR(product_config_request, reason, TRIMMED),
	F_END,
};
const struct contract product_config_request_contract =
        CONTRACT(product_config_request, config_request_fields, "Runtime values and secrets for one place",
                 .check = check_config_request);

static bool same_place(struct arena *a, const struct place *place, const char *scope, const char *wanted_scope,
                       const char *context, const char *instance, const char *path, struct err *err)
{
	if (scope[0] && strcmp(scope, wanted_scope) != 0)
		return contract_fail(a, err, path, "scope", "must be %s like the bundle's own place", wanted_scope);
	if (context[0] && strcmp(context, place->context) != 0)
		return contract_fail(a, err, path, "context", "must equal the bundle's context");
	if (instance[0] && strcmp(instance, place->instance) != 0)
		return contract_fail(a, err, path, "instance", "must equal the bundle's instance");
	return true;
}

/* Flat: members are keys, except that scope, context and instance place it. Nested: {"env": {...}, ...}. */
static bool read_env(struct arena *a, const struct json *given, const char *path, const struct place *place,
                     const struct json **out, struct err *err)
{
	if (given->type != JSON_OBJECT)
		return err_field(err, path, "must be an object");
	const struct json *nested = json_get(given, "env");
	bool is_nested = nested && nested->type == JSON_OBJECT;
	struct json *env = ARENA_NEW(a, struct json);
	*env = json_object();
	for (uint32_t i = 0; i < given->n; i++) {
		const char *key = given->members[i].key;
		bool places = !strcmp(key, "scope") || !strcmp(key, "context") || !strcmp(key, "instance");
		if (places && given->members[i].value.type != JSON_STRING)
			return err_field(err, contract_field_path(a, path, key), "must be a string");
		if (is_nested && !places && strcmp(key, "env") != 0)
			return err_field(err, contract_field_path(a, path, key), "is not a known field beside env");
		if (!places && !is_nested)
			json_set(a, env, key, given->members[i].value);
	}
	if (!same_place(a, place, json_str(given, "scope", ""), place_scope(place), json_str(given, "context", ""),
	                json_str(given, "instance", ""), path, err))
		return false;
	*out = is_nested ? nested : env;
	return runtime_env_check(a, *out, is_nested ? contract_field_path(a, path, "env") : path, err);
}

bool product_config_read(struct arena *a, const struct product_config_request *r, const char *actor, const char *now,
                         struct product_config *out, struct err *err)
{
	*out = (struct product_config){
		.request = r, .place = { r->context, r->instance }, .actor = actor, .now = now
	};
	const struct json *given = r->runtime_env ? r->runtime_env : r->runtime_environment;
	if (given &&
	    !read_env(a, given, r->runtime_env ? "runtime_env" : "runtime_environment", &out->place, &out->env, err))
		return false;
	for (size_t i = 0; i < r->secrets.n; i++) {
		const struct config_secret *s = &r->secrets.v[i];
		const char *path = arena_printf(a, "secrets[%zu]", i);
		if (!same_place(a, &out->place, s->scope, place_secret_scope(&out->place), s->context, s->instance,
		                path, err))
			return false;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(s->integration, r->secrets.v[k].integration) &&
			    (!strcmp(s->name, r->secrets.v[k].name) ||
			     !strcmp(s->binding_key, r->secrets.v[k].binding_key)))
				return contract_fail(a, err, path, "name", "names the same secret as secrets[%zu]", k);
	}
	if ((!out->env || out->env->n == 0) && r->secrets.n == 0)
		return err_field(err, "runtime_env", "or secrets must hold something to write");
	return true;
}

/* ---- key-safety ---- */

static bool read_active_policy(struct arena *a, const struct rows *rows, struct key_safety_policy *out, struct err *err)
{
	if (rows->n == 0)
		return err_set(err, &E_runtime_key_safety_unavailable,
		               "no active runtime key-safety policy exists; apply one with POST "
		               "/v1/runtime-key-safety/policies/apply");
	const char *text = row_text(rows, 0, 0);
	return contract_read_text(a, &key_safety_policy_contract, text, strlen(text), "the stored key-safety policy",
	                          out, err);
}

static bool read_bindings(struct arena *a, const struct rows *rows, size_t spare, struct secret_binding **out,
                          struct err *err)
{
	*out = arena_array(a, rows->n + spare + 1, sizeof(**out));
	for (size_t i = 0; i < rows->n; i++) {
		const char *text = row_text(rows, i, 0);
		if (!contract_read_text(a, &secret_binding_contract, text, strlen(text), "a stored secret binding",
		                        &(*out)[i], err))
			return false;
	}
	return true;
}

static bool refuse_findings(struct arena *a, const struct key_safety_findings *found, struct err *err)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < found->n; i++)
		buf_printf(&b, "%s%s%s%s", i ? "; " : "", found->v[i].binding_key,
		           found->v[i].binding_key[0] ? ": " : "", found->v[i].code);
	return err_set(err, &E_runtime_key_safety_failed, "the active key-safety policy refuses this: %s",
	               buf_cstr(&b));
}

bool key_safety_gate(struct task *t, const struct place *place, const struct strings *keys,
                     struct key_safety_evidence *evidence, struct err *err)
{
	*evidence = (struct key_safety_evidence){
		.required = keys->n > 0, .status = "skipped", .policy_record_id = "", .policy_sha256 = ""
	};
	if (keys->n == 0)
		return true;
	struct rows policy_rows, binding_rows;
	struct key_safety_policy policy;
	struct secret_binding *bindings;
	evidence->status = "unavailable";
	if (!db_query(t, &Q_key_safety_active, PARAMS(), &policy_rows, err) ||
	    !db_query(t, &Q_secret_bindings_for_lane,
	              PARAMS(P_TEXT("runtime_environment"), P_TEXT(place->context), P_TEXT(place->instance)),
	              &binding_rows, err) ||
	    !read_active_policy(t->arena, &policy_rows, &policy, err) ||
	    !read_bindings(t->arena, &binding_rows, 0, &bindings, err))
		return false;
	evidence->policy_record_id = policy.record_id;
	evidence->policy_sha256 = key_safety_digest(t->arena, &policy);
	struct key_safety_findings found;
	key_safety_evaluate(t->arena, &policy, place, bindings, binding_rows.n, keys, &found);
	evidence->status = found.n ? "fail" : "pass";
	return found.n == 0 || refuse_findings(t->arena, &found, err);
}

struct planned_safety {
	struct strings keys;
	const char *status, *record_id, *sha256;
};

/* Judges the bundle's runtime secrets as if they were bound already. */
static SUSPENDS bool plan_safety(struct tx *tx, const struct product_config *c, struct planned_safety *out,
                                 struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct product_config_request *r = c->request;
	*out = (struct planned_safety){ .status = "skipped", .record_id = "", .sha256 = "" };
	for (size_t i = 0; i < r->secrets.n; i++)
		if (strcmp(r->secrets.v[i].integration, "runtime_environment") == 0)
			strings_add(a, &out->keys, r->secrets.v[i].binding_key);
	if (out->keys.n == 0)
		return true;
	struct rows policy_rows, rows;
	struct key_safety_policy policy;
	struct secret_binding *bindings;
	if (!tx_query(tx, &Q_key_safety_active, PARAMS(), &policy_rows, err) ||
	    !tx_query(tx, &Q_secret_bindings_for_lane,
	              PARAMS(P_TEXT("runtime_environment"), P_TEXT(c->place.context), P_TEXT(c->place.instance)), &rows,
	              err) ||
	    !read_active_policy(a, &policy_rows, &policy, err) ||
	    !read_bindings(a, &rows, r->secrets.n, &bindings, err))
		return false;
	size_t n = rows.n;
	for (size_t i = 0; i < r->secrets.n; i++) {
		const struct config_secret *s = &r->secrets.v[i];
		if (strcmp(s->integration, "runtime_environment") != 0)
			continue;
		const char *secret_id = secret_id_of(a, s->integration, s->name, &c->place);
		const char *binding_id = secret_binding_id_of(a, secret_id, s->binding_key);
		size_t at = 0;
		/* A planned binding takes the place of itself and of disabled placeholders for the same key and place.
		 */
		while (at < n && strcmp(bindings[at].binding_id, binding_id) != 0 &&
		       !(strcmp(bindings[at].status, "disabled") == 0 &&
		         strcmp(bindings[at].binding_key, s->binding_key) == 0 &&
		         strcmp(bindings[at].context, c->place.context) == 0 &&
		         strcmp(bindings[at].instance, c->place.instance) == 0))
			at++;
		bindings[at] = (struct secret_binding){ .binding_id = binding_id,
			                                .secret_id = secret_id,
			                                .binding_key = s->binding_key,
			                                .context = c->place.context,
			                                .instance = c->place.instance,
			                                .status = "configured" };
		if (at == n)
			n++;
	}
	struct key_safety_findings found;
	key_safety_evaluate(a, &policy, &c->place, bindings, n, &out->keys, &found);
	if (found.n)
		return refuse_findings(a, &found, err);
	out->status = "pass";
	out->record_id = policy.record_id;
	out->sha256 = key_safety_digest(a, &policy);
	return true;
}

/* ---- writing secrets ---- */

enum secret_action { SECRET_CREATED, SECRET_ROTATED, SECRET_UNCHANGED };
static const char *const secret_action_names[] = { "created", "rotated", "unchanged" };

static SUSPENDS bool compare_secret(struct tx *tx, const struct keyring *keyring, const struct config_secret *s,
                                    const char *secret_id, struct managed_secret *known, enum secret_action *action,
                                    struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	if (!tx_query(tx, &Q_secret_read_for_update, PARAMS(P_TEXT(secret_id)), &rows, err))
		return false;
	if (rows.n == 0) {
		*action = SECRET_CREATED;
		return true;
	}
	const char *text = row_text(&rows, 0, 0);
	if (!contract_read_text(a, &managed_secret_contract, text, strlen(text), "the stored secret", known, err))
		return false;
	*action = SECRET_ROTATED;
	if (row_is_null(&rows, 0, 1))
		return true;
	struct secret old;
	if (!seal_open(keyring, a, secret_id, row_text(&rows, 0, 1), row_text(&rows, 0, 4), &old, err))
		return false;
	if (bytes_equal(old.p, old.n, s->value, strlen(s->value)))
		*action = SECRET_UNCHANGED;
	return true;
}

static void send_audit(struct tx *tx, const struct product_config *c, const struct config_secret *s,
                       const char *secret_id, const char *event_type)
{
	struct arena *a = tx_task(tx)->arena;
	struct secret_audit_event e = {
		.schema_version = 1,
		.event_id = arena_printf(a, "%s-event-%s-%s", secret_id, event_type, random_hex(a, 6)),
		.secret_id = secret_id,
		.event_type = event_type,
		.recorded_at = c->now,
		.actor = c->actor,
		.detail = c->request->reason,
	};
	map_set(a, &e.metadata, "source", c->request->source_label);
	map_set(a, &e.metadata, "binding_key", s->binding_key);
	tx_send(tx, &Q_secret_audit_insert,
	        PARAMS(P_TEXT(e.event_id), P_TEXT(secret_id), P_TEXT(event_type), P_TEXT(c->now),
	               P_TEXT(contract_text(a, &secret_audit_event_contract, &e))));
}

static void send_binding(struct tx *tx, const struct product_config *c, const struct config_secret *s,
                         const char *secret_id)
{
	struct arena *a = tx_task(tx)->arena;
	struct secret_binding b = {
		.schema_version = 1,
		.binding_id = secret_binding_id_of(a, secret_id, s->binding_key),
		.secret_id = secret_id,
		.integration = s->integration,
		.binding_type = "env",
		.binding_key = s->binding_key,
		.context = c->place.context,
		.instance = c->place.instance,
		.status = "configured",
		.created_at = c->now,
		.updated_at = c->now,
	};
	tx_send(tx, &Q_secret_binding_upsert,
	        PARAMS(P_TEXT(b.binding_id), P_TEXT(secret_id), P_TEXT(b.integration), P_TEXT(b.binding_key),
	               P_TEXT(b.context), P_TEXT(b.instance), P_TEXT(b.status), P_TEXT(c->now),
	               P_TEXT(contract_text(a, &secret_binding_contract, &b))));
	tx_send(tx, &Q_secret_placeholders_retire,
	        PARAMS(P_TEXT(b.integration), P_TEXT(b.binding_key), P_TEXT(b.context), P_TEXT(b.instance),
	               P_TEXT(b.binding_id), P_TEXT(c->now)));
}

static bool send_secret(struct tx *tx, const struct product_config *c, const struct keyring *keyring,
                        const struct config_secret *s, const char *secret_id, const struct managed_secret *known,
                        enum secret_action action, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	if (action == SECRET_UNCHANGED) {
		send_binding(tx, c, s, secret_id);
		return true;
	}
	const char *version_id = arena_printf(a, "%s-version-%s", secret_id, random_hex(a, 6));
	char *envelope;
	if (!seal(keyring, a, secret_id, version_id, s->value, strlen(s->value), &envelope, err))
		return false;
	struct secret_version v = { .schema_version = 1,
		                    .version_id = version_id,
		                    .secret_id = secret_id,
		                    .created_at = c->now,
		                    .created_by = c->actor,
		                    .cipher_alg = SEAL_ALG,
		                    .key_id = seal_key_id(a, envelope),
		                    .ciphertext = envelope };
	struct managed_secret m = *known;
	if (action == SECRET_CREATED)
		m = (struct managed_secret){ .schema_version = 1,
			                     .secret_id = secret_id,
			                     .scope = place_secret_scope(&c->place),
			                     .integration = s->integration,
			                     .name = s->name,
			                     .context = c->place.context,
			                     .instance = c->place.instance,
			                     .policy = "write_only",
			                     .created_at = c->now,
			                     .last_validated_at = "" };
	m.description = s->description[0] || !m.description ? s->description : m.description;
	m.status = "configured";
	m.current_version_id = version_id;
	m.updated_at = c->now;
	m.updated_by = c->actor;
	tx_send(tx, &Q_secret_upsert,
	        PARAMS(P_TEXT(secret_id), P_TEXT(m.scope), P_TEXT(m.integration), P_TEXT(m.name), P_TEXT(m.context),
	               P_TEXT(m.instance), P_TEXT(m.status), P_TEXT(version_id), P_TEXT(c->now),
	               P_TEXT(contract_text(a, &managed_secret_contract, &m))));
	tx_send(tx, &Q_secret_version_insert,
	        PARAMS(P_TEXT(version_id), P_TEXT(secret_id), P_TEXT(c->now),
	               P_TEXT(contract_text(a, &secret_version_contract, &v))));
	send_binding(tx, c, s, secret_id);
	send_audit(tx, c, s, secret_id, secret_action_names[action]);
	return true;
}

/* ---- the runtime record ---- */

struct planned_runtime {
	enum runtime_change change;
	struct json merged;
	struct strings changed, unchanged;
};

static SUSPENDS bool plan_runtime(struct tx *tx, const struct product_config *c, struct planned_runtime *out,
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
	out->change =
	        runtime_env_merge(a, rows.n ? stored.env : NULL, c->env, &out->merged, &out->changed, &out->unchanged);
	return true;
}

static void send_runtime(struct tx *tx, const struct product_config *c, const struct planned_runtime *p)
{
	struct arena *a = tx_task(tx)->arena;
	struct runtime_environment r = { .schema_version = 1,
		                         .scope = place_scope(&c->place),
		                         .context = c->place.context,
		                         .instance = c->place.instance,
		                         .env = &p->merged,
		                         .updated_at = c->now,
		                         .source_label = c->request->source_label };
	tx_send(tx, &Q_runtime_environment_upsert,
	        PARAMS(P_TEXT(r.scope), P_TEXT(r.context), P_TEXT(r.instance), P_TEXT(c->now),
	               P_TEXT(contract_text(a, &runtime_environment_contract, &r))));
}

/* ---- the answer ---- */

static void write_runtime(struct json_out *o, const struct product_config *c, const struct planned_runtime *p,
                          bool wrote)
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
		struct strings all = { 0 };
		for (uint32_t i = 0; i < p->merged.n; i++)
			strings_add(o->buf->arena, &all, p->merged.members[i].key);
		strings_sort(&all);
		jo_key(o, "record");
		jo_open(o, '{');
		jo_kv(o, "scope", place_scope(&c->place));
		jo_kv(o, "context", c->place.context);
		jo_kv(o, "instance", c->place.instance);
		jo_kv(o, "updated_at", c->now);
		jo_kv(o, "source_label", c->request->source_label);
		jo_kv_strings(o, "env_keys", &all);
		jo_kv_int(o, "env_value_count", p->merged.n);
		jo_close(o, '}');
	}
	jo_close(o, '}');
}

static void write_safety(struct json_out *o, const struct product_config *c, const struct planned_safety *p)
{
	jo_key(o, "runtime_key_safety");
	jo_open(o, '{');
	jo_kv_bool(o, "required", p->keys.n > 0);
	jo_kv(o, "status", p->status);
	jo_kv_strings(o, "checked_binding_keys", &p->keys);
	jo_kv(o, "policy_record_id", p->record_id);
	jo_kv(o, "policy_sha256", p->sha256);
	jo_key(o, "target");
	jo_open(o, '{');
	jo_kv(o, "context", c->place.context);
	jo_kv(o, "instance", c->place.instance);
	jo_kv(o, "environment_class", environment_class_names[environment_class_of(c->place.instance)]);
	jo_close(o, '}');
	jo_key(o, "findings");
	jo_raw(o, "[]", 2);
	jo_close(o, '}');
}

/* config-health.md 3.3: what is left to do after an apply that changed a live lane's values. */
static void write_next_actions(struct json_out *o, const struct product_config *c, const struct planned_runtime *p,
                               const char *target_type, const char *target_name)
{
	static const char endpoint[] = "/v1/live-target-runtime/apply";
	jo_key(o, "next_actions");
	jo_open(o, '[');
	if (target_type) {
		jo_open(o, '{');
		jo_kv(o, "kind", "live_target_runtime_apply");
		jo_kv_bool(o, "required", true);
		jo_kv(o, "status", "live_sync_required");
		jo_key(o, "target");
		jo_open(o, '{');
		jo_kv(o, "context", c->place.context);
		jo_kv(o, "instance", c->place.instance);
		jo_kv(o, "target_type", target_type);
		jo_kv(o, "target_name", target_name);
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
static SUSPENDS bool live_target(struct tx *tx, const struct product_config *c, bool needs_sync, const char **type,
                                 const char **name, struct err *err)
{
	*type = *name = NULL;
	if (!needs_sync || !c->place.instance[0])
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
	*type = json_str(&target, "target_type", "compose");
	*name = json_str(&target, "target_name", "");
	return true;
}

bool product_config_run(struct tx *tx, const struct product_config *c, const struct keyring *keyring, bool apply,
                        const char **result, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct product_config_request *r = c->request;
	if (r->secrets.n && !keyring)
		return err_set(err, &E_secret_configuration_required,
		               "secrets cannot be written: the service has no " MASTER_KEY_SETTING);
	struct planned_safety safety;
	struct planned_runtime runtime;
	if (!plan_safety(tx, c, &safety, err) || !plan_runtime(tx, c, &runtime, err))
		return false;
	const char **ids = arena_array(a, r->secrets.n + 1, sizeof(*ids));
	enum secret_action *actions = arena_array(a, r->secrets.n + 1, sizeof(*actions));
	struct managed_secret *known = arena_array(a, r->secrets.n + 1, sizeof(*known));
	size_t changes = 0;
	for (size_t i = 0; i < r->secrets.n; i++) {
		ids[i] = secret_id_of(a, r->secrets.v[i].integration, r->secrets.v[i].name, &c->place);
		if (!compare_secret(tx, keyring, &r->secrets.v[i], ids[i], &known[i], &actions[i], err))
			return false;
		changes += actions[i] != SECRET_UNCHANGED;
	}
	bool writes_runtime = runtime.change == RUNTIME_CREATED || runtime.change == RUNTIME_UPDATED;
	const char *target_type, *target_name;
	if (!live_target(tx, c, apply && writes_runtime, &target_type, &target_name, err))
		return false;
	if (apply) {
		for (size_t i = 0; i < r->secrets.n; i++)
			if (!send_secret(tx, c, keyring, &r->secrets.v[i], ids[i], &known[i], actions[i], err))
				return false;
		if (writes_runtime)
			send_runtime(tx, c, &runtime);
	}
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "status", target_type ? "records_applied_live_sync_required" : "ok");
	jo_kv(&o, "mode", r->mode);
	jo_kv(&o, "product", r->product);
	jo_kv(&o, "context", r->context);
	jo_kv(&o, "instance", r->instance);
	jo_kv(&o, "actor", c->actor);
	jo_kv(&o, "source_label", r->source_label);
	write_runtime(&o, c, &runtime, apply && writes_runtime);
	write_safety(&o, c, &safety);
	jo_key(&o, "secrets");
	jo_open(&o, '[');
	for (size_t i = 0; i < r->secrets.n; i++) {
		jo_open(&o, '{');
		jo_kv(&o, "action", secret_action_names[actions[i]]);
		jo_kv(&o, "scope", place_secret_scope(&c->place));
		jo_kv(&o, "integration", r->secrets.v[i].integration);
		jo_kv(&o, "name", r->secrets.v[i].name);
		jo_kv(&o, "binding_key", r->secrets.v[i].binding_key);
		jo_kv(&o, "context", c->place.context);
		jo_kv(&o, "instance", c->place.instance);
		jo_kv(&o, "secret_id", ids[i]);
		jo_close(&o, '}');
	}
	jo_close(&o, ']');
	jo_key(&o, "summary");
	jo_open(&o, '{');
	jo_kv_int(&o, "runtime_changed_key_count", (int64_t)runtime.changed.n);
	jo_kv_int(&o, "secret_change_count", (int64_t)changes);
	jo_close(&o, '}');
	write_next_actions(&o, c, &runtime, target_type, target_name);
	jo_close(&o, '}');
	*result = b.p;
	return true;
}

/* ---- what a lane gets ---- */

bool secrets_open(struct task *t, const struct keyring *keyring, const char *integration, const struct place *place,
                  struct opened_secrets *out, struct err *err)
{
	struct rows rows;
	*out = (struct opened_secrets){ 0 };
	if (!db_query(t, &Q_secrets_for_lane,
	              PARAMS(P_TEXT(integration), P_TEXT(place->context), P_TEXT(place->instance)), &rows, err))
		return false;
	if (rows.n && !keyring)
		return err_set(err, &E_secret_configuration_required,
		               "managed secrets cannot be read: the service has no " MASTER_KEY_SETTING);
	out->v = arena_array(t->arena, rows.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < rows.n; i++) {
		struct opened_secret *s = &out->v[out->n++];
		s->secret_id = row_text(&rows, i, 0);
		s->binding_id = row_text(&rows, i, 1);
		s->binding_key = row_text(&rows, i, 2);
		if (!seal_open(keyring, t->arena, s->secret_id, row_text(&rows, i, 3), row_text(&rows, i, 6), &s->value,
		               err))
			return false;
	}
	return true;
}

bool runtime_env_resolve(struct task *t, const struct keyring *keyring, const struct place *place,
                         const struct text_map *target_env, struct text_map *out, struct strings *secret_keys,
                         struct err *err)
{
	struct rows rows;
	*out = (struct text_map){ 0 };
	*secret_keys = (struct strings){ 0 };
	if (!db_query(t, &Q_runtime_environment_for_lane, PARAMS(P_TEXT(place->context), P_TEXT(place->instance)),
	              &rows, err))
		return false;
	bool has_lane = false;
	for (size_t i = 0; i < rows.n; i++) {
		struct json env;
		const char *text = row_text(&rows, i, 1);
		has_lane |= strcmp(row_text(&rows, i, 0), "instance") == 0;
		if (!json_parse(t->arena, text, strlen(text), "a stored runtime environment", &env, err))
			return false;
		for (uint32_t k = 0; k < env.n; k++)
			map_set(t->arena, out, env.members[k].key, scalar_text(t->arena, &env.members[k].value));
	}
	if (!has_lane)
		return err_set(
		        err, &E_invalid_request,
		        "no runtime environment is recorded for %s/%s; write one with POST /v1/product-config/apply",
		        place->context, place->instance);
	for (size_t i = 0; target_env && i < target_env->n; i++)
		map_set(t->arena, out, target_env->v[i].key, target_env->v[i].value);
	struct opened_secrets secrets;
	if (!secrets_open(t, keyring, "runtime_environment", place, &secrets, err))
		return false;
	for (size_t i = 0; i < secrets.n; i++) {
		map_set(t->arena, out, secrets.v[i].binding_key, secrets.v[i].value.p);
		if (!strings_have(secret_keys, secrets.v[i].binding_key))
			strings_add(t->arena, secret_keys, secrets.v[i].binding_key);
	}
	return true;
}
