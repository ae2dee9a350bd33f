/* A key set: each key is taken whole or refused with a reason. */
#include "core/jwt.h"
#include "fuzz.h"

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n);
	struct json set;
	struct err err = { 0 };
	const struct json *keys = json_parse(a, text, n, "keys", &set, &err) ? json_get(&set, "keys") : NULL;
	for (uint32_t i = 0; keys && keys->type == JSON_ARRAY && i < keys->n; i++) {
		EVP_PKEY *key = NULL;
		const char *why = NULL;
		if (rs256_key_of_jwk(a, &keys->items[i], &key, &why)) {
			assert(EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192);
			EVP_PKEY_free(key);
		} else {
			assert(!key);
		}
	}
	free(text);
}
