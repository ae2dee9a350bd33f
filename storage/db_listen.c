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

static void on_up(struct link *link)
{
	link->db->is_listening = false;
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

/* False when LISTEN itself failed. */
static bool take_results(struct link *link)
{
	while (!PQisBusy(link->pg)) {
		PGresult *res = PQgetResult(link->pg);
		if (!res)
			return true;
		bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
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
	if (!is_open || PQstatus(link->pg) == CONNECTION_BAD)
		link_fail(link, PQerrorMessage(link->pg));
}

static void on_down(struct link *link, const char *why)
{
	struct db *db = link->db;
	db->is_listening = false;
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
