/* drivers/dokploy/env_text.h - the environment text of a Dokploy service: KEY=VALUE lines, order kept
 * (facts/dokploy.md 3.5).
 *
 * Values are kept verbatim, quotes included. Comments and lines without '=' are lost on the way back. A value that
 * opens a quote and closes it lines later is one value, as dotenv reads it. Of a key that is there twice the later
 * value counts. */
#pragma once

#include "core/contract.h"

void env_text_parse(struct arena *a, const char *text, struct text_map *out); /* text may be NULL */
char *env_text_write(struct arena *a, const struct text_map *env);
/* Removes key; whether it was there. */
bool env_remove(struct text_map *env, const char *key);
/* NULL when both generations of Dokploy hand value on unchanged, else what is wrong with it ("spans several lines").
 * '$' is allowed: it means interpolation. */
const char *env_value_problem(const char *value);
