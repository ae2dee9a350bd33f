/* core/arena.h - memory that lives as long as a request or a phase.
 *
 * An arena hands out memory that is never freed singly; arena_reset() gives all of it back at once and runs what
 * arena_defer() registered, newest first. Running out of memory aborts, so bound every size a client controls first.
 * One arena belongs to one task; it is not shared between threads. Memory is aligned for any type and zeroed. */
#pragma once

#include "core/base.h"

#include <stdarg.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);

void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t n, size_t size); /* aborts when n * size overflows */
char *arena_strdup(struct arena *a, const char *s);        /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list args) PRINTF(2, 0);
void arena_defer(struct arena *a, void (*fn)(void *), void *arg);
/* Until the next reset, for requests and phases that carry secrets: what is handed out lies in memory that no core dump
 * shows, and everything is overwritten at the end. */
void arena_wipe_on_reset(struct arena *a);
bool arena_wipes(const struct arena *a);
size_t arena_used(const struct arena *a); /* bytes handed out since the last reset */

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
