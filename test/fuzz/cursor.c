/* A cursor: one that is taken reads the same when it is handed out again, and belongs to one list only. The first byte
 * chooses the keys, and whether the rest is a cursor or what is written in one. */
#include "storage/cursor.h"

#include "core/digest.h"
#include "fuzz.h"

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	static const char *const kinds[] = { "t", "i", "tt", "ti", "tttttt" };
	if (n == 0)
		return;
	const char *keys = kinds[data[0] % 5];
	char *text = fuzz_text(data + 1, n - 1);
	const char *cursor = data[0] & 0x80 ? text : base64url_encode(a, text, n - 1);
	const char *values[CURSOR_KEYS_MAX], *again[CURSOR_KEYS_MAX];
	struct err err = { 0 };
	if (!cursor_decode(a, cursor, "things", keys, values, &err)) {
		fuzz_refused(&err);
	} else {
		const char *written = cursor_encode(a, "things", keys, values);
		assert(cursor_decode(a, written, "things", keys, again, &err));
		for (size_t i = 0; keys[i]; i++)
			assert(strcmp(values[i], again[i]) == 0);
		assert(!cursor_decode(a, written, "others", keys, again, &err));
	}
	free(text);
}
