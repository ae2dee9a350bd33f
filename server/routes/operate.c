/* Answers that wait for an operation: the engine does the work, the route speaks for it. */
#include "core/digest.h"
#include "server/operations/runner.h"
#include "server/routes/route.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"
#include "storage/plan.h"

#include <stdlib.h>

#define WAIT_S        25
#define WAIT_MOST_S   60
#define FIRST_LOOK_MS 10
#define LAST_LOOK_MS  250

bool call_check_plan(struct call *c, const char *digest, const char *plan, struct err *err)
{
	if (!c->applies || plan_check(contract_str(c->route->body, c->body, "plan_digest"), digest, err))
		return true;
	call_error_member(c, "plan", plan);
	return false;
}

struct op_submission call_submission(struct call *c)
{
	struct json actor = principal_audit(c->arena, c->principal);
	return (struct op_submission){
		.idempotency_scope = c->principal->scope,
		.idempotency_key =
		        c->idempotency_key ? c->idempotency_key : arena_printf(c->arena, "call-%s", c->trace_id),
		.request_fingerprint = c->fingerprint,
		.actor = json_text(c->arena, &actor),
		.trace_id = c->trace_id,
		.traceparent = c->t->traceparent,
	};
}

/* ---- how long to wait (RFC 7240) ---- */

static uint64_t wait_ms(struct call *c)
{
	const char *given = request_header(c->rq, "prefer");
	const char *p = given ? lowered(c->arena, given) : "", *applied = NULL;
	long wait_s = WAIT_S;
	while (*p) {
		p += strspn(p, " \t,");
		size_t n = strcspn(p, ",");
		const char *one = trimmed(c->arena, arena_strndup(c->arena, p, n));
		char *end = NULL;
		long s = strncmp(one, "wait=", 5) == 0 ? strtol(one + 5, &end, 10) : -1;
		if (strcmp(one, "respond-async") == 0) {
			wait_s = 0;
			applied = "respond-async";
		} else if (s >= 0 && end != one + 5 && !*end && !applied) { /* what cannot be read is no preference */
			wait_s = s < WAIT_MOST_S ? s : WAIT_MOST_S;
			applied = arena_printf(c->arena, "wait=%ld", wait_s);
		}
		p += n;
	}
	if (applied)
		response_header(c->rs, "Preference-Applied", applied);
	return (uint64_t)wait_s * 1000;
}

static bool is_ended(const char *status)
{
	return strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
}

/* The operation once it has ended, or as it is when the time is over. Any worker may carry it out, so its row is what
 * is looked at. */
static SUSPENDS bool wait_for_end(struct call *c, const char *id, struct json *operation, struct err *err)
{
	uint64_t until = loop_now_ms(c->t->loop) + wait_ms(c), pause = FIRST_LOOK_MS;
	for (;;) {
		struct rows rows;
		if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err))
			return false;
		if (rows.n == 0)
			return err_set(err, &E_not_found, "there is no operation %s", id);
		if (is_ended(row_text(&rows, 0, 3)) || c->app->draining || loop_now_ms(c->t->loop) >= until) {
			const char *text = arena_strdup(c->arena, row_text(&rows, 0, 4));
			return json_parse(c->arena, text, strlen(text), "the stored operation", operation, err);
		}
		rows_done(&rows);
		if (!task_sleep(c->t, pause, err))
			return false;
		pause = pause * 2 < LAST_LOOK_MS ? pause * 2 : LAST_LOOK_MS;
	}
}

/* ---- the answer ---- */

static const struct error_code *code_named(const char *name)
{
	for (size_t i = 0; i < product_error_codes_n; i++)
		if (strcmp(product_error_codes[i]->name, name) == 0)
			return product_error_codes[i];
	for (size_t i = 0; i < core_error_codes_n; i++)
		if (strcmp(core_error_codes[i]->name, name) == 0)
			return core_error_codes[i];
	return &E_internal_error;
}

static bool answer_failed(struct call *c, const struct json *operation, struct err *err)
{
	const struct json *plan = json_path(operation, "result.plan");
	if (plan && plan->type != JSON_NULL)
		call_error_member(c, "plan", json_text(c->arena, plan));
	call_error_member(c, "operation", json_text(c->arena, operation));
	return err_set(err, code_named(json_str(operation, "error_code", "")), "%s",
	               json_str(operation, "error_message", "the operation failed"));
}

static bool answer_passed(struct call *c, const struct json *operation, const char *original)
{
	struct json result = json_object(), records = json_object();
	const struct json *stored = json_get(operation, "result");
	for (uint32_t i = 0; stored && stored->type == JSON_OBJECT && i < stored->n; i++) {
		const struct json_member *m = &stored->members[i];
		if (strcmp(m->key, "records") == 0)
			records = m->value;
		else
			json_set(c->arena, &result, m->key, m->value);
	}
	response_header(c->rs, "Location", json_str(operation, "poll_url", ""));
	return call_accept_again(c, &records, json_text(c->arena, &result), original);
}

static SUSPENDS bool wait_and_answer(struct call *c, const char *id, bool again, struct err *err)
{
	struct json operation;
	if (!wait_for_end(c, id, &operation, err))
		return false;
	const char *original = again ? json_str(&operation, "runner_trace_id", "") : NULL;
	const char *status = json_str(&operation, "status", "");
	/* A failure whose result is for the caller has records: it is told as the driver's result, with its fail
	 * status. */
	if (is_ended(status))
		return strcmp(status, "pass") == 0 || json_path(&operation, "result.records")
		               ? answer_passed(c, &operation, original)
		               : answer_failed(c, &operation, err);
	struct json records = json_object();
	json_set_str(c->arena, &records, "operation_id", id);
	response_header(c->rs, "Location", json_str(&operation, "poll_url", ""));
	response_header(c->rs, "Retry-After", "2");
	return call_accept_again(c, &records, json_text(c->arena, &operation), original);
}

bool call_operated(struct call *c, const struct op_kind *kind, bool *found, struct err *err)
{
	struct rows rows;
	*found = false;
	if (!c->idempotency_key)
		return true;
	if (!db_query(c->t, &Q_operation_by_key,
	              PARAMS(P_TEXT(kind->name), P_TEXT(c->principal->scope), P_TEXT(c->idempotency_key)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	if (strcmp(row_text(&rows, 0, 1), c->fingerprint) != 0)
		return err_set(err, &E_idempotency_key_reused,
		               "this Idempotency-Key was used with another request; send a new key for a new request");
	*found = true;
	return wait_and_answer(c, row_text(&rows, 0, 0), true, err);
}

bool call_operate(struct call *c, const struct op_submission *s, struct err *err)
{
	struct op_submitted submitted;
	if (!runner_submit(c->t, c->app->runner, s, &submitted, err)) {
		if (err->code->status == 409 && !err_is(err, &E_idempotency_key_reused))
			call_error_member(c, "operation", submitted.document);
		return false;
	}
	return wait_and_answer(c, submitted.operation_id, submitted.outcome == SUBMIT_EXISTING, err);
}
