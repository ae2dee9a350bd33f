/* server/routes/route.h - a route is one row, and everything about it comes from that row.
 *
 * Dispatch, 405, authentication, reading the body, authorization, replay of idempotent requests, the reference page and
 * the OpenAPI document, and the tests that ask every route as nobody, a stranger and an owner. Order of the checks:
 * authentication, body, authorization, replay, handler (facts/core.md 1.3, 4). */
#pragma once

#include "core/contract.h"
#include "server/app.h"
#include "server/auth/policy.h"
#include "server/http/server.h"
#include "storage/audit.h"
#include "storage/db.h"

struct call;
struct list;
typedef bool (*handler_fn)(struct call *c, struct err *err); /* SUSPENDS */

enum callers {
	CALLERS_ANYONE,      /* no credential looked at */
	CALLERS_READ,        /* facts/core.md 1.2, class R */
	CALLERS_WRITE,       /* class W */
	CALLERS_WRITE_HUMAN, /* class WH */
};

enum idempotency {
	IDEMPOTENCY_NONE,
	IDEMPOTENCY_OPTIONAL, /* replayed before the handler; the handler stores its answer with call_store_answer() */
	IDEMPOTENCY_APPLY,    /* the same, for applies only: dry-runs are stateless */
	IDEMPOTENCY_APPLY_REQUIRED,
	IDEMPOTENCY_OWN, /* the handler's own statement stores and replays (evidence, operations) */
	IDEMPOTENCY_OWN_REQUIRED,
	IDEMPOTENCY_OWN_APPLY_REQUIRED, /* the same, for applies only */
};

/* Where the policy's product and context come from:
 *   "=launchplane"          that text
 *   "body:deployment.context"  a string of the read body
 *   "path:context"          a path parameter
 *   "query:product"         a query parameter
 *   "handler"               the handler calls call_authorize() once it has read the record */
struct route {
	llhttp_method_t method;
	const char *path; /* "/v1/inventory/{context}/{instance}" */
	const char *summary;
	handler_fn handler;
	enum callers callers;
	const char *action;       /* of a plan or of everything */
	const char *apply_action; /* when body.mode is apply_mode; NULL: action */
	const char *apply_mode;   /* default "apply" */
	const char *product, *context;
	const struct contract *body; /* NULL: no body is read */
	const struct contract
	        *record; /* what a read answers under record_key, or a write's result; for the documents */
	const char *record_key;
	const struct list *list; /* what call_list() answers; its filters are the query parameters */
	int success; /* status of an answer that is neither a read's 200 nor a write's 202; for the documents */
	enum idempotency idempotency;
	size_t body_max;     /* default 2 MiB; without a contract 0, and what comes within it is ignored */
	bool is_inline;      /* never waits: runs without a task */
	bool has_secrets;    /* the body may hold plaintext: its memory is overwritten afterwards */
	bool decides_itself; /* the body names the action: the handler authorizes, and the row's action is nobody's to
	                        grant */
	bool is_for_agents;  /* a refusal tells a program why: agent_audit (facts/core.md 3.8) */
};

extern const struct route *const all_routes[]; /* tables, each ended by an empty row; the list ends with NULL */

#define PATH_PARAMS_MAX 4

struct path_params {
	size_t n;
	struct {
		const char *name;
		const char *at;
		size_t len;
	} v[PATH_PARAMS_MAX];
};

/* Finds the route. NULL: *allowed is the Allow header's text when the path exists with other methods, else "". */
const struct route *route_match(llhttp_method_t method, const char *path, struct path_params *params,
                                const char **allowed);
/* Asserts that rows are well-formed and no two alike. */
void routes_check(void);

struct call {
	struct task *t;
	struct arena *arena;
	struct app *app;
	struct request *rq;
	struct response *rs;
	const struct route *route;
	struct path_params params;
	const char *trace_id;
	const struct principal *principal; /* NULL for CALLERS_ANYONE */
	struct session *session;           /* of a person's browser; NULL for a bearer token */
	const struct json *json;           /* the body as sent */
	void *body;                        /* route->body's struct */
	bool applies;                      /* body.mode is the apply mode, or the route has no modes */
	const char *idempotency_key;       /* NULL: none */
	const char *fingerprint;           /* of the body; "" without one */
	const char *error_members;         /* see call_error_member() */
	struct audit_entry audit;          /* of a change: what the audit log is told */
	bool replayed;                     /* the answer is a stored one */
};

/* Handlers' helpers. Those that fail set err and return false, so that a handler returns them. */
const char *call_param(struct call *c, const char *name); /* decoded; checked before the handler */
/* Who is asking: sets principal and session. For handlers of rows with CALLERS_ANYONE; the others have it already. */
SUSPENDS bool call_authenticate(struct call *c, bool with_cookie, struct err *err);
/* For rows with CALLERS_ANYONE: what the handler changes from here on is told to the audit log as who's doing. */
void call_begin_change(struct call *c, const struct principal *who, const char *action);
/* Spends the session's CSRF token, which browser_mutation_check() found right, and hands out the next. */
SUSPENDS bool call_spend_csrf(struct call *c, struct err *err);
/* With an error: when to come again. 0: nothing is said. */
void call_retry_after(struct call *c, unsigned seconds);
/* Checks the policy for the call's principal. E_authorization_denied tells nothing. */
bool call_authorize(struct call *c, const char *action, const char *product, const char *context, struct err *err);

/* 200 {"status":"ok","trace_id":...,"<key>":<json>}; json is PostgreSQL's own bytes or a written document. */
bool call_answer_member(struct call *c, const char *key, const char *json);
/* The same for a whole document: its members follow the envelope's own. */
bool call_answer_members(struct call *c, const char *json);
/* A query that is planned anew for these parameters: for statements whose filters may be absent. */
SUSPENDS bool call_query_planned(struct call *c, const struct query *q, const struct param *params, size_t n,
                                 struct rows *rows, struct err *err);
/* The same for several members; open writes the head, the caller adds members, close sends. */
void call_open_ok(struct call *c, struct json_out *o, struct buf *b);
bool call_close_ok(struct call *c, struct json_out *o);

/* 202 {"status":"accepted","trace_id":...,"records":{...},"result":{...}}. records: an object of strings; result: JSON
 * text or NULL. */
bool call_accept(struct call *c, const struct json *records, const char *result);
/* The same as the answer to an earlier request, whose trace id original is; NULL: it is the first. */
bool call_accept_again(struct call *c, const struct json *records, const char *result, const char *original);
/* What Q_idempotency_store keeps for a replay of the same answer. */
const char *call_stored_answer(struct call *c, const struct json *records, const char *result);
/* Looks the key up: *replayed when the stored answer was sent; E_idempotency_key_reused when the request differs. */
SUSPENDS bool call_replay(struct call *c, bool *replayed, struct err *err);
/* Adds the idempotency row to a transaction; nothing without a key. */
void call_store_answer(struct call *c, struct tx *tx, const struct json *records, const char *result);
/* After a transaction failed on the idempotency row's uniqueness: a twin request was faster; answers with its answer.
 */
SUSPENDS bool call_lost_race(struct call *c, struct err *err);
bool is_idempotency_race(const struct err *err);

/* The ids that the audit log keeps of what is written; for handlers whose statement stores the answer itself. */
void call_audit_records(struct call *c, const struct json *records);
/* Lets an apply go on when its body pins no plan (plan_digest) or pins the one with this digest. Else E_plan_changed,
 * and the answer's plan member is plan, JSON text as the dry-run would answer it now (storage/plan.h). */
bool call_check_plan(struct call *c, const char *digest, const char *plan, struct err *err);

/* What a submission has from the call: caller, key, fingerprint, trace. The rest is the handler's. Without an
 * Idempotency-Key the operation has a key of its own. */
struct op_submission;
struct op_submission call_submission(struct call *c);
/* Submits the operation and waits for its end on the caller's behalf. Its row is the request's idempotency record: when
 * the caller leaves, the bound passes or the process dies it goes on, and the same Idempotency-Key finds it again.
 *   passed        202 with the operation's result; a member "records" of it becomes the answer's records
 *   at work yet   after 25 s, or as "Prefer: respond-async" or "wait=N" asks, or when the process drains: 202 with
 *                 result = the operation's document, records.operation_id, Location and Retry-After
 *   failed        like passed when its result has records; else its own error, with the members operation (how far it
 * came) and plan (of its result) beside it lane busy     the kind's 409 with the active operation */
SUSPENDS bool call_operate(struct call *c, const struct op_submission *s, struct err *err);
/* Answers when this caller's key has submitted an operation of the kind before: *found, and the call is answered. To be
 * asked before checks that the operation's own effects would fail. */
struct op_kind;
SUSPENDS bool call_operated(struct call *c, const struct op_kind *kind, bool *found, struct err *err);

/* The envelope of an error (facts/core.md 1.4). extra: further top-level members as ",\"operation\":{...}" or "". */
void render_error(struct arena *a, const char *trace_id, const struct err *err, const char *extra, struct response *rs);
/* Lets an error answer carry a further member, as the active operation of a busy lane. */
void call_error_member(struct call *c, const char *key, const char *json);
