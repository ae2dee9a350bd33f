/* Answers that wait for an operation: the engine does the work, the route speaks for it. */
#include "core/digest.h"
#include "server/operations/runner.h"
#include "server/routes/route.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"
#include "storage/plan.h"

#define WAIT_MS       60000
#define FIRST_LOOK_MS 10
#define LAST_LOOK_MS  300

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

/* The operation once it has ended, or as it is when the time is over. */
static SUSPENDS bool wait_for_end(struct call *c, const char *id, struct json *operation, bool *ended, struct err *err)
{
	uint64_t until = loop_now_ms(c->t->loop) + WAIT_MS, pause = FIRST_LOOK_MS;
	for (;;) {
		struct rows rows;
		if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err))
			return false;
		if (rows.n == 0)
			return err_set(err, &E_not_found, "there is no operation %s", id);
		const char *status = row_text(&rows, 0, 3);
		*ended = strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
		if (*ended || loop_now_ms(c->t->loop) >= until) {
			const char *text = arena_strdup(c->arena, row_text(&rows, 0, 4));
			return json_parse(c->arena, text, strlen(text), "the stored operation", operation, err);
		}
		rows_done(&rows);
		if (!task_sleep(c->t, pause, err))
			return false;
		pause = pause * 2 < LAST_LOOK_MS ? pause * 2 : LAST_LOOK_MS;
	}
}

static bool answer_failed(struct call *c, const struct json *operation, struct err *err)
{
	const struct json *plan = json_path(operation, "result.plan");
	if (plan && plan->type != JSON_NULL)
		call_error_member(c, "plan", json_text(c->arena, plan));
	return err_set(err, code_named(json_str(operation, "error_code", "")), "%s",
	               json_str(operation, "error_message", "the operation failed"));
}

static bool answer_passed(struct call *c, const struct json *operation, bool replayed)
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
	const char *original = replayed ? json_str(operation, "runner_trace_id", "") : NULL;
	return call_accept_again(c, &records, json_text(c->arena, &result), original);
}

bool call_operate(struct call *c, const struct op_submission *s, struct err *err)
{
	enum submit_outcome outcome;
	const char *id, *document;
	struct json operation;
	bool ended;
	if (!operation_submit(c->t, s, &outcome, &id, &document, err)) {
		if (err_is(err, &E_odoo_stable_target_replacement_operation_active))
			call_error_member(c, "operation", document);
		return false;
	}
	if (outcome == SUBMIT_CREATED)
		runner_kick(c->app->runner);
	if (!wait_for_end(c, id, &operation, &ended, err))
		return false;
	if (!ended) {
		struct json records = json_object();
		json_set_str(c->arena, &records, "operation_id", id);
		response_header(c->rs, "Location", json_str(&operation, "poll_url", ""));
		response_header(c->rs, "Retry-After", "2");
		return call_accept(c, &records, NULL);
	}
	if (strcmp(json_str(&operation, "status", ""), "pass") != 0)
		return answer_failed(c, &operation, err);
	return answer_passed(c, &operation, outcome == SUBMIT_EXISTING);
}
