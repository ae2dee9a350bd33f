#include "core/json.h"

#include <setjmp.h>
#include <stdarg.h>

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

static const char *canonical(const char *text)
{
	struct json j;
	struct err err = { 0 };
	if (!json_parse(a, text, strlen(text), "body", &j, &err))
		return arena_printf(a, "error: %s", err.message);
	struct buf b = buf_in(a);
	json_write_canonical(&b, &j);
	return b.p;
}

/* core.md 4: the fingerprint is taken over what Python's json.dumps(sort_keys, separators) prints. */
static void the_canonical_form_is_the_one_of_the_fingerprint(void **state)
{
	(void)state;
	assert_string_equal(canonical("{\"b\": 1, \"a\": [true, null, \"x\\ty\"]}"),
	                    "{\"a\":[true,null,\"x\\ty\"],\"b\":1}");
	assert_string_equal(canonical("\"\xc3\xa9 \xf0\x9f\x98\x80 \x7f/\""), "\"\\u00e9 \\ud83d\\ude00 \\u007f/\"");
	assert_string_equal(canonical("[1.0, 1e5, 1e16, 0.0001, 0.00001, -0.0, 1.5e300, 0.1, 123456789.125]"),
	                    "[1.0,100000.0,1e+16,0.0001,1e-05,-0.0,1.5e+300,0.1,123456789.125]");
	assert_string_equal(canonical("[9223372036854775807, -9223372036854775808]"),
	                    "[9223372036854775807,-9223372036854775808]");
}

static void a_document_that_would_have_to_be_guessed_is_refused(void **state)
{
	(void)state;
	assert_string_equal(canonical("{\"a\":1,\"a\":2}"), "error: body names the member \"a\" twice");
	assert_string_equal(canonical("18446744073709551615"), "error: body has a whole number beyond 64 bits");
	assert_string_equal(canonical("\"a\\u0000b\""), "error: body has a NUL character in a string");
	assert_string_equal(canonical("{\"a\":"), "error: body is not valid JSON");
	assert_string_equal(canonical("\"\xff\""), "error: body is not valid UTF-8");
	assert_string_equal(canonical(""), "error: body is empty");
	char deep[200];
	memset(deep, '[', 60);
	memset(deep + 60, ']', 60);
	deep[120] = '\0';
	assert_string_equal(canonical(deep), "error: body is nested too deeply (32 levels are allowed)");
}

static void members_are_found_by_path_and_replaced_by_name(void **state)
{
	(void)state;
	struct json j;
	struct err err = { 0 };
	const char *text = "{\"a\":{\"b\":{\"c\":\"deep\"}}}";
	assert_true(json_parse(a, text, strlen(text), "body", &j, &err));
	assert_string_equal(json_path(&j, "a.b.c")->string, "deep");
	assert_null(json_path(&j, "a.x.c"));
	for (int i = 0; i < 9; i++)
		json_set(a, &j, arena_printf(a, "k%d", i), json_of_int(i));
	json_set_str(a, &j, "k3", "three");
	assert_int_equal(j.n, 10);
	assert_string_equal(json_str(&j, "k3", ""), "three");
	assert_int_equal(json_int(&j, "k8", -1), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_canonical_form_is_the_one_of_the_fingerprint, make_arena,
		                                drop_arena),
		cmocka_unit_test_setup_teardown(a_document_that_would_have_to_be_guessed_is_refused, make_arena,
		                                drop_arena),
		cmocka_unit_test_setup_teardown(members_are_found_by_path_and_replaced_by_name, make_arena, drop_arena),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
