#include "drivers/odoo/backup_gate.h"

#include "drivers/odoo/post_deploy.h"
#include "drivers/odoo/template.h"
#include "odoo_templates.h"
#include "storage/codes.h"
#include "storage/product_config.h"
#include "storage/promotion.h"
#include "storage/promotion.sql.h"
#include "storage/promotion_hold.sql.h"
#include "storage/runtime_environment.h"

#define CAPTURED "backup captured" /* the script's last line */

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct backup_gate_request *r = record;
	if (strcmp(r->instance, "prod") != 0)
		return contract_fail(a, err, path, "instance",
		                     "must be prod: a gate protects what a promotion changes");
	if (!is_plain_name(r->backup_record_id))
		return contract_fail(a, err, path, "backup_record_id",
		                     "must be of letters, digits, '.', '_' and '-': it becomes a directory's name");
	return true;
}

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(backup_gate_request),
	F_STR(backup_gate_request, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(backup_gate_request, instance, LOWERED, .fallback = "prod", .max = 100, .help = "Only prod"),
	F_STR(backup_gate_request, backup_record_id, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "Chosen by the caller; prod-promotion-inputs proposes one"),
	F_OPT_INT(backup_gate_request, timeout_seconds, 0, .min = 1, .max = 86400,
	          .help = "Of the capture; default: the target's, 600"),
	F_END,
};
const struct contract backup_gate_request_contract =
        CONTRACT(backup_gate_request, request_fields, "A backup to be captured", .check = check_request);

/* ---- paths and script ---- */

static bool is_safe_path(const char *path)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
	return path[0] == '/' && path[strspn(path, allowed)] == '\0' && !strstr(path, "/.") && !strstr(path, "//");
}

static const char *without_slash(struct arena *a, const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	return arena_strndup(a, path, n);
}

bool backup_gate_paths(struct arena *a, const struct text_map *runtime, const char *backup_record_id,
                       struct text_map *out, struct err *err)
{
	const char *database = map_get(runtime, "ODOO_DB_NAME"), *root = map_get(runtime, "ODOO_BACKUP_ROOT");
	const char *filestore = map_get(runtime, "ODOO_FILESTORE_PATH");
	if (is_blank(database) || is_blank(root))
		return err_set(
		        err, &E_operation_blocked, "A backup needs %s%s%s in the lane's runtime environment records",
		        is_blank(database) ? "ODOO_DB_NAME" : "", is_blank(database) && is_blank(root) ? " and " : "",
		        is_blank(root) ? "ODOO_BACKUP_ROOT" : "");
	filestore = without_slash(a, is_blank(filestore) ? DATA_WORKFLOW_FILESTORE : filestore);
	root = without_slash(a, root);
	if (!is_plain_name(database))
		return err_set(err, &E_operation_blocked, "The database name in ODOO_DB_NAME is not a plain name");
	if (!is_safe_path(root) || !is_safe_path(filestore))
		return err_set(err, &E_operation_blocked,
		               "ODOO_BACKUP_ROOT and ODOO_FILESTORE_PATH must be absolute paths of plain names");
	/* What is not on a volume is gone with the very deploy that the backup is for. */
	if (strncmp(root, "/volumes/", 9) != 0)
		return err_set(err, &E_operation_blocked,
		               "ODOO_BACKUP_ROOT must be below /volumes, such as /volumes/data/backups/launchplane: "
		               "elsewhere the backup would be lost with the container");
	const char *directory = arena_printf(a, "%s/%s/%s", root, database, backup_record_id);
	*out = (struct text_map){ 0 };
	map_set(a, out, "database_name", database);
	map_set(a, out, "filestore_path", filestore);
	map_set(a, out, "backup_root", root);
	map_set(a, out, "backup_dir", directory);
	map_set(a, out, "database_dump_path", arena_printf(a, "%s/%s.dump", directory, database));
	map_set(a, out, "filestore_archive_path", arena_printf(a, "%s/%s-filestore.tar.gz", directory, database));
	map_set(a, out, "manifest_path", arena_printf(a, "%s/manifest.json", directory));
	return true;
}

static const char *quoted(struct arena *a, const struct text_map *paths, const char *key)
{
	return shell_word(a, map_get(paths, key));
}

static const char *quoted_name(struct arena *a, const struct text_map *paths, const char *key)
{
	return shell_word(a, strrchr(map_get(paths, key), '/') + 1);
}

bool backup_gate_script(struct arena *a, const char *compose_project, const char *backup_record_id,
                        const struct text_map *paths, const char **out, struct err *err)
{
	const char *prologue;
	if (!host_script_prologue(a, compose_project, &prologue, err))
		return false;
	const struct template_value values[] = {
		{ "lane_host", prologue },
		{ "database", quoted(a, paths, "database_name") },
		{ "filestore", quoted(a, paths, "filestore_path") },
		{ "directory", quoted(a, paths, "backup_dir") },
		{ "dump_name", quoted_name(a, paths, "database_dump_path") },
		{ "archive_name", quoted_name(a, paths, "filestore_archive_path") },
		{ "backup_record_id", shell_word(a, backup_record_id) },
		{ "dump_path", quoted(a, paths, "database_dump_path") },
		{ "archive_path", quoted(a, paths, "filestore_archive_path") },
	};
	*out = template_fill(a, odoo_backup_gate_sh, values, countof(values));
	return true;
}

/* ---- phases ---- */

static bool same_map(const struct text_map *x, const struct text_map *y)
{
	for (size_t i = 0; i < x->n; i++) {
		const char *value = map_get(y, x->v[i].key);
		if (!value || strcmp(value, x->v[i].value) != 0)
			return false;
	}
	return true;
}

/* A gate of this id that passed is never made anew: it is this one, or the request is refused. */
static SUSPENDS bool look_for_gate(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct backup_gate_request *r = op->request;
	struct rows rows;
	struct backup_gate gate;
	if (!db_query(t, &Q_backup_gate_read, PARAMS(P_TEXT(r->backup_record_id)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	const char *text = row_text(&rows, 0, 1);
	if (!contract_read_text(t->arena, &backup_gate_contract, text, strlen(text), "the stored backup gate", &gate,
	                        err))
		return false;
	if (strcmp(gate.context, op->context) != 0 || strcmp(gate.instance, op->instance) != 0)
		return err_set(err, &E_operation_blocked, "Backup gate %s belongs to lane %s/%s: choose another id",
		               r->backup_record_id, gate.context, gate.instance);
	if (gate.status != RELEASE_PASS)
		return true;
	if (!same_map(&s->release.backup, &gate.evidence))
		return err_set(err, &E_operation_blocked,
		               "Backup gate %s has passed with other paths and is not overwritten: choose another id",
		               r->backup_record_id);
	s->release.backup_is_there = true;
	return true;
}

static SUSPENDS enum phase_outcome gate_target(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct backup_gate_request *r = op->request;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	const struct place place = { op->context, op->instance };
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct text_map runtime;
	struct strings secret_keys;
	bool has_target, has_id;
	arena_wipe_on_reset(t->arena);
	if (!lane_settle_target(t, op, r->timeout_seconds.is_set ? r->timeout_seconds.value : 0, err) ||
	    !read_target(t, &lane, &target, &has_target, &id, &has_id, err) ||
	    !runtime_env_resolve(t, t->loop->keyring, &place, &target.env, &runtime, &secret_keys, err) ||
	    !backup_gate_paths(t->arena, &runtime, r->backup_record_id, &s->release.backup, err) ||
	    !look_for_gate(t, op, err))
		return PHASE_FAILED;
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome gate_schedule(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct backup_gate_request *r = op->request;
	struct host h;
	const char *script;
	if (s->release.backup_is_there)
		return PHASE_DONE;
	if (!host_open(t, op, s->target_id, &host_backup_gate, &h, err) ||
	    !backup_gate_script(t->arena, h.live.app_name, r->backup_record_id, &s->release.backup, &script, err) ||
	    !host_write_script(t, &h, script, &s->workflow, err))
		return PHASE_FAILED;
	s->web.at_risk = true;
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome gate_capture(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	return s->release.backup_is_there ? PHASE_DONE : host_run_start(t, op, &s->workflow, err);
}

static SUSPENDS enum phase_outcome gate_wait(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct host_result r;
	if (s->release.backup_is_there)
		return PHASE_DONE;
	enum phase_outcome outcome = host_run_wait(t, op, &s->workflow, "capture", s->deploy_timeout_s, &r, err);
	if (outcome != PHASE_DONE)
		return outcome;
	if (host_result_proves(&r, CAPTURED, true)) {
		s->web.workflow_proved = true;
		return PHASE_DONE;
	}
	host_run_failed("the backup", s->target_name, &s->workflow, &r, CAPTURED, err);
	return PHASE_FAILED;
}

/* ---- the end ---- */

static void write_gate(struct task *t, struct operation *op)
{
	const struct replacement_state *s = op->state;
	const struct backup_gate_request *r = op->request;
	const struct backup_gate gate = { .schema_version = 1,
		                          .record_id = r->backup_record_id,
		                          .context = op->context,
		                          .instance = op->instance,
		                          .created_at = utc_now(t),
		                          .source = "launchplane-odoo-prod-backup-gate",
		                          .required = true,
		                          .status = RELEASE_PASS,
		                          .evidence = s->release.backup };
	operation_write(t, op, &Q_backup_gate_capture,
	                PARAMS(P_TEXT(gate.record_id), P_TEXT(gate.context), P_TEXT(gate.instance),
	                       P_TEXT(gate.created_at), P_TEXT(contract_text(t->arena, &backup_gate_contract, &gate))));
}

static SUSPENDS void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	static const char *const paths[] = { "backup_root", "database_dump_path", "filestore_archive_path",
		                             "manifest_path" };
	const struct replacement_state *s = op->state;
	const struct backup_gate_request *r = op->request;
	struct arena *a = t->arena;
	struct json *o = ARENA_NEW(a, struct json), records = json_object();
	const char *status = failure ? "fail" : "pass";
	if (!failure && !s->release.backup_is_there)
		write_gate(t, op);
	*o = json_object();
	json_set_str(a, o, "context", op->context);
	json_set_str(a, o, "instance", op->instance);
	json_set_str(a, o, "backup_record_id", r->backup_record_id);
	json_set_str(a, o, "backup_status", status);
	json_set_str(a, &records, "backup_record_id", r->backup_record_id);
	json_set_str(a, &records, "backup_status", status);
	for (size_t i = 0; i < countof(paths); i++) {
		const char *path = map_get(&s->release.backup, paths[i]);
		json_set_str(a, o, paths[i], path ? path : "");
		json_set_str(a, &records, paths[i], path ? path : "");
	}
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	json_set(a, o, "records", records);
	op->result = o;
}

/* clang-format off */
static const struct phase phases[] = {
	{ "target",       "running", gate_target,   5, 1000, .cancel = CANCEL_ANY,
	  .help = "read the lane's records and work out where the backup goes" },
	{ "schedule",     "apply",   gate_schedule, 5, 1000, .cancel = CANCEL_ANY,
	  .help = "make the manual schedule that captures database and filestore" },
	{ "capture",      "apply",   gate_capture,  5, 1000, .cancel = CANCEL_FIRST,
	  .help = "start the capture, once" },
	{ "capture_wait", "apply",   gate_wait,     9, 1000, .limit_of = replacement_deploy_limit,
	  .help = "wait for the capture and read what it says" },
	{ "web",          "verification", lane_web, 3, 1000, .limit_s = 180,
	  .help = "see that web runs, and start it when it does not" },
	{ 0 },
};
/* clang-format on */

const struct op_kind odoo_backup_gate_kind = {
	.name = "odoo_prod_backup_gate",
	.id_prefix = "odoo-prod-backup-gate",
	.help = "Captures a prod lane's database and filestore, as the gate of a promotion",
	.request = &backup_gate_request_contract,
	.state = &replacement_state_contract,
	.phases = phases,
	.conclude = conclude,
	.recover = lane_recover,
};
