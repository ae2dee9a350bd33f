/* server/auth/toml_shim.h - toml++ behind one C function: TOML text to a JSON tree. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct json;

/* On failure writes the rest of the sentence "<document> ..." to why. Dates and times are refused. */
bool toml_to_json(struct arena *a, const char *text, size_t n, struct json *out, char *why, size_t why_n);

#ifdef __cplusplus
}
#endif
