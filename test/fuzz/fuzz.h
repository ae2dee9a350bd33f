/* test/fuzz/fuzz.h - what fuzz targets share. A target is one file with a fuzz_one(): bytes in, nothing out; it asserts
 * what must hold for every input. `ci/run fuzz` lets libFuzzer look for inputs that break it; replay.c runs the kept
 * ones (test/fuzz/corpus/<target>/) as a unit test. */
#pragma once

#include "core/arena.h"
#include "core/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* a is empty at the start and reset afterwards. */
void fuzz_one(struct arena *a, const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input in memory of its own, NUL behind its last byte: reading one too far is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t n)
{
	char *p = malloc(n + 1);
	if (!p)
		abort();
	if (n)
		memcpy(p, data, n);
	p[n] = '\0';
	return p;
}

/* A refusal has a code and a sentence. */
static inline void fuzz_refused(const struct err *err)
{
	assert(err->code && err->message[0]);
}
