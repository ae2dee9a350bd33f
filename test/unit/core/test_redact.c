#include "core/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text, *expected;
} cases[] = {
	{ "", "" },
	{ "nothing to see, here; at all", "nothing to see, here; at all" },
	{ "PASSWORD=abc", "PASSWORD=[redacted]" },
	{ "password=abc next", "password=[redacted] next" },
	{ "DB_PASS: abc,USER=me", "DB_PASS: [redacted],USER=me" },
	{ "MY_TOKEN=abc;X=1", "MY_TOKEN=[redacted];X=1" },
	{ "MY_SECRET_NAME=abc\nX=1", "MY_SECRET_NAME=[redacted]\nX=1" },
	{ "API_KEY=\"a b, c\" tail", "API_KEY=\"[redacted]\" tail" },
	{ "ACCESS_KEY='a b; c' tail", "ACCESS_KEY='[redacted]' tail" },
	{ "PRIVATE_KEY = x y", "PRIVATE_KEY = [redacted] y" },
	{ "TOKEN=\"a\\\"b c\" d", "TOKEN=\"[redacted]\" d" },
	{ "TOKEN=\"never closed ; , x", "TOKEN=\"[redacted]" },
	{ "{\"password\": \"x y\", \"name\": \"n\"}", "{\"password\": \"[redacted]\", \"name\": \"n\"}" },
	{ "{\"apiKey\":\"x\",\"access-key\":\"y\"}", "{\"apiKey\":\"[redacted]\",\"access-key\":\"[redacted]\"}" },
	{ "LAUNCHPLANE_DATABASE_URL=postgres://u:p@h/d", "LAUNCHPLANE_DATABASE_URL=[redacted]" },
	{ "CREDENTIALS: abc", "CREDENTIALS: [redacted]" },
	{ "ARGS_BASE64=QUJD PAYLOAD_BASE64=REVG", "ARGS_BASE64=[redacted] PAYLOAD_BASE64=[redacted]" },
	{ "Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]" },
	{ "authorization: basic dTpw rest", "authorization: basic [redacted] rest" },
	{ "sent bearer abc, then", "sent bearer [redacted], then" },
	{ "token: Bearer abc rest", "token: Bearer [redacted] rest" },
	{ "postgres://user:pa/ss?w@db.example:5432/x", "postgres://[redacted]@db.example:5432/x" },
	{ "postgresql://user:p@ss@db/x and more", "postgresql://[redacted]@db/x and more" },
	{ "see https://example.com/a?b=c@d", "see https://example.com/a?b=c@d" },
	{ "clone https://x-access:abc@example.com/r.git", "clone https://[redacted]@example.com/r.git" },
	{ "PASSWORD=", "PASSWORD=" },
	{ "PASSWORD", "PASSWORD" },
	{ "a PASSWORD is needed", "a PASSWORD is needed" },
	{ "TOKEN=a TOKEN=b", "TOKEN=[redacted] TOKEN=[redacted]" },
	{ "x=SECRET=abc", "x=SECRET=[redacted]" },
	{ "\xc3\xa4 \xe2\x82\xac TOKEN=\xc3\xa4\xc3\xb6", "\xc3\xa4 \xe2\x82\xac TOKEN=[redacted]" },
	{ "k -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- z", "k [redacted] z" },
	{ "-----BEGIN PRIVATE KEY-----\nMIIE cut", "[redacted]" },
	{ "-----BEGIN CERTIFICATE-----\nMIIE", "-----BEGIN CERTIFICATE-----\nMIIE" },
	{ "\"{\\\"token\\\":\\\"abc\\\"}\"", "\"{\\\"token\\\":\\\"[redacted]\"" },
};

static void what_looks_like_a_secret_is_taken_out(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(redact(a, cases[i].text), cases[i].expected);
	arena_free(a);
}

static void redacting_twice_changes_nothing_more(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	for (size_t i = 0; i < countof(cases); i++)
		assert_null(strstr(redact(a, redact(a, cases[i].text)), "abc"));
	arena_free(a);
}

static void any_cut_of_a_text_is_survived(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	for (size_t i = 0; i < countof(cases); i++)
		for (size_t n = 0; n <= strlen(cases[i].text); n++)
			assert_non_null(redact_n(a, cases[i].text, n));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_looks_like_a_secret_is_taken_out),
		cmocka_unit_test(redacting_twice_changes_nothing_more),
		cmocka_unit_test(any_cut_of_a_text_is_survived),
	};
	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
