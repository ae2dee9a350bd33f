/* Durable operations: read, follow, cancel. */
#include "server/operations/followers.h"
#include "server/operations/runner.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"

#include <stdlib.h>

static bool is_ended(const char *status)
{
	return strcmp(status, "pass") == 0 || strcmp(status, "fail") == 0;
}

/* The row, for a caller whose policy allows action on the operation's own product and context. */
static SUSPENDS bool read_allowed(struct call *c, const char *action, struct rows *rows, struct err *err)
{
	const char *id = call_param(c, "operation_id");
	if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), rows, err))
		return false;
	if (rows->n == 0)
		return err_set(err, &E_not_found, "there is no operation %s", id);
	return call_authorize(c, action, row_text(rows, 0, 1), row_text(rows, 0, 2), err);
}

static SUSPENDS bool operation_show(struct call *c, struct err *err)
{
	struct rows rows, events;
	const char *id = call_param(c, "operation_id");
	if (!read_allowed(c, c->route->action, &rows, err) ||
	    !db_query(c->t, &Q_operation_events_after, PARAMS(P_TEXT(id), P_INT(0)), &events, err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "operation");
	/* The stored document with its history put in before the closing brace. */
	const char *document = row_text(&rows, 0, 4);
	size_t n = strlen(document);
	while (n && document[n - 1] != '}')
		n--;
	jo_raw(&o, document, n - 1);
	jo_key(&o, "events");
	jo_open(&o, '[');
	for (size_t i = 0; i < events.n; i++)
		jo_raw(&o, row_text(&events, i, 2), strlen(row_text(&events, i, 2)));
	jo_close(&o, ']');
	jo_close(&o, '}');
	if (!is_ended(row_text(&rows, 0, 3)))
		response_header(c->rs, "Retry-After", "2");
	return call_close_ok(c, &o);
}

/* ---- Server-Sent Events ---- */

static SUSPENDS bool send_events(struct call *c, const struct rows *events, int64_t *last, struct err *err)
{
	struct buf b = buf_in(c->arena);
	for (size_t i = 0; i < events->n; i++) {
		*last = row_int(events, i, 0);
		buf_printf(&b, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)*last, row_text(events, i, 1),
		           row_text(events, i, 2));
	}
	return b.n == 0 || response_stream_write(c->t, c->rq, b.p, b.n, err);
}

/* What is there already; what comes after it comes from the followers' task. */
static SUSPENDS bool catch_up(struct call *c, const char *id, int64_t last, struct err *err)
{
	for (;;) {
		struct rows events, rows;
		/* Status first: what was written before it ended is then certainly seen. */
		if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err) ||
		    !db_query(c->t, &Q_operation_events_after, PARAMS(P_TEXT(id), P_INT(last)), &events, err))
			return false;
		bool has_ended = rows.n == 0 || is_ended(row_text(&rows, 0, 3));
		if (!send_events(c, &events, &last, err))
			return false;
		bool is_full = events.n == 500;
		rows_done(&events);
		rows_done(&rows);
		if (is_full)
			continue;
		if (has_ended)
			return response_stream_end(c->t, c->rq, err);
		followers_join(c->app->followers, id, last, c->rq);
		return true;
	}
}

static SUSPENDS bool operation_events(struct call *c, struct err *err)
{
	struct rows rows;
	if (!read_allowed(c, c->route->action, &rows, err))
		return false;
	const char *given = request_header(c->rq, "last-event-id");
	char *end = NULL;
	long long last = given && given[0] ? strtoll(given, &end, 10) : 0;
	if (end && (*end || last < 0))
		return err_field(err, "Last-Event-ID", "must be the id of an event, a whole number");
	c->t->deadline_ms = TASK_FOREVER; /* as long as the client listens and the operation runs */
	c->rs->status = 200;
	response_header(c->rs, "Content-Type", "text/event-stream");
	response_header(c->rs, "Cache-Control", "no-store");
	if (!response_stream_start(c->t, c->rq, c->rs, err))
		return true;
	if (!catch_up(c, call_param(c, "operation_id"), last, err)) {
		/* The answer has begun: the client sees the stream end and comes back with Last-Event-ID. */
		struct err ignored = { 0 };
		response_stream_end(c->t, c->rq, &ignored);
	}
	return true;
}

/* ---- cancel ---- */

struct operation_cancel_request {
	int64_t schema_version;
	const char *reason;
};
static const struct field cancel_fields[] = {
	F_SCHEMA_VERSION(operation_cancel_request),
	F_STR(operation_cancel_request, reason, REQUIRED | TRIMMED | NON_BLANK, .max = 1000,
	      .help = "Why; kept in the operation's history"),
	F_END,
};
static const struct contract cancel_contract =
        CONTRACT(operation_cancel_request, cancel_fields, "Asks an operation to stop before its next effect");

static SUSPENDS bool operation_cancel(struct call *c, struct err *err)
{
	const struct operation_cancel_request *body = c->body;
	const char *id = call_param(c, "operation_id");
	struct rows rows;
	if (!read_allowed(c, c->route->action, &rows, err))
		return false;
	if (is_ended(row_text(&rows, 0, 3)))
		return err_set(err, &E_operation_finished, "operation %s has ended with %s", id, row_text(&rows, 0, 3));
	struct json records = json_object();
	json_set_str(c->arena, &records, "operation_id", id);
	call_audit_records(c, &records);
	if (!db_write(c->t, id, &Q_operation_cancel,
	              PARAMS(P_TEXT(id), P_TEXT(c->principal->actor), P_TEXT(body->reason),
	                     P_INT(loop_clock_offset_ms(c->t->loop)), P_AUDIT(c->t)),
	              &rows, err))
		return false;
	runner_kick(c->app->runner);
	return call_accept(c, &records, NULL);
}

const struct route operation_routes[] = {
	{ HTTP_GET, "/v1/operations/{operation_id}", "One operation with its history", operation_show,
	  .callers = CALLERS_READ, .action = "operations.read", .product = "handler", .context = "handler" },
	{ HTTP_GET, "/v1/operations/{operation_id}/events", "An operation's events as they happen (Server-Sent Events)",
	  operation_events, .callers = CALLERS_READ, .action = "operations.read", .product = "handler",
	  .context = "handler" },
	{ HTTP_POST, "/v1/operations/{operation_id}/cancel", "Ask an operation to stop before its next effect",
	  operation_cancel, .callers = CALLERS_WRITE_HUMAN, .action = "operations.cancel", .product = "handler",
	  .context = "handler", .body = &cancel_contract },
	{ 0 },
};
