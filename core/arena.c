#include "core/arena.h"

#include "core/fault.h"
#include "core/hidden.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define REDZONE        16
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define REDZONE        0
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define FIRST_CHUNK 8192u
#define ALIGN       16u

struct chunk {
	struct chunk *next;
	size_t size, used; /* of data */
	bool is_hidden;    /* see core/hidden.h */
	_Alignas(ALIGN) char data[];
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *);
	void *arg;
};

struct arena {
	struct chunk *chunks; /* newest first; the oldest is kept over resets */
	struct deferred *deferred;
	size_t used;
	bool wipes;
};

static struct chunk *chunk_new(size_t size, struct chunk *next, bool is_hidden)
{
	if (is_hidden)
		size = hidden_room(sizeof(struct chunk) + size) - sizeof(struct chunk);
	struct chunk *c = is_hidden ? hidden_alloc(sizeof(*c) + size) : malloc(sizeof(*c) + size);
	if (!c || fault_at("arena.grow", NULL))
		memory_exhausted(size);
	c->next = next;
	c->size = size;
	c->used = 0;
	c->is_hidden = is_hidden;
	POISON(c->data, size);
	return c;
}

static void chunk_free(struct chunk *c, bool wipes)
{
	UNPOISON(c->data, c->size);
	if (c->is_hidden) {
		hidden_free(c, sizeof(*c) + c->size);
		return;
	}
	if (wipes)
		explicit_bzero(c->data, c->used);
	free(c);
}

struct arena *arena_new(void)
{
	struct arena *a = memory_take(sizeof(*a));
	a->chunks = chunk_new(FIRST_CHUNK, NULL, false);
	return a;
}

void arena_reset(struct arena *a)
{
	while (a->deferred) {
		struct deferred *d = a->deferred;
		a->deferred = d->next;
		d->fn(d->arg);
	}
	while (a->chunks->next) {
		struct chunk *c = a->chunks;
		a->chunks = c->next;
		chunk_free(c, a->wipes);
	}
	if (a->wipes) {
		UNPOISON(a->chunks->data, a->chunks->size);
		explicit_bzero(a->chunks->data, a->chunks->used);
		a->wipes = false;
	}
	a->chunks->used = 0;
	POISON(a->chunks->data, a->chunks->size);
	a->used = 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	chunk_free(a->chunks, false);
	free(a);
}

void *arena_bytes(struct arena *a, size_t n)
{
	if (n > SIZE_MAX / 4)
		memory_exhausted(n);
	size_t need = (n + REDZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct chunk *c = a->chunks;
	if (c->size - c->used < need || (a->wipes && !c->is_hidden)) {
		size_t size = c->size * 2;
		if (size > 1u << 20)
			size = 1u << 20;
		if (size < need)
			size = need;
		c = a->chunks = chunk_new(size, c, a->wipes);
	}
	void *p = c->data + c->used;
	c->used += need;
	a->used += need;
	UNPOISON(p, n);
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	return memset(arena_bytes(a, n), 0, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(n, size, &total))
		memory_exhausted(n);
	return arena_alloc(a, total);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *copy = arena_bytes(a, n + 1);
	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	if (n < 0)
		memory_exhausted(0);
	char *s = arena_alloc(a, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *s = arena_vprintf(a, fmt, args);
	va_end(args);
	return s;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *arg)
{
	struct deferred *d = ARENA_NEW(a, struct deferred);
	d->fn = fn;
	d->arg = arg;
	d->next = a->deferred;
	a->deferred = d;
}

void arena_wipe_on_reset(struct arena *a)
{
	a->wipes = true;
}

bool arena_wipes(const struct arena *a)
{
	return a->wipes;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
