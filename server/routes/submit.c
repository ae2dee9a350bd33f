#include "server/routes/submit.h"

#include "server/operations/runner.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"

#include <stdlib.h>

#define POLL_FIRST_MS 10
#define POLL_MOST_MS  250

/* ---- what the caller prefers ---- */

struct preference {
	bool async;
	uint64_t wait_ms;
	const char *applied; /* NULL: nothing was asked for */
};

static void read_preference(struct call *c, struct preference *out)
{
	*out = (struct preference){ .wait_ms = SUBMIT_WAIT_S * 1000 };
	const char *given = request_header(c->rq, "prefer");
	const char *text = given ? lowered(c->arena, given) : "";
	for (const char *p = text; *p;) {
		p += strspn(p, " \t,");
		size_t n = strcspn(p, ",");
		const char *one = trimmed(c->arena, arena_strndup(c->arena, p, n));
		char *end = NULL;
		long s = strncmp(one, "wait=", 5) == 0 ? strtol(one + 5, &end, 10) : -1;
		if (strcmp(one, "respond-async") == 0) {
			out->async = true;
			out->applied = "respond-async";
		} else if (s >= 0 && end != one + 5 && !*end) { /* what cannot be read is no preference */
			out->wait_ms = (uint64_t)(s < SUBMIT_WAIT_MOST_S ? s : SUBMIT_WAIT_MOST_S) * 1000;
			out->applied = out->applied ? out->applied : arena_printf(c->arena, "wait=%ld", s);
		}
		p += n;
	}
}

/* ---- waiting ---- */

static bool is_ended(const struct json *document)
{
	const char *status = json_str(document, "status", "");
	return strcmp(status, "pass") == 0 || strcmp(status, "fail") == 0;
}

static SUSPENDS bool read_operation(struct call *c, const char *id, const char **text, struct json *document,
                                    struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "operation %s is gone", id);
	*text = row_text(&rows, 0, 4);
	return json_parse(c->arena, *text, strlen(*text), "the stored operation", document, err);
}

/* Looks until the operation has ended, the time is over or the process drains. Any worker may carry it out, so the row
 * is what is looked at. */
static SUSPENDS bool wait_for_end(struct call *c, const char *id, const char **text, struct json *document,
                                  const struct preference *p, struct err *err)
{
	uint64_t until = loop_now_ms(c->t->loop) + p->wait_ms, pause_ms = POLL_FIRST_MS;
	while (!p->async && !is_ended(document) && !c->app->draining && loop_now_ms(c->t->loop) < until) {
		if (!task_sleep(c->t, pause_ms, err) || !read_operation(c, id, text, document, err))
			return false;
		pause_ms = pause_ms * 2 < POLL_MOST_MS ? pause_ms * 2 : POLL_MOST_MS;
	}
	return true;
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

static bool answer(struct call *c, const char *id, const char *text, const struct json *document, bool again,
                   submit_records_fn add_records, struct err *err)
{
	struct json records = json_object();
	const char *first = again ? json_str(document, "runner_trace_id", "") : NULL;
	if (strcmp(json_str(document, "status", ""), "fail") == 0) {
		call_error_member(c, "operation", text);
		return err_set(err, code_named(json_str(document, "error_code", "")), "%s",
		               json_str(document, "error_message", "the operation failed"));
	}
	response_header(c->rs, "Location", arena_strdup(c->arena, json_str(document, "poll_url", "")));
	if (!is_ended(document)) {
		response_header(c->rs, "Retry-After", "2");
		json_set_str(c->arena, &records, "operation_id", id);
		return call_accept_again(c, &records, text, first);
	}
	const struct json *result = json_get(document, "result");
	bool has_result = result && result->type != JSON_NULL;
	if (add_records)
		add_records(c->arena, document, &records);
	return call_accept_again(c, &records, has_result ? json_text(c->arena, result) : NULL, first);
}

static SUSPENDS bool wait_and_answer(struct call *c, const char *id, const char *text, bool again,
                                     submit_records_fn records, struct err *err)
{
	struct preference preference;
	struct json document;
	read_preference(c, &preference);
	if (!json_parse(c->arena, text, strlen(text), "the stored operation", &document, err) ||
	    !wait_for_end(c, id, &text, &document, &preference, err))
		return false;
	if (preference.applied)
		response_header(c->rs, "Preference-Applied", preference.applied);
	return answer(c, id, text, &document, again, records, err);
}

bool call_resume(struct call *c, const struct op_kind *kind, submit_records_fn records, bool *found, struct err *err)
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
	return wait_and_answer(c, row_text(&rows, 0, 0), row_text(&rows, 0, 2), true, records, err);
}

bool call_submit(struct call *c, const struct op_kind *kind, const char *product, const char *context,
                 const char *instance, const char *request, submit_records_fn records, struct err *err)
{
	struct json actor = principal_audit(c->arena, c->principal);
	const struct op_submission submission = {
		.kind = kind,
		.product = product,
		.context = context,
		.instance = instance,
		.idempotency_scope = c->principal->scope,
		.idempotency_key = c->idempotency_key ? c->idempotency_key : c->trace_id,
		.request_fingerprint = c->fingerprint,
		.request = request,
		.actor = json_text(c->arena, &actor),
		.trace_id = c->trace_id,
		.traceparent = c->t->traceparent,
		.holds_lane = true,
	};
	enum submit_outcome outcome;
	const char *id, *document;
	if (!operation_submit(c->t, &submission, &outcome, &id, &document, err)) {
		if (err->code->status == 409 && !err_is(err, &E_idempotency_key_reused))
			call_error_member(c, "operation", document);
		return false;
	}
	if (outcome == SUBMIT_CREATED)
		runner_kick(c->app->runner);
	return wait_and_answer(c, id, document, outcome == SUBMIT_EXISTING, records, err);
}
