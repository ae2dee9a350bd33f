#include "core/memory.h"

#include "core/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NORETURN void memory_exhausted(size_t n)
{
	fprintf(stderr, "{\"level\":\"error\",\"event\":\"memory.exhausted\",\"bytes\":%zu}\n", n);
	abort();
}

void *memory_try(size_t n)
{
	return fault_at("memory.take", NULL) ? NULL : calloc(1, n);
}

void *memory_take(size_t n)
{
	void *p = memory_try(n);
	if (!p)
		memory_exhausted(n);
	return p;
}

char *memory_text(const char *text)
{
	size_t n = strlen(text) + 1;
	return memcpy(memory_take(n), text, n);
}
