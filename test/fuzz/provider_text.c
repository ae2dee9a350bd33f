/* Texts a provider hands back: environment text, a run's log, a health answer. The first byte chooses. */
#include "core/redact.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/data_workflow.h"
#include "drivers/runtime_identity.h"
#include "fuzz.h"

static void environment(struct arena *a, const char *text)
{
	struct text_map first, second;
	env_text_parse(a, text, &first);
	for (size_t i = 0; i < first.n; i++)
		if (env_value_problem(first.v[i].value))
			return; /* such a value is never written */
	const char *written = env_text_write(a, &first);
	env_text_parse(a, written, &second);
	assert(first.n == second.n);
	for (size_t i = 0; i < first.n; i++)
		assert(strcmp(first.v[i].key, second.v[i].key) == 0 &&
		       strcmp(first.v[i].value, second.v[i].value) == 0);
}

static void health(struct arena *a, const char *text, size_t n)
{
	const struct runtime_identity expected = { .schema_version = 1,
		                                   .product = "shop",
		                                   .context = "shop",
		                                   .instance = "testing",
		                                   .environment_kind = "stable",
		                                   .deployment_record_id = "deployment-1",
		                                   .artifact_id = "artifact-1",
		                                   .source_git_ref = "main",
		                                   .image_reference = "",
		                                   .release_tuple_id = "",
		                                   .preview_id = "",
		                                   .preview_generation_id = "",
		                                   .deployed_at = "" };
	struct identity_verdict verdict;
	runtime_identity_judge(a, &expected, text, n, &verdict);
	if (verdict.status == IDENTITY_MATCH)
		assert(verdict.observed && strcmp(verdict.observed->artifact_id, "artifact-1") == 0);
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	if (n == 0)
		return;
	char *text = fuzz_text(data + 1, n - 1);
	struct text_map markers = { 0 };
	switch (data[0] % 4) {
	case 0:
		environment(a, text);
		break;
	case 1:
		data_workflow_markers(a, text, &markers);
		break;
	case 2:
		health(a, text, n - 1);
		break;
	default:
		assert(redact_n(a, text, n - 1));
	}
	free(text);
}
