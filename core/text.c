#include "core/text.h"

#include <stdlib.h>
#include <string.h>

bool is_blank(const char *s)
{
	while (s && *s && is_white(*s))
		s++;
	return !s || !*s;
}

const char *trimmed(struct arena *a, const char *s)
{
	while (is_white(*s))
		s++;
	size_t n = strlen(s);
	while (n && is_white(s[n - 1]))
		n--;
	return s[n] ? arena_strndup(a, s, n) : s;
}

const char *lowered(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);
	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	return copy;
}

/* ---- lists and maps of texts ---- */

bool strings_have(const struct strings *list, const char *s)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], s) == 0)
			return true;
	return false;
}

void strings_add(struct arena *a, struct strings *list, const char *s)
{
	const char **v = arena_array(a, list->n + 1, sizeof(*v));
	if (list->n)
		memcpy(v, list->v, list->n * sizeof(*v));
	v[list->n++] = s;
	list->v = v;
}

const char *map_get(const struct text_map *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->v[i].key, key) == 0)
			return map->v[i].value;
	return NULL;
}

bool map_equal(const struct text_map *x, const struct text_map *y)
{
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		const char *other = map_get(y, x->v[i].key);
		if (!other || strcmp(other, x->v[i].value) != 0)
			return false;
	}
	return true;
}

void map_set(struct arena *a, struct text_map *map, const char *key, const char *value)
{
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->v[i].key, key) == 0) {
			map->v[i].value = value;
			return;
		}
	}
	struct text_pair *v = arena_array(a, map->n + 1, sizeof(*v));
	if (map->n)
		memcpy(v, map->v, map->n * sizeof(*v));
	v[map->n++] = (struct text_pair){ key, value };
	map->v = v;
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

void strings_sort(struct strings *list)
{
	if (list->n > 1)
		qsort(list->v, list->n, sizeof(*list->v), by_text);
}
