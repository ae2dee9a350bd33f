/* A bearer token: never accepted, whatever it holds, as nobody signed it. */
#include "core/jwt.h"

#include "fuzz.h"
#include <openssl/rsa.h>

#define NOW_MS 1790000000000

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	static EVP_PKEY *key;
	if (!key)
		key = EVP_RSA_gen(2048);
	char *text = fuzz_text(data, n);
	struct jwt jwt;
	enum token_refusal why = jwt_parse(a, text, n, &jwt);
	assert(token_refusal_name(why)[0]);
	if (why == TOKEN_ACCEPTED) {
		assert(n <= JWT_MAX_BYTES && jwt.kid && jwt.signed_part >= text &&
		       jwt.signed_part + jwt.signed_n <= text + n);
		assert(!rs256_verify(&jwt, key));
		int64_t exp_ms = 0, from_ms = 0;
		why = jwt_check_claims(&jwt.claims, "https://issuer.example", "launchplane", NOW_MS, &exp_ms, &from_ms);
		assert(why != TOKEN_ACCEPTED || exp_ms > NOW_MS - 60000 * 60);
	}
	free(text);
}
