/* core/memory.h - what core allocates outside arenas.
 *
 * A test makes the n-th of these fail: fault place "memory.take". Where the caller can do without (a request is
 * refused, a connection is not made) it asks memory_try(); else running out of memory ends the process, and the
 * supervisor starts another (docs/task-model.md). Freed with free(). */
#pragma once

#include "core/base.h"

#include <stddef.h>

/* n bytes of zeroes; NULL when there are none. */
void *memory_try(size_t n);
/* The same, and a copy of a text; they end the process where memory_try() gives NULL. */
void *memory_take(size_t n);
char *memory_text(const char *text);
NORETURN void memory_exhausted(size_t n);
