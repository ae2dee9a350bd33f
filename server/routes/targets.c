/* Tracked provider targets (facts/config-health.md 5.5, 5.6). */
#include "drivers/dokploy/credentials.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/operation.h"
#include "storage/target.h"

#define CONFIRMATION "APPLY DOKPLOY TARGET SETUP"

struct target_setup_body {
	int64_t schema_version;
	const char *mode;
	int operation;
	const char *product, *context, *instance;
	int target_type;
	const char *target_id, *target_name, *project_name, *source_git_ref, *source_type, *compose_path,
	        *healthcheck_path;
	struct strings domains;
	struct opt_int deploy_timeout_seconds;
	struct deployed_target *expected_current_provider_target;
	const char *confirmation, *reason, *source_label;
};

static const char *const operation_names[] = { "adopt", NULL };

static bool check_setup(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct target_setup_body *b = record;
	if (strcmp(b->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product", "must be launchplane");
	if (strcmp(b->mode, "dry-run") != 0 && strcmp(b->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (is_blank(b->target_id))
		return contract_fail(a, err, path, "target_id", "is required to adopt a target");
	if (b->healthcheck_path[0] && b->healthcheck_path[0] != '/')
		return contract_fail(a, err, path, "healthcheck_path", "must start with /");
	return true;
}

static const struct field setup_fields[] = {
	F_SCHEMA_VERSION(target_setup_body),
	F_STR(target_setup_body, mode, 0, .fallback = "dry-run", .help = "dry-run or apply"),
	F_ENUM(target_setup_body, operation, REQUIRED, .names = operation_names,
	       .help = "adopt: record a target that exists"),
	F_STR(target_setup_body, product, REQUIRED | TRIMMED | NON_BLANK, .help = "launchplane"),
	F_STR(target_setup_body, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(target_setup_body, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_ENUM(target_setup_body, target_type, 0, .names = target_type_names, .fallback = "compose"),
	F_STR(target_setup_body, target_id, TRIMMED | NO_BLANKS, .max = 200),
	F_STR(target_setup_body, target_name, TRIMMED, .max = 200, .help = "Default: the name at the provider"),
	F_STR(target_setup_body, project_name, TRIMMED, .max = 200, .help = "Default: the project at the provider"),
	F_STR(target_setup_body, source_git_ref, TRIMMED, .fallback = "origin/main"),
	F_STR(target_setup_body, source_type, TRIMMED, .help = "Default: as at the provider"),
	F_STR(target_setup_body, compose_path, TRIMMED, .help = "Default: as at the provider"),
	F_STR(target_setup_body, healthcheck_path, TRIMMED, .help = "Default: /web/health for compose targets"),
	F_STRINGS(target_setup_body, domains, LOWERED | NON_BLANK | UNIQUE, .max = 100,
	          .help = "Default: those at the provider"),
	F_OPT_INT(target_setup_body, deploy_timeout_seconds, 0, .min = 1, .max = 86400),
	F_OPT_OBJECT(target_setup_body, expected_current_provider_target, 0, &deployed_target_contract,
	             .help = "Refuse unless this is what is recorded now"),
	F_STR(target_setup_body, confirmation, TRIMMED, .help = "For apply: " CONFIRMATION),
	F_STR(target_setup_body, reason, TRIMMED, .max = 1000, .help = "For apply: why"),
	F_STR(target_setup_body, source_label, TRIMMED, .fallback = "service:dokploy-target-setup"),
	F_END,
};
static const struct contract setup_contract =
        CONTRACT(target_setup_body, setup_fields, "Records a Dokploy target of a lane", .check = check_setup);

struct adopted {
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct provider_target row;
	struct strings warnings;
};

static const char *or_else(const char *given, const char *fallback)
{
	return given[0] ? given : fallback;
}

/* What the provider says about the target; what the request says wins. */
static SUSPENDS bool read_provider(struct call *c, const struct target_setup_body *b, struct dokploy_target *out,
                                   struct err *err)
{
	struct dokploy d;
	struct dokploy_compose compose;
	struct dokploy_application application;
	const struct dokploy_domains *domains = NULL;
	if (!dokploy_open(c->t, &d, err))
		return false;
	if (b->target_type == TARGET_COMPOSE) {
		if (!dokploy_compose_one(c->t, &d, b->target_id, &compose, err))
			return false;
		out->target_name = or_else(b->target_name, compose.name);
		out->project_name = or_else(b->project_name, compose.project_name);
		out->source_type = or_else(b->source_type, compose.source_type);
		out->compose_path = or_else(b->compose_path, compose.compose_path);
		out->healthcheck_path = or_else(b->healthcheck_path, "/web/health");
		domains = &compose.domains;
	} else {
		if (!dokploy_application_one(c->t, &d, b->target_id, &application, err))
			return false;
		out->target_name = or_else(b->target_name, application.name);
		out->project_name = b->project_name;
		out->source_type = or_else(b->source_type, application.source_type);
		out->compose_path = "";
		out->healthcheck_path = b->healthcheck_path;
		domains = &application.domains;
	}
	out->domains = b->domains;
	for (size_t i = 0; b->domains.n == 0 && i < domains->n; i++) {
		const char *host = lowered(c->arena, trimmed(c->arena, domains->v[i].host));
		if (host[0] && !strings_have(&out->domains, host))
			strings_add(c->arena, &out->domains, host);
	}
	return true;
}

/* A provider's refusal is the caller's to mend; a passing failure keeps its own code. */
static bool as_setup_error(struct err *err)
{
	if (err->code == &E_not_found || err->code == &E_provider_refused)
		err->code = &E_invalid_dokploy_target_setup;
	return false;
}

static SUSPENDS bool adopt(struct call *c, const struct target_setup_body *b, struct adopted *out, struct err *err)
{
	const char *now = utc_now(c->t);
	out->target = (struct dokploy_target){ .context = b->context,
		                               .instance = b->instance,
		                               .target_type = b->target_type,
		                               .git_branch = "",
		                               .source_git_ref = b->source_git_ref,
		                               .custom_git_url = "",
		                               .custom_git_branch = "",
		                               .deploy_timeout_seconds = b->deploy_timeout_seconds,
		                               .healthcheck_enabled = true,
		                               .updated_at = now,
		                               .source_label = b->source_label };
	if (!read_provider(c, b, &out->target, err))
		return as_setup_error(err);
	out->id = (struct dokploy_target_id){ b->context, b->instance, b->target_id, now, b->source_label };
	provider_target_project(c->arena, &out->target, &out->id, &out->row);
	if (out->target.domains.n == 0)
		strings_add(c->arena, &out->warnings,
		            "the target has no domain, neither in the request nor at the provider");
	return true;
}

/* An explicit row that names something else blocks the change; it is never overwritten (config-health.md 5.6). */
static SUSPENDS bool check_current(struct tx *tx, const struct target_setup_body *b, struct adopted *adopted,
                                   struct err *err)
{
	struct rows rows;
	struct arena *a = tx_task(tx)->arena;
	if (!tx_query(tx, &Q_historical_context_owner, PARAMS(P_TEXT(b->context)), &rows, err))
		return false;
	if (rows.n)
		return err_set(err, &E_invalid_dokploy_target_setup,
		               "context: %s is a historical context of product %s; targets belong to "
		               "current ones",
		               b->context, row_text(&rows, 0, 0));
	if (!tx_query(tx, &Q_target_read, PARAMS(P_TEXT(b->context), P_TEXT(b->instance)), &rows, err))
		return false;
	const char *target = row_text(&rows, 0, 0), *row = row_text(&rows, 0, 2), *differs = NULL;
	struct dokploy_target known;
	struct provider_target current;
	if (target) { /* adopting again keeps what the request cannot say */
		if (!contract_read_text(a, &dokploy_target_contract, target, strlen(target), "the stored target record",
		                        &known, err))
			return false;
		adopted->target.env = known.env;
		adopted->target.policies = known.policies;
		adopted->target.watch_paths = known.watch_paths;
	}
	if (!row)
		return !b->expected_current_provider_target ||
		       err_set(err, &E_invalid_dokploy_target_setup,
		               "expected_current_provider_target: nothing is recorded for this lane yet");
	if (!contract_read_text(a, &provider_target_contract, row, strlen(row), "the stored provider target", &current,
	                        err))
		return false;
	const struct deployed_target *wanted = b->expected_current_provider_target;
	if (wanted && (strcmp(wanted->provider_id, current.provider_id) != 0 ||
	               strcmp(wanted->target_id, current.target_id) != 0))
		return err_set(err, &E_invalid_dokploy_target_setup,
		               "expected_current_provider_target: another target is recorded for this lane");
	if (!provider_target_same(&current, &adopted->row, &differs))
		return err_set(err, &E_invalid_dokploy_target_setup,
		               "the recorded provider target of this lane has another %s; it is not overwritten",
		               differs);
	return true;
}

static void send_records(struct tx *tx, const struct adopted *d)
{
	struct arena *a = tx_task(tx)->arena;
	tx_send(tx, &Q_dokploy_target_upsert,
	        PARAMS(P_TEXT(d->target.context), P_TEXT(d->target.instance), P_TEXT(d->target.updated_at),
	               P_TEXT(contract_text(a, &dokploy_target_contract, &d->target))));
	tx_send(tx, &Q_dokploy_target_id_upsert,
	        PARAMS(P_TEXT(d->id.context), P_TEXT(d->id.instance), P_TEXT(d->id.target_id), P_TEXT(d->id.updated_at),
	               P_TEXT(contract_text(a, &dokploy_target_id_contract, &d->id))));
	tx_send(tx, &Q_provider_target_upsert,
	        PARAMS(P_TEXT(d->row.context), P_TEXT(d->row.instance), P_TEXT(d->row.provider_id),
	               P_TEXT(target_category_names[d->row.target_category]), P_TEXT(d->row.target_id),
	               P_TEXT(d->row.display_name), P_TEXT(d->row.provider_target_type), P_TEXT(d->row.updated_at),
	               P_TEXT(contract_text(a, &provider_target_contract, &d->row))));
}

/* The record with its environment replaced by key names. */
static void write_target(struct json_out *o, const struct dokploy_target *t)
{
	struct arena *a = o->buf->arena;
	struct json j = contract_json(a, &dokploy_target_contract, t, false), keys = json_array(),
	            shown = json_object();
	for (size_t i = 0; i < t->env.n; i++)
		json_push(a, &keys, json_of_str(t->env.v[i].key));
	for (uint32_t i = 0; i < j.n; i++)
		if (strcmp(j.members[i].key, "env") != 0)
			json_set(a, &shown, j.members[i].key, j.members[i].value);
	json_set(a, &shown, "env_keys", keys);
	json_set(a, &shown, "env_value_count", json_of_int((int64_t)t->env.n));
	jo_json(o, &shown);
}

static const char *setup_result(struct call *c, const struct target_setup_body *b, const struct adopted *d)
{
	struct buf buf = buf_in(c->arena);
	struct json_out o = { .buf = &buf };
	jo_open(&o, '{');
	jo_kv(&o, "mode", b->mode);
	jo_kv(&o, "operation", operation_names[b->operation]);
	jo_kv(&o, "context", b->context);
	jo_kv(&o, "instance", b->instance);
	jo_kv_bool(&o, "applied", c->applies);
	jo_key(&o, "route_domain_ids");
	jo_raw(&o, "[]", 2);
	jo_key(&o, "setup");
	jo_open(&o, '{');
	jo_kv_bool(&o, "applied", c->applies);
	jo_key(&o, "target_record");
	write_target(&o, &d->target);
	jo_key(&o, "target_id_record");
	contract_write(&o, &dokploy_target_id_contract, &d->id);
	jo_key(&o, "provider_target_record");
	contract_write(&o, &provider_target_contract, &d->row);
	jo_kv_strings(&o, "domains", &d->target.domains);
	jo_kv_strings(&o, "warnings", &d->warnings);
	jo_close(&o, '}');
	jo_kv(&o, "reason", b->reason);
	jo_close(&o, '}');
	return buf.p;
}

static SUSPENDS bool target_setup(struct call *c, struct err *err)
{
	const struct target_setup_body *b = c->body;
	struct adopted adopted = { 0 };
	if (c->applies && strcmp(b->confirmation, CONFIRMATION) != 0)
		return err_set(err, &E_confirmation_required, "confirmation: must be exactly \"" CONFIRMATION "\"");
	if (c->applies && is_blank(b->reason))
		return err_set(err, &E_reason_required, "reason: is required to apply; say why this is done");
	if (!adopt(c, b, &adopted, err))
		return false;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!check_current(tx, b, &adopted, err)) {
		tx_rollback(tx);
		return false;
	}
	const char *result = setup_result(c, b, &adopted);
	if (!c->applies) {
		tx_rollback(tx);
		return call_accept(c, NULL, result);
	}
	send_records(tx, &adopted);
	audit_record(c->t, "context", adopted.target.context);
	audit_record(c->t, "instance", adopted.target.instance);
	audit_record(c->t, "target_id", adopted.id.target_id);
	call_store_answer(c, tx, NULL, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, NULL, result);
}

const struct route target_routes[] = {
	{ HTTP_POST, "/v1/dokploy-targets/setup", "Record a Dokploy target of a lane", target_setup,
	  .callers = CALLERS_WRITE, .action = "dokploy_target.setup", .apply_action = "dokploy_target.setup",
	  .product = "=launchplane", .context = "=launchplane", .body = &setup_contract,
	  .idempotency = IDEMPOTENCY_APPLY_REQUIRED },
	{ 0 },
};
