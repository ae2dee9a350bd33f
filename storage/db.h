/* storage/db.h - PostgreSQL for tasks: a pool of pipelined connections, grouped writes, transactions, one listener.
 *
 * Three ways to talk to the database, chosen by what may go wrong:
 *   db_query   a read. All reads of one loop turn that go to one connection share one Sync, hence one system call. They
 * also share one implicit transaction: when one fails, the others are quietly sent again, each alone. db_write   one
 * statement that changes something, with the key of what it changes. Writes that arrive while others are being
 * committed are committed together; no two groups that hold the same key are in flight at once, so groups do not
 * deadlock each other. Success is reported when the commit is certain. tx_begin   several statements that belong
 * together. A transaction holds a connection: no wait for anything but the database may lie between tx_begin and its
 * end (t->in_tx is set meanwhile and the other waits assert it).
 *
 * Waiting for a connection ends with the task's deadline or after acquire_ms (E_database_unavailable while PostgreSQL
 * cannot be reached, E_service_unavailable while it is only busy); more than max_waiting requests are refused at once.
 * A connection that breaks fails what was in flight on it with E_database_unavailable; what was not sent yet goes to
 * another connection. A write or commit whose outcome nobody knows has err->sqlstate "08007": db_outcome_is_unknown().
 *
 * A query with a form for several items (struct query's together) is sent in that form where several are waiting: reads
 * of one turn, and writes of different keys that are committed together. The caller asks for one item and gets its row;
 * an item that fails takes no other with it. Such reads are also remembered: see db_known.c.
 *
 * Queries live in storage/<module>.sql; ci/sqlgen makes the constants Q_<name> of "<module>.sql.h" from them.
 * Parameters must stay alive until the call returns. Rows live in the task's arena. */
#pragma once

#include "core/task.h"

typedef struct pg_result PGresult;

struct query {
	const char *name; /* unique; "" for a statement that is sent once and not prepared */
	const char *sql;
	int n_params;
	bool writes;     /* inserts, updates, deletes, notifies: not for db_query() */
	bool audited;    /* carries its leaf for the audit log itself (storage/audit.h) */
	bool has_events; /* writes events of operations */
	/* The same for several items at once: its parameters are arrays of text with an element of each item, its first
	 * column is the item's number, from 1, and there is one row at most for each. NULL: always one at a time. */
	const struct query *together;
	int hidden; /* columns before the caller's: the number, and of a read the snapshot it saw */
};

/* ---- parameters ---- */

enum param_type { PARAM_NULL, PARAM_TEXT, PARAM_BYTES, PARAM_INT, PARAM_BOOL };

struct param {
	enum param_type type;
	const char *p;
	size_t n;
	int64_t i;
};

#define PARAMS_MAX 48

/* A list of parameters: expands to the two arguments (array, count). PARAMS() is none. */
#define PARAMS(...)                                                                                                    \
	(const struct param[]){ __VA_ARGS__ }, sizeof((const struct param[]){ __VA_ARGS__ }) / sizeof(struct param)
/* Any type, in its text form; NULL is SQL's null. */
#define P_TEXT(s) ((struct param){ .type = PARAM_TEXT, .p = (s) })
/* n bytes without a final NUL, for parameters of type text, json and bytea (not jsonb: cast to it in the SQL). */
#define P_BYTES(s, n_) ((struct param){ .type = PARAM_BYTES, .p = (const char *)(s), .n = (n_) })
#define P_INT(v)       ((struct param){ .type = PARAM_INT, .i = (int64_t)(v) })
#define P_BOOL(v)      ((struct param){ .type = PARAM_BOOL, .i = (v) })
#define P_NULL         ((struct param){ .type = PARAM_NULL })

/* ---- rows ---- */

struct rows {
	size_t n;        /* rows returned */
	int64_t changed; /* rows inserted, updated or deleted; for a select the same as n */
	PGresult *res;
	size_t first; /* res has the rows of others as well, */
	int hidden;   /* and columns in front */
	struct rows_owner *owner;
};

/* Columns count from 0. The strings live until the task ends or rows_done(). A null is NULL, 0 or false. */
const char *row_text(const struct rows *rows, size_t r, int col);
const char *row_bytes(const struct rows *rows, size_t r, int col, size_t *n);
const char *row_named(const struct rows *rows, size_t r, const char *column); /* asserts that there is such a column */
int row_column(const struct rows *rows, const char *column);                  /* -1 when there is none */
int64_t row_int(const struct rows *rows, size_t r, int col);
bool row_bool(const struct rows *rows, size_t r, int col);
bool row_is_null(const struct rows *rows, size_t r, int col);
/* Frees the rows before the task ends: for loops that read much. */
void rows_done(struct rows *rows);

/* ---- the pool ---- */

struct db_options {
	const char *url;               /* libpq URI or key=value string; several hosts and target_session_attrs work */
	const char *application_name;  /* default "launchplane" */
	unsigned pool_size;            /* default 8 */
	unsigned min_open;             /* opened at once and kept; default 1 */
	unsigned statement_timeout_ms; /* default 30000 */
	unsigned acquire_ms;           /* longest wait for a connection; default 5000 */
	unsigned connect_ms;  /* longest connection attempt; default 5000 (connect_timeout in the URL overrides it) */
	unsigned max_waiting; /* requests queued for a connection; default 4096 */
};

struct db_stats {
	unsigned open, connecting, busy, in_tx; /* connections */
	unsigned waiting;                       /* requests without a connection */
	uint64_t queries, batches;              /* sent; and the Syncs that carried the reads */
	uint64_t together;                      /* reads that shared a statement */
	uint64_t known;                         /* reads whose answer was still known */
	uint64_t writes, groups;                /* db_write statements; and the commits that carried them */
	uint64_t transactions, resent, failed;  /* resent: after a neighbour in their batch or group failed */
	uint64_t connects, connect_failures, connections_lost;
};

/* Starts connecting and sets loop->db; fails only on a malformed url. The options are copied. */
struct db *db_new(struct loop *l, const struct db_options *options, struct err *err);
/* Refuses new work, waits at most wait_ms for what is in flight, closes everything, frees db. No task may use it after.
 */
SUSPENDS OUTSIDE_TX void db_close(struct task *t, struct db *db, uint64_t wait_ms);
/* Waits until a connection is open. As soon as an attempt failed: false, and err->cause is PostgreSQL's own sentence.
 */
SUSPENDS OUTSIDE_TX bool db_ready(struct task *t, struct err *err);
void db_stats(const struct db *db, struct db_stats *out);

/* ---- statements ---- */

/* out may be NULL. E_internal_error for what the database refuses, with its SQLSTATE in err->sqlstate and its text in
 * err->cause; E_timeout for a cancelled statement; E_service_unavailable for deadlocks and serialization failures. */
SUSPENDS OUTSIDE_TX bool db_query(struct task *t, const struct query *q, const struct param *params, size_t n_params,
                                  struct rows *out, struct err *err);
/* pin_key names what is changed ("lane shop/prod"); writes of one key happen in the order they were made. Once sent,
 * the write runs to its end: the task hears of a cancellation after it. */
SUSPENDS OUTSIDE_TX bool db_write(struct task *t, const char *pin_key, const struct query *q,
                                  const struct param *params, size_t n_params, struct rows *out, struct err *err);

/* ---- transactions ---- */

struct tx;

/* Waits for a connection; BEGIN travels with the first statement. Read committed. */
SUSPENDS bool tx_begin(struct task *t, struct tx **out, struct err *err) TX_BEGINS;
struct task *tx_task(const struct tx *tx);
/* After an error only tx_rollback (or tx_commit, which then rolls back and fails) makes sense. */
SUSPENDS bool tx_query(struct tx *tx, const struct query *q, const struct param *params, size_t n_params,
                       struct rows *out, struct err *err);
/* Sends without waiting: its error comes out of the next tx_query or of tx_commit. The parameters are copied. */
void tx_send(struct tx *tx, const struct query *q, const struct param *params, size_t n_params);
/* True when committed. Ends the transaction either way; as db_write, the commit itself is not interrupted. */
SUSPENDS bool tx_commit(struct tx *tx, struct err *err) TX_ENDS;
/* Does not wait: the connection returns to the pool when the server has answered. */
void tx_rollback(struct tx *tx) TX_ENDS;

/* ---- errors ---- */

/* A unique violation (23505) of that index or constraint; NULL: of any. */
bool db_is_unique_violation(const struct err *err, const char *constraint);
/* The connection broke while a write or commit was under way: it may or may not have happened. */
bool db_outcome_is_unknown(const struct err *err);

/* ---- notifications ---- */

/* Called from the loop, not from a task: store, wake, return. payload is NULL after every (re)connection: whatever was
 * announced meanwhile was missed, so look. */
typedef void (*db_listener)(void *arg, const char *payload);
/* Listens until db_close, on one connection of its own shared by all channels. channel is a literal. */
void db_listen(struct db *db, const char *channel, db_listener fn, void *arg);
/* on: asks for the lock that tells those who would notify channel, a literal, that they need not: this process looks by
 * itself for what they commit. One process of all can have it; ask again at each look. off: gives it back and notifies
 * all who listen, so that somebody else goes on. Whoever decided not to notify may commit later: go on looking for a
 * while. Lost with the connection that listens. */
void db_suppress_notify(struct db *db, const char *channel, bool on);
/* To all who listen, this process among them; a hint, which is lost when there is no connection or it is busy. */
void db_notify(struct db *db, const char *channel);
/* From the first answer to on until the answer to off. */
bool db_notify_is_suppressed(const struct db *db);
/* Calls fn(arg) from a task of this process after events of operations were committed: a hint. */
void db_on_events(struct db *db, void (*fn)(void *arg), void *arg);
