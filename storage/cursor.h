/* storage/cursor.h - where a list goes on: the sort keys of the last row a caller has seen, as one opaque word.
 *
 * A list reads the rows behind those keys (keyset), so a page costs the same wherever it lies, and rows that come or go
 * between two pages neither repeat nor hide others. */
#pragma once

#include "core/json.h"

#define CURSOR_KEYS_MAX 6

/* keys: one letter each, t for any text, i for a whole number. list names what the cursor belongs to. */
char *cursor_encode(struct arena *a, const char *list, const char *keys, const char *const *values);
/* E_invalid_query unless text is a cursor that the same list gave out. */
bool cursor_decode(struct arena *a, const char *text, const char *list, const char *keys, const char **values,
                   struct err *err);
