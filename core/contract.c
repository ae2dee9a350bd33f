#include "core/contract.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Bounds where a field names none: what a client controls must end somewhere. */
#define STR_MAX      65536
#define LIST_MAX     2000
#define ITEM_STR_MAX 16384

/* ---- paths and failures ---- */

const char *contract_field_path(struct arena *a, const char *path, const char *member)
{
	if (!path[0])
		return member;
	size_t n = strlen(path), member_n = strlen(member);
	char *joined = arena_alloc(a, n + member_n + 2);
	char *at = mempcpy(joined, path, n);
	*at++ = '.';
	memcpy(at, member, member_n + 1);
	return joined;
}

#undef contract_fail
bool contract_fail(struct arena *a, struct err *err, const char *path, const char *member, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	return err_field(err, contract_field_path(a, path, member), "%s", text);
}

static const char *type_name(const struct json *j)
{
	static const char *const names[] = { "null",     "a boolean", "a number", "a number",
		                             "a string", "an array",  "an object" };
	return names[j->type];
}

static bool wrong_type(struct err *err, const char *path, const char *wanted, const struct json *got)
{
	return err_field(err, path, "must be %s, not %s", wanted, type_name(got));
}

/* ---- reading ---- */

static bool read_str(struct arena *a, const struct field *f, const struct json *j, const char *path, long long most,
                     const char **out, struct err *err)
{
	if (j->type != JSON_STRING)
		return wrong_type(err, path, "a string", j);
	const char *s = j->string;
	if (f->flags & (TRIMMED | LOWERED))
		s = trimmed(a, s);
	if (f->flags & LOWERED)
		s = lowered(a, s);
	if ((f->flags & NON_BLANK) && is_blank(s))
		return err_field(err, path, "must not be blank");
	if (f->flags & NO_BLANKS)
		for (const char *p = s; *p; p++)
			if (is_white(*p))
				return err_field(err, path, "must not contain white space");
	size_t n = strlen(s);
	if (n > (size_t)most)
		return err_field(err, path, "must not be longer than %lld bytes", most);
	if (f->min > 0 && n < (size_t)f->min)
		return err_field(err, path, "must have at least %lld bytes", f->min);
	*out = s;
	return true;
}

static bool read_int(const struct field *f, const struct json *j, const char *path, int64_t *out, struct err *err)
{
	if (j->type != JSON_INT)
		return wrong_type(err, path, "a whole number", j);
	if (j->integer < f->min || (f->max && j->integer > f->max)) {
		if (f->max)
			return err_field(err, path, "must be from %lld to %lld", f->min, f->max);
		return err_field(err, path, "must be at least %lld", f->min);
	}
	*out = j->integer;
	return true;
}

const char *contract_names(struct arena *a, const char *const *names)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; names[i]; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", names[i][0] ? names[i] : "\"\"");
	return buf_cstr(&b);
}

static bool read_enum(struct arena *a, const struct field *f, const struct json *j, const char *path, int *out,
                      struct err *err)
{
	if (j->type != JSON_STRING)
		return wrong_type(err, path, "a string", j);
	for (int i = 0; f->names[i]; i++) {
		if (strcmp(f->names[i], j->string) == 0) {
			*out = i;
			return true;
		}
	}
	return err_field(err, path, "must be one of %s", contract_names(a, f->names));
}

static bool check_count(const struct field *f, uint32_t n, const char *path, struct err *err)
{
	long long most = f->max ? f->max : LIST_MAX;
	if (n > most)
		return err_field(err, path, "must not have more than %lld entries", most);
	if ((long long)n < f->min)
		return err_field(err, path, f->min == 1 ? "must not be empty" : "must have at least %lld entries",
		                 f->min);
	return true;
}

static bool read_strings(struct arena *a, const struct field *f, const struct json *j, const char *path,
                         struct strings *out, struct err *err)
{
	if (j->type != JSON_ARRAY)
		return wrong_type(err, path, "an array of strings", j);
	if (!check_count(f, j->n, path, err))
		return false;
	*out = (struct strings){ .v = arena_array(a, j->n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < j->n; i++) {
		const char *at = arena_printf(a, "%s[%u]", path, i);
		const struct field item = { .flags = f->flags };
		const char *s;
		if (!read_str(a, &item, &j->items[i], at, ITEM_STR_MAX, &s, err))
			return false;
		if ((f->flags & UNIQUE) && strings_have(out, s))
			return err_field(err, at, "is there twice");
		out->v[out->n++] = s;
	}
	return true;
}

static bool read_map(struct arena *a, const struct field *f, const struct json *j, const char *path,
                     struct text_map *out, struct err *err)
{
	if (j->type != JSON_OBJECT)
		return wrong_type(err, path, "an object with string values", j);
	if (!check_count(f, j->n, path, err))
		return false;
	*out = (struct text_map){ .v = arena_array(a, j->n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json_member *m = &j->members[i];
		const char *at = contract_field_path(a, path, m->key);
		if (is_blank(m->key))
			return err_field(err, path, "must not have a blank key");
		const struct field value = { .flags = f->flags };
		const char *s;
		if (!read_str(a, &value, &m->value, at, ITEM_STR_MAX, &s, err))
			return false;
		out->v[out->n++] = (struct text_pair){ m->key, s };
	}
	return true;
}

static bool read_list(struct arena *a, const struct field *f, const struct json *j, const char *path,
                      struct any_list *out, struct err *err)
{
	if (j->type != JSON_ARRAY)
		return wrong_type(err, path, "an array", j);
	if (!check_count(f, j->n, path, err))
		return false;
	*out = (struct any_list){ .v = arena_array(a, j->n + 1, f->of->size) };
	for (uint32_t i = 0; i < j->n; i++) {
		const char *at = arena_printf(a, "%s[%u]", path, i);
		if (!contract_read(a, f->of, &j->items[i], at, (char *)out->v + i * f->of->size, err))
			return false;
		out->n++;
	}
	return true;
}

static bool read_field(struct arena *a, const struct field *f, const struct json *j, const char *path, void *p,
                       struct err *err)
{
	switch (f->kind) {
	case FIELD_STR:
		return read_str(a, f, j, path, f->max ? f->max : STR_MAX, p, err);
	case FIELD_INT:
		return read_int(f, j, path, p, err);
	case FIELD_OPT_INT: {
		struct opt_int *o = p;
		*o = (struct opt_int){ 0 };
		if (j->type == JSON_NULL)
			return true;
		o->is_set = true;
		return read_int(f, j, path, &o->value, err);
	}
	case FIELD_BOOL:
		if (j->type != JSON_BOOL)
			return wrong_type(err, path, "true or false", j);
		*(bool *)p = j->boolean;
		return true;
	case FIELD_ENUM:
		return read_enum(a, f, j, path, p, err);
	case FIELD_OBJECT:
		return contract_read(a, f->of, j, path, p, err);
	case FIELD_OPT_OBJECT: {
		void **q = p;
		*q = NULL;
		if (j->type == JSON_NULL)
			return true;
		*q = arena_alloc(a, f->of->size);
		return contract_read(a, f->of, j, path, *q, err);
	}
	case FIELD_LIST:
		return read_list(a, f, j, path, p, err);
	case FIELD_STRINGS:
		return read_strings(a, f, j, path, p, err);
	case FIELD_MAP:
		return read_map(a, f, j, path, p, err);
	case FIELD_JSON:
		*(const struct json **)p = j->type == JSON_NULL ? NULL : j;
		return true;
	case FIELD_END:
		break;
	}
	abort(); /* a field of an unknown kind */
}

static void default_field(struct arena *a, const struct field *f, void *p)
{
	const char *text = f->fallback;
	switch (f->kind) {
	case FIELD_STR:
		*(const char **)p = text ? text : "";
		break;
	case FIELD_INT:
		*(int64_t *)p = text ? strtoll(text, NULL, 10) : 0;
		break;
	case FIELD_OPT_INT:
		*(struct opt_int *)p = (struct opt_int){ 0 };
		break;
	case FIELD_BOOL:
		*(bool *)p = text && strcmp(text, "true") == 0;
		break;
	case FIELD_ENUM: {
		int *value = p;
		*value = 0;
		for (int i = 0; text && f->names[i]; i++)
			if (strcmp(f->names[i], text) == 0)
				*value = i;
		break;
	}
	case FIELD_OBJECT:
		contract_defaults(a, f->of, p);
		break;
	case FIELD_OPT_OBJECT:
	case FIELD_JSON:
		*(void **)p = NULL;
		break;
	case FIELD_STRINGS: {
		/* A default list is written as its words. */
		struct strings *list = p;
		*list = (struct strings){ 0 };
		while (text && *text) {
			size_t n = strcspn(text, " ");
			strings_add(a, list, arena_strndup(a, text, n));
			text += n + strspn(text + n, " ");
		}
		break;
	}
	case FIELD_LIST:
	case FIELD_MAP:
		*(struct any_list *)p = (struct any_list){ 0 };
		break;
	case FIELD_END:
		break;
	}
}

void contract_defaults(struct arena *a, const struct contract *c, void *out)
{
	memset(out, 0, c->size);
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++)
		default_field(a, f, (char *)out + f->offset);
}

static const struct field *field_named(const struct contract *c, const char *name)
{
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* The member of that name. *next is where to look first: members mostly come in the order of the fields. */
static const struct json *next_member(const struct json *j, const char *name, uint32_t *next)
{
	for (uint32_t i = 0; i < j->n; i++) {
		uint32_t at = *next + i < j->n ? *next + i : *next + i - j->n;
		const char *key = j->members[at].key;
		if (key[0] == name[0] && strcmp(key, name) == 0) {
			*next = at + 1 < j->n ? at + 1 : 0;
			return &j->members[at].value;
		}
	}
	return NULL;
}

static bool unknown_member(struct arena *a, const struct contract *c, const struct json *j, const char *path,
                           struct err *err)
{
	for (uint32_t i = 0; i < j->n; i++) {
		if (field_named(c, j->members[i].key))
			continue;
		char shown[80];
		snprintf(shown, sizeof(shown), "%s", j->members[i].key);
		return err_field(err, contract_field_path(a, path, shown), "is not a known field here");
	}
	abort(); /* the members were counted wrongly */
}

#define FIELDS_MAX 64

bool contract_read(struct arena *a, const struct contract *c, const struct json *j, const char *path, void *out,
                   struct err *err)
{
	if (j->type != JSON_OBJECT)
		return wrong_type(err, path[0] ? path : "body", "an object", j);
	contract_defaults(a, c, out);
	const struct json *values[FIELDS_MAX];
	uint32_t found = 0, next = 0;
	size_t n = 0;
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++) {
		assert(n < FIELDS_MAX);
		values[n] = next_member(j, f->name, &next);
		found += values[n++] != NULL;
	}
	if (found < j->n)
		return unknown_member(a, c, j, path, err);
	for (size_t i = 0; i < n; i++) {
		const struct field *f = &c->fields[i];
		if (!values[i] && (f->flags & REQUIRED))
			return err_field(err, contract_field_path(a, path, f->name), "is required");
		if (values[i] &&
		    !read_field(a, f, values[i], contract_field_path(a, path, f->name), (char *)out + f->offset, err))
			return false;
	}
	return !c->check || c->check(a, out, path, err);
}

bool contract_read_text(struct arena *a, const struct contract *c, const char *text, size_t n, const char *what,
                        void *out, struct err *err)
{
	struct json j;
	return json_parse(a, text, n, what, &j, err) && contract_read(a, c, &j, "", out, err);
}

const char *contract_str(const struct contract *c, const void *record, const char *dotted)
{
	for (;;) {
		char name[128];
		size_t n = strcspn(dotted, ".");
		assert(n < sizeof(name));
		memcpy(name, dotted, n);
		name[n] = '\0';
		const struct field *f = field_named(c, name);
		if (!f)
			return NULL;
		const void *p = (const char *)record + f->offset;
		if (f->kind == FIELD_STR)
			return dotted[n] ? NULL : *(const char *const *)p;
		if (f->kind == FIELD_ENUM)
			return dotted[n] ? NULL : f->names[*(const int *)p];
		if (f->kind == FIELD_OPT_OBJECT)
			p = *(const void *const *)p;
		else if (f->kind != FIELD_OBJECT)
			return NULL;
		if (!p || !dotted[n])
			return NULL;
		c = f->of;
		record = p;
		dotted += n + 1;
	}
}

/* ---- writing ---- */

static void write_strings(struct json_out *o, const struct strings *list)
{
	jo_open(o, '[');
	for (size_t i = 0; i < list->n; i++)
		jo_str(o, list->v[i]);
	jo_close(o, ']');
}

void jo_kv_strings(struct json_out *o, const char *key, const struct strings *list)
{
	jo_key(o, key);
	write_strings(o, list);
}

static void write_field(struct json_out *o, const struct field *f, const void *p)
{
	switch (f->kind) {
	case FIELD_STR:
		jo_str(o, *(const char *const *)p ? *(const char *const *)p : "");
		break;
	case FIELD_INT:
		jo_int(o, *(const int64_t *)p);
		break;
	case FIELD_OPT_INT: {
		const struct opt_int *v = p;
		if (v->is_set)
			jo_int(o, v->value);
		else
			jo_null(o);
		break;
	}
	case FIELD_BOOL:
		jo_bool(o, *(const bool *)p);
		break;
	case FIELD_ENUM:
		jo_str(o, f->names[*(const int *)p]);
		break;
	case FIELD_OBJECT:
		contract_write(o, f->of, p);
		break;
	case FIELD_OPT_OBJECT: {
		const void *q = *(const void *const *)p;
		if (q)
			contract_write(o, f->of, q);
		else
			jo_null(o);
		break;
	}
	case FIELD_LIST: {
		const struct any_list *list = p;
		jo_open(o, '[');
		for (size_t i = 0; i < list->n; i++)
			contract_write(o, f->of, (const char *)list->v + i * f->of->size);
		jo_close(o, ']');
		break;
	}
	case FIELD_STRINGS:
		write_strings(o, p);
		break;
	case FIELD_MAP: {
		const struct text_map *map = p;
		jo_open(o, '{');
		for (size_t i = 0; i < map->n; i++)
			jo_kv(o, map->v[i].key, map->v[i].value);
		jo_close(o, '}');
		break;
	}
	case FIELD_JSON: {
		const struct json *j = *(const struct json *const *)p;
		if (j)
			jo_json(o, j);
		else
			jo_null(o);
		break;
	}
	case FIELD_END:
		break;
	}
}

void contract_write(struct json_out *o, const struct contract *c, const void *record)
{
	jo_open(o, '{');
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++) {
		if (f->flags & (SECRET | RETIRED))
			continue;
		jo_key(o, f->name);
		write_field(o, f, (const char *)record + f->offset);
	}
	jo_close(o, '}');
}

#define RECORD_ROOM 2000 /* most records fit */

char *contract_text(struct arena *a, const struct contract *c, const void *record)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	buf_room(&b, RECORD_ROOM);
	contract_write(&o, c, record);
	return b.p;
}

static void drop_nulls(struct json *j)
{
	if (j->type == JSON_ARRAY) {
		for (uint32_t i = 0; i < j->n; i++)
			drop_nulls(&j->items[i]);
		return;
	}
	if (j->type != JSON_OBJECT)
		return;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < j->n; i++) {
		if (j->members[i].value.type == JSON_NULL)
			continue;
		j->members[kept] = j->members[i];
		drop_nulls(&j->members[kept++].value);
	}
	j->n = kept;
}

struct json contract_json(struct arena *a, const struct contract *c, const void *record, bool drop_null)
{
	struct json j;
	struct err err = { 0 };
	const char *text = contract_text(a, c, record);
	bool ok = json_parse(a, text, strlen(text), c->name, &j, &err);
	assert(ok);
	(void)ok;
	if (drop_null)
		drop_nulls(&j);
	return j;
}
