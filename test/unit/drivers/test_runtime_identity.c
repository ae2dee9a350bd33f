#include "drivers/runtime_identity.h"

#include "support.h"

static const struct runtime_identity expected = {
	.schema_version = 1,
	.product = "odoo-shop",
	.context = "shop",
	.instance = "testing",
	.environment_kind = "stable",
	.deployment_record_id = "deployment-1",
	.artifact_id = "artifact-shop-2",
	.source_git_ref = "abc123",
	.image_reference = "r@sha256:1",
	.release_tuple_id = "",
	.preview_id = "",
	.preview_generation_id = "",
	.deployed_at = "",
};

static void the_text_is_compact_and_sorted(void **state)
{
	(void)state;
	assert_string_equal(
	        runtime_identity_text(a, &expected),
	        "{\"artifact_id\":\"artifact-shop-2\",\"context\":\"shop\",\"deployed_at\":\"\","
	        "\"deployment_record_id\":\"deployment-1\",\"environment_kind\":\"stable\","
	        "\"image_reference\":\"r@sha256:1\",\"instance\":\"testing\",\"preview_generation_id\":\"\","
	        "\"preview_id\":\"\",\"product\":\"odoo-shop\",\"release_tuple_id\":\"\",\"schema_version\":1,"
	        "\"source_git_ref\":\"abc123\"}");
}

#define ID                                                                                                             \
	"\"context\":\"shop\",\"instance\":\"testing\",\"deployment_record_id\":\"deployment-1\",\"artifact_id\":"     \
	"\"artifact-shop-2\",\"source_git_ref\":\"abc123\""

static void every_echo_has_its_class(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		int status;
		const char *detail; /* a part of it */
	} cases[] = {
		{ "{\"status\":\"ok\",\"runtime_identity\":{\"product\":\"odoo-shop\"," ID "}}", IDENTITY_MATCH, "" },
		{ "{\"launchplane_runtime_identity\":{\"product\":\"odoo-shop\"," ID ",\"newer\":[1]}}", IDENTITY_MATCH,
		  "" },
		{ "{\"launchplaneRuntimeIdentity\":{\"product\":\"odoo-shop\",\"preview_id\":null," ID "}}",
		  IDENTITY_MATCH, "" },
		{ "{\"LAUNCHPLANE_RUNTIME_IDENTITY_JSON\":\"{\\\"product\\\":\\\"odoo-shop\\\",\\\"context\\\":"
		  "\\\"shop\\\","
		  "\\\"instance\\\":\\\"testing\\\",\\\"deployment_record_id\\\":\\\"deployment-1\\\",\\\"artifact_"
		  "id\\\":"
		  "\\\"artifact-shop-2\\\",\\\"source_git_ref\\\":\\\"abc123\\\"}\"}",
		  IDENTITY_MATCH, "" },
		{ "{\"runtime_identity\":\"{broken\",\"launchplane_runtime_identity\":{\"product\":\"odoo-shop\"," ID
		  "}}",
		  IDENTITY_MATCH, "" },
		{ "{\"runtime_identity\":{" ID "}}", IDENTITY_MISMATCH, "deployed in: product" },
		{ "{\"runtime_identity\":{\"product\":\"odoo-shop\",\"context\":\"shop\",\"instance\":\"prod\","
		  "\"deployment_record_id\":"
		  "\"deployment-0\",\"artifact_id\":\"artifact-shop-2\",\"source_git_ref\":\"abc123\"}}",
		  IDENTITY_MISMATCH, "instance, deployment_record_id" },
		{ "{\"runtime_identity\":{\"environment_kind\":\"preview\",\"product\":\"odoo-shop\"," ID "}}",
		  IDENTITY_MISMATCH, "environment_kind" },
		{ "{\"status\":\"ok\"}", IDENTITY_MISSING, "no runtime identity" },
		{ "{\"runtime_identity\":null}", IDENTITY_MISSING, "" },
		{ "{\"runtime_identity\":\"\"}", IDENTITY_MISSING, "" },
		{ "[1]", IDENTITY_MISSING, "" },
		{ "{\"runtime_identity\":\"{broken\"}", IDENTITY_MALFORMED, "runtime_identity cannot be read" },
		{ "{\"runtime_identity\":7}", IDENTITY_MALFORMED, "" },
		{ "{\"runtime_identity\":{\"context\":\"shop\"}}", IDENTITY_MALFORMED, "" },
		{ "OK", IDENTITY_UNVERIFIABLE, "not JSON" },
		{ "", IDENTITY_UNVERIFIABLE, "" },
		{ NULL, IDENTITY_UNVERIFIABLE, "could not be reached" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct identity_verdict v;
		runtime_identity_judge(a, &expected, cases[i].body, cases[i].body ? strlen(cases[i].body) : 0, &v);
		if (v.status != cases[i].status || !strstr(v.detail, cases[i].detail))
			fail_msg("%s: %s %s", cases[i].body, identity_status_names[v.status], v.detail);
		assert_int_equal(v.observed != NULL, v.status == IDENTITY_MATCH || v.status == IDENTITY_MISMATCH);
	}
}

static void without_an_expectation_nothing_is_checked(void **state)
{
	(void)state;
	struct identity_verdict v;
	runtime_identity_judge(a, NULL, "{}", 2, &v);
	assert_int_equal(v.status, IDENTITY_UNCHECKED);
	struct runtime_identity loose = expected;
	loose.product = loose.environment_kind = "";
	static const char body[] = "{\"runtime_identity\":{\"environment_kind\":\"preview\"," ID "}}";
	runtime_identity_judge(a, &loose, body, strlen(body), &v);
	assert_int_equal(v.status, IDENTITY_MATCH);
}

static void only_contradiction_stops_a_lane_that_demands_nothing(void **state)
{
	(void)state;
	static const bool stops[][2] = {
		[IDENTITY_UNCHECKED] = { 0, 0 }, [IDENTITY_MATCH] = { 0, 0 },     [IDENTITY_MISMATCH] = { 1, 1 },
		[IDENTITY_MISSING] = { 0, 1 },   [IDENTITY_MALFORMED] = { 1, 1 }, [IDENTITY_UNVERIFIABLE] = { 0, 1 },
	};
	for (int i = 0; i < (int)countof(stops); i++)
		for (int required = 0; required < 2; required++)
			assert_int_equal(runtime_identity_blocks(i, required), stops[i][required]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_is_compact_and_sorted),
		TEST(every_echo_has_its_class),
		TEST(without_an_expectation_nothing_is_checked),
		TEST(only_contradiction_stops_a_lane_that_demands_nothing),
	};
	return cmocka_run_group_tests_name("runtime_identity", tests, NULL, NULL);
}
