/* Tracked Dokploy targets: list, show, set up, edit what is recorded about them (facts/config-health.md 5.1, 5.5). */
#include "drivers/dokploy/target_setup.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/target.sql.h"

/* ---- setup ---- */

static SUSPENDS bool target_setup_apply(struct call *c, const struct target_setup *b, struct err *err)
{
	bool found;
	if (strcmp(b->confirmation, TARGET_SETUP_CONFIRMATION) != 0)
		return err_set(err, &E_confirmation_required,
		               "confirmation: must be exactly \"" TARGET_SETUP_CONFIRMATION "\"");
	if (is_blank(b->reason))
		return err_set(err, &E_reason_required, "reason: is required to apply; say why this is done");
	return call_operated(c, &target_setup_kind, &found, err) && found;
}

static SUSPENDS bool target_setup_route(struct call *c, struct err *err)
{
	const struct target_setup *b = c->body;
	struct target_setup_state state;
	struct target_setup_records records;
	if (c->applies && (target_setup_apply(c, b, err) || err->code))
		return !err->code;
	/* Before the operation: what cannot be done is refused and leaves no trace. The operation looks again. */
	if (!target_setup_prepare(c->t, b, &state, &records, err))
		return false;
	struct json plan = target_setup_plan(c->arena, b, &state, &records);
	struct json result = target_setup_result(c->arena, b, &state, &records, false);
	if (!call_check_plan(c, plan_digest(c->arena, &plan), json_text(c->arena, &plan), err))
		return false;
	if (!c->applies)
		return call_accept(c, NULL, json_text(c->arena, &result));
	struct op_submission s = call_submission(c);
	s.kind = &target_setup_kind;
	s.product = b->product;
	s.context = b->context;
	s.instance = b->instance;
	s.request = contract_text(c->arena, &target_setup_contract, b);
	s.holds_lane = true;
	return call_operate(c, &s, err);
}

/* ---- list, show ---- */

static SUSPENDS bool target_list(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context, *instance;
	if (!request_query(c->rq, "context", &context, err) || !request_query(c->rq, "instance", &instance, err))
		return false;
	context = is_blank(context) ? NULL : lowered(c->arena, trimmed(c->arena, context));
	instance = is_blank(instance) ? NULL : lowered(c->arena, trimmed(c->arena, instance));
	if (!db_query(c->t, &Q_target_list, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	return call_answer_member(c, "targets", row_text(&rows, 0, 0));
}

static SUSPENDS bool target_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context = lowered(c->arena, call_param(c, "context")),
	           *instance = lowered(c->arena, call_param(c, "instance"));
	if (!db_query(c->t, &Q_target_tracked, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no tracked target of %s in context %s", instance, context);
	return call_answer_member(c, "target", row_text(&rows, 0, 0));
}

/* ---- metadata ---- */

enum metadata_operation { METADATA_PUT_KEY, METADATA_UNSET_KEY, METADATA_RELABEL };
static const char *const metadata_names[] = { "put-shopify-protected-store-key", "unset-shopify-protected-store-key",
	                                      "relabel", NULL };
struct target_metadata {
	int64_t schema_version;
	const char *product;
	int operation;
	const char *context, *instance, *key, *source_label, *reason;
};

static bool check_metadata(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct target_metadata *b = record;
	if (strcmp(b->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product", "must be launchplane");
	if (b->operation != METADATA_RELABEL && is_blank(b->key))
		return contract_fail(a, err, path, "key", "is required for %s", metadata_names[b->operation]);
	if (b->operation == METADATA_RELABEL && is_blank(b->source_label))
		return contract_fail(a, err, path, "source_label", "is required for relabel");
	return true;
}

static const struct field metadata_fields[] = {
	F_SCHEMA_VERSION(target_metadata),
	F_STR(target_metadata, product, TRIMMED, .fallback = "launchplane", .help = "launchplane"),
	F_ENUM(target_metadata, operation, REQUIRED, .names = metadata_names),
	F_STR(target_metadata, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(target_metadata, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(target_metadata, key, LOWERED | NO_BLANKS, .max = 200, .help = "The store's key, as in shop_url_key"),
	F_STR(target_metadata, source_label, TRIMMED, .max = 200, .help = "Where the record comes from"),
	F_STR(target_metadata, reason, TRIMMED, .max = 1000),
	F_END,
};
static const struct contract metadata_contract = CONTRACT(
        target_metadata, metadata_fields, "Edits what is recorded about a tracked target", .check = check_metadata);

/* Whether anything changes. */
static bool edit_target(struct arena *a, const struct target_metadata *b, struct dokploy_target *target)
{
	struct strings *keys = &target->policies.shopify.protected_store_keys, kept = { 0 };
	bool had = strings_have(keys, b->key);
	if (b->operation == METADATA_PUT_KEY && !had)
		strings_add(a, keys, b->key);
	for (size_t i = 0; b->operation == METADATA_UNSET_KEY && i < keys->n; i++)
		if (strcmp(keys->v[i], b->key) != 0)
			strings_add(a, &kept, keys->v[i]);
	if (b->operation == METADATA_UNSET_KEY)
		*keys = kept;
	bool relabels = b->source_label[0] && strcmp(b->source_label, target->source_label) != 0;
	if (b->source_label[0])
		target->source_label = b->source_label;
	return relabels || (b->operation == METADATA_PUT_KEY && !had) || (b->operation == METADATA_UNSET_KEY && had);
}

static const char *metadata_result(struct call *c, const struct target_metadata *b, const struct dokploy_target *target,
                                   bool changed)
{
	static const char *const done[] = { "added", "removed", "relabeled" }, *const idle[] = { "already_present",
		                                                                                 "already_absent",
		                                                                                 "unchanged" };
	struct json o = json_object(), keys = json_array();
	const struct strings *list = &target->policies.shopify.protected_store_keys;
	for (size_t i = 0; i < list->n; i++)
		json_push(c->arena, &keys, json_of_str(list->v[i]));
	json_set_str(c->arena, &o, "operation", metadata_names[b->operation]);
	json_set_str(c->arena, &o, "context", b->context);
	json_set_str(c->arena, &o, "instance", b->instance);
	json_set_str(c->arena, &o, "change", changed ? done[b->operation] : idle[b->operation]);
	json_set(c->arena, &o, "protected_store_keys", keys);
	json_set_str(c->arena, &o, "source_label", target->source_label);
	return json_text(c->arena, &o);
}

static SUSPENDS bool edit_in(struct call *c, struct tx *tx, const struct target_metadata *b, const char **result,
                             struct err *err)
{
	struct rows rows;
	struct dokploy_target target;
	const char *row;
	if (!tx_query(tx, &Q_target_read_for_update, PARAMS(P_TEXT(b->context), P_TEXT(b->instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no tracked target of %s in context %s", b->instance,
		               b->context);
	const char *text = row_text(&rows, 0, 0);
	if (!contract_read_text(c->arena, &dokploy_target_contract, text, strlen(text), "the stored target record",
	                        &target, err))
		return false;
	bool changed = edit_target(c->arena, b, &target);
	if (changed)
		target.updated_at = utc_now(c->t);
	const struct target_change change = { .context = b->context, .instance = b->instance, .target = &target };
	if (!target_write(tx, &change, &row, err))
		return false;
	*result = metadata_result(c, b, &target, changed);
	call_store_answer(c, tx, NULL, *result);
	return true;
}

static SUSPENDS bool target_metadata_route(struct call *c, struct err *err)
{
	const char *result;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!edit_in(c, tx, c->body, &result, err)) {
		tx_rollback(tx);
		return false;
	}
	audit_record(c->t, "context", ((const struct target_metadata *)c->body)->context);
	audit_record(c->t, "instance", ((const struct target_metadata *)c->body)->instance);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, NULL, result);
}

const struct route target_routes[] = {
	{ HTTP_POST, "/v1/dokploy-targets/setup", "Record, make or route a Dokploy target of a lane",
	  target_setup_route, .callers = CALLERS_WRITE, .action = "dokploy_target.setup",
	  .apply_action = "dokploy_target.setup", .product = "=launchplane", .context = "=launchplane",
	  .body = &target_setup_contract, .idempotency = IDEMPOTENCY_OWN_APPLY_REQUIRED },
	{ HTTP_GET, "/v1/dokploy-targets", "Tracked targets of all lanes", target_list, .callers = CALLERS_READ,
	  .action = "dokploy_target.inspect", .product = "=launchplane", .context = "=launchplane" },
	{ HTTP_GET, "/v1/dokploy-targets/{context}/{instance}", "The tracked target of a lane", target_show,
	  .callers = CALLERS_READ, .action = "dokploy_target.inspect", .product = "=launchplane",
	  .context = "=launchplane" },
	{ HTTP_POST, "/v1/dokploy-targets/metadata", "Edit what is recorded about a tracked target",
	  target_metadata_route, .callers = CALLERS_WRITE, .action = "dokploy_target.setup", .product = "=launchplane",
	  .context = "=launchplane", .body = &metadata_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
