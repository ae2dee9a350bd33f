/* core/json_simdjson.h - the C++ side of core/json.c: simdjson's parser behind one C function. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct json;

/* On failure writes the rest of the sentence "<document> ..." to why. */
bool json_simdjson_parse(struct arena *a, const char *text, size_t n, struct json *out, char *why, size_t why_n);

#ifdef __cplusplus
}
#endif
