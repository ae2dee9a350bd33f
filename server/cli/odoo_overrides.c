/* launchplane odoo-overrides ...: typed Odoo settings of lanes. With --database-url they are written and read in the
 * database itself, without it through the service. */
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/service.h"
#include "storage/odoo_override.sql.h"
#include "storage/odoo_override_write.h"

static const struct setting lane_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod, ...", 0 },
	{ "--source-label", NULL, NULL, "TEXT", "Who or what wrote it; default: cli", 0 },
	{ 0 },
};
static const struct setting value_settings[] = {
	{ "--value", NULL, NULL, "TEXT", "The value; not for names like secrets", 0 },
	{ "--secret-binding-id", NULL, NULL, "ID", "The managed secret's binding, in place of a value", 0 },
	{ 0 },
};
static const struct setting parameter_settings[] = {
	{ "--key", NULL, NULL, "NAME", "The ir.config_parameter", 0 },
	{ 0 },
};
static const struct setting setting_settings[] = {
	{ "--addon", NULL, NULL, "NAME", "The addon: shopify, ...", 0 },
	{ "--setting", NULL, NULL, "NAME", "The setting of it", 0 },
	{ 0 },
};
static const struct setting apply_settings[] = {
	{ "--status", NULL, NULL, "NAME", "skipped, pending, pass or fail", 0 },
	{ "--applied-at", NULL, NULL, "TIME", "UTC; default: now, for pass and fail", 0 },
	{ "--detail", NULL, NULL, "TEXT", "What there is to say", 0 },
	{ 0 },
};

#define LANE_ARGUMENTS                                                                                                 \
	{ "--context", "context", .is_required = true }, { "--instance", "instance", .is_required = true },            \
	{                                                                                                              \
		"--source-label", "source_label"                                                                       \
	}
static const struct argument parameter_arguments[] = {
	LANE_ARGUMENTS,
	{ "--key", "key", .is_required = true },
	{ "--value", "value" },
	{ "--secret-binding-id", "secret_binding_id" },
	{ 0 },
};
static const struct argument setting_arguments[] = {
	LANE_ARGUMENTS,
	{ "--addon", "addon", .is_required = true },
	{ "--setting", "setting", .is_required = true },
	{ "--value", "value" },
	{ "--secret-binding-id", "secret_binding_id" },
	{ 0 },
};
static const struct argument apply_arguments[] = {
	LANE_ARGUMENTS,
	{ "--status", "status", .is_required = true },
	{ "--applied-at", "applied_at" },
	{ "--detail", "detail" },
	{ 0 },
};

static const struct setting website_settings[] = {
	{ "--payload-file", NULL, NULL, "FILE", "JSON: the website_bootstrap; or give the whole body as --input-file",
	  0 },
	{ 0 },
};
static const struct argument website_arguments[] = {
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--source-label", "source_label" },
	{ "--payload-file", "website_bootstrap", ARGUMENT_JSON_FILE },
	{ 0 },
};
static const struct setting where_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod, ...", 0 },
	{ 0 },
};
static const struct argument show_arguments[] = {
	{ "--context", "{context}", .is_required = true },
	{ "--instance", "{instance}", .is_required = true },
	{ 0 },
};
static const struct setting transport_settings[] = {
	{ "--context", NULL, NULL, "NAME", "Only lanes of this context", 0 },
	{ "--instance", NULL, NULL, "NAME", "Only this lane of it", 0 },
	{ "--source-label", NULL, "odoo-secret-transport-migration", "TEXT", "For the record", 0 },
	{ 0 },
};
static const struct argument transport_arguments[] = {
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--source-label", "source_label" },
	{ 0 },
};

#define DIRECT_OPTIONS client_settings, database_settings, actor_settings, log_settings, NULL
static const struct setting *const parameter_options[] = { lane_settings, parameter_settings, value_settings,
	                                                   idempotency_settings, DIRECT_OPTIONS };
static const struct setting *const setting_options[] = { lane_settings, setting_settings, value_settings,
	                                                 idempotency_settings, DIRECT_OPTIONS };
static const struct setting *const website_options[] = { lane_settings, website_settings, input_settings,
	                                                 idempotency_settings, DIRECT_OPTIONS };
static const struct setting *const apply_options[] = { lane_settings, apply_settings, idempotency_settings,
	                                               DIRECT_OPTIONS };
static const struct setting *const transport_options[] = { transport_settings, mode_settings, idempotency_settings,
	                                                   DIRECT_OPTIONS };
static const struct setting *const list_options[] = { DIRECT_OPTIONS };
static const struct setting *const show_options[] = { where_settings, DIRECT_OPTIONS };
static const struct setting *const body_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct column list_columns[] = {
	{ "CONTEXT", "context" },
	{ "INSTANCE", "instance" },
	{ "PARAMETERS", "config_parameter_count" },
	{ "SETTINGS", "addon_setting_count" },
	{ "LAST APPLY", "last_apply_status" },
	{ "UPDATED AT", "updated_at" },
	{ "SOURCE", "source_label" },
	{ 0 },
};

static const struct api_call put_parameter = { "POST", "/v1/odoo-overrides/config-parameters", parameter_arguments };
static const struct api_call put_setting = { "POST", "/v1/odoo-overrides/addon-settings", setting_arguments };
static const struct api_call put_website = { "POST", "/v1/odoo-overrides/website-bootstrap", website_arguments,
	                                     .flags = API_FLAGS_DO };
static const struct api_call mark_apply = { "POST", "/v1/odoo-overrides/apply-status", apply_arguments };
static const struct api_call list = { "GET", "/v1/odoo-overrides", .member = "records", .columns = list_columns };
static const struct api_call show = { "GET", "/v1/odoo-overrides/{context}/{instance}", show_arguments,
	                              .member = "record" };
static const struct api_call transport = { "POST", "/v1/odoo-overrides/secret-transport", transport_arguments,
	                                   .flags = API_MODES };
static const struct api_call driver_parameter = { "POST", "/v1/drivers/odoo/config-parameter-override", 0 };
static const struct api_call driver_website = { "POST", "/v1/drivers/odoo/website-bootstrap-override", 0 };

/* ---- in the database ---- */

static bool has_database(const struct settings *s)
{
	return setting(s, "LAUNCHPLANE_DATABASE_URL") != NULL;
}

/* The body that the service would be sent, read by the contract it would be read by. */
static bool read_flags(struct direct *d, const struct command *self, const struct contract *contract, void *out,
                       struct err *err)
{
	const char *body;
	return api_body(d->t->arena, self, d->s, &body, err) &&
	       contract_read_text(d->t->arena, contract, body, strlen(body), "the flags", out, err);
}

struct change {
	struct direct *d;
	struct override_write wish;
	override_change_fn change;
	const char *summary;
};

static SUSPENDS bool change_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	const struct override_target target = { c->wish.context, c->wish.instance, c->wish.source_label };
	struct odoo_override record;
	struct rows rows;
	if (!odoo_override_change(tx, &target, c->change, &c->wish, c->d->by.now, &record, err) ||
	    !tx_query(tx, &Q_odoo_override_summary, PARAMS(P_TEXT(record.context), P_TEXT(record.instance)), &rows,
	              err))
		return false;
	c->summary = arena_strdup(tx_task(tx)->arena, row_text(&rows, 0, 0));
	return true;
}

static SUSPENDS bool write_direct(struct direct *d, struct buf *out, const struct command *self,
                                  const struct contract *contract, override_change_fn change, struct err *err)
{
	struct change c = { .d = d, .change = change };
	if (!read_flags(d, self, contract, &c.wish, err) || !direct_tx(d, change_in, &c, err))
		return false;
	buf_printf(out, "{\"status\":\"ok\",\"record\":%s}", c.summary);
	return true;
}

#define DIRECT_WRITE(name, options_, call_, contract_, change_)                                                        \
	static SUSPENDS bool name(struct direct *d, struct buf *out, struct err *err)                                  \
	{                                                                                                              \
		static const struct command self = { .options = (options_), .call = &(call_) };                        \
		return write_direct(d, out, &self, &(contract_), change_, err);                                        \
	}
DIRECT_WRITE(parameter_direct, parameter_options, put_parameter, override_parameter_write_contract,
             override_put_parameter)
DIRECT_WRITE(setting_direct, setting_options, put_setting, override_setting_write_contract, override_put_setting)
DIRECT_WRITE(website_direct, website_options, put_website, override_website_write_contract, override_put_website)
DIRECT_WRITE(apply_direct, apply_options, mark_apply, override_apply_write_contract, override_mark_apply)

static SUSPENDS bool list_direct(struct direct *d, struct buf *out, struct err *err)
{
	struct rows rows;
	if (!db_query(d->t, &Q_odoo_override_summaries, NULL, 0, &rows, err))
		return false;
	buf_printf(out, "{\"status\":\"ok\",\"count\":%lld,\"records\":%s}", (long long)row_int(&rows, 0, 0),
	           row_text(&rows, 0, 1));
	return true;
}

static SUSPENDS bool show_direct(struct direct *d, struct buf *out, struct err *err)
{
	const char *context, *instance;
	struct rows rows;
	if (!setting_required(d->s, "--context", &context, err) ||
	    !setting_required(d->s, "--instance", &instance, err) ||
	    !db_query(d->t, &Q_odoo_override_summary,
	              PARAMS(P_TEXT(lowered(d->t->arena, trimmed(d->t->arena, context))),
	                     P_TEXT(lowered(d->t->arena, trimmed(d->t->arena, instance)))),
	              &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there are no settings of %s/%s", context, instance);
	buf_str(out, row_text(&rows, 0, 0));
	return true;
}

struct move {
	struct direct *d;
	struct override_transport wish;
	bool applies;
	struct json report;
};

static SUSPENDS bool move_in(struct tx *tx, void *arg, struct err *err)
{
	struct move *m = arg;
	m->d->by.source_label = m->wish.source_label;
	return odoo_override_migrate_transport(tx, &m->wish, m->applies, &m->d->by, &m->report, err);
}

static SUSPENDS bool transport_direct(struct direct *d, struct buf *out, struct err *err)
{
	static const struct command self = { .options = transport_options, .call = &transport };
	struct move m = { .d = d, .applies = setting_on(d->s, "--apply") };
	if (!read_flags(d, &self, &override_transport_contract, &m.wish, err) || !direct_tx(d, move_in, &m, err))
		return false;
	buf_str(out, json_text(d->t->arena, &m.report));
	return true;
}

#define EITHER_WAY(name, direct_)                                                                                      \
	static int name(const struct command *c, struct settings *s, char **argv)                                      \
	{                                                                                                              \
		return has_database(s) ? direct_run(s, c, NULL, direct_) : api_run(c, s, argv);                        \
	}
EITHER_WAY(run_parameter, parameter_direct)
EITHER_WAY(run_setting, setting_direct)
EITHER_WAY(run_website, website_direct)
EITHER_WAY(run_apply, apply_direct)
EITHER_WAY(run_list, list_direct)
EITHER_WAY(run_show, show_direct)
EITHER_WAY(run_transport, transport_direct)

const struct command odoo_override_commands[] = {
	{ "odoo-overrides", "put-config-param", "Write an ir.config_parameter of a lane", NULL, 0, parameter_options,
	  run_parameter, &put_parameter },
	{ "odoo-overrides", "put-addon-setting", "Write a setting of an addon of a lane", NULL, 0, setting_options,
	  run_setting, &put_setting },
	{ "odoo-overrides", "put-website-bootstrap", "Write what a lane's website is set up with", NULL, 0,
	  website_options, run_website, &put_website },
	{ "odoo-overrides", "list", "Typed settings of all lanes: keys, counts, labels and times", NULL, 0,
	  list_options, run_list, &list },
	{ "odoo-overrides", "show", "Typed settings of a lane, likewise", NULL, 0, show_options, run_show, &show },
	{ "odoo-overrides", "mark-apply", "Say how the latest application of a lane's settings went", NULL, 0,
	  apply_options, run_apply, &mark_apply },
	{ "odoo-overrides", "migrate-secret-transport",
	  "Move the secrets that settings refer to under ODOO_OVERRIDE_SECRET__ keys; the key-safety policy must know "
	  "them",
	  NULL, 0, transport_options, run_transport, &transport },
	{ "odoo-overrides", "write-config-param", "Write a lane's web.base.url, as workflows do", NULL, 0, body_options,
	  api_run, &driver_parameter },
	{ "odoo-overrides", "write-website-bootstrap", "Write what a lane's website is set up with, as workflows do",
	  NULL, 0, body_options, api_run, &driver_website },
	{ 0 },
};
