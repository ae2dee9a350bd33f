#include "core/contract.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- schema and reference ---- */

static void schema_bounds(struct json_out *o, const struct field *f, const char *least, const char *most)
{
	if (f->min)
		jo_kv_int(o, least, f->min);
	if (f->max)
		jo_kv_int(o, most, f->max);
}

static void schema_default(struct json_out *o, const struct field *f)
{
	if (f->flags & REQUIRED)
		return;
	switch (f->kind) {
	case FIELD_STR:
	case FIELD_ENUM:
		jo_kv(o, "default", f->fallback ? f->fallback : f->names ? f->names[0] : "");
		break;
	case FIELD_INT:
		jo_kv_int(o, "default", f->fallback ? strtoll(f->fallback, NULL, 10) : 0);
		break;
	case FIELD_BOOL:
		jo_kv_bool(o, "default", f->fallback && strcmp(f->fallback, "true") == 0);
		break;
	default:
		break;
	}
}

static void schema_types(struct json_out *o, const char *first, bool or_null)
{
	jo_key(o, "type");
	if (!or_null) {
		jo_str(o, first);
		return;
	}
	jo_open(o, '[');
	jo_str(o, first);
	jo_str(o, "null");
	jo_close(o, ']');
}

static void schema_members(struct json_out *o, const struct contract *c, bool or_null);

static void schema_field(struct json_out *o, const struct field *f)
{
	jo_open(o, '{');
	switch (f->kind) {
	case FIELD_STR:
		schema_types(o, "string", false);
		if (f->flags & NON_BLANK)
			jo_kv(o, "pattern", "\\S");
		schema_bounds(o, f, "minLength", "maxLength");
		break;
	case FIELD_INT:
	case FIELD_OPT_INT:
		schema_types(o, "integer", f->kind == FIELD_OPT_INT);
		schema_bounds(o, f, "minimum", "maximum");
		break;
	case FIELD_BOOL:
		schema_types(o, "boolean", false);
		break;
	case FIELD_ENUM:
		schema_types(o, "string", false);
		jo_key(o, "enum");
		jo_open(o, '[');
		for (size_t i = 0; f->names[i]; i++)
			jo_str(o, f->names[i]);
		jo_close(o, ']');
		break;
	case FIELD_OBJECT:
	case FIELD_OPT_OBJECT:
		schema_members(o, f->of, f->kind == FIELD_OPT_OBJECT);
		break;
	case FIELD_LIST:
	case FIELD_STRINGS:
		schema_types(o, "array", false);
		schema_bounds(o, f, "minItems", "maxItems");
		if (f->flags & UNIQUE)
			jo_kv_bool(o, "uniqueItems", true);
		jo_key(o, "items");
		jo_open(o, '{');
		if (f->kind == FIELD_LIST)
			schema_members(o, f->of, false);
		else
			jo_kv(o, "type", "string");
		jo_close(o, '}');
		break;
	case FIELD_MAP:
		schema_types(o, "object", false);
		schema_bounds(o, f, "minProperties", "maxProperties");
		jo_key(o, "additionalProperties");
		jo_open(o, '{');
		jo_kv(o, "type", "string");
		jo_close(o, '}');
		break;
	case FIELD_JSON:
	case FIELD_END:
		break;
	}
	schema_default(o, f);
	if (f->help)
		jo_kv(o, "description", f->help);
	if (f->flags & SECRET)
		jo_kv_bool(o, "writeOnly", true);
	if (f->example) {
		jo_key(o, "examples");
		jo_open(o, '[');
		jo_raw(o, f->example, strlen(f->example));
		jo_close(o, ']');
	}
	jo_close(o, '}');
}

static void schema_members(struct json_out *o, const struct contract *c, bool or_null)
{
	schema_types(o, "object", or_null);
	jo_kv_bool(o, "additionalProperties", false);
	jo_key(o, "properties");
	jo_open(o, '{');
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++) {
		jo_key(o, f->name);
		schema_field(o, f);
	}
	jo_close(o, '}');
	jo_key(o, "required");
	jo_open(o, '[');
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++)
		if (f->flags & REQUIRED)
			jo_str(o, f->name);
	jo_close(o, ']');
}

void contract_schema(struct json_out *o, const struct contract *c)
{
	jo_open(o, '{');
	jo_kv(o, "title", c->name);
	jo_kv(o, "description", c->help);
	schema_members(o, c, false);
	jo_close(o, '}');
}

static const char *kind_words(struct arena *a, const struct field *f)
{
	static const char *const words[] = {
		[FIELD_STR] = "string",
		[FIELD_INT] = "integer",
		[FIELD_OPT_INT] = "integer or null",
		[FIELD_BOOL] = "boolean",
		[FIELD_OBJECT] = "object",
		[FIELD_OPT_OBJECT] = "object or null",
		[FIELD_LIST] = "array",
		[FIELD_STRINGS] = "array of strings",
		[FIELD_MAP] = "map of strings",
		[FIELD_JSON] = "any",
	};
	if (f->kind == FIELD_ENUM)
		return contract_names(a, f->names);
	return words[f->kind];
}

static void doc_rows(struct buf *b, const struct contract *c, const char *prefix)
{
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++) {
		const char *name = arena_printf(b->arena, "%s%s", prefix, f->name);
		const char *fallback = f->flags & REQUIRED ? "required" : f->fallback ? f->fallback : "";
		buf_printf(b, "| `%s` | %s | %s | %s |\n", name, kind_words(b->arena, f), fallback,
		           f->help ? f->help : "");
		if (f->of)
			doc_rows(b, f->of, arena_printf(b->arena, "%s%s.", name, f->kind == FIELD_LIST ? "[]" : ""));
	}
}

void contract_doc(struct buf *b, const struct contract *c)
{
	buf_printf(b, "%s.\n\n| field | type | default | meaning |\n|---|---|---|---|\n", c->help);
	doc_rows(b, c, "");
}
