/* The least document a contract's schema accepts, made from the field table: what the API description shows. */
#include "core/contract.h"

#include <stdlib.h>

static void example_members(struct json_out *o, const struct contract *c);

static const char *example_text(struct arena *a, const struct field *f)
{
	const char *text = f->fallback && f->fallback[0] ? f->fallback : f->name;
	size_t n = strlen(text), least = f->min > 0 ? (size_t)f->min : 0;
	struct buf b = buf_in(a);
	buf_add(&b, text, f->max > 0 && n > (size_t)f->max ? (size_t)f->max : n);
	while (b.n < least)
		buf_char(&b, 'x');
	return buf_cstr(&b);
}

static void example_number(struct json_out *o, const struct field *f)
{
	int64_t value = f->fallback ? strtoll(f->fallback, NULL, 10) : 0;
	if (value < f->min)
		value = f->min;
	jo_int(o, value);
}

static void example_items(struct json_out *o, const struct field *f)
{
	jo_open(o, '[');
	for (long long i = 0; i < f->min; i++)
		if (f->kind == FIELD_LIST)
			example_members(o, f->of);
		else
			jo_str(o, arena_printf(o->buf->arena, "%s-%lld", f->name, i + 1));
	jo_close(o, ']');
}

static void example_value(struct json_out *o, const struct field *f)
{
	if (f->example) {
		jo_raw(o, f->example, strlen(f->example));
		return;
	}
	switch (f->kind) {
	case FIELD_STR:
		jo_str(o, example_text(o->buf->arena, f));
		return;
	case FIELD_INT:
	case FIELD_OPT_INT:
		example_number(o, f);
		return;
	case FIELD_BOOL:
		jo_bool(o, f->fallback && strcmp(f->fallback, "true") == 0);
		return;
	case FIELD_ENUM:
		jo_str(o, f->fallback && f->fallback[0] ? f->fallback : f->names[0]);
		return;
	case FIELD_OBJECT:
	case FIELD_OPT_OBJECT:
		example_members(o, f->of);
		return;
	case FIELD_LIST:
	case FIELD_STRINGS:
		example_items(o, f);
		return;
	case FIELD_MAP:
	case FIELD_JSON:
		jo_open(o, '{');
		for (long long i = 0; i < f->min; i++)
			jo_kv(o, arena_printf(o->buf->arena, "KEY_%lld", i + 1), "value");
		jo_close(o, '}');
		return;
	case FIELD_END:
		return;
	}
}

static void example_members(struct json_out *o, const struct contract *c)
{
	jo_open(o, '{');
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++)
		if ((f->flags & REQUIRED) || f->example || strcmp(f->name, "schema_version") == 0) {
			jo_key(o, f->name);
			example_value(o, f);
		}
	jo_close(o, '}');
}

void contract_example(struct json_out *o, const struct contract *c)
{
	example_members(o, c);
}
