#include "storage/preview_enablement.h"

enum { METADATA_MISSING, METADATA_VALID, METADATA_INVALID };
static const char *const action_names[] = { "opened",  "reopened",  "synchronize", "edited",
	                                    "labeled", "unlabeled", "closed",      NULL };
const char *const pr_state_names[] = { "open", "closed", NULL };
static const char *const metadata_names[] = { "missing", "valid", "invalid", NULL };

static const struct field reference_fields[] = {
	F_STR(companion_reference, repo, REQUIRED | NON_BLANK, .max = 200),
	F_INT(companion_reference, pr_number, REQUIRED, .min = 1, .max = INT32_MAX),
	F_END,
};
static const struct contract reference_contract =
        CONTRACT(companion_reference, reference_fields, "A pull request beside the anchor");

static bool check_metadata(struct arena *a, const struct preview_enablement *e, const char *path, struct err *err)
{
	bool is_valid = e->request_metadata_status == METADATA_VALID;
	bool is_invalid = e->request_metadata_status == METADATA_INVALID;
	if (is_blank(e->request_metadata_error) == is_invalid)
		return contract_fail(a, err, path, "request_metadata_error", "belongs to invalid metadata, always");
	if (is_blank(e->request_metadata_baseline_channel) == is_valid)
		return contract_fail(a, err, path, "request_metadata_baseline_channel",
		                     "belongs to valid metadata, always");
	if (!is_valid && e->request_metadata_companions.n)
		return contract_fail(a, err, path, "request_metadata_companions", "belong to valid metadata");
	if (!is_valid && e->request_metadata_companion_summaries.n)
		return contract_fail(a, err, path, "request_metadata_companion_summaries", "belong to valid metadata");
	return true;
}

static bool check_summaries(struct arena *a, const struct preview_enablement *e, const char *path, struct err *err)
{
	size_t n = e->request_metadata_companion_summaries.n;
	bool match = n == 0 || n == e->request_metadata_companions.n;
	for (size_t i = 0; match && i < n; i++) {
		const struct companion_summary *s = &e->request_metadata_companion_summaries.v[i];
		const struct companion_reference *c = &e->request_metadata_companions.v[i];
		match = strcmp(s->repo, c->repo) == 0 && s->pr_number == c->pr_number;
	}
	return match || contract_fail(a, err, path, "request_metadata_companion_summaries",
	                              "must match request_metadata_companions, in their order");
}

static bool check_enablement(struct arena *a, void *record, const char *path, struct err *err)
{
	struct preview_enablement *e = record;
	const char *id = arena_printf(a, "%s-%s-pr-%lld", e->context, e->anchor_repo, (long long)e->anchor_pr_number);
	if (!is_blank(e->record_id) && strcmp(e->record_id, id) != 0)
		return contract_fail(a, err, path, "record_id", "must be %s, or left out", id);
	e->record_id = id;
	return check_metadata(a, e, path, err) && check_summaries(a, e, path, err);
}

static const struct field enablement_fields[] = {
	F_SCHEMA_VERSION(preview_enablement),
	F_STR(preview_enablement, record_id, 0, .help = "<context>-<anchor_repo>-pr-<n>"),
	F_STR(preview_enablement, context, REQUIRED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(preview_enablement, anchor_repo, REQUIRED | NON_BLANK | NO_BLANKS, .max = 200),
	F_INT(preview_enablement, anchor_pr_number, REQUIRED, .min = 1, .max = INT32_MAX),
	F_STR(preview_enablement, anchor_pr_url, REQUIRED | NON_BLANK),
	F_STR(preview_enablement, anchor_head_sha, REQUIRED | NON_BLANK),
	F_ENUM(preview_enablement, action, REQUIRED, .names = action_names),
	F_ENUM(preview_enablement, pr_state, REQUIRED, .names = pr_state_names),
	F_BOOL(preview_enablement, label_enabled, 0, .fallback = "false", .help = "The enable label is set"),
	F_STR(preview_enablement, action_label, 0),
	F_ENUM(preview_enablement, request_metadata_status, 0, .names = metadata_names, .fallback = "missing"),
	F_STR(preview_enablement, request_metadata_error, 0, .help = "With invalid metadata"),
	F_STR(preview_enablement, request_metadata_baseline_channel, 0, .help = "With valid metadata"),
	F_LIST(preview_enablement, request_metadata_companions, 0, &reference_contract, .max = 50),
	F_LIST(preview_enablement, request_metadata_companion_summaries, 0, &companion_summary_contract, .max = 50,
	       .help = "Their heads as resolved then, in the same order"),
	F_STR(preview_enablement, updated_at, REQUIRED | NON_BLANK, .max = 100),
	F_END,
};
const struct contract preview_enablement_contract = CONTRACT(
        preview_enablement, enablement_fields, "Whether a pull request wants a preview", .check = check_enablement);
