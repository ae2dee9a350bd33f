#include "storage/audit.h"
#include "storage/audit.sql.h"
#include "storage/db_internal.h"
#include "storage/guard.h"

#include "core/fault.h"

#include <assert.h>
#include <string.h>

static const struct query begin_query = { .name = "tx_begin", .sql = "begin" };
static const struct query commit_query = { .name = "tx_commit", .sql = "commit" };
static const struct query rollback_query = { .name = "tx_rollback", .sql = "rollback" };

/* ---- what the connection tells ---- */

void tx_statement_failed(struct tx *tx, const PGresult *res)
{
	if (tx->is_over || tx->has_failed)
		return;
	tx->has_failed = true;
	err_from_result(&tx->err, res);
}

void tx_connection_lost(struct tx *tx)
{
	if (tx->has_failed)
		return;
	tx->has_failed = true;
	err_set(&tx->err, &E_database_unavailable, "the connection to the database broke; nothing was changed");
	err_cause(&tx->err, "%s", tx->conn->link.db->last_failure);
}

/* A connection whose transaction is over goes back when its last Sync was answered, whichever comes later; rolled back
 * first if the end of the transaction was skipped. */
void tx_synced(struct conn *c)
{
	if (!c->tx.is_over || c->entries_n)
		return;
	if (c->link.state == LINK_UP && PQtransactionStatus(c->link.pg) != PQTRANS_IDLE) {
		if (conn_send(c, &rollback_query, NULL, 0, NULL))
			conn_sync(c);
		return;
	}
	conn_became_idle(c);
}

/* ---- the task's side ---- */

struct task *tx_task(const struct tx *tx)
{
	return tx->task;
}

static void tx_over(struct tx *tx)
{
	struct conn *c = tx->conn;
	tx->is_over = true;
	tx->task->in_tx = false;
	tx->task = NULL;
	tx_synced(c);
}

/* The analysis cannot see that handing out *out is what acquires the role. */
NO_ROLE_CHECK bool tx_begin(struct task *t, struct tx **out, struct err *err)
{
	struct db *db = t->loop->db;
	assert(!t->in_tx);
	struct conn *c;
	if (!db_take_for_tx(t, db, &c, err))
		return false;
	t->in_tx = true;
	db->stats.transactions++;
	*out = &c->tx;
	return true;
}

static bool refuse(const struct tx *tx, struct err *err)
{
	*err = tx->err;
	return false;
}

static bool tx_put(struct tx *tx, const struct query *q, const struct param *params, size_t n_params, struct request *r)
{
	struct conn *c = tx->conn;
	tx->has_written |= q->writes;
	tx->is_audited |= q->audited;
	tx->has_events |= q->has_events;
	if (!tx->has_begun) {
		tx->has_begun = true;
		if (!conn_send(c, &begin_query, NULL, 0, NULL)) {
			if (r)
				request_complete(c->link.db, r, OUTCOME_LOST, NULL);
			return false;
		}
	}
	return conn_send(c, q, params, n_params, r);
}

void tx_send(struct tx *tx, const struct query *q, const struct param *params, size_t n_params)
{
	if (!tx->has_failed)
		tx_put(tx, q, params, n_params, NULL);
}

bool tx_query(struct tx *tx, const struct query *q, const struct param *params, size_t n_params, struct rows *out,
              struct err *err)
{
	struct db *db = tx->conn->link.db;
	if (tx->has_failed)
		return refuse(tx, err);
	struct request *r = request_new(db, REQUEST_IN_TX, tx->task, q, params, n_params);
	if (tx_put(tx, q, params, n_params, r))
		conn_sync(tx->conn);
	if (request_wait(tx->task, db, r, out, err))
		return true;
	if (tx->has_failed)
		return refuse(tx, err); /* also when an earlier tx_send failed and this statement was only skipped */
	tx->has_failed = true;          /* the task gave up waiting */
	tx->err = *err;
	return false;
}

NO_ROLE_CHECK void tx_rollback(struct tx *tx)
{
	struct conn *c = tx->conn;
	if (tx->has_begun && c->link.state == LINK_UP && conn_send(c, &rollback_query, NULL, 0, NULL))
		conn_sync(c);
	tx_over(tx);
}

static NO_ROLE_CHECK bool commit(struct tx *tx, struct err *err)
{
	struct conn *c = tx->conn;
	struct task *t = tx->task;
	struct rows rows;
	task_must_finish(t);
	tx->is_committing = true;
	fault_at("commit.before", NULL);
	struct request *r = request_new(c->link.db, REQUEST_IN_TX, t, &commit_query, NULL, 0);
	r->is_commit = true;
	if (conn_send(c, &commit_query, NULL, 0, r))
		conn_sync(c);
	if (!request_wait(t, c->link.db, r, &rows, err)) {
		if (tx->has_failed && !db_outcome_is_unknown(err))
			return refuse(tx, err);
		if (err_is(err, &E_timeout) || err_is(err, &E_cancelled) || strncmp(err->sqlstate, "57P", 3) == 0) {
			err_cause(err, "the commit was on its way; outcome unknown");
			snprintf(err->sqlstate, sizeof(err->sqlstate), "08007");
		}
		return false;
	}
	if (strcmp(PQcmdStatus(rows.res), "COMMIT") != 0)
		return err_set(err, &E_internal_error, "the transaction had failed and was rolled back");
	fault_at("commit.after", NULL);
	return true;
}

NO_ROLE_CHECK bool tx_commit(struct tx *tx, struct err *err)
{
	if (tx->has_failed) {
		refuse(tx, err);
		tx_rollback(tx);
		return false;
	}
	struct task *t = tx->task;
	struct db *db = tx->conn->link.db;
	bool is_audited = tx->is_audited, has_events = tx->has_events;
	if (GUARD(F11) && t->audit && tx->has_written && !is_audited) {
		is_audited = true;
		tx_send(tx, &Q_audit_append, PARAMS(P_AUDIT(t)));
	}
	bool had_to_finish = t->must_finish, ok = !tx->has_begun || commit(tx, err) || !GUARD(F3);
	task_must_finish_as(t, had_to_finish);
	tx_over(tx);
	if (ok && is_audited)
		db_leaf_committed(t, db);
	if (ok && has_events)
		db_events_committed(db);
	return ok;
}
