#include "drivers/dokploy/deployment_watch.h"

#include "support.h"

static struct dokploy_deployment rows[] = {
	{ .id = "b", .title = "mine", .status = "error", .created_at = "2026-06-01T10:00:00.000Z" },
	{ .id = "d", .title = "Manual deployment", .status = "done", .created_at = "2026-06-01T10:00:02.000Z" },
	{ .id = "a", .title = "old", .status = "done", .created_at = "2026-06-01T09:00:00.000Z" },
	{ .id = "c", .title = "mine", .status = "running", .created_at = "2026-06-01T10:00:01.000Z" },
};
static const struct dokploy_deployments list = { countof(rows), rows };
static const struct dokploy_deployments none = { 0 };

static void a_marker_finds_our_run_among_foreign_ones(void **state)
{
	(void)state;
	assert_string_equal(deployment_titled(&list, "mine")->id, "c");
	assert_null(deployment_titled(&list, "min"));
	assert_null(deployment_titled(&none, "mine"));
	assert_string_equal(deployment_latest(&list)->id, "d");
	assert_null(deployment_latest(&none));
}

static void without_a_marker_the_first_new_key_counts(void **state)
{
	(void)state;
	struct strings before = list_of("a,b");
	assert_string_equal(deployment_new(&list, &before)->id, "c");
	before = deployment_ids(a, &list);
	assert_int_equal(before.n, 4);
	assert_null(deployment_new(&list, &before));
}

static void each_status_has_its_class(void **state)
{
	(void)state;
	static const struct {
		const char *status;
		enum deployment_class class;
	} cases[] = {
		{ "done", DEPLOYMENT_SUCCESS },    { "healthy", DEPLOYMENT_SUCCESS },
		{ "error", DEPLOYMENT_FAILURE },   { "cancelled", DEPLOYMENT_FAILURE },
		{ "running", DEPLOYMENT_RUNNING }, { "queued", DEPLOYMENT_RUNNING },
		{ "", DEPLOYMENT_UNKNOWN },        { "odd", DEPLOYMENT_UNKNOWN },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_int_equal(deployment_class_of(cases[i].status), cases[i].class);
	assert_true(deployment_any_running(&list));
	assert_false(deployment_any_running(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_marker_finds_our_run_among_foreign_ones),
		TEST(without_a_marker_the_first_new_key_counts),
		TEST(each_status_has_its_class),
	};
	return cmocka_run_group_tests_name("deployment_watch", tests, NULL, NULL);
}
