/* core/buf.h - a growing byte string in an arena. Always NUL-terminated behind its n bytes. */
#pragma once

#include "core/arena.h"

#include <string.h>

struct buf {
	struct arena *arena;
	char *p;
	size_t n, cap;
};

static inline struct buf buf_in(struct arena *a)
{
	return (struct buf){ .arena = a };
}
void buf_grow(struct buf *b, size_t n);

/* Room for n more bytes and the NUL behind them; they are written at p + n. */
static inline char *buf_room(struct buf *b, size_t n)
{
	if (b->cap - b->n <= n)
		buf_grow(b, n);
	return b->p + b->n;
}
static inline void buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_room(b, n);
	if (n)
		memcpy(to, p, n);
	b->n += n;
	to[n] = '\0';
}
static inline void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}
static inline void buf_char(struct buf *b, char c)
{
	char *to = buf_room(b, 1);
	to[0] = c;
	to[1] = '\0';
	b->n++;
}
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Percent-encoded, for a path segment, a query value or a form's. */
void buf_escaped(struct buf *b, const char *s);
const char *buf_cstr(struct buf *b); /* "" when nothing was added */
