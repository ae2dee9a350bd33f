#include "../token_maker.h"
#include "core/jwt.h"

#include <openssl/ec.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}"
#define NOW_MS INT64_C(1800000000000)

static struct arena *a;
static EVP_PKEY *key, *other;

static int set_up(void **state)
{
	(void)state;
	a = arena_new();
	key = make_rsa(2048);
	other = make_rsa(2048);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	arena_free(a);
	return 0;
}

static const char *parsed(const char *token, size_t n, struct jwt *out)
{
	return token_refusal_name(jwt_parse(a, token, n, out));
}

static const char *with_header(const char *header)
{
	struct jwt jwt;
	char *token = make_token(a, key, header, "{}");
	return parsed(token, strlen(token), &jwt);
}

static void a_token_is_taken_apart_and_verified(void **state)
{
	(void)state;
	struct jwt jwt;
	char *token = make_token(a, key, HEADER, "{\"sub\":\"x\"}");
	assert_string_equal(parsed(token, strlen(token), &jwt), "accepted");
	assert_string_equal(jwt.kid, "k1");
	assert_string_equal(json_str(&jwt.claims, "sub", ""), "x");
	assert_true(rs256_verify(&jwt, key));
	assert_false(rs256_verify(&jwt, other));
}

static void a_header_gets_what_it_deserves(void **state)
{
	(void)state;
	static const struct {
		const char *header, *expected;
	} cases[] = {
		{ HEADER, "accepted" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\"}", "accepted" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"jwt\",\"x5t\":\"abc\"}", "accepted" },
		{ "{\"kid\":\"k1\"}", "alg_missing" },
		{ "{}", "alg_missing" },
		{ "{\"alg\":\"none\",\"kid\":\"k1\"}", "alg_none" },
		{ "{\"alg\":\"None\",\"kid\":\"k1\"}", "alg_none" },
		{ "{\"alg\":\"nOnE\",\"kid\":\"k1\"}", "alg_none" },
		{ "{\"alg\":\"\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":null,\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"HS256\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"RS512\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"PS256\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"ES256\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"rs256\",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"RS256 \",\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":[\"RS256\"],\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":256,\"kid\":\"k1\"}", "alg_not_allowed" },
		{ "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"k1\"}", "header_not_json" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"crit\":[\"exp\"]}", "critical_header" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"crit\":[]}", "critical_header" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"b64\":false}", "critical_header" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jku\":\"https://evil.example/jwks\"}", "embedded_key" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"x5u\":\"https://evil.example/c\"}", "embedded_key" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jwk\":{}}", "embedded_key" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"x5c\":[]}", "embedded_key" },
		{ "{\"alg\":\"RS256\"}", "key_id_missing" },
		{ "{\"alg\":\"RS256\",\"kid\":\"\"}", "key_id_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":1}", "key_id_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":null}", "key_id_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":[\"k1\"]}", "key_id_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWE\"}", "token_type_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":1}", "token_type_invalid" },
		{ "{\"alg\":\"RS256\",\"kid\":\"a\\u0000b\"}", "header_not_json" },
		{ "[]", "header_not_json" },
		{ "\"RS256\"", "header_not_json" },
		{ "{\"alg\":\"RS256\"", "header_not_json" },
		{ "", "header_not_json" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k1\"}{}", "header_not_json" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(with_header(cases[i].header), cases[i].expected);
	char *long_kid = arena_alloc(a, 400);
	memset(long_kid, 'k', 300);
	assert_string_equal(with_header(arena_printf(a, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", long_kid)),
	                    "key_id_invalid");
	assert_string_equal(with_header(arena_printf(a, "{\"alg\":\"RS256\",\"kid\":\"%.256s\"}", long_kid)),
	                    "accepted");
}

static void a_token_has_three_parts_of_base64url(void **state)
{
	(void)state;
	struct jwt jwt;
	const char *token = make_token(a, key, HEADER, "{}");
	size_t n = strlen(token);
	assert_string_equal(parsed("", 0, &jwt), "token_missing");
	static const char *const bad[] = { "x", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "e30.e30.e30" };
	for (size_t i = 0; i < countof(bad); i++)
		assert_string_not_equal(parsed(bad[i], strlen(bad[i]), &jwt), "accepted");
	static const struct {
		const char *form, *expected;
	} forms[] = {
		{ "%s.", "token_malformed" },      { ".%s", "token_malformed" },     { "%s.e30", "token_malformed" },
		{ "%s ", "token_not_base64url" },  { " %s", "token_not_base64url" }, { "%s=", "token_not_base64url" },
		{ "%s\n", "token_not_base64url" }, { "%s+", "token_not_base64url" },
	};
	for (size_t i = 0; i < countof(forms); i++) {
		char *changed = arena_alloc(a, n + 8);
		const char *slot = strstr(forms[i].form, "%s");
		memcpy(changed, forms[i].form, (size_t)(slot - forms[i].form));
		memcpy(changed + (slot - forms[i].form), token, n);
		memcpy(changed + (slot - forms[i].form) + n, slot + 2, strlen(slot + 2));
		assert_string_equal(parsed(changed, strlen(changed), &jwt), forms[i].expected);
	}
	for (size_t cut = 1; cut < n; cut++) /* never accepted with a signature that verifies */
		assert_true(jwt_parse(a, token, cut, &jwt) != TOKEN_ACCEPTED || !rs256_verify(&jwt, key));
	char *unsigned_token = arena_strndup(a, token, (size_t)(strrchr(token, '.') - token + 1));
	assert_string_equal(parsed(unsigned_token, strlen(unsigned_token), &jwt), "signature_missing");
}

static void a_claim_part_must_be_an_object(void **state)
{
	(void)state;
	static const char *const bad[] = { "[]", "null", "\"x\"", "{", "{\"a\":1,\"a\":2}", "", "{\"a\":\"\\u0000\"}" };
	for (size_t i = 0; i < countof(bad); i++) {
		struct jwt jwt;
		char *token = make_token(a, key, HEADER, bad[i]);
		assert_string_equal(parsed(token, strlen(token), &jwt), "claims_not_json");
	}
}

static void a_token_beyond_the_limit_is_not_read(void **state)
{
	(void)state;
	struct jwt jwt;
	char *big = arena_alloc(a, JWT_MAX_BYTES + 2);
	memset(big, 'A', JWT_MAX_BYTES + 1);
	assert_string_equal(parsed(big, JWT_MAX_BYTES + 1, &jwt), "token_too_large");
	assert_string_equal(parsed(big, JWT_MAX_BYTES, &jwt), "token_malformed");
}

static void every_changed_character_breaks_a_token(void **state)
{
	(void)state;
	const char *token = make_token(a, key, HEADER, "{\"sub\":\"x\"}");
	for (size_t i = 0; token[i]; i++) {
		struct jwt jwt;
		char *changed = arena_strdup(a, token);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_true(jwt_parse(a, changed, strlen(changed), &jwt) != TOKEN_ACCEPTED || !rs256_verify(&jwt, key));
	}
}

static void a_signature_of_another_kind_does_not_count(void **state)
{
	(void)state;
	struct jwt jwt;
	const char *text = arena_printf(a, "%s.e30", base64url_encode(a, HEADER, strlen(HEADER)));
	char *sha512 = token_sign(a, key, EVP_sha512(), text);
	assert_string_equal(parsed(sha512, strlen(sha512), &jwt), "accepted");
	assert_false(rs256_verify(&jwt, key));
	/* An HMAC with the public key as secret, under a header that claims RS256. */
	unsigned char mac[SHA256_N];
	hmac_sha256("public", 6, text, strlen(text), mac);
	char *hmac = arena_printf(a, "%s.%s", text, base64url_encode(a, mac, sizeof(mac)));
	assert_string_equal(parsed(hmac, strlen(hmac), &jwt), "accepted");
	assert_false(rs256_verify(&jwt, key));
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	char *es = token_sign(a, ec, EVP_sha256(), text);
	assert_string_equal(parsed(es, strlen(es), &jwt), "accepted");
	assert_false(rs256_verify(&jwt, ec));
	EVP_PKEY_free(ec);
}

static const char *claims_say(const char *claims)
{
	struct json j;
	struct err err = { 0 };
	int64_t exp_ms, from_ms;
	assert_true(json_parse(a, claims, strlen(claims), "claims", &j, &err));
	return token_refusal_name(
	        jwt_check_claims(&j, "https://issuer.example", "launchplane", NOW_MS, &exp_ms, &from_ms));
}

#define ISS "\"iss\":\"https://issuer.example\""
#define AUD ",\"aud\":\"launchplane\""
#define EXP ",\"exp\":1800000001"
#define IAT ",\"iat\":1800000000"

static void claims_are_checked_to_the_second(void **state)
{
	(void)state;
	static const struct {
		const char *claims, *expected;
	} cases[] = {
		{ "{" ISS AUD EXP IAT "}", "accepted" },
		{ "{" ISS AUD EXP IAT ",\"nbf\":1800000000}", "accepted" },
		{ "{" ISS ",\"aud\":[\"other\",\"launchplane\"]" EXP IAT "}", "accepted" },
		{ "{\"x\":1" AUD EXP IAT "}", "wrong_issuer" },
		{ "{\"iss\":\"https://issuer.example/\"" AUD EXP IAT "}", "wrong_issuer" },
		{ "{\"iss\":\"HTTPS://issuer.example\"" AUD EXP IAT "}", "wrong_issuer" },
		{ "{\"iss\":\"https://issuer.example.evil\"" AUD EXP IAT "}", "wrong_issuer" },
		{ "{\"iss\":\"\"" AUD EXP IAT "}", "wrong_issuer" },
		{ "{\"iss\":[\"https://issuer.example\"]" AUD EXP IAT "}", "claim_type" },
		{ "{\"iss\":null" AUD EXP IAT "}", "claim_type" },
		{ "{" ISS EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":\"\"" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":\"Launchplane\"" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":\"launchplane \"" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":\"launchplane2\"" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":\"l\xd0\xb0unchplane\"" EXP IAT "}", "wrong_audience" }, /* a Cyrillic letter */
		{ "{" ISS ",\"aud\":[]" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":[\"other\"]" EXP IAT "}", "wrong_audience" },
		{ "{" ISS ",\"aud\":[\"launchplane\",1]" EXP IAT "}", "claim_type" },
		{ "{" ISS ",\"aud\":[[\"launchplane\"]]" EXP IAT "}", "claim_type" },
		{ "{" ISS ",\"aud\":{\"launchplane\":1}" EXP IAT "}", "claim_type" },
		{ "{" ISS ",\"aud\":null" EXP IAT "}", "claim_type" },
		{ "{" ISS AUD IAT "}", "expiry_missing" },
		{ "{" ISS AUD ",\"exp\":1800000000" IAT "}", "token_expired" },
		{ "{" ISS AUD ",\"exp\":1799999999" IAT "}", "token_expired" },
		{ "{" ISS AUD ",\"exp\":0" IAT "}", "token_expired" },
		{ "{" ISS AUD ",\"exp\":\"1800000001\"" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":1800000001.0" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":1e12" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":-1" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":true" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":null" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":9223372036854775807" IAT "}", "claim_type" },
		{ "{" ISS AUD ",\"exp\":9223372036854776" IAT "}", "claim_type" },
		{ "{" ISS AUD EXP "}", "issued_at_missing" },
		{ "{" ISS AUD EXP ",\"iat\":1800000001}", "token_from_the_future" },
		{ "{" ISS AUD EXP ",\"iat\":\"1800000000\"}", "claim_type" },
		{ "{" ISS AUD EXP IAT ",\"nbf\":1800000001}", "token_not_yet_valid" },
		{ "{" ISS AUD EXP IAT ",\"nbf\":\"0\"}", "claim_type" },
		{ "{" ISS AUD EXP IAT ",\"nbf\":null}", "claim_type" },
		{ "{}", "wrong_issuer" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(claims_say(cases[i].claims), cases[i].expected);
}

static const char *odd(const char *jwk)
{
	struct json j;
	struct err err = { 0 };
	const char *why;
	EVP_PKEY *out = NULL;
	assert_true(json_parse(a, jwk, strlen(jwk), "key", &j, &err));
	bool ok = rs256_key_of_jwk(a, &j, &out, &why);
	assert_int_equal(ok, why == NULL);
	EVP_PKEY_free(out);
	return why ? why : "";
}

static void only_rsa_keys_for_rs256_are_taken(void **state)
{
	(void)state;
	assert_string_equal(odd(make_jwk(a, key, "k", "")), "");
	assert_string_equal(odd(make_jwk(a, key, "k", ",\"use\":\"sig\",\"alg\":\"RS256\"")), "");
	assert_string_equal(odd(make_jwk(a, key, "k", ",\"use\":\"enc\"")), "it is not for RS256 signatures");
	assert_string_equal(odd(make_jwk(a, key, "k", ",\"use\":1")), "it is not for RS256 signatures");
	assert_string_equal(odd(make_jwk(a, key, "k", ",\"alg\":\"RS512\"")), "it is not for RS256 signatures");
	assert_string_equal(odd(make_jwk(a, key, "k", ",\"d\":\"AQAB\"")), "it is a private key");
	assert_string_equal(odd("{\"kty\":\"EC\",\"crv\":\"P-256\"}"), "it is no RSA key");
	assert_string_equal(odd("{\"kty\":\"oct\",\"k\":\"AAAA\"}"), "it is no RSA key");
	assert_string_equal(odd("{}"), "it is no RSA key");
	assert_string_equal(odd("[]"), "it is no RSA key");
	assert_string_equal(odd("{\"kty\":\"RSA\",\"n\":\"AQAB\"}"), "its numbers are malformed");
	assert_string_equal(odd("{\"kty\":\"RSA\",\"n\":\"!!\",\"e\":\"AQAB\"}"), "its numbers are malformed");
	assert_string_equal(odd("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQ\"}"), "its numbers are malformed");
	assert_string_equal(odd("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"),
	                    "its size is not between 2048 and 8192 bits");
	EVP_PKEY *small = make_rsa(1024);
	assert_string_equal(odd(make_jwk(a, small, "k", "")), "its size is not between 2048 and 8192 bits");
	EVP_PKEY_free(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_taken_apart_and_verified),
		cmocka_unit_test(a_header_gets_what_it_deserves),
		cmocka_unit_test(a_token_has_three_parts_of_base64url),
		cmocka_unit_test(a_claim_part_must_be_an_object),
		cmocka_unit_test(a_token_beyond_the_limit_is_not_read),
		cmocka_unit_test(every_changed_character_breaks_a_token),
		cmocka_unit_test(a_signature_of_another_kind_does_not_count),
		cmocka_unit_test(claims_are_checked_to_the_second),
		cmocka_unit_test(only_rsa_keys_for_rs256_are_taken),
	};
	return cmocka_run_group_tests_name("jwt", tests, set_up, tear_down);
}
