#include "storage/lane_environment.h"

#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/operation.h"
#include "storage/secret.sql.h"

/* ---- key-safety ---- */

bool key_safety_read_policy(struct arena *a, const struct rows *rows, struct key_safety_policy *out, struct err *err)
{
	if (rows->n == 0)
		return err_set(err, &E_runtime_key_safety_unavailable,
		               "no active runtime key-safety policy exists; apply one with POST "
		               "/v1/runtime-key-safety/policies/apply");
	const char *text = row_text(rows, 0, 0);
	return contract_read_text(a, &key_safety_policy_contract, text, strlen(text), "the stored key-safety policy",
	                          out, err);
}

bool key_safety_read_bindings(struct arena *a, const struct rows *rows, size_t spare, struct secret_binding **out,
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

bool key_safety_refuse(struct arena *a, const struct key_safety_findings *found, struct err *err)
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
	return key_safety_gate_from(t, place, place, keys, evidence, err);
}

bool key_safety_gate_from(struct task *t, const struct place *from, const struct place *place,
                          const struct strings *keys, struct key_safety_evidence *evidence, struct err *err)
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
	              PARAMS(P_TEXT("runtime_environment"), P_TEXT(from->context), P_TEXT(from->instance)),
	              &binding_rows, err) ||
	    !key_safety_read_policy(t->arena, &policy_rows, &policy, err) ||
	    !key_safety_read_bindings(t->arena, &binding_rows, 0, &bindings, err))
		return false;
	for (size_t i = 0; from != place && i < binding_rows.n; i++) {
		struct secret_binding *b = &bindings[i]; /* as near to the place as it is to the lane it comes from */
		b->context = b->context[0] ? place->context : "";
		b->instance = b->instance[0] ? place->instance : "";
	}
	evidence->policy_record_id = policy.record_id;
	evidence->policy_sha256 = key_safety_digest(t->arena, &policy);
	struct key_safety_findings *found = &evidence->findings;
	key_safety_evaluate(t->arena, &policy, place, bindings, binding_rows.n, keys, found);
	evidence->status = found->n ? "fail" : "pass";
	return found->n == 0 || key_safety_refuse(t->arena, &evidence->findings, err);
}

void key_safety_write(struct json_out *o, const struct place *place, const struct strings *keys,
                      const struct key_safety_evidence *e)
{
	jo_key(o, "runtime_key_safety");
	jo_open(o, '{');
	jo_kv_bool(o, "required", e->required);
	jo_kv(o, "status", e->status);
	jo_kv_strings(o, "checked_binding_keys", keys);
	jo_kv(o, "policy_record_id", e->policy_record_id);
	jo_kv(o, "policy_sha256", e->policy_sha256);
	jo_key(o, "target");
	jo_open(o, '{');
	jo_kv(o, "context", place->context);
	jo_kv(o, "instance", place->instance);
	jo_kv(o, "environment_class", environment_class_names[environment_class_of(place->instance)]);
	jo_close(o, '}');
	jo_key(o, "findings");
	jo_open(o, '[');
	for (size_t i = 0; i < e->findings.n; i++) {
		const struct key_safety_finding *f = &e->findings.v[i];
		jo_open(o, '{');
		jo_kv(o, "code", f->code);
		jo_kv(o, "binding_key", f->binding_key);
		jo_kv(o, "binding_id", f->binding_id);
		jo_kv(o, "secret_id", f->secret_id);
		jo_kv(o, "secret_class", f->secret_class);
		jo_kv(o, "detail", f->detail);
		jo_close(o, '}');
	}
	jo_close(o, ']');
	jo_close(o, '}');
}

/* ---- secrets ---- */

/* Who opens: the operation's phase, however often it looks, or one request. */
static const char *reader_of(struct task *t)
{
	if (t->operation[0])
		return arena_printf(t->arena, "%s/%s", t->operation, t->phase);
	return t->trace_id[0] ? t->trace_id : t->actor;
}

static SUSPENDS bool secrets_rows(struct task *t, const char *integration, const struct place *place, bool reads,
                                  struct rows *rows, struct err *err)
{
	const char *reader = reader_of(t);
	return db_write(t, arena_printf(t->arena, "read %s", reader), &Q_secrets_for_lane,
	                PARAMS(P_TEXT(integration), P_TEXT(place->context), P_TEXT(place->instance), P_TEXT(reader),
	                       P_TEXT(t->actor), P_TEXT(utc_now(t)), P_BOOL(reads)),
	                rows, err);
}

bool secrets_open(struct task *t, const struct keyring *keyring, const char *integration, const struct place *place,
                  struct opened_secrets *out, struct err *err)
{
	struct rows rows;
	*out = (struct opened_secrets){ 0 };
	if (!secrets_rows(t, integration, place, keyring != NULL, &rows, err))
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
		if (!seal_open(keyring, t->arena, s->secret_id, row_text(&rows, i, 3), row_text(&rows, i, 4), &s->value,
		               err))
			return false;
	}
	return true;
}

/* ---- the environment ---- */

static bool merge_records(struct arena *a, const struct rows *rows, const char *own_scope, struct text_map *out,
                          bool *has_own, struct err *err)
{
	*has_own = false;
	for (size_t i = 0; i < rows->n; i++) {
		struct json env;
		const char *text = row_text(rows, i, 1);
		*has_own |= strcmp(row_text(rows, i, 0), own_scope) == 0;
		if (!json_parse(a, text, strlen(text), "a stored runtime environment", &env, err))
			return false;
		for (uint32_t k = 0; k < env.n; k++)
			map_set(a, out, env.members[k].key, scalar_text(a, &env.members[k].value));
	}
	return true;
}

/* What stands below the secrets. */
static SUSPENDS bool plain_values(struct task *t, const struct place *place, const struct text_map *target_env,
                                  struct text_map *out, struct err *err)
{
	struct rows rows;
	bool has_own;
	*out = (struct text_map){ 0 };
	if (!db_query(t, &Q_runtime_environment_for_lane, PARAMS(P_TEXT(place->context), P_TEXT(place->instance)),
	              &rows, err) ||
	    !merge_records(t->arena, &rows, place_scope(place), out, &has_own, err))
		return false;
	if (!has_own)
		return err_set(err, &E_runtime_environment_unavailable,
		               "no runtime environment is recorded for %s%s%s; write one with POST "
		               "/v1/product-config/apply",
		               place->context, place->instance[0] ? "/" : "", place->instance);
	for (size_t i = 0; target_env && i < target_env->n; i++)
		map_set(t->arena, out, target_env->v[i].key, target_env->v[i].value);
	return true;
}

static void overlay(struct arena *a, const char *key, const char *value, struct text_map *out,
                    struct strings *secret_keys)
{
	map_set(a, out, key, value);
	if (!strings_have(secret_keys, key))
		strings_add(a, secret_keys, key);
}

bool runtime_env_resolve(struct task *t, const struct keyring *keyring, const struct place *place,
                         const struct text_map *target_env, struct text_map *out, struct strings *secret_keys,
                         struct err *err)
{
	struct opened_secrets secrets;
	*secret_keys = (struct strings){ 0 };
	if (!plain_values(t, place, target_env, out, err) ||
	    !secrets_open(t, keyring, "runtime_environment", place, &secrets, err))
		return false;
	for (size_t i = 0; i < secrets.n; i++)
		overlay(t->arena, secrets.v[i].binding_key, secrets.v[i].value.p, out, secret_keys);
	return true;
}

bool runtime_env_outline(struct task *t, const struct place *place, const struct text_map *target_env,
                         const char *hidden, struct text_map *out, struct strings *secret_keys, struct err *err)
{
	struct rows rows;
	*secret_keys = (struct strings){ 0 };
	if (!plain_values(t, place, target_env, out, err) ||
	    !secrets_rows(t, "runtime_environment", place, false, &rows, err))
		return false;
	for (size_t i = 0; i < rows.n; i++)
		overlay(t->arena, row_text(&rows, i, 2), hidden, out, secret_keys);
	return true;
}
