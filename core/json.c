#include "core/json.h"

#include "core/json_simdjson.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool json_parse(struct arena *a, const char *text, size_t n, const char *what, struct json *out, struct err *err)
{
	char why[200];
	if (json_simdjson_parse(a, text, n, out, why, sizeof(why)))
		return true;
	return err_set(err, &E_invalid_request, "%s %s", what, why);
}

const struct json *json_get(const struct json *object, const char *key)
{
	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < object->n; i++)
		if (strcmp(object->members[i].key, key) == 0)
			return &object->members[i].value;
	return NULL;
}

const struct json *json_path(const struct json *j, const char *dotted)
{
	while (j && *dotted) {
		char key[128];
		size_t n = strcspn(dotted, ".");
		assert(n < sizeof(key));
		memcpy(key, dotted, n);
		key[n] = '\0';
		j = json_get(j, key);
		dotted += n + (dotted[n] == '.');
	}
	return j;
}

const char *json_str(const struct json *object, const char *key, const char *fallback)
{
	const struct json *j = json_get(object, key);
	return j && j->type == JSON_STRING ? j->string : fallback;
}

bool json_bool(const struct json *object, const char *key, bool fallback)
{
	const struct json *j = json_get(object, key);
	return j && j->type == JSON_BOOL ? j->boolean : fallback;
}

int64_t json_int(const struct json *object, const char *key, int64_t fallback)
{
	const struct json *j = json_get(object, key);
	return j && j->type == JSON_INT ? j->integer : fallback;
}

struct json json_of_str(const char *s)
{
	if (!s)
		return (struct json){ .type = JSON_NULL };
	return (struct json){ .type = JSON_STRING, .n = (uint32_t)strlen(s), .string = s };
}

struct json json_of_int(int64_t i)
{
	return (struct json){ .type = JSON_INT, .integer = i };
}

struct json json_of_bool(bool b)
{
	return (struct json){ .type = JSON_BOOL, .boolean = b };
}

struct json json_object(void)
{
	return (struct json){ .type = JSON_OBJECT };
}

struct json json_array(void)
{
	return (struct json){ .type = JSON_ARRAY };
}

/* Room doubles at each power of two, so that no capacity has to be kept beside the count. */
static bool is_full(uint32_t n)
{
	return (n & (n - 1)) == 0;
}

void json_set(struct arena *a, struct json *object, const char *key, struct json value)
{
	assert(object->type == JSON_OBJECT);
	for (uint32_t i = 0; i < object->n; i++) {
		if (strcmp(object->members[i].key, key) == 0) {
			object->members[i].value = value;
			return;
		}
	}
	if (is_full(object->n)) {
		struct json_member *m = arena_array(a, object->n ? object->n * 2 : 1, sizeof(*m));
		if (object->n)
			memcpy(m, object->members, object->n * sizeof(*m));
		object->members = m;
	}
	object->members[object->n++] = (struct json_member){ key, value };
}

void json_set_str(struct arena *a, struct json *object, const char *key, const char *s)
{
	json_set(a, object, key, json_of_str(s));
}

void json_push(struct arena *a, struct json *array, struct json value)
{
	assert(array->type == JSON_ARRAY);
	if (is_full(array->n)) {
		struct json *items = arena_array(a, array->n ? array->n * 2 : 1, sizeof(*items));
		if (array->n)
			memcpy(items, array->items, array->n * sizeof(*items));
		array->items = items;
	}
	array->items[array->n++] = value;
}

static void write_escaped(struct buf *b, const char *s, size_t n, bool ascii);

/* Python's repr of a float: the shortest digits that read back the same, exponent form below 1e-4 and from 1e16 on. */
static void write_real(struct buf *b, double d)
{
	char text[40];
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, d);
		if (strtod(text, NULL) == d)
			break;
	}
	char *e = strchr(text, 'e');
	int exponent = atoi(e + 1);
	int digits = (int)strcspn(text, "e") - (d < 0 || signbit(d) ? 1 : 0);
	digits = digits > 1 ? digits - 1 : 1; /* without the point */
	if (exponent < -4 || exponent >= 16) {
		*e = '\0';
		buf_printf(b, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
		return;
	}
	int decimals = digits - 1 - exponent;
	buf_printf(b, "%.*f", decimals > 0 ? decimals : 1, d);
}

static void write_any(struct buf *b, const struct json *j, bool canonical);

static int by_key(const void *x, const void *y)
{
	const struct json_member *const *a = x, *const *b = y;
	return strcmp((*a)->key, (*b)->key);
}

static void write_object(struct buf *b, const struct json *j, bool canonical)
{
	const struct json_member **order = arena_array(b->arena, j->n + 1, sizeof(*order));
	for (uint32_t i = 0; i < j->n; i++)
		order[i] = &j->members[i];
	if (canonical && j->n > 1)
		qsort(order, j->n, sizeof(*order), by_key);
	buf_char(b, '{');
	for (uint32_t i = 0; i < j->n; i++) {
		if (i)
			buf_char(b, ',');
		write_escaped(b, order[i]->key, strlen(order[i]->key), canonical);
		buf_char(b, ':');
		write_any(b, &order[i]->value, canonical);
	}
	buf_char(b, '}');
}

static void write_any(struct buf *b, const struct json *j, bool canonical)
{
	switch (j->type) {
	case JSON_NULL:
		buf_str(b, "null");
		break;
	case JSON_BOOL:
		buf_str(b, j->boolean ? "true" : "false");
		break;
	case JSON_INT:
		buf_printf(b, "%lld", (long long)j->integer);
		break;
	case JSON_REAL:
		write_real(b, j->real);
		break;
	case JSON_STRING:
		write_escaped(b, j->string, j->n, canonical);
		break;
	case JSON_ARRAY:
		buf_char(b, '[');
		for (uint32_t i = 0; i < j->n; i++) {
			if (i)
				buf_char(b, ',');
			write_any(b, &j->items[i], canonical);
		}
		buf_char(b, ']');
		break;
	case JSON_OBJECT:
		write_object(b, j, canonical);
		break;
	}
}

void json_write(struct buf *b, const struct json *j)
{
	write_any(b, j, false);
}

void json_write_canonical(struct buf *b, const struct json *j)
{
	write_any(b, j, true);
}

char *json_text(struct arena *a, const struct json *j)
{
	struct buf b = buf_in(a);
	json_write(&b, j);
	return b.p;
}

static uint32_t utf8_next(const char *s, size_t n, size_t *used)
{
	unsigned char c = (unsigned char)s[0];
	if (c < 0xe0 && n >= 2) {
		*used = 2;
		return (uint32_t)(c & 0x1f) << 6 | (uint32_t)(s[1] & 0x3f);
	}
	if (c < 0xf0 && n >= 3) {
		*used = 3;
		return (uint32_t)(c & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (uint32_t)(s[2] & 0x3f);
	}
	if (n >= 4) {
		*used = 4;
		return (uint32_t)(c & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 |
		       (uint32_t)(s[3] & 0x3f);
	}
	*used = 1;
	return 0xfffd;
}

enum { AS_IS = 1, AS_IS_IN_ASCII = 2 };

/* How an octet may stand in a string. */
#define ASCII (AS_IS | AS_IS_IN_ASCII)
static const unsigned char standing[256] = {
	[' '] = ASCII, ['!'] = ASCII, ['#' ... '['] = ASCII, [']' ... '~'] = ASCII, [0x7f ... 0xff] = AS_IS,
};

/* Whether eight octets may stand as they are. */
static inline bool eight_stand(const char *p, bool ascii)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	uint64_t quote = w ^ '"' * ones, slash = w ^ '\\' * ones, del = w ^ 0x7f * ones;
	uint64_t found = ((w - 0x20 * ones) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
	if (ascii)
		found |= w | ((del - ones) & ~del);
	return !(found & high);
}

static size_t write_escape(struct buf *b, const char *s, size_t n)
{
	static const char *const shorts[32] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r",
	};
	unsigned char c = (unsigned char)s[0];
	if (c == '"' || c == '\\') {
		buf_char(b, '\\');
		buf_char(b, (char)c);
		return 1;
	}
	if (c < 0x20 && shorts[c]) {
		buf_str(b, shorts[c]);
		return 1;
	}
	if (c < 0x80) {
		buf_printf(b, "\\u%04x", c);
		return 1;
	}
	size_t used;
	uint32_t u = utf8_next(s, n, &used);
	if (u >= 0x10000)
		buf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((u - 0x10000) >> 10), 0xdc00 + ((u - 0x10000) & 0x3ff));
	else
		buf_printf(b, "\\u%04x", u);
	return used;
}

static void write_escaped(struct buf *b, const char *s, size_t n, bool ascii)
{
	const unsigned char as_is = ascii ? AS_IS_IN_ASCII : AS_IS;
	buf_room(b, n + 2);
	buf_char(b, '"');
	for (size_t i = 0; i < n;) {
		size_t from = i;
		while (n - i >= 8 && eight_stand(s + i, ascii))
			i += 8;
		while (i < n && (standing[(unsigned char)s[i]] & as_is))
			i++;
		buf_add(b, s + from, i - from);
		if (i < n)
			i += write_escape(b, s + i, n - i);
	}
	buf_char(b, '"');
}

void json_write_str(struct buf *b, const char *s, size_t n)
{
	write_escaped(b, s, n, false);
}

static void before_value(struct json_out *o)
{
	if (o->need_comma)
		buf_char(o->buf, ',');
	o->need_comma = true;
}

void jo_open(struct json_out *o, char bracket)
{
	before_value(o);
	buf_char(o->buf, bracket);
	o->need_comma = false;
}

void jo_close(struct json_out *o, char bracket)
{
	buf_char(o->buf, bracket);
	o->need_comma = true;
}

void jo_key(struct json_out *o, const char *key)
{
	before_value(o);
	json_write_str(o->buf, key, strlen(key));
	buf_char(o->buf, ':');
	o->need_comma = false;
}

void jo_str(struct json_out *o, const char *s)
{
	if (!s) {
		jo_null(o);
		return;
	}
	before_value(o);
	json_write_str(o->buf, s, strlen(s));
}

void jo_int(struct json_out *o, int64_t i)
{
	before_value(o);
	buf_printf(o->buf, "%lld", (long long)i);
}

void jo_bool(struct json_out *o, bool b)
{
	before_value(o);
	buf_str(o->buf, b ? "true" : "false");
}

void jo_null(struct json_out *o)
{
	before_value(o);
	buf_str(o->buf, "null");
}

void jo_raw(struct json_out *o, const char *text, size_t n)
{
	before_value(o);
	buf_add(o->buf, text, n);
}

void jo_json(struct json_out *o, const struct json *j)
{
	before_value(o);
	json_write(o->buf, j);
}

void jo_kv(struct json_out *o, const char *key, const char *value)
{
	jo_key(o, key);
	jo_str(o, value);
}

void jo_kv_int(struct json_out *o, const char *key, int64_t value)
{
	jo_key(o, key);
	jo_int(o, value);
}

void jo_kv_bool(struct json_out *o, const char *key, bool value)
{
	jo_key(o, key);
	jo_bool(o, value);
}
