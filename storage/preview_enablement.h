/* storage/preview_enablement.h - whether a pull request wants a preview, as its latest event left it (facts/
 * web-verireel-previews.md 5.3). One record for each pull request. It keeps the head of the pull request and of its
 * companions as they were resolved then: nothing is guessed later. */
#pragma once

#include "storage/preview.h"

struct companion_reference {
	const char *repo;
	int64_t pr_number;
};
struct preview_enablement {
	int64_t schema_version;
	const char *record_id, *context, *anchor_repo;
	int64_t anchor_pr_number;
	const char *anchor_pr_url, *anchor_head_sha, *updated_at;
	int action, pr_state, request_metadata_status;
	bool label_enabled;
	const char *action_label, *request_metadata_error, *request_metadata_baseline_channel;
	LIST_OF(struct companion_reference) request_metadata_companions;
	LIST_OF(struct companion_summary) request_metadata_companion_summaries;
};
extern const struct contract preview_enablement_contract;
extern const char *const pr_state_names[];
