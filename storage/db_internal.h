/* storage/db_internal.h - what the files of the database pool share; nobody else includes this.
 *
 *   db.c           the pool's life, and the task's side of a request
 *   db_schedule.c  who gets which connection
 *   db_together.c  several items of one query in one statement
 *   db_known.c     reads whose answer is known
 *   db_link.c      one libpq connection on the loop: resolve, connect, watch, break
 *   db_pipeline.c  statements into a connection, results out of it
 *   db_tx.c        transactions
 *   db_rows.c      rows, and SQLSTATE to struct err
 *   db_listen.c    LISTEN
 *
 * A connection serves one role at a time: reads, one group of writes, or one transaction. It changes role only when
 * nothing is in flight on it. */
#pragma once

#include "storage/db.h"

#include <libpq-fe.h>

#define GROUP_MAX       32 /* writes of one commit */
#define READS_IN_FLIGHT 64 /* on one connection */
#define TOGETHER_MAX    32 /* items of one statement */
#define READ_CONNS_MAX  4  /* more backends than cores only add switches */
#define WRITE_CONNS_MAX 8
#define PIN_LANES       1024 /* pin keys are hashed into as many; a collision costs a little waiting */
#define HOSTS_MAX       16

struct db;
struct conn;
struct known;

/* ---- a link: one libpq connection and its place in the loop ---- */

enum link_state { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_UP };

struct link {
	struct db *db;
	PGconn *pg;
	enum link_state state;
	bool was_up;             /* since link_connect */
	struct poll *poll;       /* heap: it outlives us by its close callback */
	struct resolve *resolve; /* heap: uv_getaddrinfo writes to it */
	uv_timer_t timer;        /* of the attempt; a listener also uses it for the next one */
	void (*on_up)(struct link *link);
	void (*on_io)(struct link *link, int events);
	void (*on_down)(struct link *link, const char *why);
};

void link_init(struct link *link, struct db *db);
void link_connect(struct link *link);
void link_watch(struct link *link, int events);
/* Closes without calling on_down. */
void link_drop(struct link *link);
/* link_drop, then on_down. why is one line for the log. */
void link_fail(struct link *link, const char *why);

/* The URL, taken apart once. */
struct db_url {
	PQconninfoOption *options;
	char *list; /* the strings the arrays point into */
	const char *host[HOSTS_MAX], *port[HOSTS_MAX];
	unsigned n;
	bool has_hostaddr;
};
bool db_url_parse(struct db_url *url, const char *text, struct err *err);
void db_url_done(struct db_url *url);

/* A statement that carried a leaf for the audit log was committed for t. */
void db_leaf_committed(struct task *t, struct db *db);
/* One that wrote events was. */
void db_events_committed(struct db *db);

/* A result that several requests, or what is known, have a row of. */
struct shared_result {
	PGresult *res;
	unsigned refs;
};

/* ---- a request: somebody waits for a connection or a result ---- */

enum request_kind { REQUEST_READ, REQUEST_WRITE, REQUEST_TX, REQUEST_IN_TX };
enum outcome { OUTCOME_NONE, OUTCOME_RESULT, OUTCOME_CONNECTION, OUTCOME_LOST, OUTCOME_UNKNOWN, OUTCOME_CLOSED };

/* Owned by the waiting task until it gives up (task is NULL then), and by the connection while it is in flight. */
struct request {
	struct request *next, *prev;
	enum request_kind kind;
	enum outcome outcome;
	bool is_commit;           /* of a transaction */
	bool is_queued, is_alone; /* alone: its batch or group failed, it gets its own Sync now */
	uint8_t tries;
	uint16_t lane;
	struct task *task;
	const struct query *query;
	const struct param *params;
	size_t n_params;
	uint64_t seq; /* age */
	PGresult *res;
	struct shared_result *shared; /* instead of res: its row is shared_row, -1: none */
	int shared_row;
	uint64_t known_in;      /* it was known already, in this generation of db_known.c */
	struct request *beside; /* the next item of the same statement */
	struct conn **conn;     /* where a transaction's connection goes */
};

struct queue {
	struct request *first, *last;
	unsigned n;
};

/* ---- a connection of the pool ---- */

enum conn_role { ROLE_IDLE, ROLE_READS, ROLE_WRITES, ROLE_TX };
enum entry_kind { ENTRY_PREPARE, ENTRY_QUERY, ENTRY_SYNC };

/* What libpq owes us an answer for, in order. */
struct entry {
	enum entry_kind kind;
	const struct query *query; /* NULL: not a prepared one, which need not outlive its sending */
	struct request *req;       /* NULL: nobody waits */
	uint64_t sent_ms;
};

struct statement {
	const struct query *query;
	char name[64]; /* "<number>_<query name>"; "": to be prepared */
};

struct tx {
	struct conn *conn;
	struct task *task;
	bool has_begun, is_committing, is_over;
	bool has_written, is_audited; /* a statement that changes something; one that carries the leaf */
	bool has_events;              /* one that writes events */
	bool has_failed;              /* err says why */
	struct err err;
};

struct conn {
	struct link link;
	enum conn_role role;
	bool is_unsynced;
	PGresult *prepare_error; /* of the statement whose query comes next */

	struct entry *entries; /* ring */
	unsigned entries_head, entries_n, entries_cap;
	unsigned reads_in_flight;

	struct statement *statements; /* open addressing by query */
	unsigned statements_n, statements_cap, next_id;

	struct request *group[GROUP_MAX];
	uint64_t lanes[GROUP_MAX]; /* held until the group is done */
	unsigned group_n, lanes_n, group_synced;
	bool group_failed, group_alone;

	struct tx tx;
};

struct listener {
	struct listener *next;
	const char *channel;
	db_listener fn;
	void *arg;
};

struct db {
	struct loop *loop;
	struct db_options opt;
	char *application_name, *server_options;
	struct db_url url;
	struct turn_hook hook;

	struct conn *conns; /* pool_size */
	struct queue reads, writes, txs;
	struct queue checks; /* reads whose answer is known, if no commit has come in between */
	struct known *known;
	struct request *free_requests;
	unsigned free_requests_n;
	uint64_t next_seq;
	uint8_t lane_owner[PIN_LANES]; /* connection number + 1 that has writes of the lane in flight */
	bool is_dirty;                 /* the turn hook has something to look at */

	uint64_t retry_at_ms; /* no connection attempt before (uv_now) */
	unsigned failures;    /* attempts in a row */
	uv_timer_t retry;
	uv_timer_t held;     /* writes are kept waiting for the groups in flight, but not for ever */
	unsigned first_host; /* rotated when a host does not answer */
	char last_failure[240];

	struct link listen;
	struct listener *listeners;
	bool is_listening;
	unsigned listen_failures;
	const char *suppressed; /* the channel of db_suppress_notify() */
	bool wants_suppressed, is_suppressed;
	enum listen_question { ASKED_NOTHING, ASKED_SUPPRESSION, ASKED_NOTIFY } asked;

	void (*on_leaf)(void *arg); /* audit_on_append() */
	void *on_leaf_arg;
	void (*on_events)(void *arg);
	void *on_events_arg;

	bool is_closing;
	struct task *closer;
	struct ready_waiter *ready_waiters;
	unsigned requests_alive;
	unsigned handles; /* uv handles and requests not closed yet */
	struct db_stats stats;
};

/* db.c */
void db_dirty(struct db *db);
void db_connected(struct db *db);
void db_connection_failed(struct db *db, bool was_up, const char *why);
uint64_t db_backoff_ms(unsigned failures);
struct request *request_new(struct db *db, enum request_kind kind, struct task *t, const struct query *q,
                            const struct param *params, size_t n_params);
void request_enqueue(struct db *db, struct queue *queue, struct request *r, bool in_front);
void request_unqueue(struct queue *queue, struct request *r);
void request_complete(struct db *db, struct request *r, enum outcome outcome, PGresult *res);
/* Waits for r and frees it. */
SUSPENDS bool request_wait(struct task *t, struct db *db, struct request *r, struct rows *out, struct err *err);
void conn_became_idle(struct conn *c);
SUSPENDS bool db_take_for_tx(struct task *t, struct db *db, struct conn **out, struct err *err);

/* db_schedule.c */
void db_schedule(void *db);
bool db_tx_at_once(struct db *db, struct task *t, struct conn **out);

/* db_pipeline.c */
bool conn_send(struct conn *c, const struct query *q, const struct param *params, size_t n_params, struct request *r);
/* r and what stands beside it. */
bool conn_send_items(struct conn *c, struct request *first);
bool conn_sync(struct conn *c);
bool conn_send_group(struct conn *c);
void conn_ops(struct conn *c);
uint64_t conn_waiting_since(const struct conn *c);
void conn_memory_free(struct conn *c);

/* db_together.c */
#define NUMBER_MAX 24
/* The text form of a parameter; a number's goes into buffer. NULL is null. */
const char *param_text(const struct param *p, char buffer[NUMBER_MAX], size_t *n);
/* An array with that parameter of each item, in PostgreSQL's binary form. malloc'ed. */
char *array_of_param(const struct request *first, size_t param, size_t *size);
/* Unqueues the first read, and those that can be asked together with it: room at most, *took of them. */
struct request *together_take(struct db *db, unsigned room, unsigned *took);
/* Puts beside group[i] what can go into one statement with it, and marks in is_taken whatever it took. The first. */
struct request *together_gather(struct request *const *group, unsigned n, unsigned i, bool *is_taken);
/* Gives each its row. Takes res. */
void together_share(struct request *first, PGresult *res);
void shared_unref(struct shared_result *s);
void request_forget_result(struct request *r);

/* db_known.c */
struct known *known_new(void);
void known_free(struct known *k);
void known_forget(struct known *k);
/* Gives r the answer that it would have if no commit has come in between, which known_ask() is to find out. */
bool known_find(struct known *k, struct request *r);
/* The results of reads that went together_share(). */
void known_learn(struct known *k, const struct request *first);
/* For all that wait in checks; as conn_send(). */
bool known_ask(struct conn *c, struct queue *checks);
bool known_is_asked(const struct query *q);
void known_answered(struct db *db, struct request *first, PGresult *res); /* takes res */

/* db_tx.c */
void tx_statement_failed(struct tx *tx, const PGresult *res);
void tx_connection_lost(struct tx *tx);
void tx_synced(struct conn *c);

/* db_rows.c */
void rows_from(struct task *t, struct request *r, struct rows *out);        /* takes r->res */
void rows_from_shared(struct task *t, struct request *r, struct rows *out); /* takes r->shared */
bool err_from_result(struct err *err, const PGresult *res);
bool is_sqlstate(const PGresult *res, const char *code);

/* db_listen.c */
void db_listen_init(struct db *db);
