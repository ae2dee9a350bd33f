/* server/routes/submit.h - routes that change a provider: they submit an operation and wait for it on the caller's
 * behalf.
 *
 * The operation's row is the request's idempotency record. A caller that leaves, a time bound that passes or a process
 * that dies changes nothing for the operation: the same Idempotency-Key finds it again, finished or not.
 *
 *   finished in time    202 with what the operation's end left: result, and the records that the route makes of it
 *   still at work       202 with result = the operation's document, Location, Retry-After and records.operation_id
 *   failed              the operation's own error; the member "operation" shows how far it came
 *
 * "Prefer: respond-async" asks not to wait, "Prefer: wait=N" for at most N seconds (RFC 7240). */
#pragma once

#include "server/routes/route.h"
#include "storage/operation.h"

#define SUBMIT_WAIT_S      25
#define SUBMIT_WAIT_MOST_S 60

/* records of a finished operation's answer; may add nothing. document is the operation's. */
typedef void (*submit_records_fn)(struct arena *a, const struct json *document, struct json *records);

/* Answers when this caller's key has submitted an operation of the kind before: *found, and the call is answered. Look
 * before checking anything that the operation itself may have changed. E_idempotency_key_reused for another body. */
SUSPENDS bool call_resume(struct call *c, const struct op_kind *kind, submit_records_fn records, bool *found,
                          struct err *err);
/* Submits and answers. request is the kind's request as JSON. A busy lane is the kind's 409 with the active operation. */
SUSPENDS bool call_submit(struct call *c, const struct op_kind *kind, const char *product, const char *context,
                          const char *instance, const char *request, submit_records_fn records, struct err *err);
