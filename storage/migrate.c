#include "storage/migrate.h"

#include "core/log.h"
#include "storage/migrate.sql.h"

#include <string.h>

#define LOCK_WAIT_MS 60000
#define LOCK_POLL_MS 100

/* The predecessor's revisions and the tables each added, oldest first. Revisions that only changed data are left out: a
 * table set cannot tell them. */
static const struct revision {
	const char *id;
	const char *tables; /* without the launchplane_ in front */
} revisions[] = {
	{ "fe94a0486977",
	  "artifact_manifests backup_gates deployments dokploy_target_ids dokploy_targets idempotency_records "
	  "inventory odoo_instance_overrides preview_generations preview_records promotions release_tuples "
	  "runtime_environments secret_audit_events secret_bindings secret_versions secrets" },
	{ "a2b4c6d8e9f0", "human_sessions" },
	{ "b3c5d7e9f1a2", "preview_inventory_scans" },
	{ "c4d6e8f0a1b2", "preview_lifecycle_plans" },
	{ "d5e7f9a1b2c3", "preview_lifecycle_cleanups" },
	{ "e6f8a0b2c3d4", "preview_pr_feedback" },
	{ "f7a9b1c2d3e4", "preview_desired_states" },
	{ "a8b0c2d4e6f8", "authz_policies" },
	{ "b9c1d3e5f7a9", "product_profiles" },
	{ "c0d2e4f6a8b1", "runtime_environment_delete_events" },
	{ "f1a3c5e7b9d0", "runtime_key_safety_policies" },
	{ "ab12cd34ef56", "every_code_work_requests" },
	{ "ac23de45fa67", "every_code_pr_feedback" },
	{ "ad34ef56bc78", "every_code_preview_gates" },
	{ "ae45f067cd89", "agent_write_intents" },
	{ "af56b078de90", "merge_train_runs" },
	{ "b067c189ef01", "merge_train_policies" },
	{ "c178d29af012", "merge_train_batch_candidates merge_train_batch_landing_plans" },
	{ "d289e3ab4012", "merge_train_stack_collapse_plans" },
	{ "e39f4a5b6c7d", "odoo_stable_bootstrap_operations" },
	{ "c2d4e6f8a0b2", "odoo_stable_target_replacement_operations" },
	{ "c3e5f7a9b1d2", "runner_host_hygiene_audits" },
	{ "d4e6f8a0b2c4", "public_ingress_observations" },
	{ "e5f7a9b1c3d5", "public_ingress_incidents" },
	{ "f8a0b2c3d4e5", "public_ingress_notification_policies public_ingress_notification_attempts" },
	{ "a9c1e3f5b7d9", "ingress_route_audits" },
	{ "b2d4f6a8c0e1", "provider_targets" },
	{ "c6e8f0a2b4d6", "edge_endpoints" },
	{ "c7f9a1b3d5e7", "runner_lane_registration_audits" },
	{ "c8a0b2c4d6e8", "ingress_canary_routes" },
	{ "fb3d5e7a9c1b", "private_health_endpoints" },
};

/* ---- what the database holds ---- */

struct survey {
	struct rows tables;
	bool has_versions, has_alembic;
	struct rows applied; /* number, name, checksum, applied_at; n is 0 without the table */
};

static bool has_table(const struct survey *s, const char *table)
{
	for (size_t i = 0; i < s->tables.n; i++) {
		if (strcmp(row_text(&s->tables, i, 0), table) == 0)
			return true;
	}
	return false;
}

static bool is_empty(const struct survey *s)
{
	return s->tables.n == 0;
}

static bool is_legacy(const struct survey *s)
{
	return !s->has_versions && s->tables.n > 0;
}

static SUSPENDS bool survey(struct tx *tx, struct survey *s, struct err *err)
{
	*s = (struct survey){ 0 };
	if (!tx_query(tx, &Q_migrate_tables, PARAMS(), &s->tables, err))
		return false;
	s->has_versions = has_table(s, "launchplane_schema_migrations");
	s->has_alembic = has_table(s, "alembic_version");
	return !s->has_versions || tx_query(tx, &Q_migrate_applied, PARAMS(), &s->applied, err);
}

static bool is_known(int64_t number)
{
	for (size_t i = 0; i < migrations_n; i++) {
		if (migrations[i].number == number)
			return true;
	}
	return false;
}

/* Whether what was applied is the beginning of what we know. */
static bool chain_fits(const struct survey *s, struct err *err)
{
	for (size_t i = 0; i < s->applied.n; i++) {
		int64_t number = row_int(&s->applied, i, 0);
		const char *name = row_text(&s->applied, i, 1);
		if (!is_known(number))
			return err_set(
			        err, &E_conflict,
			        "the database has migration %04d_%s, which this program does not know: start the newer "
			        "program that made it, or point --database-url elsewhere",
			        (int)number, name);
		if (number != migrations[i].number)
			return err_set(err, &E_conflict,
			               "the database has migration %04d_%s but not %04d_%s before it: restore a "
			               "backup or repair "
			               "launchplane_schema_migrations by hand",
			               (int)number, name, migrations[i].number, migrations[i].name);
		if (strcmp(row_text(&s->applied, i, 2), migrations[i].checksum) != 0)
			return err_set(err, &E_conflict,
			               "migration %04d_%s was applied with another text than this program has: a "
			               "migration must "
			               "not be edited once applied; start the program that applied it",
			               (int)number, name);
	}
	return true;
}

/* ---- drift ---- */

static bool has_column(const struct rows *columns, const struct legacy_column *wanted, bool *has_its_table)
{
	*has_its_table = false;
	for (size_t i = 0; i < columns->n; i++) {
		if (strcmp(row_text(columns, i, 0), wanted->table) != 0)
			continue;
		*has_its_table = true;
		if (strcmp(row_text(columns, i, 1), wanted->column) == 0)
			return true;
	}
	return false;
}

/* Whether the tables of the baseline have the columns we rely on; before the chain has run, those that exist. */
static SUSPENDS bool no_drift(struct tx *tx, bool all_tables, struct err *err)
{
	struct rows columns;
	if (!tx_query(tx, &Q_migrate_columns, PARAMS(), &columns, err))
		return false;
	for (size_t i = 0; i < legacy_columns_n; i++) {
		const struct legacy_column *wanted = &legacy_columns[i];
		bool has_its_table;
		if (has_column(&columns, wanted, &has_its_table))
			continue;
		if (has_its_table)
			return err_set(err, &E_conflict,
			               "the database has drifted: table %s has no column %s; add it or restore a "
			               "backup, then start "
			               "again",
			               wanted->table, wanted->column);
		if (all_tables)
			return err_set(err, &E_conflict,
			               "the database has drifted: table %s is gone; restore a backup, then start again",
			               wanted->table);
	}
	rows_done(&columns);
	return true;
}

/* ---- a predecessor's database ---- */

static bool has_tables_of(struct arena *a, const struct survey *s, const struct revision *r, const char **missing)
{
	char *list = arena_strdup(a, r->tables);
	for (char *name; (name = strsep(&list, " "));) {
		*missing = arena_printf(a, "launchplane_%s", name);
		if (!has_table(s, *missing))
			return false;
	}
	return true;
}

/* The newest revision of which, and of all before which, every table is there. */
static const struct revision *newest_revision(struct arena *a, const struct survey *s, const char **missing)
{
	const struct revision *found = NULL;
	for (size_t i = 0; i < countof(revisions) && has_tables_of(a, s, &revisions[i], missing); i++)
		found = &revisions[i];
	return found;
}

static SUSPENDS bool take_over(struct task *t, struct tx *tx, const struct survey *s, struct migrate_report *report,
                               struct err *err)
{
	if (!no_drift(tx, false, err))
		return false;
	report->was_taken_over = true;
	if (s->has_alembic)
		return true;
	const char *missing = "";
	const struct revision *r = newest_revision(t->arena, s, &missing);
	if (!r)
		return err_set(err, &E_conflict,
		               "the database has launchplane tables of unknown origin: %s of the first known revision "
		               "is missing; "
		               "restore a complete backup or point --database-url at an empty database",
		               missing);
	static const struct query stamp = {
		.name = "",
		.sql = "insert into alembic_version (version_num) values ($1)",
		.n_params = 1,
		.writes = true,
	};
	tx_send(tx, &Q_migrate_create_alembic_version, PARAMS());
	tx_send(tx, &stamp, PARAMS(P_TEXT(r->id)));
	report->stamped = r->id;
	return true;
}

/* ---- applying ---- */

enum step { STEP_FAILED, STEP_BUSY, STEP_APPLIED, STEP_CURRENT };

static SUSPENDS enum step run_migration(struct task *t, struct tx *tx, const struct migration *m, struct err *err)
{
	struct rows ignored;
	tx_send(tx, &Q_migrate_patience, PARAMS());
	for (size_t i = 0; i < m->n_statements; i++) {
		const struct query q = { .name = "", .sql = m->statements[i], .writes = true };
		tx_send(tx, &q, PARAMS());
	}
	if (!tx_query(tx, &Q_migrate_record, PARAMS(P_INT(m->number), P_TEXT(m->name), P_TEXT(m->checksum)), &ignored,
	              err)) {
		snprintf(err->message, sizeof(err->message), "migration %04d_%s failed and was rolled back", m->number,
		         m->name);
		return STEP_FAILED;
	}
	log_info(t, "migration.applied", I("number", m->number), S("name", m->name));
	return STEP_APPLIED;
}

static SUSPENDS enum step step_in(struct task *t, struct tx *tx, struct migrate_report *report, struct err *err)
{
	struct rows lock;
	struct survey s;
	if (!tx_query(tx, &Q_migrate_lock, PARAMS(), &lock, err))
		return STEP_FAILED;
	if (!row_bool(&lock, 0, 0))
		return STEP_BUSY;
	if (!survey(tx, &s, err) || !chain_fits(&s, err))
		return STEP_FAILED;
	if (s.applied.n == migrations_n)
		return no_drift(tx, true, err) ? STEP_CURRENT : STEP_FAILED;
	report->was_empty |= is_empty(&s);
	if (is_legacy(&s) && !take_over(t, tx, &s, report, err))
		return STEP_FAILED;
	if (!s.has_versions)
		tx_send(tx, &Q_migrate_create_table, PARAMS());
	return run_migration(t, tx, &migrations[s.applied.n], err);
}

/* One migration with its row, in one transaction. */
static SUSPENDS enum step step(struct task *t, struct migrate_report *report, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(t, &tx, err))
		return STEP_FAILED;
	enum step s = step_in(t, tx, report, err);
	if (s != STEP_APPLIED) {
		tx_rollback(tx);
		return s;
	}
	return tx_commit(tx, err) ? s : STEP_FAILED;
}

bool migrate_apply(struct task *t, struct migrate_report *report, struct err *err)
{
	uint64_t give_up_ms = loop_now_ms(t->loop) + LOCK_WAIT_MS;
	*report = (struct migrate_report){ 0 };
	for (;;) {
		switch (step(t, report, err)) {
		case STEP_FAILED:
			return false;
		case STEP_CURRENT:
			return true;
		case STEP_APPLIED:
			report->applied++;
			break;
		case STEP_BUSY:
			if (loop_now_ms(t->loop) >= give_up_ms)
				return err_set(err, &E_timeout,
				               "another process has been migrating the database for a minute");
			if (!task_sleep(t, LOCK_POLL_MS, err))
				return false;
			break;
		}
	}
}

static SUSPENDS bool status_in(struct task *t, struct tx *tx, struct migrate_status *out, struct err *err)
{
	struct survey s;
	struct err refusal = { 0 };
	if (!survey(tx, &s, err))
		return false;
	*out = (struct migrate_status){
		.is_empty = is_empty(&s),
		.is_legacy = is_legacy(&s),
		.n = migrations_n,
		.rows = arena_array(t->arena, migrations_n, sizeof(*out->rows)),
	};
	for (size_t i = 0; i < migrations_n; i++) {
		out->rows[i] = (struct migrate_row){ .number = migrations[i].number, .name = migrations[i].name };
		if (i < s.applied.n)
			out->rows[i].applied_at = row_text(&s.applied, i, 3);
	}
	bool fits = chain_fits(&s, &refusal) && no_drift(tx, s.applied.n == migrations_n, &refusal);
	if (!fits && !err_is(&refusal, &E_conflict)) {
		*err = refusal;
		return false;
	}
	out->refusal = fits ? NULL : arena_strdup(t->arena, refusal.message);
	return true;
}

bool migrate_status(struct task *t, struct migrate_status *out, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(t, &tx, err))
		return false;
	bool ok = status_in(t, tx, out, err);
	tx_rollback(tx);
	return ok;
}
