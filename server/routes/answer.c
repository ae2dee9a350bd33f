/* What handlers send: the envelopes of facts/core.md 1.4, and replay of idempotent answers (section 4). */
#include "server/routes/route.h"
#include "storage/codes.h"
#include "storage/idempotency.sql.h"
#include "storage/operation.h"

#include <assert.h>

static const char json_type[] = "application/json";

void call_open_ok(struct call *c, struct json_out *o, struct buf *b)
{
	*b = buf_in(c->arena);
	*o = (struct json_out){ .buf = b };
	jo_open(o, '{');
	jo_kv(o, "status", "ok");
	jo_kv(o, "trace_id", c->trace_id);
}

bool call_close_ok(struct call *c, struct json_out *o)
{
	jo_close(o, '}');
	c->rs->status = 200;
	response_body(c->rs, json_type, o->buf->p, o->buf->n);
	return true;
}

bool call_answer_member(struct call *c, const char *key, const char *json)
{
	struct buf b;
	struct json_out o;
	size_t n = strlen(json);
	call_open_ok(c, &o, &b);
	jo_key(&o, key);
	buf_room(&b, n + 1);
	jo_raw(&o, json, n);
	return call_close_ok(c, &o);
}

bool call_answer_members(struct call *c, const char *json)
{
	struct buf b;
	struct json_out o;
	size_t n = strlen(json);
	call_open_ok(c, &o, &b);
	assert(json[0] == '{' && n > 2 && json[n - 1] == '}');
	buf_room(&b, n + 1);
	buf_char(&b, ',');
	buf_add(&b, json + 1, n - 2);
	return call_close_ok(c, &o);
}

bool call_query_planned(struct call *c, const struct query *q, const struct param *params, size_t n, struct rows *rows,
                        struct err *err)
{
	struct query *unprepared = ARENA_NEW(c->arena, struct query);
	*unprepared = *q;
	unprepared->name = "";
	return db_query(c->t, unprepared, params, n, rows, err);
}

static void write_accepted(struct json_out *o, const char *trace_id, const char *records, const char *result,
                           const char *original)
{
	jo_open(o, '{');
	jo_kv(o, "status", "accepted");
	jo_kv(o, "trace_id", trace_id);
	jo_key(o, "records");
	jo_raw(o, records, strlen(records));
	if (result) {
		jo_key(o, "result");
		jo_raw(o, result, strlen(result));
	}
	if (original) {
		jo_kv_bool(o, "replayed", true);
		jo_kv(o, "original_trace_id", original);
	}
	jo_close(o, '}');
}

static bool send_accepted(struct call *c, const char *records, const char *result, const char *original, int status)
{
	struct buf b = buf_in(c->arena);
	struct json_out o = { .buf = &b };
	write_accepted(&o, c->trace_id, records, result, original);
	c->rs->status = status;
	c->replayed = original != NULL;
	response_body(c->rs, json_type, b.p, b.n);
	return true;
}

static const char *records_text(struct call *c, const struct json *records)
{
	return records ? json_text(c->arena, records) : "{}";
}

bool call_accept(struct call *c, const struct json *records, const char *result)
{
	return call_accept_again(c, records, result, NULL);
}

bool call_accept_again(struct call *c, const struct json *records, const char *result, const char *original)
{
	return send_accepted(c, records_text(c, records), result, original, 202);
}

const char *call_stored_answer(struct call *c, const struct json *records, const char *result)
{
	struct buf answer = buf_in(c->arena), b = buf_in(c->arena);
	struct json_out ao = { .buf = &answer }, o = { .buf = &b };
	write_accepted(&ao, c->trace_id, records_text(c, records), result, NULL);
	jo_open(&o, '{');
	jo_kv_int(&o, "schema_version", 1);
	jo_kv(&o, "record_id", arena_printf(c->arena, "idempotency-%s", c->trace_id));
	jo_kv(&o, "scope", c->principal->scope);
	jo_kv(&o, "route_path", c->route->path);
	jo_kv(&o, "idempotency_key", c->idempotency_key);
	jo_kv(&o, "request_fingerprint", c->fingerprint);
	jo_kv_int(&o, "response_status_code", 202);
	jo_kv(&o, "response_trace_id", c->trace_id);
	jo_kv(&o, "recorded_at", utc_now(c->t));
	jo_key(&o, "response_payload");
	jo_raw(&o, answer.p, answer.n);
	jo_close(&o, '}');
	return b.p;
}

bool call_replay(struct call *c, bool *replayed, struct err *err)
{
	struct rows rows;
	*replayed = false;
	if (!db_query(c->t, &Q_idempotency_find,
	              PARAMS(P_TEXT(c->principal->scope), P_TEXT(c->route->path), P_TEXT(c->idempotency_key)), &rows,
	              err))
		return false;
	if (rows.n == 0)
		return true;
	if (strcmp(row_text(&rows, 0, 0), c->fingerprint) != 0)
		return err_set(err, &E_idempotency_key_reused,
		               "this Idempotency-Key was used with another request; send a new key for a new request");
	*replayed = true;
	return send_accepted(c, row_text(&rows, 0, 3), row_text(&rows, 0, 4), row_text(&rows, 0, 2),
	                     (int)row_int(&rows, 0, 1));
}

void call_audit_records(struct call *c, const struct json *records)
{
	for (uint32_t i = 0; records && i < records->n; i++)
		if (records->members[i].value.type == JSON_STRING)
			audit_record(c->t, records->members[i].key, records->members[i].value.string);
}

void call_store_answer(struct call *c, struct tx *tx, const struct json *records, const char *result)
{
	call_audit_records(c, records);
	if (!c->idempotency_key)
		return;
	tx_send(tx, &Q_idempotency_store,
	        PARAMS(P_TEXT(arena_printf(c->arena, "idempotency-%s", c->trace_id)), P_TEXT(c->principal->scope),
	               P_TEXT(c->route->path), P_TEXT(c->idempotency_key), P_TEXT(c->fingerprint), P_INT(202),
	               P_TEXT(c->trace_id), P_TEXT(utc_now(c->t)), P_TEXT(call_stored_answer(c, records, result))));
}

bool is_idempotency_race(const struct err *err)
{
	return db_is_unique_violation(err, "launchplane_idempotency_scope_route_key_idx");
}

bool call_lost_race(struct call *c, struct err *err)
{
	bool replayed;
	memset(err, 0, sizeof(*err));
	if (!call_replay(c, &replayed, err))
		return false;
	return replayed ||
	       err_set(err, &E_service_unavailable, "a request with the same Idempotency-Key is under way; try again");
}

void call_retry_after(struct call *c, unsigned seconds)
{
	if (seconds)
		response_header(c->rs, "Retry-After", arena_printf(c->arena, "%u", seconds));
}

static bool has_header(const struct response *rs, const char *name)
{
	for (size_t i = 0; i < rs->headers_n; i++)
		if (strcmp(rs->headers[i].name, name) == 0)
			return true;
	return false;
}

void render_error(struct arena *a, const char *trace_id, const struct err *err, const char *extra, struct response *rs)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "status", "rejected");
	jo_kv(&o, "trace_id", trace_id);
	jo_key(&o, "error");
	jo_open(&o, '{');
	jo_kv(&o, "code", err->code->name);
	jo_kv(&o, "message", err->message);
	if (err->field[0])
		jo_kv(&o, "path", err->field);
	jo_close(&o, '}');
	buf_str(&b, extra);
	jo_close(&o, '}');
	rs->status = err->code->status;
	response_body(rs, json_type, b.p, b.n);
	if (err->code->status == 401)
		response_header(rs, "WWW-Authenticate", "Bearer realm=\"Launchplane API\"");
	if ((err->code->status == 503 || err->code->status == 504 || err->code->status == 429) &&
	    !has_header(rs, "Retry-After"))
		response_header(rs, "Retry-After", "2");
}

void call_error_member(struct call *c, const char *key, const char *json)
{
	c->error_members = arena_printf(c->arena, "%s,\"%s\":%s", c->error_members, key, json);
}
