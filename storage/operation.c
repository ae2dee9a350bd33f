#include "storage/operation.h"

#include "core/digest.h"
#include "storage/audit.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"

#include <time.h>

void operation_write(struct task *t, struct operation *op, const struct query *q, const struct param *params, size_t n)
{
	struct op_write *w = ARENA_NEW(t->arena, struct op_write);
	struct param *copy = arena_array(t->arena, n + 1, sizeof(*copy));
	memcpy(copy, params, n * sizeof(*copy));
	*w = (struct op_write){ .query = q, .params = copy, .n = n };
	*op->writes_end = w;
	op->writes_end = &w->next;
}

void operation_event(struct task *t, struct operation *op, const char *event, const struct json *detail)
{
	struct op_event *e = ARENA_NEW(t->arena, struct op_event);
	*e = (struct op_event){ .event = event, .detail = detail };
	*op->events_end = e;
	op->events_end = &e->next;
}

enum phase_outcome operation_again(struct operation *op, uint64_t ms)
{
	op->again_ms = ms;
	return PHASE_AGAIN;
}

enum phase_outcome operation_goto(struct operation *op, const char *phase, uint64_t ms)
{
	op->next_phase = phase;
	op->again_ms = ms;
	return PHASE_GOTO;
}

bool operation_put_off(struct operation *op, const struct err *err)
{
	op->is_put_off |= err->code->retry || err_is(err, &E_cancelled);
	return op->is_put_off;
}

bool operation_is_overdue(struct task *t, struct operation *op)
{
	if (op->overdue == OVERDUE_UNASKED) {
		bool is_over = op->phase_deadline_wall_ms && loop_wall_ms(t->loop) >= op->phase_deadline_wall_ms;
		op->overdue = is_over ? OVERDUE_YES : OVERDUE_NO;
	}
	return op->overdue == OVERDUE_YES;
}

const struct phase *kind_phase(const struct op_kind *kind, const char *name)
{
	for (const struct phase *p = kind->phases; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

const char *utc_now(struct task *t)
{
	time_t s = (time_t)(loop_wall_ms(t->loop) / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	char text[32];
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(t->arena, text);
}

const char *utc_compact(struct arena *a, const char *utc)
{
	char *out = arena_alloc(a, strlen(utc) + 1), *p = out;
	for (; *utc; utc++)
		if (*utc != '-' && *utc != ':')
			*p++ = *utc;
	*p = '\0';
	return out;
}

const char *operation_new_id(struct arena *a, const struct op_submission *s, const char *created_at)
{
	struct json parts = json_array();
	const char *const values[] = { s->product, s->context,         s->instance,
		                       created_at, s->idempotency_key, s->idempotency_scope };
	for (size_t i = 0; i < countof(values); i++)
		json_push(a, &parts, json_of_str(values[i]));
	struct buf b = buf_in(a);
	json_write_canonical(&b, &parts);
	char *stamp = arena_strdup(a, created_at), *to = stamp;
	for (const char *from = created_at; *from; from++)
		if (*from != ':')
			*to++ = *from == '+' ? 'z' : *from;
	*to = '\0';
	return arena_printf(a, "%s-%s-%s-%s-%.16s", s->kind->id_prefix, s->context, s->instance, stamp,
	                    sha256_text(a, b.p, b.n));
}

static SUSPENDS bool find_by_key(struct task *t, const struct op_submission *s, struct rows *rows, struct err *err)
{
	return db_query(t, &Q_operation_by_key,
	                PARAMS(P_TEXT(s->kind->name), P_TEXT(s->idempotency_scope), P_TEXT(s->idempotency_key)), rows,
	                err);
}

/* What the audit log is told: the request's or the submitting phase's own entry, with the new operation in it. */
static struct audit_entry submission_entry(struct task *t, const struct op_submission *s, const char *id)
{
	struct audit_entry e = { .type = "system", .event = "submitted", .trace_id = s->trace_id };
	if (t->audit)
		e = *t->audit;
	else if (s->actor && s->actor[0]) {
		struct err ignored = { 0 };
		struct json *caller = ARENA_NEW(t->arena, struct json);
		if (json_parse(t->arena, s->actor, strlen(s->actor), "the actor", caller, &ignored))
			e.caller = caller;
	}
	e.kind = s->kind->name;
	e.operation_id = id;
	e.phase = NULL;
	e.run = e.effects = 0;
	if (!e.product || !e.product[0])
		e.product = s->product;
	if (!e.context || !e.context[0])
		e.context = s->context;
	return e;
}

static SUSPENDS bool insert(struct task *t, const struct op_submission *s, const char *id, const char *leaf,
                            struct rows *rows, struct err *err)
{
	const char *lane = arena_printf(t->arena, "%s/%s/%s", s->product, s->context, s->instance);
	return db_write(t, lane, &Q_operation_submit,
	                PARAMS(P_TEXT(id), P_TEXT(s->kind->name), P_TEXT(s->product), P_TEXT(s->context),
	                       P_TEXT(s->instance), P_BOOL(s->holds_lane && GUARD(F7)), P_TEXT(s->idempotency_scope),
	                       P_TEXT(s->idempotency_key), P_TEXT(s->request_fingerprint),
	                       P_TEXT(s->kind->phases[0].name), P_TEXT(s->request), P_TEXT(s->actor),
	                       P_TEXT(s->trace_id), P_TEXT(s->traceparent), P_INT(loop_clock_offset_ms(t->loop)),
	                       P_TEXT(leaf), P_TEXT(s->taken_by), P_INT(s->lease_ms)),
	                rows, err);
}

static bool found_by_key(const struct op_submission *s, const struct rows *rows, struct op_submitted *out,
                         struct err *err)
{
	out->outcome = SUBMIT_EXISTING;
	out->operation_id = row_text(rows, 0, 0);
	out->document = row_text(rows, 0, 2);
	return strcmp(row_text(rows, 0, 1), s->request_fingerprint) == 0 ||
	       err_set(err, &E_idempotency_key_reused,
	               "this Idempotency-Key was used with another request; send a new key for a new request");
}

bool operation_submit(struct task *t, const struct op_submission *s, struct op_submitted *out, struct err *err)
{
	const char *id = operation_new_id(t->arena, s, utc_now(t));
	struct audit_entry told = submission_entry(t, s, id);
	const char *leaf = audit_leaf_of(t, &told);
	memset(out, 0, sizeof(*out));
	/* A holder of the lane may end between our insert and our look at it: then the insert is worth another try. */
	for (int round = 0; round < 5; round++) {
		struct rows rows;
		if (!insert(t, s, id, leaf, &rows, err))
			return false;
		if (rows.n == 1) {
			out->outcome = SUBMIT_CREATED;
			out->operation_id = row_text(&rows, 0, 0);
			out->document = row_named(&rows, 0, "document");
			out->claimed = rows;
			return true;
		}
		if (!find_by_key(t, s, &rows, err))
			return false;
		if (rows.n == 1)
			return found_by_key(s, &rows, out, err);
		if (!db_query(t, &Q_operation_active_on_lane,
		              PARAMS(P_TEXT(s->product), P_TEXT(s->context), P_TEXT(s->instance)), &rows, err))
			return false;
		if (rows.n == 1) {
			out->operation_id = row_text(&rows, 0, 0);
			out->document = row_text(&rows, 0, 1);
			return err_set(err, s->kind->busy ? s->kind->busy : &E_operation_active,
			               "operation %s is active on lane %s/%s of %s; wait until it has ended",
			               out->operation_id, s->context, s->instance, s->product);
		}
	}
	return err_set(err, &E_service_unavailable, "the lane changes hands too quickly; try again");
}
