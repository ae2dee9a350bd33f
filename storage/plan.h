/* storage/plan.h - what a plan showed, as a digest: an apply may pin it and is refused when it would do something else.
 *
 * A plan is a document of everything that decides what would happen: what is written, and over what. Times, actors and
 * trace ids do not belong in it: the same plan a minute later has the same digest. Values that must not be shown are in
 * it as their veil, so that the digest changes with them and tells nothing about them. */
#pragma once

#include "core/contract.h"
#include "core/seal.h"

/* The member of a request that pins a plan; the struct has a const char *plan_digest. */
#define F_PLAN_DIGEST(type)                                                                                            \
	F_STR(type, plan_digest, TRIMMED | LOWERED, .max = 64,                                                         \
	      .help = "For apply: the plan_digest of the reviewed plan; refused when it would no longer happen so")

/* 64 hex digits. */
const char *plan_digest(struct arena *a, const struct json *plan);
/* What stands for value in a plan; keyring may be NULL when value is no secret. */
const char *plan_veil(struct arena *a, const struct keyring *keyring, const char *value);
/* A member of veils, one for each pair. */
void plan_set_veiled(struct arena *a, struct json *plan, const char *key, const struct keyring *keyring,
                     const struct text_map *values);
/* E_plan_changed unless pinned is blank or equals digest. */
bool plan_check(const char *pinned, const char *digest, struct err *err);
