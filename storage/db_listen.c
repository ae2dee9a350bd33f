#include "storage/db_internal.h"

#include <stdlib.h>
#include <string.h>

static void start_listening(struct link *link)
{
	if (link->state == LINK_DOWN && !link->db->is_closing)
		link_connect(link);
}

static void on_again(uv_timer_t *timer)
{
	start_listening(container_of(timer, struct link, timer));
}

/* LISTEN takes no parameters: the channel, a literal of ours, is quoted as an identifier. */
static bool send_listen(struct link *link)
{
	char sql[1024] = "";
	for (const struct listener *l = link->db->listeners; l; l = l->next) {
		char *channel = PQescapeIdentifier(link->pg, l->channel, strlen(l->channel));
		if (!channel)
			return false;
		size_t n = strlen(sql);
		snprintf(sql + n, sizeof(sql) - n, "listen %s;", channel);
		PQfreemem(channel);
	}
	return PQsendQuery(link->pg, sql) == 1;
}

static void flush(struct link *link)
{
	int rc = PQflush(link->pg);
	if (rc < 0)
		link_fail(link, PQerrorMessage(link->pg));
	else
		link_watch(link, rc ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* One at a time; not sent while another is on its way. */
static bool ask(struct db *db, enum listen_question question, const char *sql)
{
	struct link *link = &db->listen;
	if (!db->is_listening || db->asked || PQtransactionStatus(link->pg) != PQTRANS_IDLE)
		return false;
	db->asked = question;
	if (PQsendQuery(link->pg, sql) == 1)
		flush(link);
	else
		link_fail(link, PQerrorMessage(link->pg));
	return true;
}

/* The lock of who need not be notified: who would notify tries it, shared, for a moment. */
static void ask_suppression(struct db *db)
{
	const char *channel = db->suppressed;
	char sql[256];
	if (db->wants_suppressed == db->is_suppressed)
		return;
	if (db->wants_suppressed)
		snprintf(sql, sizeof(sql),
		         "select pg_try_advisory_lock(hashtext('launchplane_notify'), hashtext('%s'))", channel);
	else
		snprintf(sql, sizeof(sql),
		         "select pg_advisory_unlock(hashtext('launchplane_notify'), hashtext('%s')) is null,"
		         " pg_notify('%s', '')",
		         channel, channel);
	ask(db, ASKED_SUPPRESSION, sql);
}

static void on_up(struct link *link)
{
	struct db *db = link->db;
	db->is_listening = db->is_suppressed = false;
	db->asked = ASKED_NOTHING;
	if (send_listen(link))
		flush(link);
	else
		link_fail(link, PQerrorMessage(link->pg));
}

static void tell(struct db *db, const char *channel, const char *payload)
{
	for (struct listener *l = db->listeners; l; l = l->next) {
		if (!channel || strcmp(l->channel, channel) == 0)
			l->fn(l->arg, payload);
	}
}

/* False when a statement failed. */
static bool take_results(struct link *link)
{
	struct db *db = link->db;
	while (!PQisBusy(link->pg)) {
		PGresult *res = PQgetResult(link->pg);
		if (!res)
			return true;
		bool is_answer = PQresultStatus(res) == PGRES_TUPLES_OK && db->asked && PQntuples(res) == 1;
		bool ok = is_answer || PQresultStatus(res) == PGRES_COMMAND_OK;
		if (is_answer && db->asked == ASKED_SUPPRESSION)
			db->is_suppressed = PQgetvalue(res, 0, 0)[0] == 't';
		if (is_answer)
			db->asked = ASKED_NOTHING;
		PQclear(res);
		if (!ok)
			return false;
	}
	return true;
}

static void on_io(struct link *link, int events)
{
	struct db *db = link->db;
	if (events & UV_WRITABLE) {
		flush(link);
		if (link->state != LINK_UP)
			return;
	}
	bool is_open = PQconsumeInput(link->pg);
	bool was_listening = db->is_listening;
	if (!take_results(link)) {
		link_fail(link, PQerrorMessage(link->pg));
		return;
	}
	if (!db->is_listening && PQtransactionStatus(link->pg) == PQTRANS_IDLE)
		db->is_listening = true;
	if (db->is_listening && !was_listening) {
		db->listen_failures = 0;
		tell(db, NULL, NULL);
	}
	for (PGnotify *n; (n = PQnotifies(link->pg));) {
		tell(db, n->relname, n->extra);
		PQfreemem(n);
	}
	if (link->state == LINK_UP && !db->wants_suppressed)
		ask_suppression(db); /* it was asked for while the answer to the first question was on its way */
	if (!is_open || PQstatus(link->pg) == CONNECTION_BAD)
		link_fail(link, PQerrorMessage(link->pg));
}

static void on_down(struct link *link, const char *why)
{
	struct db *db = link->db;
	db->is_listening = db->is_suppressed = false;
	db->asked = ASKED_NOTHING;
	snprintf(db->last_failure, sizeof(db->last_failure), "%s", why);
	if (!db->is_closing)
		uv_timer_start(&link->timer, on_again, db_backoff_ms(++db->listen_failures), 0);
}

void db_listen_init(struct db *db)
{
	link_init(&db->listen, db);
	db->listen.on_up = on_up;
	db->listen.on_io = on_io;
	db->listen.on_down = on_down;
}

void db_listen(struct db *db, const char *channel, db_listener fn, void *arg)
{
	struct listener *l = calloc(1, sizeof(*l));
	*l = (struct listener){ .next = db->listeners, .channel = channel, .fn = fn, .arg = arg };
	db->listeners = l;
	if (db->listen.state != LINK_DOWN)
		link_drop(&db->listen);
	start_listening(&db->listen);
}

void db_suppress_notify(struct db *db, const char *channel, bool on)
{
	db->suppressed = channel;
	db->wants_suppressed = on;
	ask_suppression(db);
}

void db_notify(struct db *db, const char *channel)
{
	char sql[128];
	snprintf(sql, sizeof(sql), "select pg_notify('%s', '')", channel);
	ask(db, ASKED_NOTIFY, sql);
}

bool db_notify_is_suppressed(const struct db *db)
{
	return db->is_suppressed;
}
