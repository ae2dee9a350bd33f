/* JSON: what is read is written so that it reads the same; the canonical form is stable. */
#include "core/json.h"
#include "fuzz.h"

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n);
	struct json first, second;
	struct err err = { 0 };
	if (!json_parse(a, text, n, "input", &first, &err)) {
		fuzz_refused(&err);
		free(text);
		return;
	}
	const char *written = json_text(a, &first);
	assert(json_parse(a, written, strlen(written), "written", &second, &err));
	assert(strcmp(json_text(a, &second), written) == 0);
	struct buf canonical = buf_in(a), again = buf_in(a);
	json_write_canonical(&canonical, &first);
	assert(json_parse(a, canonical.p, canonical.n, "canonical", &second, &err));
	json_write_canonical(&again, &second);
	assert(canonical.n == again.n && memcmp(canonical.p, again.p, again.n) == 0);
	free(text);
}
