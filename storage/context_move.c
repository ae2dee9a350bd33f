#include "storage/context_move.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/context_move.sql.h"
#include "storage/secret.h"

static bool check_places(struct arena *a, const char *source, const char *target, const char *mode, const char *path,
                         struct err *err)
{
	if (strcmp(mode, "dry-run") != 0 && strcmp(mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (strcmp(source, target) == 0)
		return contract_fail(a, err, path, "target_context", "must differ from source_context");
	return true;
}

static bool check_cutover(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct context_cutover *r = record;
	return check_places(a, r->source_context, r->target_context, r->mode, path, err);
}

static bool check_cleanup(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct context_cleanup *r = record;
	return check_places(a, r->source_context, r->target_context, r->mode, path, err);
}

#define F_PLAN_PIN(type)                                                                                               \
	F_STR(type, plan_digest, TRIMMED | LOWERED, .max = 64,                                                         \
	      .help = "For apply: the plan_digest of the reviewed plan; refused when it would no longer happen so")
#define F_MOVE(type)                                                                                                   \
	F_SCHEMA_VERSION(type), F_STR(type, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),                      \
	        F_STR(type, source_context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200,                    \
	              .help = "The old context"),                                                                      \
	        F_STR(type, target_context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200,                    \
	              .help = "The context that the product lives in from now on"),                                    \
	        F_STR(type, mode, TRIMMED, .fallback = "dry-run", .help = "dry-run or apply"),                         \
	        F_STR(type, reason, TRIMMED, .max = 1000, .help = "Why, for the record")

static const struct field cutover_fields[] = {
	F_MOVE(context_cutover),
	F_STR(context_cutover, display_name, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(context_cutover, source_label, TRIMMED, .fallback = "service:product-context-cutover"),
	F_PLAN_PIN(context_cutover),
	F_END,
};
const struct contract context_cutover_contract =
        CONTRACT(context_cutover, cutover_fields, "Moves a product to another context", .check = check_cutover);

static const struct field cleanup_fields[] = {
	F_MOVE(context_cleanup),
	F_STR(context_cleanup, actor, TRIMMED, .max = 200, .help = "Default: the caller"),
	F_STR(context_cleanup, source_label, TRIMMED, .fallback = "service:legacy-context-cleanup"),
	F_PLAN_PIN(context_cleanup),
	F_END,
};
const struct contract context_cleanup_contract = CONTRACT(
        context_cleanup, cleanup_fields, "Cleans up the context that a product has left", .check = check_cleanup);

struct json move_guardrails(struct arena *a)
{
	static const char *const texts[] = {
		"deployments, promotions, backup gates and preview history stay on the context they happened in",
		"records of the source context stay until the legacy context cleanup",
		"secret values are never shown",
	};
	struct json list = json_array();
	for (size_t i = 0; i < countof(texts); i++)
		json_push(a, &list, json_of_str(texts[i]));
	return list;
}

/* ---- profile ---- */

bool profile_owns_context(const struct product_profile *p, const char *context)
{
	if (strcmp(p->product, context) == 0 || (p->preview.enabled && strcmp(p->preview.context, context) == 0))
		return true;
	for (size_t i = 0; i < p->lanes.n; i++)
		if (strcmp(p->lanes.v[i].context, context) == 0)
			return true;
	return false;
}

static void remember(struct arena *a, struct product_profile *p, const char *context, const char *target)
{
	if (context[0] && strcmp(context, target) != 0 && !strings_have(&p->historical_contexts, context))
		strings_add(a, &p->historical_contexts, context);
}

/* What the lanes are expected to have follows them: a requirement of the old context would apply to no lane any more,
 * and what it asks for would never reach a live target again. One that the new context has already is dropped. */
static bool move_expectations(const struct context_cutover *r, struct expected_config *e)
{
	size_t kept = 0;
	bool moves = false;
	for (size_t i = 0; i < e->runtime_environment_keys.n; i++) {
		struct expected_runtime_key k = e->runtime_environment_keys.v[i], *v = e->runtime_environment_keys.v;
		bool is_there = false, is_old = strcmp(k.context, r->source_context) == 0;
		moves |= is_old;
		k.context = is_old ? r->target_context : k.context;
		for (size_t o = 0; o < kept; o++)
			is_there |= strcmp(v[o].key, k.key) == 0 && strcmp(v[o].context, k.context) == 0 &&
			            strcmp(v[o].instance, k.instance) == 0;
		if (!is_there)
			v[kept++] = k;
	}
	e->runtime_environment_keys.n = kept;
	kept = 0;
	for (size_t i = 0; i < e->managed_secret_bindings.n; i++) {
		struct expected_secret_binding b = e->managed_secret_bindings.v[i], *v = e->managed_secret_bindings.v;
		bool is_there = false, is_old = strcmp(b.context, r->source_context) == 0;
		moves |= is_old;
		b.context = is_old ? r->target_context : b.context;
		for (size_t o = 0; o < kept; o++)
			is_there |= strcmp(v[o].binding_key, b.binding_key) == 0 &&
			            strcmp(v[o].integration, b.integration) == 0 &&
			            strcmp(v[o].context, b.context) == 0 && strcmp(v[o].instance, b.instance) == 0;
		if (!is_there)
			v[kept++] = b;
	}
	e->managed_secret_bindings.n = kept;
	return moves;
}

bool cutover_profile(struct arena *a, const struct context_cutover *r, struct product_profile *p)
{
	const char *target = r->target_context;
	bool changes = strcmp(p->display_name, r->display_name) != 0, moves = false;
	struct strings kept = { 0 };
	size_t known = p->historical_contexts.n;
	p->display_name = r->display_name;
	for (size_t i = 0; i < p->lanes.n; i++) {
		struct lane *lane = &p->lanes.v[i];
		bool stable = strcmp(lane->instance, "testing") == 0 || strcmp(lane->instance, "prod") == 0;
		if (strcmp(lane->context, target) == 0 || (!stable && strcmp(lane->context, r->source_context) != 0))
			continue;
		remember(a, p, lane->context, target);
		lane->context = target;
		moves = true;
	}
	if (p->preview.enabled && strcmp(p->preview.context, target) != 0) {
		remember(a, p, p->preview.context, target);
		p->preview.context = target;
		moves = true;
	}
	moves |= move_expectations(r, &p->expected_config);
	remember(a, p, r->source_context, target);
	for (size_t i = 0; i < p->historical_contexts.n; i++)
		if (strcmp(p->historical_contexts.v[i], target) != 0)
			strings_add(a, &kept, p->historical_contexts.v[i]);
	changes = changes || moves || kept.n != known;
	p->historical_contexts = kept;
	return changes;
}

static struct json profile_json(struct arena *a, const struct context_cutover *r, const struct product_profile *p,
                                bool changes)
{
	int64_t keys = 0, bindings = 0;
	for (size_t i = 0; i < p->expected_config.runtime_environment_keys.n; i++)
		keys += strcmp(p->expected_config.runtime_environment_keys.v[i].context, r->target_context) == 0;
	for (size_t i = 0; i < p->expected_config.managed_secret_bindings.n; i++)
		bindings += strcmp(p->expected_config.managed_secret_bindings.v[i].context, r->target_context) == 0;
	struct json o = json_object(), lanes = json_object(), history = json_array();
	for (size_t i = 0; i < p->lanes.n; i++)
		json_set_str(a, &lanes, p->lanes.v[i].instance, p->lanes.v[i].context);
	for (size_t i = 0; i < p->historical_contexts.n; i++)
		json_push(a, &history, json_of_str(p->historical_contexts.v[i]));
	json_set_str(a, &o, "action", changes ? "updated" : "unchanged");
	json_set_str(a, &o, "display_name", p->display_name);
	json_set(a, &o, "lane_contexts", lanes);
	json_set_str(a, &o, "preview_context", p->preview.enabled ? p->preview.context : "");
	json_set(a, &o, "historical_contexts", history);
	json_set(a, &o, "expected_key_count", json_of_int(keys));
	json_set(a, &o, "expected_binding_count", json_of_int(bindings));
	return o;
}

/* ---- cutover ---- */

static SUSPENDS bool read_plan(struct tx *tx, const struct query *q, const char *source, const char *target,
                               struct json *out, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, q, PARAMS(P_TEXT(source), P_TEXT(target)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	return json_parse(tx_task(tx)->arena, text, strlen(text), "the plan", out, err);
}

bool cutover_plan(struct tx *tx, const struct context_cutover *r, const struct product_profile *after,
                  bool profile_changes, struct json *out, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct json plan;
	if (!read_plan(tx, &Q_cutover_plan, r->source_context, r->target_context, &plan, err))
		return false;
	*out = json_object();
	json_set_str(a, out, "product", r->product);
	json_set_str(a, out, "source_context", r->source_context);
	json_set_str(a, out, "target_context", r->target_context);
	json_set(a, out, "profile", profile_json(a, r, after, profile_changes));
	for (uint32_t i = 0; i < plan.n; i++)
		json_set(a, out, plan.members[i].key, plan.members[i].value);
	json_set(a, out, "guardrails", move_guardrails(a));
	return true;
}

struct secret_copy {
	const struct context_cutover *r;
	const struct keyring *keyring;
	const char *actor, *now;
};

/* The current version under its new ids; *version_id "" when the secret has none. */
static bool copy_version(struct tx *tx, const struct secret_copy *c, const char *secret_id, const char *old_json,
                         const char **version_id, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct secret_version v;
	*version_id = "";
	if (!old_json)
		return true;
	if (!contract_read_text(a, &secret_version_contract, old_json, strlen(old_json), "the stored secret version",
	                        &v, err))
		return false;
	*version_id =
	        arena_printf(a, "%s-version-copy-%.12s", secret_id, sha256_text(a, v.version_id, strlen(v.version_id)));
	if (strcmp(v.cipher_alg, SEAL_ALG_FERNET) != 0) {
		struct secret plain;
		char *envelope;
		if (!c->keyring)
			return err_set(
			        err, &E_secret_configuration_required,
			        "LAUNCHPLANE_MASTER_ENCRYPTION_KEY is needed to copy secrets to another context");
		if (!seal_open(c->keyring, a, v.secret_id, v.version_id, v.ciphertext, &plain, err) ||
		    !seal(c->keyring, a, secret_id, *version_id, plain.p, plain.n, &envelope, err))
			return false;
		v.ciphertext = envelope;
		v.key_id = seal_key_id(a, envelope);
	}
	v.secret_id = secret_id;
	v.version_id = *version_id;
	v.created_at = c->now;
	v.created_by = c->actor;
	tx_send(tx, &Q_cutover_secret_version,
	        PARAMS(P_TEXT(v.version_id), P_TEXT(v.secret_id), P_TEXT(v.created_at),
	               P_TEXT(contract_text(a, &secret_version_contract, &v))));
	return true;
}

static bool copy_bindings(struct tx *tx, const struct secret_copy *c, const char *secret_id, const char *list_json,
                          struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct json list;
	if (!json_parse(a, list_json, strlen(list_json), "the stored bindings", &list, err))
		return false;
	for (uint32_t i = 0; i < list.n; i++) {
		struct secret_binding b;
		if (!contract_read(a, &secret_binding_contract, &list.items[i], "", &b, err))
			return false;
		b.secret_id = secret_id;
		b.binding_id = secret_binding_id_of(a, secret_id, b.binding_key);
		b.context = c->r->target_context;
		b.created_at = b.updated_at = c->now;
		tx_send(tx, &Q_cutover_secret_binding,
		        PARAMS(P_TEXT(b.binding_id), P_TEXT(b.secret_id), P_TEXT(b.integration), P_TEXT(b.binding_key),
		               P_TEXT(b.context), P_TEXT(b.instance), P_TEXT(b.status), P_TEXT(b.updated_at),
		               P_TEXT(contract_text(a, &secret_binding_contract, &b))));
	}
	return true;
}

static void note_import(struct tx *tx, const struct secret_copy *c, const char *old_id, const char *secret_id)
{
	struct arena *a = tx_task(tx)->arena;
	struct secret_audit_event e = {
		.schema_version = 1,
		.event_id = arena_printf(a, "%s-event-imported-%s", secret_id, random_hex(a, 6)),
		.secret_id = secret_id,
		.event_type = "imported",
		.recorded_at = c->now,
		.actor = c->actor,
		.detail = "copied to another context, sealed for its new record",
	};

	map_set(a, &e.metadata, "source_secret_id", old_id);
	map_set(a, &e.metadata, "source_context", c->r->source_context);
	map_set(a, &e.metadata, "target_context", c->r->target_context);
	map_set(a, &e.metadata, "source_label", c->r->source_label);
	tx_send(tx, &Q_cutover_secret_event,
	        PARAMS(P_TEXT(e.event_id), P_TEXT(e.secret_id), P_TEXT(e.event_type), P_TEXT(e.recorded_at),
	               P_TEXT(contract_text(a, &secret_audit_event_contract, &e))));
}

static bool copy_secret(struct tx *tx, const struct secret_copy *c, const struct rows *rows, size_t i, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct managed_secret s;
	const char *text = row_text(rows, i, 0);
	if (!contract_read_text(a, &managed_secret_contract, text, strlen(text), "the stored secret", &s, err))
		return false;
	const struct place place = { c->r->target_context, s.instance };
	const char *old_id = s.secret_id;
	s.secret_id = secret_id_of(a, s.integration, s.name, &place);
	s.context = c->r->target_context;
	s.created_at = s.updated_at = c->now;
	s.updated_by = c->actor;
	if (!copy_version(tx, c, s.secret_id, row_text(rows, i, 1), &s.current_version_id, err))
		return false;
	tx_send(tx, &Q_cutover_secret,
	        PARAMS(P_TEXT(s.secret_id), P_TEXT(s.scope), P_TEXT(s.integration), P_TEXT(s.name), P_TEXT(s.context),
	               P_TEXT(s.instance), P_TEXT(s.status), P_TEXT(s.current_version_id), P_TEXT(s.updated_at),
	               P_TEXT(contract_text(a, &managed_secret_contract, &s))));
	if (!copy_bindings(tx, c, s.secret_id, row_text(rows, i, 2), err))
		return false;
	note_import(tx, c, old_id, s.secret_id);
	return true;
}

bool cutover_write(struct tx *tx, const struct context_cutover *r, const struct product_profile *after,
                   const struct keyring *keyring, const char *actor, const char *now, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	const struct secret_copy copy = { r, keyring, actor, now };
	arena_wipe_on_reset(a);
	if (!tx_query(tx, &Q_cutover_secrets, PARAMS(P_TEXT(r->source_context), P_TEXT(r->target_context)), &rows, err))
		return false;
	for (size_t i = 0; i < rows.n; i++)
		if (!copy_secret(tx, &copy, &rows, i, err))
			return false;
	const struct param params[] = { P_TEXT(r->source_context), P_TEXT(r->target_context), P_TEXT(now),
		                        P_TEXT(r->source_label) };
	tx_send(tx, &Q_cutover_environments, params, 4);
	tx_send(tx, &Q_cutover_targets, params, 4);
	tx_send(tx, &Q_cutover_inventory, params, 2);
	tx_send(tx, &Q_cutover_tuples, params, 2);
	tx_send(tx, &Q_cutover_profile,
	        PARAMS(P_TEXT(r->product), P_TEXT(after->display_name), P_TEXT(after->updated_at),
	               P_TEXT(contract_text(a, &product_profile_contract, after))));
	return true;
}

/* ---- cleanup ---- */

bool cleanup_plan(struct tx *tx, const struct context_cleanup *r, struct json *out, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct json plan;
	if (!read_plan(tx, &Q_cleanup_plan, r->source_context, r->target_context, &plan, err))
		return false;
	*out = json_object();
	json_set_str(a, out, "product", r->product);
	json_set_str(a, out, "source_context", r->source_context);
	json_set_str(a, out, "target_context", r->target_context);
	for (uint32_t i = 0; i < plan.n; i++)
		json_set(a, out, plan.members[i].key, plan.members[i].value);
	json_set(a, out, "guardrails", move_guardrails(a));
	return true;
}

bool cleanup_write(struct tx *tx, const struct context_cleanup *r, const char *actor, const char *now, struct err *err)
{
	const struct param params[] = { P_TEXT(r->source_context), P_TEXT(r->target_context), P_TEXT(now),
		                        P_TEXT(actor), P_TEXT(r->source_label) };
	(void)err;
	tx_send(tx, &Q_cleanup_environments, params, 5);
	tx_send(tx, &Q_cleanup_secrets, params, 5);
	tx_send(tx, &Q_cleanup_bindings, PARAMS(P_TEXT(r->source_context), P_TEXT(now)));
	/* Provider rows first: they are judged by the records that go after them. */
	tx_send(tx, &Q_cleanup_provider_rows, params, 2);
	tx_send(tx, &Q_cleanup_target_ids, params, 2);
	tx_send(tx, &Q_cleanup_targets, params, 2);
	return true;
}
