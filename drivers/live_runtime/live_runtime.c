#include "drivers/live_runtime/live_runtime.h"

#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/codes.h"
#include "storage/plan.h"

/* ---- the request ---- */

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct live_runtime_request *r = record;
	bool applies = strcmp(r->mode, "apply") == 0;
	if (!applies && strcmp(r->mode, "dry-run") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (!applies && r->deploy)
		return contract_fail(a, err, path, "deploy", "is for apply; a dry-run deploys nothing");
	if (!applies && r->no_cache)
		return contract_fail(a, err, path, "no_cache", "is for apply; a dry-run deploys nothing");
	if (!applies && r->deploy_timeout_seconds.is_set)
		return contract_fail(a, err, path, "deploy_timeout_seconds", "is for apply; a dry-run deploys nothing");
	return true;
}

static const struct field request_fields[] = {
	F_INT(live_runtime_request, schema_version, 0, .min = 1, .max = 1, .fallback = "1"),
	F_STR(live_runtime_request, mode, LOWERED, .fallback = "dry-run", .help = "dry-run or apply"),
	F_STR(live_runtime_request, product, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(live_runtime_request, context, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(live_runtime_request, instance, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_BOOL(live_runtime_request, deploy, 0, .fallback = "false", .help = "Deploy afterwards and wait for its end"),
	F_BOOL(live_runtime_request, no_cache, 0, .fallback = "false", .help = "Rebuild when deploying"),
	F_OPT_INT(live_runtime_request, deploy_timeout_seconds, 0, .min = 1, .max = 86400,
	          .help = "Default: the target record's, else 600"),
	F_STR(live_runtime_request, reason, TRIMMED, .max = 1000),
	F_PLAN_DIGEST(live_runtime_request),
	F_END,
};
const struct contract live_runtime_request_contract = CONTRACT(
        live_runtime_request, request_fields, "Brings recorded values to a live target", .check = check_request);

/* ---- what is wanted ---- */

static bool applies_to(const char *context, const char *instance, const struct live_runtime_request *r)
{
	return !context[0] ||
	       (strcmp(context, r->context) == 0 && (!instance[0] || strcmp(instance, r->instance) == 0));
}

/* The keys the profile expects on the lane, with the values of the records. */
static bool choose_desired(struct arena *a, const struct live_runtime_request *r, const struct text_map *runtime,
                           struct live_reading *out, struct err *err)
{
	const struct expected_config *expected = &out->profile.expected_config;
	struct strings missing = { 0 };
	for (size_t i = 0; i < expected->runtime_environment_keys.n; i++) {
		const struct expected_runtime_key *k = &expected->runtime_environment_keys.v[i];
		const char *value = applies_to(k->context, k->instance, r) ? map_get(runtime, k->key) : NULL;
		if (value)
			map_set(a, &out->desired, k->key, value);
	}
	for (size_t i = 0; i < expected->managed_secret_bindings.n; i++) {
		const struct expected_secret_binding *b = &expected->managed_secret_bindings.v[i];
		if (strcmp(b->integration, "runtime_environment") != 0 || !applies_to(b->context, b->instance, r))
			continue;
		const char *value = map_get(runtime, b->binding_key);
		if (!is_blank(value))
			map_set(a, &out->desired, b->binding_key, value);
		else if (!strings_have(&missing, b->binding_key))
			strings_add(a, &missing, b->binding_key);
	}
	if (missing.n) {
		struct buf b = buf_in(a);
		for (size_t i = 0; i < missing.n && b.n < 250; i++)
			buf_printf(&b, "%s%s", i ? ", " : "", missing.v[i]);
		return err_set(err, &E_runtime_secret_values_missing,
		               "the lane expects secrets that have no value: %s; write them with POST "
		               "/v1/product-config/apply",
		               buf_cstr(&b));
	}
	if (out->desired.n == 0)
		return err_set(
		        err, &E_runtime_environment_empty,
		        "the profile of product %s expects no recorded key on %s/%s: nothing is to be brought to "
		        "the target",
		        r->product, r->context, r->instance);
	return true;
}

static SUSPENDS bool read_records(struct task *t, const struct live_runtime_request *r, struct live_reading *out,
                                  struct err *err)
{
	const struct place place = { r->context, r->instance };
	const struct lane lane = { .context = r->context, .instance = r->instance };
	struct text_map runtime;
	struct strings secret_keys;
	bool found, has_target, has_id;
	if (!read_profile(t, r->product, &out->profile, &found, err))
		return false;
	if (!found || !product_profile_lane_in(&out->profile, r->context, r->instance))
		return err_set(err, &E_product_lane_not_found, "product %s has no lane %s in context %s", r->product,
		               r->instance, r->context);
	if (!read_target(t, &lane, &out->target, &has_target, &out->target_id, &has_id, err))
		return false;
	if (!has_target || !has_id)
		return err_set(err, &E_tracked_target_not_found, "%s/%s has no tracked target%s", r->context,
		               r->instance, has_target ? " id" : "");
	if (!runtime_env_resolve(t, t->loop->keyring, &place, &out->target.env, &runtime, &secret_keys, err) ||
	    !choose_desired(t->arena, r, &runtime, out, err))
		return false;
	for (size_t i = 0; i < out->desired.n; i++)
		if (strings_have(&secret_keys, out->desired.v[i].key))
			strings_add(t->arena, &out->secret_keys, out->desired.v[i].key);
	return true;
}

/* ---- comparing ---- */

static void compare(struct arena *a, struct live_reading *r)
{
	struct live_difference d = { .desired_key_count = (int64_t)r->desired.n, .live_key_count = (int64_t)r->live.n };
	for (size_t i = 0; i < r->desired.n; i++) {
		const struct text_pair *p = &r->desired.v[i];
		const char *live = map_get(&r->live, p->key);
		if (live && strcmp(live, p->value) == 0) {
			d.unchanged_key_count++;
			continue;
		}
		strings_add(a, live ? &d.different_keys : &d.missing_keys, p->key);
		strings_add(a, &d.changed_keys, p->key);
	}
	strings_sort(&d.missing_keys);
	strings_sort(&d.different_keys);
	strings_sort(&d.changed_keys);
	r->difference = d;
}

/* Over which live values the desired ones would be written. Other keys do not matter: they stay. */
static const char *digest_of(struct task *t, const struct live_runtime_request *request, const struct live_reading *r)
{
	struct json plan = json_object();
	struct text_map before = { 0 };
	for (size_t i = 0; i < r->desired.n; i++) {
		const char *live = map_get(&r->live, r->desired.v[i].key);
		if (live)
			map_set(t->arena, &before, r->desired.v[i].key, live);
	}
	json_set_str(t->arena, &plan, "product", request->product);
	json_set_str(t->arena, &plan, "context", request->context);
	json_set_str(t->arena, &plan, "instance", request->instance);
	json_set_str(t->arena, &plan, "target_id", r->target_id.target_id);
	plan_set_veiled(t->arena, &plan, "before", t->loop->keyring, &before);
	plan_set_veiled(t->arena, &plan, "after", t->loop->keyring, &r->desired);
	return plan_digest(t->arena, &plan);
}

bool live_runtime_is_providers(const struct err *err)
{
	static const struct error_code *const codes[] = { &E_upstream_failed, &E_timeout,       &E_provider_refused,
		                                          &E_not_found,       &E_upstream_lost, &E_deploy_failed };
	for (size_t i = 0; i < countof(codes); i++)
		if (err->code == codes[i])
			return true;
	return false;
}

bool live_runtime_look(struct task *t, struct live_reading *r, struct err *err)
{
	struct dokploy d;
	struct dokploy_compose compose;
	const char *env;
	if (!dokploy_open(t, &d, err))
		return false;
	if (r->target.target_type == TARGET_COMPOSE) {
		if (!dokploy_compose_one(t, &d, r->target_id.target_id, &compose, err))
			return false;
		env = compose.env;
	} else {
		if (!dokploy_application_one(t, &d, r->target_id.target_id, &r->application, err))
			return false;
		env = r->application.env;
	}
	env_text_parse(t->arena, env, &r->live);
	compare(t->arena, r);
	return true;
}

bool live_runtime_read(struct task *t, const struct live_runtime_request *request, struct live_reading *out,
                       struct err *err)
{
	*out = (struct live_reading){ 0 };
	arena_wipe_on_reset(t->arena);
	if (!read_records(t, request, out, err) || !live_runtime_look(t, out, err))
		return false;
	out->digest = digest_of(t, request, out);
	return true;
}

bool live_runtime_write(struct task *t, struct live_reading *r, struct err *err)
{
	struct dokploy d;
	struct text_map merged = { 0 };
	for (size_t i = 0; i < r->live.n; i++)
		map_set(t->arena, &merged, r->live.v[i].key, r->live.v[i].value);
	for (size_t i = 0; i < r->desired.n; i++) {
		const char *problem = env_value_problem(r->desired.v[i].value);
		if (problem)
			return err_set(err, &E_invalid_request,
			               "the value of %s %s: Dokploy would not keep it as it is", r->desired.v[i].key,
			               problem);
		map_set(t->arena, &merged, r->desired.v[i].key, r->desired.v[i].value);
	}
	const char *text = env_text_write(t->arena, &merged);
	if (!dokploy_open(t, &d, err))
		return false;
	return r->target.target_type == TARGET_COMPOSE
	               ? dokploy_compose_set_env(t, &d, r->target_id.target_id, text, err)
	               : dokploy_application_save_env(t, &d, &r->application, text, err);
}

bool live_runtime_gate(struct task *t, const struct live_reading *r, bool tolerant,
                       struct key_safety_evidence *evidence, struct err *err)
{
	const struct place place = { r->target.context, r->target.instance };
	if (key_safety_gate(t, &place, &r->secret_keys, evidence, err))
		return true;
	if (!tolerant || (err->code != &E_runtime_key_safety_unavailable && err->code != &E_runtime_key_safety_failed))
		return false;
	memset(err, 0, sizeof(*err));
	return true;
}

/* ---- what is told ---- */

void live_runtime_note(struct arena *a, const struct live_reading *r, const struct key_safety_evidence *evidence,
                       struct live_runtime_state *s)
{
	const struct place place = { r->target.context, r->target.instance };
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	struct json *safety = ARENA_NEW(a, struct json);
	struct err ignored = { 0 };
	s->target_id = r->target_id.target_id;
	s->target_name = r->target.target_name;
	s->target_type = target_type_names[r->target.target_type];
	s->source_git_ref = r->target.source_git_ref;
	s->digest = r->digest;
	s->difference = r->difference;
	jo_open(&o, '{');
	key_safety_write(&o, &place, &r->secret_keys, evidence);
	jo_close(&o, '}');
	struct json whole;
	if (json_parse(a, buf_cstr(&b), b.n, "key safety", &whole, &ignored)) {
		*safety = *json_get(&whole, "runtime_key_safety");
		s->key_safety = safety;
	}
}

static struct json strings_json(struct arena *a, const struct strings *list)
{
	struct json o = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_push(a, &o, json_of_str(list->v[i]));
	return o;
}

static struct json difference_json(struct arena *a, const struct live_difference *d)
{
	struct json o = json_object();
	json_set(a, &o, "desired_key_count", json_of_int(d->desired_key_count));
	json_set(a, &o, "live_key_count", json_of_int(d->live_key_count));
	json_set(a, &o, "missing_keys", strings_json(a, &d->missing_keys));
	json_set(a, &o, "different_keys", strings_json(a, &d->different_keys));
	json_set(a, &o, "changed_keys", strings_json(a, &d->changed_keys));
	json_set(a, &o, "unchanged_key_count", json_of_int(d->unchanged_key_count));
	return o;
}

static struct json apply_json(struct arena *a, const struct live_runtime_state *s)
{
	struct json o = json_object(), verification = json_object();
	json_set_str(a, &verification, "status", s->verification.status);
	json_set_str(a, &verification, "reason", s->verification.reason);
	json_set(a, &verification, "missing_keys", strings_json(a, &s->verification.missing_keys));
	json_set(a, &verification, "different_keys", strings_json(a, &s->verification.different_keys));
	json_set(a, &verification, "verified_key_count", json_of_int(s->verification.verified_key_count));
	json_set(a, &o, "applied", json_of_bool(s->applied));
	json_set(a, &o, "env_updated", json_of_bool(s->env_updated));
	json_set(a, &o, "verification", verification);
	return o;
}

struct json live_runtime_result(struct arena *a, const struct live_runtime_request *r,
                                const struct live_runtime_state *s, const char *mode)
{
	struct json o = json_object(), target = json_object(), deploy = json_object(), deployed = json_object();
	json_set_str(a, &target, "target_id", s->target_id);
	json_set_str(a, &target, "target_type", s->target_type);
	json_set_str(a, &target, "target_name", s->target_name);
	json_set_str(a, &target, "source_git_ref", s->source_git_ref);
	json_set(a, &deploy, "requested", json_of_bool(r->deploy));
	json_set(a, &deploy, "triggered", json_of_bool(s->deploy.requests > 0));
	if (s->deploy.requests) {
		json_set_str(a, &deployed, "status", s->deploy_status);
		json_set_str(a, &deployed, "provider_deployment_id", s->deploy.deployment_id);
		json_set(a, &deploy, "result", deployed);
	} else {
		json_set(a, &deploy, "result", (struct json){ .type = JSON_NULL });
	}
	json_set_str(a, &o, "status", "ok");
	json_set_str(a, &o, "mode", mode);
	json_set_str(a, &o, "product", r->product);
	json_set_str(a, &o, "context", r->context);
	json_set_str(a, &o, "instance", r->instance);
	json_set(a, &o, "tracked_target", target);
	json_set(a, &o, "runtime_environment", difference_json(a, &s->difference));
	json_set(a, &o, "runtime_key_safety", s->key_safety ? *s->key_safety : json_object());
	json_set(a, &o, "apply", apply_json(a, s));
	json_set(a, &o, "deploy", deploy);
	json_set_str(a, &o, "plan_digest", s->digest);
	return o;
}
