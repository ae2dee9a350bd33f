#include "storage/db_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3

/* ---- what we wait for ---- */

static void push(struct conn *c, enum entry_kind kind, const struct query *q, struct request *r)
{
	if (c->entries_n == c->entries_cap) {
		unsigned cap = c->entries_cap ? c->entries_cap * 2 : 64;
		struct entry *bigger = calloc(cap, sizeof(*bigger));
		for (unsigned i = 0; i < c->entries_n; i++)
			bigger[i] = c->entries[(c->entries_head + i) % c->entries_cap];
		free(c->entries);
		c->entries = bigger;
		c->entries_cap = cap;
		c->entries_head = 0;
	}
	c->entries[(c->entries_head + c->entries_n++) % c->entries_cap] =
	        (struct entry){ .kind = kind, .query = q, .req = r, .sent_ms = uv_now(&c->link.db->loop->uv) };
}

static struct entry pop(struct conn *c)
{
	struct entry e = c->entries[c->entries_head];
	c->entries_head = (c->entries_head + 1) % c->entries_cap;
	c->entries_n--;
	return e;
}

/* When the oldest statement in flight was sent (uv_now), so that a slow one does not get more behind it. */
uint64_t conn_waiting_since(const struct conn *c)
{
	return c->entries_n ? c->entries[c->entries_head].sent_ms : UINT64_MAX;
}

/* ---- prepared statements ---- */

static struct statement *statement_slot(struct conn *c, const struct query *q)
{
	unsigned i = (unsigned)(((uintptr_t)q >> 4) * 0x9E3779B97F4A7C15u >> 40) & (c->statements_cap - 1);
	while (c->statements[i].query && c->statements[i].query != q)
		i = (i + 1) & (c->statements_cap - 1);
	return &c->statements[i];
}

static struct statement *statement_of(struct conn *c, const struct query *q)
{
	if (c->statements_n * 2 >= c->statements_cap) {
		struct statement *old = c->statements;
		unsigned n = c->statements_cap;
		c->statements_cap = n ? n * 2 : 128;
		c->statements = calloc(c->statements_cap, sizeof(*old));
		for (unsigned i = 0; i < n; i++) {
			if (old[i].query)
				*statement_slot(c, old[i].query) = old[i];
		}
		free(old);
	}
	struct statement *s = statement_slot(c, q);
	if (!s->query) {
		s->query = q;
		c->statements_n++;
	}
	return s;
}

static void statement_forget(struct conn *c, const struct query *q)
{
	statement_of(c, q)->name[0] = '\0';
}

static bool prepare(struct conn *c, struct statement *s)
{
	if (s->name[0])
		return true;
	snprintf(s->name, sizeof(s->name), "%u_%.48s", ++c->next_id, s->query->name);
	if (!PQsendPrepare(c->link.pg, s->name, s->query->sql, 0, NULL))
		return false;
	push(c, ENTRY_PREPARE, s->query, NULL);
	return true;
}

/* ---- sending ---- */

/* What libpq wants of a statement's parameters. */
struct values {
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX], formats[PARAMS_MAX];
	char numbers[PARAMS_MAX][NUMBER_MAX];
};

static bool send_values(struct conn *c, const struct query *q, const struct values *v, size_t n, struct request *r)
{
	PGconn *pg = c->link.pg;
	struct statement *named = q->name[0] ? statement_of(c, q) : NULL;
	bool sent = named ? prepare(c, named) &&
	                            PQsendQueryPrepared(pg, named->name, (int)n, v->values, v->lengths, v->formats, 0)
	                  : PQsendQueryParams(pg, q->sql, (int)n, NULL, v->values, v->lengths, v->formats, 0);
	push(c, ENTRY_QUERY, named ? q : NULL, r); /* also when it was not sent: the failure must reach r */
	c->is_unsynced = true;
	c->link.db->stats.queries++;
	if (!sent)
		link_fail(&c->link, PQerrorMessage(pg));
	return sent;
}

/* Puts a statement into the connection's buffer. False when the connection is broken, which has then been dealt with:
 * r, like all that was in flight, has its outcome. r may be NULL. */
bool conn_send(struct conn *c, const struct query *q, const struct param *params, size_t n_params, struct request *r)
{
	assert(n_params <= PARAMS_MAX && (int)n_params == q->n_params);
	struct values v = { 0 };
	for (size_t i = 0; i < n_params; i++) {
		size_t n;
		v.values[i] = param_text(&params[i], v.numbers[i], &n);
		v.lengths[i] = (int)n; /* of text nobody looks at it */
		v.formats[i] = params[i].type == PARAM_BYTES;
	}
	return send_values(c, q, &v, n_params, r);
}

bool conn_send_items(struct conn *c, struct request *first)
{
	if (!first->beside)
		return conn_send(c, first->query, first->params, first->n_params, first);
	const struct query *q = first->query->together;
	struct values v = { 0 };
	char *arrays[PARAMS_MAX] = { 0 };
	assert(q->n_params <= PARAMS_MAX);
	for (int i = 0; i < q->n_params; i++) {
		size_t size;
		v.values[i] = arrays[i] = array_of_param(first, (size_t)i, &size);
		v.lengths[i] = (int)size;
		v.formats[i] = 1;
	}
	bool sent = send_values(c, q, &v, (size_t)q->n_params, first);
	for (int i = 0; i < q->n_params; i++)
		free(arrays[i]);
	return sent;
}

static void flush(struct conn *c)
{
	int rc = PQflush(c->link.pg);
	if (rc < 0)
		link_fail(&c->link, PQerrorMessage(c->link.pg));
	else
		link_watch(&c->link, rc ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* Ends the implicit transaction of what was sent and hands all of it to the kernel. */
bool conn_sync(struct conn *c)
{
	c->is_unsynced = false;
	push(c, ENTRY_SYNC, NULL, NULL);
	if (!PQpipelineSync(c->link.pg)) {
		link_fail(&c->link, PQerrorMessage(c->link.pg));
		return false;
	}
	flush(c);
	return c->link.state == LINK_UP;
}

/* ---- groups of writes ---- */

static void group_release(struct conn *c)
{
	struct db *db = c->link.db;
	for (unsigned i = 0; i < c->lanes_n; i++)
		db->lane_owner[c->lanes[i]] = 0;
	c->lanes_n = c->group_n = c->group_synced = 0;
	c->group_failed = c->group_alone = false;
}

/* Sends the group c->group: with one Sync, or each member with its own once the group has failed. */
bool conn_send_group(struct conn *c)
{
	bool is_taken[GROUP_MAX] = { 0 };
	for (unsigned i = 0; i < c->group_n; i++) {
		struct request *r = c->group[i];
		if (is_taken[i])
			continue;
		r->beside = NULL;
		if (r->query->together && !c->group_alone)
			r = together_gather(c->group, c->group_n, i, is_taken);
		if (!conn_send_items(c, r))
			return false;
		if (c->group_alone && !conn_sync(c))
			return false;
	}
	return c->group_alone || conn_sync(c);
}

static bool deserves_another_try(const struct request *r)
{
	return r->task && r->tries < TRIES_MAX &&
	       (is_sqlstate(r->res, "40001") || is_sqlstate(r->res, "40P01") || is_sqlstate(r->res, "26000") ||
	        is_sqlstate(r->res, "0A000"));
}

/* All members have their Sync. Those to be sent again stay: after a failed group all of them, each alone. */
static void group_finished(struct conn *c)
{
	struct db *db = c->link.db;
	bool send_all_again = c->group_failed && !c->group_alone && c->group_n > 1;
	unsigned kept = 0;
	for (unsigned i = 0; i < c->group_n; i++) {
		struct request *r = c->group[i];
		bool again = send_all_again ? r->task != NULL : c->group_failed && deserves_another_try(r);
		if (!again) {
			PGresult *res = r->res;
			r->res = NULL;
			request_complete(db, r, OUTCOME_RESULT, res);
			continue;
		}
		request_forget_result(r);
		r->tries++;
		db->stats.resent++;
		c->group[kept++] = r;
	}
	c->group_n = kept;
	c->group_synced = 0;
	c->group_failed = false;
	c->group_alone = true;
	if (kept) {
		conn_send_group(c);
		return;
	}
	group_release(c);
	conn_became_idle(c);
}

static void group_synced(struct conn *c)
{
	if (c->group_n == 0)
		return;
	c->group_synced++;
	if (!c->group_alone || c->group_synced == c->group_n)
		group_finished(c);
}

/* ---- results ---- */

static bool is_good(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);
	return s == PGRES_TUPLES_OK || s == PGRES_COMMAND_OK || s == PGRES_EMPTY_QUERY;
}

static void read_again(struct db *db, struct request *r)
{
	r->is_alone = true;
	r->tries++;
	db->stats.resent++;
	request_enqueue(db, &db->reads, r, true);
}

/* first and what stands beside it. Takes res. */
static void reads_finished(struct conn *c, struct request *first, PGresult *res)
{
	struct db *db = c->link.db;
	bool aborted = PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
	bool stale =
	        !is_good(res) && (is_sqlstate(res, "26000") || is_sqlstate(res, "0A000")) && first->tries < TRIES_MAX;
	/* Out of time, or the server is going away: that is said to all of them; else it is the fault of one. */
	bool of_one = first->beside && !is_good(res) && !is_sqlstate(res, "57");
	bool is_again = aborted || stale || of_one, is_good_one = is_good(res);
	if (is_again) {
		PQclear(res);
	} else if (first->query->together) {
		together_share(first, res);
		if (is_good_one)
			known_learn(db->known, first);
	}
	for (struct request *r = first, *next; r; r = next) {
		next = r->beside;
		c->reads_in_flight--;
		if (!is_again)
			request_complete(db, r, OUTCOME_RESULT, r->shared ? NULL : res);
		else if (r->task && !db->is_closing)
			read_again(db, r);
		else
			request_complete(db, r, OUTCOME_CLOSED, NULL);
	}
}

/* One result of the oldest entry. Takes res. */
static void entry_result(struct conn *c, struct entry *e, PGresult *res)
{
	bool good = is_good(res);
	bool aborted = PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
	if (e->kind == ENTRY_PREPARE) {
		if (!good) {
			statement_forget(c, e->query);
			if (!aborted) {
				PQclear(c->prepare_error);
				c->prepare_error = res;
				return;
			}
		}
		PQclear(res);
		return;
	}
	if (e->kind == ENTRY_SYNC) { /* the commit itself failed: a deferred constraint, a serialization failure */
		unsigned one = c->group_alone ? c->group_synced : 0;
		if (c->group_n && (c->group_alone || c->group_n == 1)) {
			PQclear(c->group[one]->res);
			c->group[one]->res = res;
		} else {
			PQclear(res); /* whose it is will be seen when they are sent again, each alone */
		}
		c->group_failed = c->group_n > 0;
		return;
	}
	if (aborted && c->prepare_error) {
		PQclear(res);
		res = c->prepare_error;
		c->prepare_error = NULL;
		aborted = false;
	}
	if (!good && !aborted && e->query && (is_sqlstate(res, "26000") || is_sqlstate(res, "0A000")))
		statement_forget(c, e->query); /* gone, or its plan no longer fits: the next use prepares it anew */
	if (c->role == ROLE_TX && !good && !aborted)
		tx_statement_failed(&c->tx, res);
	struct request *r = e->req;
	if (!r) {
		PQclear(res);
		return;
	}
	if (good && r->kind == REQUEST_WRITE && r->query->together) {
		together_share(r, res);
		return;
	}
	PQclear(r->res);
	r->res = res;
	if (r->kind == REQUEST_WRITE)
		c->group_failed |= !good;
}

static void entry_finished(struct conn *c, const struct entry *e)
{
	struct request *r = e->req;
	if (!r || r->kind == REQUEST_WRITE) /* a write waits for its Sync */
		return;
	PGresult *res = r->res;
	r->res = NULL;
	if (r->kind == REQUEST_READ && known_is_asked(e->query)) {
		c->reads_in_flight--;
		known_answered(c->link.db, r, res);
	} else if (r->kind == REQUEST_READ) {
		reads_finished(c, r, res);
	} else {
		request_complete(c->link.db, r, OUTCOME_RESULT, res);
	}
}

static void synced(struct conn *c)
{
	PQclear(c->prepare_error);
	c->prepare_error = NULL;
	switch (c->role) {
	case ROLE_WRITES:
		group_synced(c);
		break;
	case ROLE_TX:
		tx_synced(c);
		break;
	case ROLE_READS:
		if (c->entries_n == 0)
			conn_became_idle(c);
		break;
	case ROLE_IDLE:
		break;
	}
}

/* An error without SQLSTATE is libpq's own. A server that dies at the Sync does not say whether it has committed. */
static bool is_broken(const struct entry *e, const PGresult *res)
{
	if (PQresultStatus(res) != PGRES_FATAL_ERROR)
		return false;
	return !PQresultErrorField(res, PG_DIAG_SQLSTATE) || (e->kind == ENTRY_SYNC && is_sqlstate(res, "57P"));
}

/* Takes what has arrived, until libpq would have to wait. A NULL ends each statement, but not a Sync. */
static void take_results(struct conn *c)
{
	bool was_null = false;
	while (c->link.state == LINK_UP && c->entries_n && !PQisBusy(c->link.pg)) {
		struct entry *e = &c->entries[c->entries_head];
		PGresult *res = PQgetResult(c->link.pg);
		if (!res) {
			if (e->kind == ENTRY_SYNC) {
				if (was_null) {
					link_fail(&c->link, "the connection lost count of its results");
					return;
				}
				was_null = true;
				continue;
			}
			struct entry done = pop(c);
			was_null = false;
			entry_finished(c, &done);
			continue;
		}
		was_null = false;
		if (is_broken(e, res)) {
			link_fail(&c->link, PQresultErrorMessage(res));
			PQclear(res);
		} else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			pop(c);
			synced(c);
		} else {
			entry_result(c, e, res);
		}
	}
}

static void on_io(struct link *link, int events)
{
	struct conn *c = container_of(link, struct conn, link);
	if (events & UV_WRITABLE)
		flush(c);
	if (link->state != LINK_UP || !(events & UV_READABLE))
		return;
	bool is_open = PQconsumeInput(link->pg);
	take_results(c); /* the server's last words come before the end of the stream */
	if (link->state == LINK_UP && (!is_open || PQstatus(link->pg) == CONNECTION_BAD))
		link_fail(link, PQerrorMessage(link->pg));
}

static void on_up(struct link *link)
{
	if (!PQenterPipelineMode(link->pg)) {
		link_fail(link, PQerrorMessage(link->pg));
		return;
	}
	link->db->stats.connects++;
	known_forget(link->db->known);
	db_connected(link->db);
}

/* ---- the end of a connection ---- */

static bool has_words(const PGresult *res)
{
	return res && !is_good(res) && PQresultStatus(res) != PGRES_PIPELINE_ABORTED;
}

static void fail_entries(struct conn *c)
{
	struct db *db = c->link.db;
	bool is_unknown = c->role == ROLE_TX && c->tx.is_committing && !c->tx.has_failed;
	while (c->entries_n) {
		struct entry e = pop(c);
		if (!e.req || e.req->kind == REQUEST_WRITE) /* group_lost has those */
			continue;
		for (struct request *r = e.req, *next; r; r = next) {
			next = r->beside;
			PGresult *res = r->res;
			r->res = NULL;
			if (has_words(res)) {
				request_complete(db, r, OUTCOME_RESULT, res);
				continue;
			}
			PQclear(res);
			request_complete(db, r, is_unknown ? OUTCOME_UNKNOWN : OUTCOME_LOST, NULL);
		}
	}
	c->reads_in_flight = 0;
}

/* An error before the Sync means that nothing was committed; without one nobody knows. */
static void group_lost(struct conn *c, bool was_unsynced)
{
	struct db *db = c->link.db;
	bool is_certain = !c->group_alone && (c->group_failed || was_unsynced);
	for (unsigned i = 0; i < c->group_n; i++) {
		struct request *r = c->group[i];
		PGresult *res = r->res;
		r->res = NULL;
		bool is_done = c->group_alone && i < c->group_synced;
		if (is_done || has_words(res)) {
			request_complete(db, r, OUTCOME_RESULT, res);
			continue;
		}
		PQclear(res);
		request_complete(db, r, is_certain ? OUTCOME_LOST : OUTCOME_UNKNOWN, NULL);
	}
	group_release(c);
}

static void on_down(struct link *link, const char *why)
{
	struct conn *c = container_of(link, struct conn, link);
	struct db *db = link->db;
	bool was_unsynced = c->is_unsynced;
	known_forget(db->known);
	free(c->statements);
	c->statements = NULL;
	c->statements_n = c->statements_cap = c->next_id = 0;
	PQclear(c->prepare_error);
	c->prepare_error = NULL;
	c->is_unsynced = false;
	fail_entries(c);
	if (c->role == ROLE_WRITES)
		group_lost(c, was_unsynced);
	if (c->role == ROLE_TX && !c->tx.is_over)
		tx_connection_lost(&c->tx); /* keeps the place until its owner lets go */
	else
		c->role = ROLE_IDLE;
	db_connection_failed(db, link->was_up, why);
}

void conn_ops(struct conn *c)
{
	c->link.on_up = on_up;
	c->link.on_io = on_io;
	c->link.on_down = on_down;
}

void conn_memory_free(struct conn *c)
{
	free(c->entries);
	free(c->statements);
	PQclear(c->prepare_error);
}
