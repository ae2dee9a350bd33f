#include "server/cli/print.h"

#include <string.h>

#define COLUMNS_MAX 16

static size_t columns_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80; /* each character of UTF-8 once */
	return n;
}

static void pad(struct buf *b, size_t have, size_t want)
{
	for (; have < want; have++)
		buf_char(b, ' ');
}

static void clean(struct buf *b, const char *text)
{
	for (; *text; text++) {
		bool is_control = (unsigned char)*text < ' ' || *text == 0x7f;
		buf_add(b, is_control ? " " : text, 1);
	}
}

static bool is_scalar(const struct json *j)
{
	return j->type != JSON_ARRAY && j->type != JSON_OBJECT;
}

static bool says_nothing(const struct json *j)
{
	return j->type == JSON_NULL || ((j->type == JSON_STRING || !is_scalar(j)) && j->n == 0);
}

static bool is_flat(const struct json *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (!is_scalar(&list->items[i]))
			return false;
	return true;
}

void print_value(struct buf *b, const struct json *j)
{
	if (j->type == JSON_STRING) {
		clean(b, j->string);
	} else if (j->type == JSON_ARRAY && is_flat(j)) {
		for (size_t i = 0; i < j->n; i++) {
			buf_str(b, i ? ", " : "");
			print_value(b, &j->items[i]);
		}
	} else if (j->type != JSON_NULL) {
		json_write(b, j);
	}
}

struct line {
	const char *name;
	const struct json *value;
};

/* Counts the lines; with lines fills them as well. */
static size_t collect(struct arena *a, const char *path, const struct json *j, struct line *lines, size_t n)
{
	if (says_nothing(j))
		return n;
	if (is_scalar(j) || (j->type == JSON_ARRAY && is_flat(j))) {
		if (lines)
			lines[n] = (struct line){ path, j };
		return n + 1;
	}
	for (size_t i = 0; i < j->n; i++) {
		if (j->type == JSON_ARRAY)
			n = collect(a, arena_printf(a, "%s[%zu]", path, i), &j->items[i], lines, n);
		else
			n = collect(a, arena_printf(a, "%s%s%s", path, path[0] ? "." : "", j->members[i].key),
			            &j->members[i].value, lines, n);
	}
	return n;
}

void print_fields(struct buf *b, const struct json *object)
{
	size_t n = collect(b->arena, "", object, NULL, 0), widest = 0;
	struct line *lines = arena_array(b->arena, n + 1, sizeof(*lines));
	collect(b->arena, "", object, lines, 0);
	for (size_t i = 0; i < n; i++)
		if (columns_of(lines[i].name) > widest)
			widest = columns_of(lines[i].name);
	for (size_t i = 0; i < n; i++) {
		clean(b, lines[i].name);
		pad(b, columns_of(lines[i].name), widest + 2);
		print_value(b, lines[i].value);
		buf_char(b, '\n');
	}
}

static const char *cell(struct arena *a, const struct json *item, const char *path)
{
	const struct json *j = json_path(item, path);
	struct buf b = buf_in(a);
	if (j)
		print_value(&b, j);
	return b.n ? buf_cstr(&b) : "-";
}

static void print_row(struct buf *b, const char *const *cells, const size_t *widths, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		buf_str(b, cells[k]);
		if (k + 1 < n)
			pad(b, columns_of(cells[k]), widths[k] + 2);
	}
	buf_char(b, '\n');
}

void print_table(struct buf *b, const struct json *list, const struct column *columns)
{
	const char *titles[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX], n = 0;
	for (; columns[n].title && n < COLUMNS_MAX; n++) {
		titles[n] = columns[n].title;
		widths[n] = columns_of(titles[n]);
	}
	const char **cells = arena_array(b->arena, list->n * n + 1, sizeof(*cells));
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < n; k++) {
			const char *text = cells[i * n + k] = cell(b->arena, &list->items[i], columns[k].path);
			if (columns_of(text) > widths[k])
				widths[k] = columns_of(text);
		}
	print_row(b, titles, widths, n);
	for (size_t i = 0; i < list->n; i++)
		print_row(b, cells + i * n, widths, n);
}

void print_warnings(struct buf *b, const struct json *list)
{
	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->n; i++) {
		buf_str(b, "warning: ");
		print_value(b, &list->items[i]);
		buf_char(b, '\n');
	}
}
