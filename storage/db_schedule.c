#include "storage/db_internal.h"

#include <assert.h>

#define READS_TOGETHER 16 /* fewer reads than this are not spread over connections */
#define SLOW_MS        10 /* a connection that waits longer for one answer gets no more reads while others can take them */
#define GROUPS_AT_ONCE 2  /* while one is flushed, one is worked on */
#define GROUP_WORTH    16 /* so many writes must wait for each further group to be made */
#define STUCK_MS       50 /* a group that takes longer keeps nobody waiting */

/* Who gets which connection.
 * Reads share up to READ_CONNS_MAX connections, writes and transactions each take one of their own. The caps leave one
 * connection for reads, and one beside the transactions for writes, where the pool is large enough for that. When a
 * transaction or a write finds no free connection, all reading connections but one take no more reads and so become
 * free.
 * A group costs PostgreSQL as much as two of its writes; so while some are in flight, writes gather for the next. */

struct counts {
	unsigned idle, reading, slow, writing, in_tx, connecting; /* slow: reading, and waiting long for its answer */
	unsigned stuck;                                           /* of those that write */
};

static bool waits_for(const struct db *db, const struct conn *c, uint64_t ms)
{
	return c->entries_n && uv_now(&db->loop->uv) - conn_waiting_since(c) >= ms;
}

static bool is_slow(const struct db *db, const struct conn *c)
{
	return waits_for(db, c, SLOW_MS);
}

static struct counts count(const struct db *db)
{
	struct counts n = { 0 };
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		const struct conn *c = &db->conns[i];
		if (c->role == ROLE_TX)
			n.in_tx++;
		else if (c->link.state != LINK_UP)
			n.connecting += c->link.state != LINK_DOWN;
		else if (c->role == ROLE_IDLE)
			n.idle++;
		else if (c->role == ROLE_WRITES) {
			n.writing++;
			n.stuck += waits_for(db, c, STUCK_MS);
		} else if (is_slow(db, c))
			n.slow++;
		else
			n.reading++;
	}
	return n;
}

static unsigned reads_cap(const struct db *db)
{
	unsigned n = db->opt.pool_size / 2;
	return n < 1 ? 1 : n > READ_CONNS_MAX ? READ_CONNS_MAX : n;
}

static unsigned writes_cap(const struct db *db)
{
	unsigned n = db->opt.pool_size > 1 ? db->opt.pool_size - 1 : 1;
	return n > WRITE_CONNS_MAX ? WRITE_CONNS_MAX : n;
}

static unsigned txs_cap(const struct db *db)
{
	return db->opt.pool_size > 2 ? db->opt.pool_size - 2 : 1;
}

static struct conn *idle_conn(struct db *db)
{
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		struct conn *c = &db->conns[i];
		if (c->link.state == LINK_UP && c->role == ROLE_IDLE)
			return c;
	}
	return NULL;
}

static void conn_take_for_tx(struct conn *c, struct task *t)
{
	c->role = ROLE_TX;
	c->tx = (struct tx){ .conn = c, .task = t };
}

static void give_to_tx(struct db *db, struct conn *c)
{
	struct request *r = db->txs.first;
	request_unqueue(&db->txs, r);
	conn_take_for_tx(c, r->task);
	*r->conn = c;
	request_complete(db, r, OUTCOME_CONNECTION, NULL);
}

/* The first write whose lane no other connection holds. */
static struct request *next_write(struct db *db, struct request *r, uint8_t owner)
{
	while (r && db->lane_owner[r->lane] && db->lane_owner[r->lane] != owner)
		r = r->next;
	return r;
}

static void give_to_writes(struct db *db, struct conn *c)
{
	uint8_t owner = (uint8_t)(c - db->conns + 1);
	c->role = ROLE_WRITES;
	for (struct request *r = next_write(db, db->writes.first, owner); r && c->group_n < GROUP_MAX;) {
		struct request *next = next_write(db, r->next, owner);
		request_unqueue(&db->writes, r);
		task_must_finish(r->task);
		if (!db->lane_owner[r->lane])
			c->lanes[c->lanes_n++] = r->lane;
		db->lane_owner[r->lane] = owner;
		c->group[c->group_n++] = r;
		r = next;
	}
	db->stats.groups++;
	db->stats.writes += c->group_n;
	conn_send_group(c);
}

static void send_reads(struct db *db, struct conn *c, unsigned n)
{
	c->role = ROLE_READS;
	if (db->checks.first && !known_ask(c, &db->checks))
		return;
	while (n && db->reads.first && c->link.state == LINK_UP) {
		unsigned took;
		struct request *r = together_take(db, n, &took);
		n -= took;
		if (r->is_alone && c->is_unsynced && !conn_sync(c)) {
			request_enqueue(db, &db->reads, r, true);
			return;
		}
		c->reads_in_flight += took;
		if (!conn_send_items(c, r))
			return;
		if (r->is_alone && !conn_sync(c))
			return;
	}
	if (c->link.state == LINK_UP && c->is_unsynced && conn_sync(c))
		db->stats.batches++;
}

static bool may_grow(const struct db *db, const struct counts *n)
{
	unsigned used = n->idle + n->reading + n->slow + n->writing + n->in_tx;
	return n->connecting || (used < db->opt.pool_size && uv_now(&db->loop->uv) >= db->retry_at_ms);
}

static struct conn *conn_for_reads(struct db *db, const struct counts *n, bool others_wait)
{
	struct conn *best = NULL;
	uint64_t best_cost = UINT64_MAX;
	bool is_alone = n->reading + n->slow == 0;
	bool may_take_idle =
	        is_alone || (n->reading < reads_cap(db) && n->slow + 2 < db->opt.pool_size && !others_wait);
	bool may_join = !others_wait || (n->reading + n->slow <= 1 && db->opt.pool_size > 1);
	for (unsigned i = 0; i < db->opt.pool_size; i++) {
		struct conn *c = &db->conns[i];
		bool is_idle = c->role == ROLE_IDLE && may_take_idle;
		bool is_reading = c->role == ROLE_READS && c->reads_in_flight < READS_IN_FLIGHT && may_join &&
		                  !(is_slow(db, c) && may_grow(db, n));
		if (c->link.state != LINK_UP || (!is_idle && !is_reading))
			continue;
		uint64_t cost = c->reads_in_flight + (is_slow(db, c) ? 1000 : 0);
		if (cost < best_cost) {
			best = c;
			best_cost = cost;
		}
	}
	return best;
}

static void schedule_reads(struct db *db, bool others_wait)
{
	unsigned share = (db->reads.n + reads_cap(db) - 1) / reads_cap(db);
	if (share < READS_TOGETHER)
		share = READS_TOGETHER;
	while (db->reads.first || db->checks.first) {
		struct counts n = count(db);
		struct conn *c = conn_for_reads(db, &n, others_wait);
		if (!c)
			return;
		unsigned room = READS_IN_FLIGHT - c->reads_in_flight;
		send_reads(db, c, share < room ? share : room);
	}
}

static const struct request *oldest_read(const struct db *db)
{
	const struct request *read = db->reads.first, *check = db->checks.first;
	return !read || (check && check->seq < read->seq) ? check : read;
}

static void on_retry(uv_timer_t *timer)
{
	db_dirty(container_of(timer, struct db, retry));
}

static void open_connections(struct db *db)
{
	struct counts n = count(db);
	unsigned reading = n.reading + n.slow;
	if ((reading || oldest_read(db)) && n.reading < reads_cap(db))
		reading++; /* a spare one, so that the next read need not queue behind a slow one */
	unsigned groups = db->writes.n < GROUPS_AT_ONCE ? db->writes.n : GROUPS_AT_ONCE + db->writes.n / GROUP_WORTH;
	unsigned wanted = n.in_tx + n.writing + db->txs.n + groups + reading;
	if (wanted < db->opt.min_open)
		wanted = db->opt.min_open;
	if (wanted > db->opt.pool_size)
		wanted = db->opt.pool_size;
	unsigned have = n.in_tx + n.writing + n.reading + n.slow + n.idle + n.connecting;
	uint64_t now = uv_now(&db->loop->uv);
	if (have >= wanted || db->is_closing)
		return;
	if (now < db->retry_at_ms) {
		if (!uv_is_active((uv_handle_t *)&db->retry))
			uv_timer_start(&db->retry, on_retry, db->retry_at_ms - now, 0);
		return;
	}
	for (unsigned i = 0; i < db->opt.pool_size && have < wanted && uv_now(&db->loop->uv) >= db->retry_at_ms; i++) {
		struct conn *c = &db->conns[i];
		if (c->link.state == LINK_DOWN && c->role == ROLE_IDLE) {
			have++;
			link_connect(&c->link);
		}
	}
}

static void on_held(uv_timer_t *timer)
{
	db_dirty(container_of(timer, struct db, held));
}

/* Whether the writes that wait are worth one more group. */
static bool is_group(struct db *db, const struct counts *n)
{
	unsigned beside = n->writing - n->stuck;
	if (beside < GROUPS_AT_ONCE || db->writes.n >= GROUP_WORTH * (beside - GROUPS_AT_ONCE + 1))
		return true;
	if (db->writes.n && !uv_is_active((uv_handle_t *)&db->held))
		uv_timer_start(&db->held, on_held, STUCK_MS, 0);
	return false;
}

/* The older of what waits for a connection of its own and may have one. */
static struct request *next_exclusive(struct db *db, const struct counts *n)
{
	struct request *tx = n->in_tx < txs_cap(db) ? db->txs.first : NULL;
	bool may_write = n->writing < writes_cap(db) && is_group(db, n);
	struct request *write = may_write ? next_write(db, db->writes.first, 0) : NULL;
	return !tx || (write && write->seq < tx->seq) ? write : tx;
}

/* The turn hook. */
void db_schedule(void *arg)
{
	struct db *db = arg;
	if (!db->is_dirty)
		return;
	db->is_dirty = false;
	bool others_wait = false;
	for (;;) {
		struct counts n = count(db);
		struct request *r = next_exclusive(db, &n);
		if (!r)
			break;
		const struct request *read = oldest_read(db);
		bool reads_first = read && n.reading + n.slow == 0 && n.idle == 1 && read->seq < r->seq;
		struct conn *c = idle_conn(db);
		if (!c || reads_first) {
			others_wait = true;
			break;
		}
		if (r->kind == REQUEST_TX)
			give_to_tx(db, c);
		else
			give_to_writes(db, c);
	}
	schedule_reads(db, others_wait);
	open_connections(db);
}

/* The quick way into a transaction: nobody waits and a connection is free. */
bool db_tx_at_once(struct db *db, struct task *t, struct conn **out)
{
	struct counts n = count(db);
	if (!n.idle || n.in_tx >= txs_cap(db) || db->txs.first || db->writes.first || oldest_read(db))
		return false;
	*out = idle_conn(db);
	assert(*out);
	conn_take_for_tx(*out, t);
	return true;
}
