#include "storage/odoo_override_write.h"

#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/evidence.h"
#include "storage/odoo_override.sql.h"

/* Settings that are new have not been applied yet. */
void override_reset_apply(struct odoo_override *o)
{
	o->last_apply = (struct override_apply){ .status = RELEASE_SKIPPED, .applied_at = "", .detail = "" };
}

void override_set_parameter(struct arena *a, struct odoo_override *o, const char *key,
                            const struct override_value *value)
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

struct override_value override_literal(struct arena *a, const struct json *value)
{
	struct json *copy = ARENA_NEW(a, struct json);
	*copy = *value;
	return (struct override_value){ .source = OVERRIDE_LITERAL, .value = copy, .secret_binding_id = "" };
}

void override_apply_on(struct arena *a, struct odoo_override *o, enum override_phase phase)
{
	if (!odoo_override_applies_on(o, phase))
		strings_add(a, &o->apply_on, override_phase_names[phase]);
}

/* ---- what operators may write ---- */

static bool check_value(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct override_write *o = record;
	const char *name = o->key && o->key[0] ? o->key : o->setting;
	if (!o->value == !o->secret_binding_id[0])
		return contract_fail(a, err, path, "value", "or secret_binding_id is needed, one of them");
	if (o->value && (o->value->type == JSON_ARRAY || o->value->type == JSON_OBJECT))
		return contract_fail(a, err, path, "value", "must be a string, a number or a boolean");
	/* A shop's address is called a key and must be readable: protected shops are refused by it. */
	if (o->value && odoo_override_needs_binding(name) &&
	    (!o->addon || strcmp(o->addon, "shopify") != 0 || strcmp(o->setting, "shop_url_key") != 0))
		return contract_fail(
		        a, err, path, "value",
		        "must not be plain text, %s is named like a secret: bind a managed secret and give its "
		        "secret_binding_id",
		        name);
	return true;
}

#define WRITE_HEAD                                                                                                     \
	F_SCHEMA_VERSION(override_write),                                                                              \
	        F_STR(override_write, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),                \
	        F_STR(override_write, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),               \
	        F_STR(override_write, source_label, TRIMMED, .fallback = "cli", .max = 200)
#define WRITE_VALUE                                                                                                    \
	F_JSON(override_write, value, 0, .help = "String, number or boolean; not for names like secrets"),             \
	        F_STR(override_write, secret_binding_id, TRIMMED, .max = 300, .help = "Of a managed secret")

static const struct field parameter_fields[] = {
	WRITE_HEAD,
	F_STR(override_write, key, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	WRITE_VALUE,
	F_END,
};
const struct contract override_parameter_write_contract =
        CONTRACT(override_write, parameter_fields, "An ir.config_parameter of a lane", .check = check_value);
static const struct field setting_fields[] = {
	WRITE_HEAD,
	F_STR(override_write, addon, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(override_write, setting, REQUIRED | TRIMMED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	WRITE_VALUE,
	F_END,
};
const struct contract override_setting_write_contract =
        CONTRACT(override_write, setting_fields, "A setting of an addon of a lane", .check = check_value);
static const struct field website_fields[] = {
	WRITE_HEAD,
	F_OBJECT(override_write, website_bootstrap, REQUIRED, &website_bootstrap_contract),
	F_END,
};
const struct contract override_website_write_contract = CONTRACT(override_write, website_fields, "A lane's website");
static const struct field apply_fields[] = {
	WRITE_HEAD,
	F_ENUM(override_write, status, REQUIRED, .names = release_status_names),
	F_STR(override_write, applied_at, TRIMMED, .max = 100, .help = "Default: now, for pass and fail"),
	F_STR(override_write, detail, TRIMMED, .max = 1000),
	F_END,
};
const struct contract override_apply_write_contract =
        CONTRACT(override_write, apply_fields, "How the latest application of a lane's settings went");

static bool is_known(const struct odoo_override *o)
{
	return o->config_parameters.n || o->addon_settings.n || o->website_bootstrap;
}

static struct override_value wished_value(struct arena *a, const struct override_write *o)
{
	if (o->value)
		return override_literal(a, o->value);
	return (struct override_value){ .source = OVERRIDE_SECRET_BINDING, .secret_binding_id = o->secret_binding_id };
}

bool override_put_parameter(struct arena *a, const char *now, struct odoo_override *o, const void *wish,
                            struct err *err)
{
	const struct override_write *w = wish;
	struct override_value value = wished_value(a, w);
	(void)now;
	(void)err;
	override_set_parameter(a, o, w->key, &value);
	override_reset_apply(o);
	return true;
}

bool override_put_setting(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct override_write *w = wish;
	struct override_value value = wished_value(a, w);
	(void)now;
	(void)err;
	set_setting(a, o, w->addon, w->setting, &value);
	override_reset_apply(o);
	return true;
}

bool override_put_website(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct override_write *w = wish;
	(void)now;
	(void)err;
	o->website_bootstrap = ARENA_NEW(a, struct website_bootstrap);
	*o->website_bootstrap = w->website_bootstrap;
	override_reset_apply(o);
	return true;
}

bool override_mark_apply(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err)
{
	const struct override_write *w = wish;
	(void)a;
	bool ended = w->status == RELEASE_PASS || w->status == RELEASE_FAIL;
	if (!is_known(o))
		return err_set(err, &E_not_found, "there are no settings of %s/%s", o->context, o->instance);
	o->last_apply = (struct override_apply){ .attempted = w->status != RELEASE_SKIPPED,
		                                 .status = w->status,
		                                 .applied_at = w->applied_at[0] || !ended ? w->applied_at : now,
		                                 .detail = w->detail };
	return true;
}

/* ---- one change ---- */

static SUSPENDS bool read_for_change(struct tx *tx, const struct override_target *t, struct odoo_override *out,
                                     struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	if (!tx_query(tx, &Q_odoo_override_lock, PARAMS(P_TEXT(t->context), P_TEXT(t->instance)), &rows, err))
		return false;
	if (rows.n) {
		const char *text = arena_strdup(a, row_text(&rows, 0, 0));
		return contract_read_text(a, &odoo_override_contract, text, strlen(text), "the stored override record",
		                          out, err);
	}
	contract_defaults(a, &odoo_override_contract, out);
	out->context = t->context;
	out->instance = t->instance;
	return true;
}

/* Reads the record under a lock, lets change work on it, checks the whole and writes it. */
bool odoo_override_change(struct tx *tx, const struct override_target *t, override_change_fn change, const void *wish,
                          const char *now, struct odoo_override *record, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct odoo_override checked;
	if (!read_for_change(tx, t, record, err) || !change(a, now, record, wish, err))
		return false;
	record->updated_at = now;
	record->source_label = t->source_label;
	const char *text = contract_text(a, &odoo_override_contract, record);
	if (!contract_read_text(a, &odoo_override_contract, text, strlen(text), "the override record", &checked, err))
		return false;
	tx_send(tx, &Q_odoo_override_upsert,
	        PARAMS(P_TEXT(record->context), P_TEXT(record->instance), P_TEXT(record->updated_at), P_TEXT(text)));
	return true;
}
