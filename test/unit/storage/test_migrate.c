#include "scratch.h"

static SUSPENDS void must_migrate(struct task *t, struct migrate_report *report)
{
	struct err err = { 0 };
	if (!migrate_apply(t, report, &err))
		fail_msg("%s %s", err.message, err.cause);
}

/* Refused, with words the operator can act on. */
static SUSPENDS void must_refuse(struct task *t, const char *words)
{
	struct migrate_report report;
	struct migrate_status status;
	struct err err = { 0 };
	assert_false(migrate_apply(t, &report, &err));
	assert_ptr_equal(err.code, &E_conflict);
	if (!strstr(err.message, words))
		fail_msg("%s", err.message);
	assert_true(migrate_status(t, &status, &err));
	assert_non_null(status.refusal);
	assert_non_null(strstr(status.refusal, words));
}

static SUSPENDS void check_fresh(struct task *t)
{
	struct migrate_report report;
	struct migrate_status status;
	struct err err = { 0 };
	assert_true(migrate_status(t, &status, &err));
	assert_true(status.is_empty);
	assert_null(status.rows[0].applied_at);
	must_migrate(t, &report);
	assert_int_equal(report.applied, migrations_n);
	assert_true(report.was_empty);
	assert_false(report.was_taken_over);
	must_migrate(t, &report);
	assert_int_equal(report.applied, 0);
	assert_true(migrate_status(t, &status, &err));
	assert_null(status.refusal);
	assert_int_equal(status.n, migrations_n);
	assert_non_null(status.rows[migrations_n - 1].applied_at);
	assert_null(scratch_text(t, "select relname from pg_class where relname = 'alembic_version'"));
}

static void an_empty_database_runs_the_whole_chain_once(void **state)
{
	scratch_run(state, NULL, check_fresh);
}

struct runner {
	struct migrate_report report;
	bool ok, is_done;
};

static SUSPENDS void migrates(struct task *t, void *arg)
{
	struct runner *r = arg;
	struct err err = { 0 };
	r->ok = migrate_apply(t, &r->report, &err);
	r->is_done = true;
}

static SUSPENDS void check_together(struct task *t)
{
	struct runner r[3] = { 0 };
	struct err err = { 0 };
	for (size_t i = 0; i < countof(r); i++)
		task_spawn(t->loop, "migrates", migrates, &r[i]);
	while (!r[0].is_done || !r[1].is_done || !r[2].is_done)
		assert_true(task_sleep(t, 10, &err));
	assert_true(r[0].ok && r[1].ok && r[2].ok);
	assert_int_equal(r[0].report.applied + r[1].report.applied + r[2].report.applied, migrations_n);
}

static void processes_that_start_together_apply_each_migration_once(void **state)
{
	scratch_run(state, NULL, check_together);
}

static SUSPENDS void check_ahead(struct task *t)
{
	struct migrate_report report;
	must_migrate(t, &report);
	scratch_do(t, "insert into launchplane_schema_migrations values (9001, 'from_the_future', 'x')");
	must_refuse(t, "9001_from_the_future, which this program does not know");
}

static void a_database_that_is_ahead_is_refused(void **state)
{
	scratch_run(state, NULL, check_ahead);
}

static SUSPENDS void check_edited(struct task *t)
{
	struct migrate_report report;
	must_migrate(t, &report);
	scratch_do(t, "update launchplane_schema_migrations set checksum = 'other' where number = 1");
	must_refuse(t, "0001_baseline was applied with another text");
	scratch_do(t, "delete from launchplane_schema_migrations where number = 1");
	must_refuse(t, "0002_operations but not 0001_baseline before it");
}

static void an_edited_or_gapped_chain_is_refused(void **state)
{
	scratch_run(state, NULL, check_edited);
}

static SUSPENDS void check_drift(struct task *t)
{
	struct migrate_report report;
	must_migrate(t, &report);
	scratch_do(t, "alter table launchplane_deployments drop column artifact_id");
	must_refuse(t, "table launchplane_deployments has no column artifact_id");
	scratch_do(t, "drop table launchplane_deployments cascade");
	must_refuse(t, "table launchplane_deployments is gone");
}

static void drift_is_refused_by_name(void **state)
{
	scratch_run(state, NULL, check_drift);
}

/* ---- a predecessor's database ---- */

/* The tables of our chain as the predecessor left them: jsonb, without our own tables and our later columns. */
static SUSPENDS void make_legacy(struct task *t)
{
	struct migrate_report report;
	must_migrate(t, &report);
	scratch_do(t, "drop table launchplane_schema_migrations");
	scratch_do(t, "drop table launchplane_operation_events");
	scratch_do(t, "drop table launchplane_operations cascade");
	scratch_do(t, "drop table launchplane_private_health_endpoints");
	scratch_do(t, "drop table launchplane_ingress_canary_routes");
	scratch_do(t, "alter table launchplane_inventory alter column payload type jsonb");
	scratch_do(t, "alter table launchplane_idempotency_records drop column state, drop column created_at");
}

static SUSPENDS void check_legacy(struct task *t)
{
	struct migrate_report report;
	make_legacy(t);
	scratch_do(
	        t,
	        "insert into launchplane_inventory values ('shop', 'prod', 'a1', '', '', 'd1', '', '', '{\"k\": 1}')");
	must_migrate(t, &report);
	assert_true(report.was_taken_over);
	assert_false(report.was_empty);
	assert_int_equal(report.applied, migrations_n);
	assert_string_equal(report.stamped, "c7f9a1b3d5e7");
	assert_string_equal(scratch_text(t, "select version_num from alembic_version"), "c7f9a1b3d5e7");
	assert_string_equal(scratch_text(t, "select payload::jsonb ->> 'k' from launchplane_inventory"), "1");
	assert_string_equal(
	        scratch_text(t, "select count(*) from pg_class where relname = 'launchplane_private_health_endpoints'"),
	        "1");
	must_migrate(t, &report);
	assert_false(report.was_taken_over);
}

static void a_predecessors_database_is_stamped_and_taken_over(void **state)
{
	scratch_run(state, NULL, check_legacy);
}

static SUSPENDS void check_stamped(struct task *t)
{
	struct migrate_report report;
	make_legacy(t);
	scratch_do(t, "create table alembic_version (version_num varchar(32) not null primary key)");
	scratch_do(t, "insert into alembic_version values ('fa2c4e6f8a0b')");
	must_migrate(t, &report);
	assert_true(report.was_taken_over);
	assert_null(report.stamped);
	assert_string_equal(scratch_text(t, "select version_num from alembic_version"), "fa2c4e6f8a0b");
}

static void a_stamp_that_is_there_stays(void **state)
{
	scratch_run(state, NULL, check_stamped);
}

static SUSPENDS void check_legacy_refused(struct task *t)
{
	make_legacy(t);
	scratch_do(t, "alter table launchplane_secrets drop column integration");
	must_refuse(t, "table launchplane_secrets has no column integration");
	assert_null(scratch_text(t, "select relname from pg_class where relname = 'alembic_version'"));
	scratch_do(t, "alter table launchplane_secrets add column integration text not null default ''");
	scratch_do(t, "drop table launchplane_promotions");
	struct migrate_report report;
	struct err err = { 0 };
	assert_false(migrate_apply(t, &report, &err));
	assert_non_null(strstr(err.message, "launchplane_promotions of the first known revision is missing"));
}

static void a_predecessors_database_with_drift_is_refused_unchanged(void **state)
{
	scratch_run(state, NULL, check_legacy_refused);
}

static SUSPENDS void legacy_operation(struct task *t, const char *table, const char *id, const char *instance,
                                      const char *status, const char *key)
{
	bool is_replacement = strstr(table, "replacement") != NULL;
	bool is_over = strcmp(status, "pass") == 0;
	scratch_do(
	        t,
	        arena_printf(t->arena,
	                     "insert into launchplane_%s (operation_id, product, context, instance, %sidempotency_key, "
	                     "status, phase, "
	                     "created_at, updated_at, payload) values ('%s', 'shop', 'shop', '%s', %s'%s', '%s', '%s', "
	                     "'2026-06-01T10:00:00Z', '2026-06-01T10:05:00Z', '{\"request\": {\"x\": 1}, "
	                     "\"request_fingerprint\": \"f\", "
	                     "\"result\": %s, \"finished_at\": \"%s\"}')",
	                     table, is_replacement ? "idempotency_scope, " : "", id, instance,
	                     is_replacement ? "'caller', " : "", key, status, is_over ? "completed" : "created",
	                     is_over ? "{\"ok\": true}" : "null", is_over ? "2026-06-01T10:04:00Z" : ""));
}

static SUSPENDS const char *operation(struct task *t, const char *id)
{
	return scratch_text(t, arena_printf(t->arena,
	                                    "select concat_ws(' ', kind, status, public_phase, error_code, "
	                                    "coalesce(idempotency_key, '-'), next_run_at is not null, "
	                                    "finished_at at time zone 'UTC', request, result) from "
	                                    "launchplane_operations where operation_id = '%s'",
	                                    id));
}

static SUSPENDS void check_operations_copied(struct task *t)
{
	static const char replacements[] = "odoo_stable_target_replacement_operations";
	static const char bootstraps[] = "odoo_stable_bootstrap_operations";
	struct migrate_report report;
	make_legacy(t);
	legacy_operation(t, replacements, "r-pass", "prod", "pass", "k1");
	legacy_operation(t, replacements, "r-pending", "prod", "pending", "k2");
	legacy_operation(t, replacements, "r-running", "staging", "running", "k3");
	legacy_operation(t, bootstraps, "b-pending", "prod", "pending", "k1");
	legacy_operation(t, bootstraps, "b-other", "testing", "pending", "");
	must_migrate(t, &report);
	assert_string_equal(
	        operation(t, "r-pass"),
	        "odoo_stable_target_replacement pass completed  k1 f 2026-06-01 10:04:00 {\"x\": 1} {\"ok\": true}");
	assert_string_equal(operation(t, "r-running"),
	                    "odoo_stable_target_replacement fail failed "
	                    "operation_reconciliation_required k3 f 2026-06-01 10:05:00 {\"x\": 1}");
	assert_string_equal(operation(t, "b-other"), "odoo_stable_bootstrap pending created  - t {\"x\": 1}");
	/* one lane, two waiting: one goes on, the other asks for an operator */
	assert_string_equal(operation(t, "b-pending"), "odoo_stable_bootstrap pending created  k1 t {\"x\": 1}");
	assert_string_equal(operation(t, "r-pending"),
	                    "odoo_stable_target_replacement fail failed "
	                    "operation_reconciliation_required k2 f 2026-06-01 10:05:00 {\"x\": 1}");
	assert_string_equal(
	        scratch_text(t, "select count(*) from launchplane_operation_events where event = 'taken_over'"), "5");
}

static void operations_of_the_predecessor_are_carried_over(void **state)
{
	scratch_run(state, NULL, check_operations_copied);
}

/* ---- what the tables refuse ---- */

static SUSPENDS void refused(struct task *t, const char *sql, const char *sqlstate, const char *constraint)
{
	const struct query q = { .name = "", .sql = sql, .writes = true };
	struct err err = { 0 };
	assert_false(db_write(t, "x", &q, PARAMS(), NULL, &err));
	assert_string_equal(err.sqlstate, sqlstate);
	if (!strstr(err.cause, constraint))
		fail_msg("%s", err.cause);
}

#define INSERT_OPERATION                                                                                               \
	"insert into launchplane_operations (operation_id, kind, product, context, instance, holds_lane, "             \
	"idempotency_scope, idempotency_key, status, next_run_at, finished_at, request) values "

static SUSPENDS void check_constraints(struct task *t)
{
	struct migrate_report report;
	must_migrate(t, &report);
	scratch_do(t, INSERT_OPERATION "('o1', 'k', 'p', 'c', 'i', true, 's', 'key', 'pending', now(), null, '{}')");
	refused(t, INSERT_OPERATION "('o2', 'k', 'p', 'c', 'i', true, 's', 'key2', 'pending', now(), null, '{}')",
	        "23505", "constraint launchplane_operations_active_place_key:");
	refused(t, INSERT_OPERATION "('o2', 'k', 'p', 'c', 'j', true, 's', 'key', 'pending', now(), null, '{}')",
	        "23505", "constraint launchplane_operations_idempotency_key:");
	refused(t, INSERT_OPERATION "('o2', 'k', 'p', 'c', 'j', true, 's', null, 'running', null, null, '{}')", "23514",
	        "launchplane_operations_wakes_up");
	refused(t, INSERT_OPERATION "('o2', 'k', 'p', 'c', 'j', true, 's', null, 'pass', null, null, '{}')", "23514",
	        "launchplane_operations_finishes");
	refused(t, INSERT_OPERATION "('o2', 'k', 'p', 'c', 'j', true, 's', null, 'done', null, null, '{}')", "23514",
	        "status_check");
	scratch_do(t, INSERT_OPERATION "('o3', 'k', 'p', 'c', 'i', false, 's', null, 'pending', now(), null, '{}')");
	scratch_do(t, "update launchplane_operations set status = 'pass', next_run_at = null, finished_at = now() "
	              "where operation_id = 'o1'");
	scratch_do(t, INSERT_OPERATION "('o4', 'k', 'p', 'c', 'i', true, 's', null, 'pending', now(), null, '{}')");
	scratch_do(t,
	           "insert into launchplane_operation_events (operation_id, seq, event) values ('o1', 1, 'submitted')");
	refused(t, "update launchplane_operation_events set event = 'other'", "23001", "append-only");
	refused(t, "delete from launchplane_operation_events", "23001", "append-only");
}

static void the_operations_tables_keep_their_invariants(void **state)
{
	scratch_run(state, NULL, check_constraints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_database_runs_the_whole_chain_once),
		cmocka_unit_test(processes_that_start_together_apply_each_migration_once),
		cmocka_unit_test(a_database_that_is_ahead_is_refused),
		cmocka_unit_test(an_edited_or_gapped_chain_is_refused),
		cmocka_unit_test(drift_is_refused_by_name),
		cmocka_unit_test(a_predecessors_database_is_stamped_and_taken_over),
		cmocka_unit_test(a_stamp_that_is_there_stays),
		cmocka_unit_test(a_predecessors_database_with_drift_is_refused_unchanged),
		cmocka_unit_test(operations_of_the_predecessor_are_carried_over),
		cmocka_unit_test(the_operations_tables_keep_their_invariants),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
