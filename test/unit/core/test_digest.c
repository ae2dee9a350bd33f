#include "core/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *a;

static int make_arena(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int drop_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static void digests_are_the_published_ones(void **state)
{
	(void)state;
	char hex[SHA256_HEX];
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha1_hex("abc", 3, hex);
	assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
	unsigned char mac[SHA256_N];
	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac); /* RFC 4231, case 2 */
	assert_string_equal(hex_encode(a, mac, sizeof(mac)),
	                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void base64_goes_both_ways(void **state)
{
	(void)state;
	static const char *const pairs[][2] = { { "", "" },
		                                { "f", "Zg==" },
		                                { "fo", "Zm8=" },
		                                { "foo", "Zm9v" },
		                                { "foob", "Zm9vYg==" },
		                                { "fooba", "Zm9vYmE=" },
		                                { "foobar", "Zm9vYmFy" } };
	unsigned char *raw;
	size_t n;
	for (size_t i = 0; i < countof(pairs); i++) {
		assert_string_equal(base64_encode(a, pairs[i][0], strlen(pairs[i][0])), pairs[i][1]);
		assert_true(base64_decode(a, pairs[i][1], strlen(pairs[i][1]), &raw, &n));
		assert_string_equal((char *)raw, pairs[i][0]);
		assert_int_equal(n, strlen(pairs[i][0]));
	}
	assert_string_equal(base64url_encode(a, "\xfb\xff\xfe\xff", 4), "-__-_w");
	assert_true(base64url_decode(a, "-__-_w", 6, &raw, &n));
	assert_memory_equal(raw, "\xfb\xff\xfe\xff", 4);
	unsigned char all[512];
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)(i * 37);
	for (size_t len = 0; len <= sizeof(all); len++) {
		char *text = base64url_encode(a, all, len);
		assert_true(base64url_decode(a, text, strlen(text), &raw, &n));
		assert_int_equal(n, len);
		assert_memory_equal(raw, all, len);
	}
}

static void base64_has_one_text_for_each_value(void **state)
{
	(void)state;
	unsigned char *raw;
	size_t n;
	static const char *const bad[] = { "Zg",       "Zg=",  "Z",      "Z===", "Zh==", "Zm9=",     "Zm9v\n", " Zm9v",
		                           "Zm9v====", "Zm-_", "Zm==9v", "====", "=",    "Zg==Zg==", "Zm9\xc3" };
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(base64_decode(a, bad[i], strlen(bad[i]), &raw, &n));
	static const char *const bad_url[] = { "Zg==", "Zh", "Zm9", "Z", "Zm+/", "Zm9v ", "Zm9v=" };
	for (size_t i = 0; i < countof(bad_url); i++)
		assert_false(base64url_decode(a, bad_url[i], strlen(bad_url[i]), &raw, &n));
	assert_false(base64url_decode(a, "Zm9v\0A", 6, &raw, &n));
}

static void hex_is_read_and_written(void **state)
{
	(void)state;
	unsigned char raw[4];
	assert_true(hex_decode("00fFa5", 6, raw));
	assert_string_equal(hex_encode(a, raw, 3), "00ffa5");
	assert_false(hex_decode("0", 1, raw));
	assert_false(hex_decode("0g", 2, raw));
	assert_false(hex_decode(" 0", 2, raw));
}

static void an_empty_token_equals_nothing(void **state)
{
	(void)state;
	assert_true(token_equal("abc", "abc"));
	assert_false(token_equal("abc", "abd"));
	assert_false(token_equal("ab", "abc"));
	assert_false(token_equal("abc", "ab"));
	assert_false(token_equal("", ""));
	assert_false(token_equal("abc", ""));
	assert_false(token_equal("", "abc"));
	assert_false(token_equal("abc", NULL));
	assert_false(token_equal(NULL, "abc"));
	assert_true(bytes_equal("a\0b", 3, "a\0b", 3));
	assert_false(bytes_equal("a\0b", 3, "a\0c", 3));
	assert_false(bytes_equal("a", 1, "ab", 2));
}

static void a_trace_id_has_its_shape(void **state)
{
	(void)state;
	const char *one = id_trace(a), *two = id_trace(a);
	assert_int_equal(strncmp(one, "launchplane_req_", 16), 0);
	assert_int_equal(strlen(one), 48);
	assert_int_equal(strspn(one + 16, "0123456789abcdef"), 32);
	assert_int_equal(one[16 + 12], '4'); /* a random UUID */
	assert_non_null(strchr("89ab", one[16 + 16]));
	assert_string_not_equal(one, two);
	assert_int_equal(strlen(random_hex(a, 6)), 12);
	assert_int_equal(strlen(random_base64url(a, 32)), 43);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_the_published_ones),     cmocka_unit_test(base64_goes_both_ways),
		cmocka_unit_test(base64_has_one_text_for_each_value), cmocka_unit_test(hex_is_read_and_written),
		cmocka_unit_test(an_empty_token_equals_nothing),      cmocka_unit_test(a_trace_id_has_its_shape),
	};
	return cmocka_run_group_tests_name("digest", tests, make_arena, drop_arena);
}
