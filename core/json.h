/* core/json.h - JSON documents: read by simdjson, kept as a plain tree in an arena, written by ourselves.
 *
 * Reading refuses what a control plane must not guess about: duplicate member names, a NUL in a string, a whole number
 * beyond 64 bits, more than JSON_DEPTH_MAX levels. Trees are immutable once built, except through json_set(). */
#pragma once

#include "core/buf.h"
#include "core/err.h"

#include <string.h>

#define JSON_DEPTH_MAX 32

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	uint32_t n; /* bytes of a string, items of an array, members of an object */
	union {
		bool boolean;
		int64_t integer;
		double real;
		const char *string; /* NUL-terminated UTF-8 */
		struct json *items;
		struct json_member *members; /* in the order they came */
	};
};

struct json_member {
	const char *key;
	struct json value;
};

/* Parses n bytes of text. what names the document in the message ("body"). Not to be called for more than a few MiB. */
bool json_parse(struct arena *a, const char *text, size_t n, const char *what, struct json *out, struct err *err);

/* Look-ups answer NULL (or the fallback) for another type or a missing member. */
const struct json *json_get(const struct json *object, const char *key);
const struct json *json_path(const struct json *j, const char *dotted); /* "environment.project.name" */
const char *json_str(const struct json *object, const char *key, const char *fallback);
bool json_bool(const struct json *object, const char *key, bool fallback);
int64_t json_int(const struct json *object, const char *key, int64_t fallback);

/* Builders. Strings are referenced, not copied. */
struct json json_of_str(const char *s);
struct json json_of_int(int64_t i);
struct json json_of_bool(bool b);
struct json json_object(void);
struct json json_array(void);
/* Adds or replaces a member. key and value are referenced. */
void json_set(struct arena *a, struct json *object, const char *key, struct json value);
void json_set_str(struct arena *a, struct json *object, const char *key, const char *s);
void json_push(struct arena *a, struct json *array, struct json value);

/* Writers. Compact, UTF-8 kept, members in their order. */
void json_write(struct buf *b, const struct json *j);
char *json_text(struct arena *a, const struct json *j);
/* The canonical form that digests and fingerprints are taken over (facts/core.md 3.4, 4): members sorted by code point
 * at every level, no blanks, non-ASCII as \uXXXX, numbers as Python prints them. */
void json_write_canonical(struct buf *b, const struct json *j);
/* A string literal with its quotes. */
void json_write_str(struct buf *b, const char *s, size_t n);

/* Streaming writer: takes care of commas. At most JSON_DEPTH_MAX levels. */
struct json_out {
	struct buf *buf;
	bool need_comma;
};
void jo_open(struct json_out *o, char bracket);  /* '{' or '[' */
void jo_close(struct json_out *o, char bracket); /* '}' or ']' */
void jo_key(struct json_out *o, const char *key);
void jo_str(struct json_out *o, const char *s); /* NULL writes null */
void jo_int(struct json_out *o, int64_t i);
void jo_bool(struct json_out *o, bool b);
void jo_null(struct json_out *o);
void jo_raw(struct json_out *o, const char *text, size_t n); /* already JSON */
void jo_json(struct json_out *o, const struct json *j);
void jo_kv(struct json_out *o, const char *key, const char *value); /* string member */
void jo_kv_int(struct json_out *o, const char *key, int64_t value);
void jo_kv_bool(struct json_out *o, const char *key, bool value);
