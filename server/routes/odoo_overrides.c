/* Typed Odoo settings of a lane: what workflows may write through the driver, and what operators may (facts/odoo.md 9).
 * Answers name keys, never values or binding ids. */
#include "server/routes/odoo.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/odoo_override.sql.h"

/* ---- one change ---- */

struct override_target {
	const char *context, *instance, *source_label;
};
typedef bool (*change_fn)(struct call *c, struct odoo_override *record, const void *wish, struct err *err);

static bool is_known(const struct odoo_override *o)
{
	return o->config_parameters.n || o->addon_settings.n || o->website_bootstrap;
}

static SUSPENDS bool read_for_change(struct call *c, struct tx *tx, const struct override_target *t,
                                     struct odoo_override *out, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, &Q_odoo_override_lock, PARAMS(P_TEXT(t->context), P_TEXT(t->instance)), &rows, err))
		return false;
	if (rows.n) {
		const char *text = arena_strdup(c->arena, row_text(&rows, 0, 0));
		return contract_read_text(c->arena, &odoo_override_contract, text, strlen(text),
		                          "the stored override record", out, err);
	}
	contract_defaults(c->arena, &odoo_override_contract, out);
	out->context = t->context;
	out->instance = t->instance;
	return true;
}

/* Reads the record under a lock, lets change work on it, checks the whole and writes it. */
static SUSPENDS bool change_record(struct call *c, struct tx *tx, const struct override_target *t, change_fn change,
                                   const void *wish, struct odoo_override *record, struct err *err)
{
	struct odoo_override checked;
	if (!read_for_change(c, tx, t, record, err) || !change(c, record, wish, err))
		return false;
	record->updated_at = utc_now(c->t);
	record->source_label = t->source_label;
	const char *text = contract_text(c->arena, &odoo_override_contract, record);
	if (!contract_read_text(c->arena, &odoo_override_contract, text, strlen(text), "the override record", &checked,
	                        err))
		return false;
	tx_send(tx, &Q_odoo_override_upsert,
	        PARAMS(P_TEXT(record->context), P_TEXT(record->instance), P_TEXT(record->updated_at), P_TEXT(text)));
	return true;
}

/* Settings that are new have not been applied yet. */
static void reset_apply(struct odoo_override *o)
{
	o->last_apply = (struct override_apply){ .status = RELEASE_SKIPPED, .applied_at = "", .detail = "" };
}

static void set_parameter(struct arena *a, struct odoo_override *o, const char *key, const struct override_value *value)
{
	for (size_t i = 0; i < o->config_parameters.n; i++)
		if (strcmp(o->config_parameters.v[i].key, key) == 0) {
			o->config_parameters.v[i].value = *value;
			return;
		}
	struct override_config_parameter *v = arena_array(a, o->config_parameters.n + 1, sizeof(*v));
	if (o->config_parameters.n)
		memcpy(v, o->config_parameters.v, o->config_parameters.n * sizeof(*v));
	v[o->config_parameters.n++] = (struct override_config_parameter){ key, *value };
	o->config_parameters.v = v;
}

static void set_setting(struct arena *a, struct odoo_override *o, const char *addon, const char *setting,
                        const struct override_value *value)
{
	for (size_t i = 0; i < o->addon_settings.n; i++)
		if (strcmp(o->addon_settings.v[i].addon, addon) == 0 &&
		    strcmp(o->addon_settings.v[i].setting, setting) == 0) {
			o->addon_settings.v[i].value = *value;
			return;
		}
	struct override_addon_setting *v = arena_array(a, o->addon_settings.n + 1, sizeof(*v));
	if (o->addon_settings.n)
		memcpy(v, o->addon_settings.v, o->addon_settings.n * sizeof(*v));
	v[o->addon_settings.n++] = (struct override_addon_setting){ addon, setting, *value };
	o->addon_settings.v = v;
}

static struct override_value literal(struct arena *a, const struct json *value)
{
	struct json *copy = ARENA_NEW(a, struct json);
	*copy = *value;
	return (struct override_value){ .source = OVERRIDE_LITERAL, .value = copy, .secret_binding_id = "" };
}

static void apply_on(struct arena *a, struct odoo_override *o, enum override_phase phase)
{
	if (!odoo_override_applies_on(o, phase))
		strings_add(a, &o->apply_on, override_phase_names[phase]);
}

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

static bool put_parameter(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct driver_override *d = wish;
	const struct json text = json_of_str(d->value);
	struct override_value value = literal(c->arena, &text);
	(void)err;
	set_parameter(c->arena, o, d->key, &value);
	apply_on(c->arena, o, OVERRIDE_DEPLOY);
	apply_on(c->arena, o, OVERRIDE_PROMOTION);
	reset_apply(o);
	return true;
}

static bool put_website(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct driver_override *d = wish;
	(void)err;
	o->website_bootstrap = ARENA_NEW(c->arena, struct website_bootstrap);
	*o->website_bootstrap = d->website_bootstrap;
	apply_on(c->arena, o, OVERRIDE_DEPLOY);
	apply_on(c->arena, o, OVERRIDE_PROMOTION);
	reset_apply(o);
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
static SUSPENDS bool driver_change(struct call *c, change_fn change, bool is_website, struct err *err)
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
	if (!change_record(c, tx, &target, change, d, &record, err)) {
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

struct operator_override {
	int64_t schema_version;
	const char *context, *instance, *key, *addon, *setting, *secret_binding_id, *source_label;
	const struct json *value;
	struct website_bootstrap website_bootstrap;
	int status;
	const char *applied_at, *detail;
};

static bool check_value(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct operator_override *o = record;
	const char *name = o->key && o->key[0] ? o->key : o->setting;
	if (!o->value == !o->secret_binding_id[0])
		return contract_fail(a, err, path, "value", "or secret_binding_id is needed, one of them");
	if (o->value && (o->value->type == JSON_ARRAY || o->value->type == JSON_OBJECT))
		return contract_fail(a, err, path, "value", "must be a string, a number or a boolean");
	if (o->value && odoo_override_needs_binding(name) &&
	    (!o->addon || strcmp(o->addon, "shopify") != 0 || strcmp(o->setting, "shop_url_key") != 0))
		return contract_fail(
		        a, err, path, "value",
		        "must not be plain text, %s is named like a secret: bind a managed secret and give its "
		        "secret_binding_id",
		        name);
	return true;
}

#define OPERATOR_HEAD                                                                                                  \
	F_SCHEMA_VERSION(operator_override),                                                                           \
	        F_STR(operator_override, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),             \
	        F_STR(operator_override, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),            \
	        F_STR(operator_override, source_label, TRIMMED, .fallback = "cli", .max = 200)
#define OPERATOR_VALUE                                                                                                 \
	F_JSON(operator_override, value, 0, .help = "String, number or boolean; not for names like secrets"),          \
	        F_STR(operator_override, secret_binding_id, TRIMMED, .max = 300, .help = "Of a managed secret")

static const struct field operator_parameter_fields[] = {
	OPERATOR_HEAD,
	F_STR(operator_override, key, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	OPERATOR_VALUE,
	F_END,
};
static const struct contract operator_parameter_contract = CONTRACT(
        operator_override, operator_parameter_fields, "An ir.config_parameter of a lane", .check = check_value);
static const struct field operator_setting_fields[] = {
	OPERATOR_HEAD,
	F_STR(operator_override, addon, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(operator_override, setting, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	OPERATOR_VALUE,
	F_END,
};
static const struct contract operator_setting_contract =
        CONTRACT(operator_override, operator_setting_fields, "A setting of an addon of a lane", .check = check_value);
static const struct field operator_website_fields[] = {
	OPERATOR_HEAD,
	F_OBJECT(operator_override, website_bootstrap, REQUIRED, &website_bootstrap_contract),
	F_END,
};
static const struct contract operator_website_contract =
        CONTRACT(operator_override, operator_website_fields, "A lane's website");
static const struct field operator_apply_fields[] = {
	OPERATOR_HEAD,
	F_ENUM(operator_override, status, REQUIRED, .names = release_status_names),
	F_STR(operator_override, applied_at, TRIMMED, .max = 100, .help = "Default: now, for pass and fail"),
	F_STR(operator_override, detail, TRIMMED, .max = 1000),
	F_END,
};
static const struct contract operator_apply_contract =
        CONTRACT(operator_override, operator_apply_fields, "How the latest application of a lane's settings went");

static struct override_value wished_value(struct call *c, const struct operator_override *o)
{
	if (o->value)
		return literal(c->arena, o->value);
	return (struct override_value){ .source = OVERRIDE_SECRET_BINDING, .secret_binding_id = o->secret_binding_id };
}

static bool operator_parameter(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct operator_override *w = wish;
	struct override_value value = wished_value(c, w);
	(void)err;
	set_parameter(c->arena, o, w->key, &value);
	reset_apply(o);
	return true;
}

static bool operator_setting(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct operator_override *w = wish;
	struct override_value value = wished_value(c, w);
	(void)err;
	set_setting(c->arena, o, w->addon, w->setting, &value);
	reset_apply(o);
	return true;
}

static bool operator_website(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct operator_override *w = wish;
	(void)err;
	o->website_bootstrap = ARENA_NEW(c->arena, struct website_bootstrap);
	*o->website_bootstrap = w->website_bootstrap;
	reset_apply(o);
	return true;
}

static bool operator_apply(struct call *c, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct operator_override *w = wish;
	bool ended = w->status == RELEASE_PASS || w->status == RELEASE_FAIL;
	if (!is_known(o))
		return err_set(err, &E_not_found, "there are no settings of %s/%s", o->context, o->instance);
	o->last_apply =
	        (struct override_apply){ .attempted = w->status != RELEASE_SKIPPED,
		                         .status = w->status,
		                         .applied_at = w->applied_at[0] || !ended ? w->applied_at : utc_now(c->t),
		                         .detail = w->detail };
	return true;
}

static SUSPENDS bool operator_change(struct call *c, change_fn change, struct err *err)
{
	const struct operator_override *w = c->body;
	const struct override_target target = { w->context, w->instance, w->source_label };
	struct odoo_override record;
	struct json records = json_object();
	struct rows rows;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!change_record(c, tx, &target, change, w, &record, err) ||
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
	return operator_change(c, operator_parameter, err);
}
static SUSPENDS bool operator_setting_route(struct call *c, struct err *err)
{
	return operator_change(c, operator_setting, err);
}
static SUSPENDS bool operator_website_route(struct call *c, struct err *err)
{
	return operator_change(c, operator_website, err);
}
static SUSPENDS bool operator_apply_route(struct call *c, struct err *err)
{
	return operator_change(c, operator_apply, err);
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
	               operator_parameter_route, operator_parameter_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/addon-settings", "Write a setting of an addon of a lane",
	               operator_setting_route, operator_setting_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/website-bootstrap",
	               "Write what a lane's website is set up with, as an operator", operator_website_route,
	               operator_website_contract),
	OPERATOR_ROUTE("/v1/odoo-overrides/apply-status", "Say how the latest application of a lane's settings went",
	               operator_apply_route, operator_apply_contract),
	{ 0 },
};
