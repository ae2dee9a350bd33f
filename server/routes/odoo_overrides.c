/* Typed Odoo settings of a lane: what workflows may write through the driver, and what operators may (facts/odoo.md 9).
 * Answers name keys, never values or binding ids. */
#include "server/routes/odoo.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/odoo_override.sql.h"
#include "storage/odoo_override_write.h"
#include "storage/runtime_environment.h"

/* ---- what workflows may write ---- */

struct driver_override {
	int64_t schema_version;
	const char *product, *context, *instance, *key, *value, *source_label;
	struct website_bootstrap website_bootstrap;
};
struct driver_override_body {
	int64_t schema_version;
	const char *product;
	struct driver_override override;
};

static bool check_key(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct driver_override *o = record;
	return strcmp(o->key, "web.base.url") == 0 ||
	       contract_fail(a, err, path, "key", "must be web.base.url: other parameters are written by operators");
}

static bool same_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct driver_override_body *b = record;
	return strcmp(b->product, b->override.product) == 0 ||
	       contract_fail(a, err, path, "override.product", "must equal product");
}

#define OVERRIDE_HEAD                                                                                                  \
	F_SCHEMA_VERSION(driver_override),                                                                             \
	        F_STR(driver_override, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),                           \
	        F_STR(driver_override, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),               \
	        F_STR(driver_override, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),              \
	        F_STR(driver_override, source_label, TRIMMED, .fallback = "launchplane-service", .max = 200)

static const struct field parameter_fields[] = {
	OVERRIDE_HEAD,
	F_STR(driver_override, key, REQUIRED | LOWERED | NON_BLANK, .max = 200, .help = "Only web.base.url"),
	F_STR(driver_override, value, REQUIRED | TRIMMED | NON_BLANK, .max = 2000),
	F_END,
};
static const struct contract parameter_contract =
        CONTRACT(driver_override, parameter_fields, "A parameter of a lane", .check = check_key);
static const struct field parameter_body_fields[] = {
	F_SCHEMA_VERSION(driver_override_body),
	F_STR(driver_override_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(driver_override_body, override, REQUIRED, &parameter_contract),
	F_END,
};
static const struct contract parameter_body_contract =
        CONTRACT(driver_override_body, parameter_body_fields, "A parameter of a lane", .check = same_product);

static const struct field website_fields[] = {
	OVERRIDE_HEAD,
	F_OBJECT(driver_override, website_bootstrap, REQUIRED, &website_bootstrap_contract),
	F_END,
};
static const struct contract website_contract = CONTRACT(driver_override, website_fields, "A lane's website");
static const struct field website_body_fields[] = {
	F_SCHEMA_VERSION(driver_override_body),
	F_STR(driver_override_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(driver_override_body, override, REQUIRED, &website_contract),
	F_END,
};
static const struct contract website_body_contract =
        CONTRACT(driver_override_body, website_body_fields, "A lane's website", .check = same_product);

static bool put_parameter(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct driver_override *d = wish;
	const struct json text = json_of_str(d->value);
	struct override_value value = override_literal(a, &text);
	(void)now;
	(void)err;
	override_set_parameter(a, o, d->key, &value);
	override_apply_on(a, o, OVERRIDE_DEPLOY);
	override_apply_on(a, o, OVERRIDE_PROMOTION);
	override_reset_apply(o);
	return true;
}

static bool put_website(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct driver_override *d = wish;
	(void)now;
	(void)err;
	o->website_bootstrap = ARENA_NEW(a, struct website_bootstrap);
	*o->website_bootstrap = d->website_bootstrap;
	override_apply_on(a, o, OVERRIDE_DEPLOY);
	override_apply_on(a, o, OVERRIDE_PROMOTION);
	override_reset_apply(o);
	return true;
}

static struct strings parameter_keys(struct arena *a, const struct odoo_override *o)
{
	struct strings keys = { 0 };
	for (size_t i = 0; i < o->config_parameters.n; i++)
		strings_add(a, &keys, o->config_parameters.v[i].key);
	strings_sort(&keys);
	return keys;
}

static const char *joined(struct arena *a, const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", list->v[i]);
	return buf_cstr(&b);
}

/* The answer's records are its result, as texts (facts/odoo.md 1.1). */
static SUSPENDS bool driver_change(struct call *c, override_change_fn change, bool is_website, struct err *err)
{
	const struct driver_override_body *body = c->body;
	const struct driver_override *d = &body->override;
	const struct override_target target = { d->context, d->instance, d->source_label };
	struct odoo_lane lane;
	struct odoo_override record;
	struct json records = json_object(), result;
	struct tx *tx;
	if (!odoo_lane_of(c, body->product, d->context, d->instance, true, &lane, err) || !tx_begin(c->t, &tx, err))
		return false;
	if (!odoo_override_change(tx, &target, change, d, utc_now(c->t), &record, err)) {
		tx_rollback(tx);
		return false;
	}
	json_set_str(c->arena, &records, "context", d->context);
	json_set_str(c->arena, &records, "instance", d->instance);
	result = records;
	if (is_website) {
		json_set(c->arena, &result, "website_bootstrap", json_of_bool(true));
		json_set_str(c->arena, &records, "website_bootstrap", "true");
	} else {
		const struct strings keys = parameter_keys(c->arena, &record);
		json_set(c->arena, &result, "config_parameter_keys", json_of_strings(c->arena, &keys));
		json_set_str(c->arena, &records, "config_parameter_keys", joined(c->arena, &keys));
	}
	const char *text = json_text(c->arena, &result);
	call_store_answer(c, tx, &records, text);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, text);
}

static SUSPENDS bool parameter_route(struct call *c, struct err *err)
{
	return driver_change(c, put_parameter, false, err);
}

static SUSPENDS bool website_route(struct call *c, struct err *err)
{
	return driver_change(c, put_website, true, err);
}

/* ---- what operators may write ---- */

static SUSPENDS bool operator_change(struct call *c, override_change_fn change, struct err *err)
{
	const struct override_write *w = c->body;
	const struct override_target target = { w->context, w->instance, w->source_label };
	struct odoo_override record;
	struct json records = json_object();
	struct rows rows;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!odoo_override_change(tx, &target, change, w, utc_now(c->t), &record, err) ||
	    !tx_query(tx, &Q_odoo_override_summary, PARAMS(P_TEXT(w->context), P_TEXT(w->instance)), &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	json_set_str(c->arena, &records, "context", w->context);
	json_set_str(c->arena, &records, "instance", w->instance);
	const char *summary = arena_strdup(c->arena, row_text(&rows, 0, 0));
	call_store_answer(c, tx, &records, summary);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, summary);
}

static SUSPENDS bool operator_parameter_route(struct call *c, struct err *err)
{
	return operator_change(c, override_put_parameter, err);
}
static SUSPENDS bool operator_setting_route(struct call *c, struct err *err)
{
	return operator_change(c, override_put_setting, err);
}
static SUSPENDS bool operator_website_route(struct call *c, struct err *err)
{
	return operator_change(c, override_put_website, err);
}
static SUSPENDS bool operator_apply_route(struct call *c, struct err *err)
{
	return operator_change(c, override_mark_apply, err);
}

/* What would be moved is told by the rehearsal of it: its transaction is rolled back. */
static SUSPENDS bool transport_route(struct call *c, struct err *err)
{
	const struct override_transport *r = c->body;
	const struct authorship by = {
		.actor = c->principal->actor, .now = utc_now(c->t), .source_label = r->source_label, .reason = ""
	};
	const char *action = c->applies ? c->route->apply_action : c->route->action;
	struct json report, records = json_object();
	struct tx *tx;
	if (!call_authorize(c, action, "launchplane", r->context[0] ? r->context : "launchplane", err) ||
	    !tx_begin(c->t, &tx, err))
		return false;
	if (!odoo_override_migrate_transport(tx, r, c->applies, &by, &report, err)) {
		tx_rollback(tx);
		return false;
	}
	const char *text = json_text(c->arena, &report);
	if (!c->applies) {
		tx_rollback(tx);
		return call_accept(c, &records, text);
	}
	call_store_answer(c, tx, &records, text);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, text);
}

static SUSPENDS bool overrides_list(struct call *c, struct err *err)
{
	struct rows rows;
	struct buf b;
	struct json_out o;
	if (!db_query(c->t, &Q_odoo_override_summaries, NULL, 0, &rows, err))
		return false;
	call_open_ok(c, &o, &b);
	jo_kv_int(&o, "count", row_int(&rows, 0, 0));
	jo_key(&o, "records");
	jo_raw(&o, row_text(&rows, 0, 1), strlen(row_text(&rows, 0, 1)));
	return call_close_ok(c, &o);
}

static SUSPENDS bool overrides_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context = call_param(c, "context"), *instance = call_param(c, "instance");
	if (!db_query(c->t, &Q_odoo_override_summary, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there are no settings of %s/%s", context, instance);
	return call_answer_member(c, "record", row_text(&rows, 0, 0));
}

#define OPERATOR_ROUTE(path_, summary_, handler_, body_)                                                               \
	{                                                                                                              \
		HTTP_POST, path_, summary_, handler_, .callers = CALLERS_WRITE_HUMAN, .action = "odoo_override.write", \
		                                      .product = "=launchplane", .context = "body:context",            \
		                                      .body = &(body_), .idempotency = IDEMPOTENCY_OPTIONAL            \
	}

const struct route odoo_override_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/config-parameter-override", "Write a lane's web.base.url", parameter_route,
	  .callers = CALLERS_WRITE, .action = "odoo_config_parameter_override.write", .product = "body:product",
	  .context = "handler", .body = &parameter_body_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/drivers/odoo/website-bootstrap-override", "Write what a lane's website is set up with",
	  website_route, .callers = CALLERS_WRITE, .action = "odoo_website_bootstrap_override.write",
	  .product = "body:product", .context = "handler", .body = &website_body_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_GET, "/v1/odoo-overrides", "Typed settings of all lanes: keys, counts, labels and times", overrides_list,
	  .callers = CALLERS_READ, .action = "odoo_override.read", .product = "=launchplane",
	  .context = "=launchplane" },
	{ HTTP_GET, "/v1/odoo-overrides/{context}/{instance}", "Typed settings of a lane, likewise", overrides_show,
	  .callers = CALLERS_READ, .action = "odoo_override.read", .product = "=launchplane",
	  .context = "path:context" },
	OPERATOR_ROUTE("/v1/odoo-overrides/config-parameters", "Write an ir.config_parameter of a lane",
	               operator_parameter_route, override_parameter_write_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/addon-settings", "Write a setting of an addon of a lane",
	               operator_setting_route, override_setting_write_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/website-bootstrap",
	               "Write what a lane's website is set up with, as an operator", operator_website_route,
	               override_website_write_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/apply-status", "Say how the latest application of a lane's settings went",
	               operator_apply_route, override_apply_write_contract),
	{ HTTP_POST, "/v1/odoo-overrides/secret-transport",
	  "Move the secrets that settings refer to under the neutral keys of the payload", transport_route,
	  .callers = CALLERS_WRITE_HUMAN, .action = "odoo_override.read", .apply_action = "odoo_override.write",
	  .product = "=launchplane", .context = "handler", .body = &override_transport_contract,
	  .idempotency = IDEMPOTENCY_APPLY },
	{ 0 },
};
