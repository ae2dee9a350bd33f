/* drivers/runtime_identity.h - what a target is told that it is, and what its health endpoint says it is.
 *
 * The identity is a breadcrumb that the driver owns, not tenant configuration. Shape, encoding, echo names and classes:
 * facts/core.md 5.1. A mismatch or a malformed echo is a hard failure; a missing or unverifiable one is advice, unless
 * the lane demands the identity. Pure. */
#pragma once

#include "storage/evidence.h"

/* The text of LAUNCHPLANE_RUNTIME_IDENTITY_JSON: compact, members sorted, no nulls. */
char *runtime_identity_text(struct arena *a, const struct runtime_identity *id);

struct identity_verdict {
	int status;                        /* enum identity_status */
	const char *detail;                /* "" or one sentence; names differing fields, not their values */
	struct runtime_identity *observed; /* NULL unless an identity could be read */
};
/* Judges body, a health answer, against expected (NULL: none, so unchecked). Blank expected values are not compared. An
 * endpoint that was not reached is unverifiable: pass body NULL. */
void runtime_identity_judge(struct arena *a, const struct runtime_identity *expected, const char *body, size_t body_n,
                            struct identity_verdict *out);
/* Whether a verdict stops a deployment, given that the lane requires the identity or not. */
bool runtime_identity_blocks(int status, bool is_required);
