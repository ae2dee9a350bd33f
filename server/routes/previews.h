/* server/routes/previews.h - what the routes of previews share.
 *
 * Whoever changes a pull request's preview locks its anchor first, in the same transaction. */
#pragma once

#include "server/routes/route.h"
#include "storage/preview.h"

/* The anchor's preview, locked; a new anchor gets the id it would have. */
SUSPENDS bool preview_lock(struct tx *tx, struct call *c, const char *context, const char *repo, int64_t number,
                           const char **preview_id, struct err *err);
SUSPENDS bool preview_load(struct tx *tx, struct call *c, const char *preview_id, struct preview *out, bool *found,
                           struct err *err);
/* Both send without waiting. */
void preview_put(struct tx *tx, struct call *c, const struct preview *p);
void generation_put(struct tx *tx, struct call *c, const struct generation *g);
/* Decides which generation the evidence makes, and reads what it replaces; *stored is NULL when that is nothing. */
SUSPENDS bool generation_settle(struct tx *tx, struct call *c, const char *preview_id,
                                const struct generation_mutation *m, struct generation **stored, struct generation *out,
                                struct err *err);
/* Takes a generation and what it makes of its preview, from the lock to the answer. must_be_known: neither comes into
 * being by it. */
SUSPENDS bool generation_take(struct call *c, const struct preview_generation_request *body, bool must_be_known,
                              struct err *err);
/* Commits and answers with the records; note is preview_note()'s, or NULL. */
SUSPENDS bool preview_accept(struct call *c, struct tx *tx, const struct json *records, const char *note,
                             struct err *err) TX_ENDS;
/* Why what was handed in did not become the current state, as JSON. */
const char *preview_note(struct arena *a, const char *outcome, const char *detail);
