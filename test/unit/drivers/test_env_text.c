#include "drivers/dokploy/env_text.h"

#include "support.h"

static void text_is_read_as_the_client_always_did(void **state)
{
	(void)state;
	static const struct {
		const char *text, *again;
	} cases[] = {
		{ "", "" },
		{ "A=1\nB=2", "A=1\nB=2" },
		{ "# note\n\n  A = 1 \r\nexport B=x=y\nno equals\n=nameless\n", "A= 1\nB=x=y" },
		{ "A=1\nB=2\nA=3", "A=3\nB=2" },
		{ "export #=a\nexport export  A=1", "A=1" },
		{ "A=\"kept\"\nB='as it is' # too", "A=\"kept\"\nB='as it is' # too" },
		{ "A=\"two\nlines\"\nB=1", "A=\"two\nlines\"\nB=1" },
		{ "A='tis only a word\nB=1", "A='tis only a word\nB=1" },
		{ "A=\"x\nB=1", "A=\"x\nB=1" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct text_map env;
		env_text_parse(a, cases[i].text, &env);
		assert_string_equal(env_text_write(a, &env), cases[i].again);
	}
	struct text_map env;
	env_text_parse(a, NULL, &env);
	assert_int_equal(env.n, 0);
}

static void a_key_is_removed_and_the_others_keep_their_order(void **state)
{
	(void)state;
	struct text_map env;
	env_text_parse(a, "A=1\nB=2\nC=3", &env);
	assert_true(env_remove(&env, "B"));
	assert_false(env_remove(&env, "B"));
	map_set(a, &env, "A", "9");
	map_set(a, &env, "D", "4");
	assert_string_equal(env_text_write(a, &env), "A=9\nC=3\nD=4");
}

static void values_that_a_provider_would_change_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *value, *problem;
	} cases[] = {
		{ "", NULL },
		{ "plain", NULL },
		{ "{\"a\":\"b\"}", NULL },
		{ "a=b#c", NULL },
		{ "two words", NULL },
		{ "$HOME", NULL },
		{ " x", "begins or ends with a blank" },
		{ "x\t", "begins or ends with a blank" },
		{ "a #b", "has a # that starts a comment" },
		{ "#b", "has a # that starts a comment" },
		{ "\"x\"", "begins with a quote" },
		{ "'x", "begins with a quote" },
		{ "a\nb", "spans several lines" },
		{ "a\033b", "has a control character" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		const char *problem = env_value_problem(cases[i].value);
		if (cases[i].problem)
			assert_string_equal(problem, cases[i].problem);
		else
			assert_null(problem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_is_read_as_the_client_always_did),
		TEST(a_key_is_removed_and_the_others_keep_their_order),
		TEST(values_that_a_provider_would_change_are_found),
	};
	return cmocka_run_group_tests_name("env_text", tests, NULL, NULL);
}
