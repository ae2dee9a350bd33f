#include "storage/audit.h"
#include "storage/db_internal.h"
#include "storage/guard.h"

#include "core/fault.h"
#include "core/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS    50
#define BACKOFF_MAX_MS    5000
#define FREE_REQUESTS_MAX 1024

void db_dirty(struct db *db)
{
	db->is_dirty = true;
	loop_kick(db->loop);
}

/* ---- requests ---- */

struct request *request_new(struct db *db, enum request_kind kind, struct task *t, const struct query *q,
                            const struct param *params, size_t n_params)
{
	struct request *r = db->free_requests;
	if (r) {
		db->free_requests = r->next;
		db->free_requests_n--;
	} else {
		r = malloc(sizeof(*r));
	}
	db->requests_alive++;
	*r = (struct request){
		.kind = kind, .task = t, .query = q, .params = params, .n_params = n_params, .seq = ++db->next_seq
	};
	return r;
}

static void wake_closer(struct db *db)
{
	if (db->closer)
		task_wake(db->closer);
}

static void request_free(struct db *db, struct request *r)
{
	request_forget_result(r);
	db->requests_alive--;
	wake_closer(db);
	if (db->free_requests_n >= FREE_REQUESTS_MAX) {
		free(r);
		return;
	}
	r->next = db->free_requests;
	db->free_requests = r;
	db->free_requests_n++;
}

void request_enqueue(struct db *db, struct queue *queue, struct request *r, bool in_front)
{
	r->is_queued = true;
	r->prev = in_front ? NULL : queue->last;
	r->next = in_front ? queue->first : NULL;
	*(r->prev ? &r->prev->next : &queue->first) = r;
	*(r->next ? &r->next->prev : &queue->last) = r;
	queue->n++;
	db_dirty(db);
}

void request_unqueue(struct queue *queue, struct request *r)
{
	*(r->prev ? &r->prev->next : &queue->first) = r->next;
	*(r->next ? &r->next->prev : &queue->last) = r->prev;
	r->is_queued = false;
	queue->n--;
}

/* Takes res. */
void request_complete(struct db *db, struct request *r, enum outcome outcome, PGresult *res)
{
	PQclear(r->res);
	r->res = res;
	r->outcome = outcome;
	if (r->task)
		task_wake(r->task);
	else
		request_free(db, r);
}

static struct queue *queue_of(struct db *db, const struct request *r)
{
	if (r->kind == REQUEST_READ)
		return r->shared ? &db->checks : &db->reads;
	return r->kind == REQUEST_WRITE ? &db->writes : &db->txs;
}

static bool is_up(const struct db *db)
{
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		if (db->conns[i].link.state == LINK_UP)
			return true;
	}
	return false;
}

static bool no_connection(const struct db *db, struct err *err)
{
	if (is_up(db))
		return err_set(err, &E_service_unavailable, "every database connection is busy; try again later");
	err_set(err, &E_database_unavailable, "PostgreSQL cannot be reached right now; try again later");
	return err_cause(err, "%s", db->last_failure);
}

static void request_abandon(struct db *db, struct request *r)
{
	if (r->is_queued) {
		request_unqueue(queue_of(db, r), r);
		request_free(db, r);
	} else {
		r->task = NULL; /* the connection frees it */
	}
}

static bool outcome_of(struct task *t, struct db *db, struct request *r, struct rows *out, struct err *err)
{
	PGresult *res = r->shared ? r->shared->res : r->res;
	if (r->outcome == OUTCOME_RESULT && fault_at("db.answer", NULL))
		r->outcome = r->kind == REQUEST_WRITE || r->is_commit ? OUTCOME_UNKNOWN : OUTCOME_LOST;
	switch (r->outcome) {
	case OUTCOME_CONNECTION:
		return true;
	case OUTCOME_RESULT:
		if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK) {
			db->stats.failed++;
			return err_from_result(err, res);
		}
		if (out && r->shared) {
			rows_from_shared(t, r, out);
		} else if (out) {
			rows_from(t, r, out);
		}
		return true;
	case OUTCOME_LOST:
		db->stats.failed++;
		err_set(err, &E_database_unavailable, "the connection to the database broke; nothing was changed");
		return err_cause(err, "%s", db->last_failure);
	case OUTCOME_UNKNOWN:
		db->stats.failed++;
		err_set(err, &E_database_unavailable,
		        "the connection to the database broke before the change was confirmed");
		err_cause(err, "outcome unknown, look before trying again: %s", db->last_failure);
		snprintf(err->sqlstate, sizeof(err->sqlstate), "08007");
		return false;
	case OUTCOME_CLOSED:
	case OUTCOME_NONE:
		break;
	}
	return err_set(err, &E_service_unavailable, "the service is stopping");
}

bool request_wait(struct task *t, struct db *db, struct request *r, struct rows *out, struct err *err)
{
	uint64_t give_up_ms = loop_now_ms(t->loop) + db->opt.acquire_ms;
	while (r->outcome == OUTCOME_NONE) {
		uint64_t now = loop_now_ms(t->loop);
		uint64_t ms = !r->is_queued ? TASK_FOREVER : give_up_ms > now ? give_up_ms - now : 0;
		if (task_wait(t, ms, err) || r->outcome != OUTCOME_NONE)
			continue;
		bool only_no_connection = err_is(err, &E_timeout) && task_left_ms(t) > 0;
		if (only_no_connection && !r->is_queued)
			continue; /* it was sent just now */
		if (r->is_queued && err_is(err, &E_timeout))
			no_connection(db, err);
		else if (r->kind == REQUEST_WRITE && !r->is_queued)
			err_cause(err, "the write was on its way; outcome unknown");
		if (r->kind == REQUEST_WRITE && !r->is_queued)
			snprintf(err->sqlstate, sizeof(err->sqlstate), "08007");
		request_abandon(db, r);
		return false;
	}
	bool ok = outcome_of(t, db, r, out, err);
	request_free(db, r);
	return ok;
}

static unsigned waiting(const struct db *db)
{
	return db->reads.n + db->checks.n + db->writes.n + db->txs.n;
}

static bool may_wait(struct db *db, struct err *err)
{
	if (db->is_closing)
		return err_set(err, &E_service_unavailable, "the service is stopping");
	if (fault_at("db.wait", NULL))
		return err_set(err, &E_database_unavailable, "PostgreSQL cannot be reached right now; try again later");
	if (waiting(db) >= db->opt.max_waiting)
		return no_connection(db, err);
	return true;
}

bool db_query(struct task *t, const struct query *q, const struct param *params, size_t n_params, struct rows *out,
              struct err *err)
{
	struct db *db = t->loop->db;
	assert(!t->in_tx && !q->writes);
	if (!may_wait(db, err))
		return false;
	struct request *r = request_new(db, REQUEST_READ, t, q, params, n_params);
	request_enqueue(db, known_find(db->known, r) ? &db->checks : &db->reads, r, false);
	return request_wait(t, db, r, out, err);
}

static uint16_t lane_of(const char *pin_key)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *p = pin_key; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	return (uint16_t)((h ^ (h >> 32)) % PIN_LANES);
}

void db_leaf_committed(struct task *t, struct db *db)
{
	if (t->audit)
		t->audit->leaves++;
	if (db->on_leaf)
		db->on_leaf(db->on_leaf_arg);
}

void audit_on_append(struct db *db, void (*fn)(void *arg), void *arg)
{
	db->on_leaf = fn;
	db->on_leaf_arg = arg;
}

void db_events_committed(struct db *db)
{
	if (db->on_events)
		db->on_events(db->on_events_arg);
}

void db_on_events(struct db *db, void (*fn)(void *arg), void *arg)
{
	db->on_events = fn;
	db->on_events_arg = arg;
}

/* A write that does not carry the leaf its task owes becomes a transaction that does. */
static SUSPENDS bool write_with_leaf(struct task *t, const struct query *q, const struct param *params, size_t n_params,
                                     struct rows *out, struct err *err)
{
	struct tx *tx;
	struct rows rows;
	if (!tx_begin(t, &tx, err))
		return false;
	if (!tx_query(tx, q, params, n_params, &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	if (rows.changed == 0)
		tx->has_written = false; /* nothing to tell */
	if (out)
		*out = rows;
	return tx_commit(tx, err);
}

bool db_write(struct task *t, const char *pin_key, const struct query *q, const struct param *params, size_t n_params,
              struct rows *out, struct err *err)
{
	struct db *db = t->loop->db;
	assert(!t->in_tx);
	if (GUARD(F11) && t->audit && q->writes && !q->audited)
		return write_with_leaf(t, q, params, n_params, out, err);
	if (!may_wait(db, err))
		return false;
	struct request *r = request_new(db, REQUEST_WRITE, t, q, params, n_params);
	r->lane = lane_of(pin_key);
	fault_at("commit.before", NULL);
	request_enqueue(db, &db->writes, r, false);
	if (!request_wait(t, db, r, out, err))
		return false;
	fault_at("commit.after", NULL);
	if (q->audited)
		db_leaf_committed(t, db);
	if (q->has_events)
		db_events_committed(db);
	return true;
}

void conn_became_idle(struct conn *c)
{
	c->role = ROLE_IDLE;
	db_dirty(c->link.db);
	wake_closer(c->link.db);
}

bool db_take_for_tx(struct task *t, struct db *db, struct conn **out, struct err *err)
{
	if (!may_wait(db, err))
		return false;
	if (db_tx_at_once(db, t, out))
		return true;
	struct request *r = request_new(db, REQUEST_TX, t, NULL, NULL, 0);
	struct conn *c = NULL;
	r->conn = &c;
	request_enqueue(db, &db->txs, r, false);
	if (!request_wait(t, db, r, NULL, err))
		return false;
	*out = c;
	return true;
}

/* ---- connecting ---- */

uint64_t db_backoff_ms(unsigned failures)
{
	uint64_t ms = BACKOFF_MIN_MS << (failures < 8 ? failures : 8);
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	uint32_t random = 0;
	uv_random(NULL, NULL, &random, sizeof(random), 0, NULL);
	return ms / 2 + random % (ms / 2 + 1); /* so that processes do not come back in step */
}

struct ready_waiter {
	struct ready_waiter *next;
	struct task *task;
};

static void wake_ready(struct db *db)
{
	for (struct ready_waiter *w = db->ready_waiters; w; w = w->next)
		task_wake(w->task);
	db_dirty(db);
}

void db_connected(struct db *db)
{
	if (db->failures)
		log_info(NULL, "database.reachable", I("failed_attempts", db->failures));
	db->failures = 0;
	db->retry_at_ms = 0;
	wake_ready(db);
}

void db_connection_failed(struct db *db, bool was_up, const char *why)
{
	uint64_t now = uv_now(&db->loop->uv);
	snprintf(db->last_failure, sizeof(db->last_failure), "%s", why);
	if (was_up) {
		db->stats.connections_lost++;
		if (!db->is_closing)
			log_warn(NULL, "database.connection_lost", S("cause", why));
	} else if (now >= db->retry_at_ms) { /* attempts that failed together count once */
		db->failures++;
		db->stats.connect_failures++;
		db->retry_at_ms = now + db_backoff_ms(db->failures);
		if (!db->is_closing)
			log_warn(NULL, "database.unreachable", S("cause", why), I("failed_attempts", db->failures));
	}
	wake_closer(db);
	wake_ready(db);
}

bool db_ready(struct task *t, struct err *err)
{
	struct db *db = t->loop->db;
	struct ready_waiter w = { .next = db->ready_waiters, .task = t };
	uint64_t failures = db->stats.connect_failures;
	db->ready_waiters = &w;
	bool ok = true;
	while (ok && !is_up(db) && db->stats.connect_failures == failures)
		ok = task_wait(t, TASK_FOREVER, err);
	struct ready_waiter **link = &db->ready_waiters;
	while (*link != &w)
		link = &(*link)->next;
	*link = w.next;
	return ok && (is_up(db) || no_connection(db, err));
}

/* ---- the pool's life ---- */

static char *copy(const char *s)
{
	char *p = strdup(s);
	if (!p)
		abort();
	return p;
}

static void options_copy(struct db *db, const struct db_options *o)
{
	db->opt = *o;
	db->opt.url = NULL;
	if (!db->opt.pool_size)
		db->opt.pool_size = 8;
	if (db->opt.pool_size > 200)
		db->opt.pool_size = 200;
	if (!db->opt.min_open)
		db->opt.min_open = 1;
	if (!db->opt.statement_timeout_ms)
		db->opt.statement_timeout_ms = 30000;
	if (!db->opt.acquire_ms)
		db->opt.acquire_ms = 5000;
	if (!db->opt.connect_ms)
		db->opt.connect_ms = 5000;
	if (!db->opt.max_waiting)
		db->opt.max_waiting = 4096;
	db->application_name = copy(o->application_name ? o->application_name : "launchplane");
	db->opt.application_name = db->application_name;
	const char *theirs = "";
	for (const PQconninfoOption *i = db->url.options; i->keyword; i++) {
		if (strcmp(i->keyword, "options") == 0 && i->val)
			theirs = i->val;
	}
	size_t size = strlen(theirs) + 256;
	db->server_options = malloc(size);
	snprintf(db->server_options, size,
	         "-c statement_timeout=%u -c idle_in_transaction_session_timeout=60000 -c TimeZone=UTC -c jit=off %s",
	         db->opt.statement_timeout_ms, theirs);
}

struct db *db_new(struct loop *l, const struct db_options *options, struct err *err)
{
	struct db *db = calloc(1, sizeof(*db));
	if (!db_url_parse(&db->url, options->url, err)) {
		free(db);
		return NULL;
	}
	db->loop = l;
	options_copy(db, options);
	db->known = known_new();
	db->conns = calloc(db->opt.pool_size, sizeof(*db->conns));
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		link_init(&db->conns[i].link, db);
		conn_ops(&db->conns[i]);
	}
	uv_timer_init(&l->uv, &db->retry);
	uv_timer_init(&l->uv, &db->held);
	db->handles += 2;
	db_listen_init(db);
	db->hook = (struct turn_hook){ .fn = db_schedule, .arg = db };
	loop_add_hook(l, &db->hook);
	l->db = db;
	db_dirty(db);
	return db;
}

static void fail_queue(struct db *db, struct queue *queue)
{
	for (struct request *r = queue->first, *next; r; r = next) {
		next = r->next;
		request_unqueue(queue, r);
		request_complete(db, r, OUTCOME_CLOSED, NULL);
	}
}

static bool is_quiet(const struct db *db)
{
	if (db->requests_alive)
		return false;
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		if (db->conns[i].role != ROLE_IDLE)
			return false;
	}
	return true;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct db *db = h->data;
	db->handles--;
	wake_closer(db);
}

static void timer_close(struct db *db, uv_timer_t *timer)
{
	timer->data = db;
	uv_close((uv_handle_t *)timer, on_timer_closed);
}

void db_close(struct task *t, struct db *db, uint64_t wait_ms)
{
	struct err ignored = { 0 };
	uint64_t until = loop_now_ms(t->loop) + wait_ms;
	db->is_closing = true;
	db->closer = t;
	fail_queue(db, &db->reads);
	fail_queue(db, &db->checks);
	fail_queue(db, &db->writes);
	fail_queue(db, &db->txs);
	while (!is_quiet(db)) {
		uint64_t now = loop_now_ms(t->loop);
		if (now >= until || !task_wait(t, until - now, &ignored))
			break;
	}
	link_drop(&db->listen);
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		if (db->conns[i].link.state != LINK_DOWN)
			link_fail(&db->conns[i].link, "the service is stopping");
	}
	while (!is_quiet(db)) /* their tasks have been woken and return */
		task_wait_out(t);
	timer_close(db, &db->retry);
	timer_close(db, &db->held);
	timer_close(db, &db->listen.timer);
	for (unsigned i = 0; i < db->opt.pool_size; i++)
		timer_close(db, &db->conns[i].link.timer);
	while (db->handles)
		task_wait_out(t);
	loop_remove_hook(t->loop, &db->hook);
	t->loop->db = NULL;
	for (unsigned i = 0; i < db->opt.pool_size; i++)
		conn_memory_free(&db->conns[i]);
	for (struct listener *next; db->listeners; db->listeners = next) {
		next = db->listeners->next;
		free(db->listeners);
	}
	while (db->free_requests) {
		struct request *r = db->free_requests;
		db->free_requests = r->next;
		free(r);
	}
	db_url_done(&db->url);
	known_free(db->known);
	free(db->conns);
	free(db->application_name);
	free(db->server_options);
	free(db);
}

void db_stats(const struct db *db, struct db_stats *out)
{
	*out = db->stats;
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		const struct conn *c = &db->conns[i];
		out->open += c->link.state == LINK_UP;
		out->connecting += c->link.state == LINK_CONNECTING || c->link.state == LINK_RESOLVING;
		out->busy += c->role != ROLE_IDLE;
		out->in_tx += c->role == ROLE_TX;
	}
	out->waiting = waiting(db);
}
