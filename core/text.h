/* core/text.h - what the wire contract means by blank, trimmed and lower-cased text; lists and maps of
 * texts. White space is ASCII's. Lists and maps reference their strings. */
#pragma once

#include "core/arena.h"

static inline bool is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_blank(const char *s); /* NULL, "" or white space only */
const char *trimmed(struct arena *a, const char *s);
const char *lowered(struct arena *a, const char *s); /* ASCII letters only */

struct strings {
	size_t n;
	const char **v;
};

struct text_pair {
	const char *key, *value;
};

struct text_map {
	size_t n;
	struct text_pair *v;
};

bool strings_have(const struct strings *list, const char *s);
void strings_add(struct arena *a, struct strings *list, const char *s);
void strings_sort(struct strings *list);                            /* by their bytes */
const char *map_get(const struct text_map *map, const char *key);   /* NULL when absent */
bool map_equal(const struct text_map *x, const struct text_map *y); /* in whatever order */
void map_set(struct arena *a, struct text_map *map, const char *key, const char *value);
