#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct arena *a;
	if (!a)
		a = arena_new();
	fuzz_one(a, data, n);
	arena_reset(a);
	return 0;
}
