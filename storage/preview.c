#include "storage/preview.h"
#include "storage/guard.h"

const char *const preview_state_names[] = { "pending",          "active",    "failed", "paused",
	                                    "teardown_pending", "destroyed", NULL };
const char *const generation_state_names[] = { "resolving", "building", "deploying",  "verifying",
	                                       "ready",     "failed",   "superseded", NULL };
static const char *const selection_names[] = { "anchor", "companion", "baseline", NULL };

/* ---- records ---- */

#define PR_NUMBER(type) F_INT(type, anchor_pr_number, REQUIRED, .min = 1, .max = INT32_MAX)

static const struct field preview_fields[] = {
	F_SCHEMA_VERSION(preview),
	F_STR(preview, preview_id, REQUIRED | NON_BLANK),
	F_STR(preview, context, REQUIRED | NON_BLANK),
	F_STR(preview, anchor_repo, REQUIRED | NON_BLANK, .help = "The repository's short name"),
	PR_NUMBER(preview),
	F_STR(preview, anchor_pr_url, REQUIRED | NON_BLANK),
	F_STR(preview, preview_label, REQUIRED | NON_BLANK, .help = "<context>/<anchor_repo>/pr-<n>"),
	F_STR(preview, canonical_url, REQUIRED | NON_BLANK),
	F_ENUM(preview, state, REQUIRED, .names = preview_state_names),
	F_STR(preview, created_at, REQUIRED | NON_BLANK),
	F_STR(preview, updated_at, REQUIRED | NON_BLANK),
	F_STR(preview, eligible_at, REQUIRED | NON_BLANK),
	F_STR(preview, paused_at, 0),
	F_STR(preview, destroy_after, 0),
	F_STR(preview, destroyed_at, 0),
	F_STR(preview, destroy_reason, 0),
	F_STR(preview, active_generation_id, 0),
	F_STR(preview, serving_generation_id, 0),
	F_STR(preview, latest_generation_id, 0),
	F_STR(preview, latest_manifest_fingerprint, 0),
	F_END,
};
const struct contract preview_contract = CONTRACT(preview, preview_fields, "The preview of a pull request");

static const struct field source_fields[] = {
	F_STR(preview_source, repo, REQUIRED | NON_BLANK),
	F_STR(preview_source, git_sha, REQUIRED | NON_BLANK),
	F_ENUM(preview_source, selection, REQUIRED, .names = selection_names),
	F_END,
};
static const struct contract source_contract = CONTRACT(preview_source, source_fields, "A source of the build");

static const struct field summary_fields[] = {
	F_STR(companion_summary, repo, REQUIRED | NON_BLANK),
	F_INT(companion_summary, pr_number, REQUIRED, .min = 1, .max = INT32_MAX),
	F_STR(companion_summary, head_sha, REQUIRED | NON_BLANK),
	F_STR(companion_summary, pr_url, REQUIRED | NON_BLANK),
	F_END,
};
const struct contract companion_summary_contract = CONTRACT(companion_summary, summary_fields, "A pull request's head");

/* Members that a generation's record and the request for it share; in the request they lie in .record. */
#define GENERATION_MEMBER(kind_, type, in, member, flags_, ...)                                                        \
	{                                                                                                              \
		.name = #member, .kind = (kind_), .flags = (flags_), .offset = offsetof(struct type, in member),       \
		##__VA_ARGS__                                                                                          \
	}
/* clang-format off */
#define GENERATION_STATUS(type, in, member) \
	GENERATION_MEMBER(FIELD_ENUM, type, in, member, 0, .names = release_status_names, .fallback = "pending")
#define GENERATION_TEXT(type, in, member, flags, ...) GENERATION_MEMBER(FIELD_STR, type, in, member, flags, ##__VA_ARGS__)
#define GENERATION_FIELDS(type, in) \
	GENERATION_MEMBER(FIELD_ENUM, type, in, state, REQUIRED, .names = generation_state_names), \
	GENERATION_TEXT(type, in, requested_reason, REQUIRED | NON_BLANK), \
	GENERATION_TEXT(type, in, requested_at, REQUIRED | NON_BLANK, .max = 100, .help = "UTC, kept as sent"), \
	GENERATION_TEXT(type, in, started_at, 0), \
	GENERATION_TEXT(type, in, ready_at, 0), \
	GENERATION_TEXT(type, in, finished_at, 0), \
	GENERATION_TEXT(type, in, superseded_at, 0), \
	GENERATION_TEXT(type, in, failed_at, 0), \
	GENERATION_TEXT(type, in, expires_at, 0), \
	GENERATION_TEXT(type, in, resolved_manifest_fingerprint, REQUIRED | NON_BLANK), \
	GENERATION_TEXT(type, in, artifact_id, 0, .help = "Immutable preview image tag or digest"), \
	GENERATION_TEXT(type, in, baseline_release_tuple_id, 0), \
	GENERATION_MEMBER(FIELD_LIST, type, in, source_map, 0, .of = &source_contract), \
	GENERATION_MEMBER(FIELD_LIST, type, in, companion_summaries, 0, .of = &companion_summary_contract), \
	GENERATION_STATUS(type, in, deploy_status), \
	GENERATION_STATUS(type, in, verify_status), \
	GENERATION_STATUS(type, in, overall_health_status), \
	GENERATION_TEXT(type, in, failure_stage, 0), \
	GENERATION_TEXT(type, in, failure_summary, 0), \
	GENERATION_MEMBER(FIELD_OPT_OBJECT, type, in, runtime_identity, 0, .of = &runtime_identity_contract)
/* clang-format on */

static const struct field generation_fields[] = {
	F_SCHEMA_VERSION(generation),
	F_STR(generation, generation_id, REQUIRED | NON_BLANK),
	F_STR(generation, preview_id, REQUIRED | NON_BLANK),
	F_INT(generation, sequence, REQUIRED, .min = 1, .max = INT32_MAX),
	GENERATION_FIELDS(generation, ),
	F_OBJECT(generation, anchor_summary, REQUIRED, &companion_summary_contract),
	F_END,
};
const struct contract generation_contract = CONTRACT(generation, generation_fields, "One build of a preview");

/* ---- requests ---- */

static const struct field preview_mutation_fields[] = {
	F_SCHEMA_VERSION(preview_mutation),
	F_STR(preview_mutation, context, REQUIRED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(preview_mutation, anchor_repo, REQUIRED | NON_BLANK | NO_BLANKS, .max = 200),
	PR_NUMBER(preview_mutation),
	F_STR(preview_mutation, anchor_pr_url, REQUIRED | NON_BLANK),
	F_STR(preview_mutation, canonical_url, 0,
	      .help = "Default: what is stored, else below the context's LAUNCHPLANE_PREVIEW_BASE_URL"),
	F_ENUM(preview_mutation, state, 0, .names = preview_state_names, .fallback = "pending",
	       .help = "The generation's state decides"),
	F_STR(preview_mutation, created_at, 0, .help = "Of a new preview; default: updated_at, then eligible_at"),
	F_STR(preview_mutation, updated_at, 0),
	F_STR(preview_mutation, eligible_at, 0),
	F_STR(preview_mutation, paused_at, 0),
	F_STR(preview_mutation, destroy_after, 0),
	F_STR(preview_mutation, destroyed_at, 0),
	F_STR(preview_mutation, destroy_reason, 0),
	F_STR(preview_mutation, active_generation_id, 0, .help = "At creation only, as the next three"),
	F_STR(preview_mutation, serving_generation_id, 0),
	F_STR(preview_mutation, latest_generation_id, 0),
	F_STR(preview_mutation, latest_manifest_fingerprint, 0),
	F_END,
};
const struct contract preview_mutation_contract =
        CONTRACT(preview_mutation, preview_mutation_fields, "What evidence says of a preview");

static bool check_generation(struct arena *a, void *record, const char *path, struct err *err)
{
	struct generation_mutation *m = record;
	(void)a;
	(void)path;
	(void)err;
	m->record.anchor_summary = (struct companion_summary){
		.repo = m->anchor_repo,
		.pr_number = m->anchor_pr_number,
		.head_sha = m->anchor_head_sha,
		.pr_url = m->anchor_pr_url,
	};
	return true;
}

static const struct field generation_mutation_fields[] = {
	GENERATION_MEMBER(FIELD_INT, generation_mutation, record., schema_version, 0, .min = 1, .max = INT32_MAX,
	                  .fallback = "1", .help = "Version of this shape"),
	F_STR(generation_mutation, context, REQUIRED | NON_BLANK, .max = 200),
	F_STR(generation_mutation, anchor_repo, REQUIRED | NON_BLANK, .max = 200),
	PR_NUMBER(generation_mutation),
	F_STR(generation_mutation, anchor_pr_url, REQUIRED | NON_BLANK),
	F_STR(generation_mutation, anchor_head_sha, REQUIRED | NON_BLANK),
	F_OPT_INT(generation_mutation, sequence, 0, .min = 1, .max = INT32_MAX, .help = "Default: the next"),
	GENERATION_TEXT(generation_mutation, record., generation_id, NO_BLANKS, .max = 300,
	                .help = "Of a known generation: updates it. Default: from preview and sequence"),
	GENERATION_FIELDS(generation_mutation, record.),
	F_END,
};
const struct contract generation_mutation_contract =
        CONTRACT(generation_mutation, generation_mutation_fields, "What evidence says of a generation",
                 .check = check_generation);

static bool check_pair(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct preview_generation_request *r = record;
	const struct preview_mutation *p = &r->preview;
	const struct generation_mutation *g = &r->generation;
	const char *differs = strcmp(p->context, g->context) != 0               ? "context"
	                      : strcmp(p->anchor_repo, g->anchor_repo) != 0     ? "anchor_repo"
	                      : p->anchor_pr_number != g->anchor_pr_number      ? "anchor_pr_number"
	                      : strcmp(p->anchor_pr_url, g->anchor_pr_url) != 0 ? "anchor_pr_url"
	                                                                        : NULL;
	return !differs ||
	       contract_fail(a, err, path, arena_printf(a, "generation.%s", differs), "must equal preview.%s", differs);
}

static const struct field generation_request_fields[] = {
	F_SCHEMA_VERSION(preview_generation_request),
	F_STR(preview_generation_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(preview_generation_request, preview, REQUIRED, &preview_mutation_contract),
	F_OBJECT(preview_generation_request, generation, REQUIRED, &generation_mutation_contract),
	F_END,
};
const struct contract preview_generation_request_contract = CONTRACT(
        preview_generation_request, generation_request_fields, "Evidence of a preview's build", .check = check_pair);

static const struct field destroy_fields[] = {
	F_SCHEMA_VERSION(preview_destroy),
	F_STR(preview_destroy, context, REQUIRED | NON_BLANK, .max = 200),
	F_STR(preview_destroy, anchor_repo, REQUIRED | NON_BLANK, .max = 200),
	PR_NUMBER(preview_destroy),
	F_STR(preview_destroy, destroyed_at, REQUIRED | NON_BLANK, .max = 100),
	F_STR(preview_destroy, destroy_reason, REQUIRED | NON_BLANK),
	F_END,
};
static const struct contract destroy_contract =
        CONTRACT(preview_destroy, destroy_fields, "A preview that was torn down");
static const struct field destroyed_request_fields[] = {
	F_SCHEMA_VERSION(preview_destroyed_request),
	F_STR(preview_destroyed_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(preview_destroyed_request, destroy, REQUIRED, &destroy_contract),
	F_END,
};
const struct contract preview_destroyed_request_contract =
        CONTRACT(preview_destroyed_request, destroyed_request_fields,
                 "Evidence that URL, app and database of a preview are gone");

/* ---- ids ---- */

const char *preview_id_of(struct arena *a, const struct preview_anchor *anchor)
{
	const char *text = lowered(
	        a, arena_printf(a, "%s-%s-pr-%lld", anchor->context, anchor->repo, (long long)anchor->pr_number));
	struct buf b = buf_in(a);
	buf_str(&b, "preview");
	bool gap = true;
	for (const char *p = text; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
		if (plain && gap)
			buf_char(&b, '-');
		if (plain)
			buf_char(&b, *p);
		gap = !plain;
	}
	return b.p;
}

const char *generation_id_of(struct arena *a, const char *preview_id, int64_t sequence)
{
	return arena_printf(a, "%s-generation-%04lld", preview_id, (long long)sequence);
}

/* ---- decisions ---- */

static const char *first_of(const char *x, const char *y, const char *z)
{
	return !is_blank(x) ? x : !is_blank(y) ? y : z;
}

bool preview_create(struct arena *a, const struct preview_mutation *m, const char *preview_id, const char *base_url,
                    struct preview *out, struct err *err)
{
	const char *url = m->canonical_url, *created_at = first_of(m->created_at, m->updated_at, m->eligible_at);
	if (is_blank(url) && is_blank(base_url))
		return err_field(err, "preview.canonical_url",
		                 "is required: context %s has no LAUNCHPLANE_PREVIEW_BASE_URL to derive it from",
		                 m->context);
	if (is_blank(created_at))
		return err_field(err, "preview.created_at",
		                 "is required for a new preview, or updated_at or eligible_at in its place");
	if (is_blank(url)) {
		size_t n = strlen(base_url);
		while (n && base_url[n - 1] == '/')
			n--;
		url = arena_printf(a, "%.*s/previews/%s/%s/pr-%lld", (int)n, base_url, m->context, m->anchor_repo,
		                   (long long)m->anchor_pr_number);
	}
	*out = (struct preview){
		.schema_version = 1,
		.preview_id = preview_id,
		.context = m->context,
		.anchor_repo = m->anchor_repo,
		.anchor_pr_number = m->anchor_pr_number,
		.anchor_pr_url = m->anchor_pr_url,
		.preview_label =
		        arena_printf(a, "%s/%s/pr-%lld", m->context, m->anchor_repo, (long long)m->anchor_pr_number),
		.canonical_url = url,
		/* Its first generation is no late one: nothing was destroyed yet. */
		.state = m->state == PREVIEW_DESTROYED ? PREVIEW_PENDING : m->state,
		.created_at = created_at,
		.updated_at = first_of(m->updated_at, created_at, ""),
		.eligible_at = first_of(m->eligible_at, m->updated_at, created_at),
		.paused_at = m->paused_at,
		.destroy_after = m->destroy_after,
		.destroyed_at = m->destroyed_at,
		.destroy_reason = m->destroy_reason,
		.active_generation_id = m->active_generation_id,
		.serving_generation_id = m->serving_generation_id,
		.latest_generation_id = m->latest_generation_id,
		.latest_manifest_fingerprint = m->latest_manifest_fingerprint,
	};
	return true;
}

bool preview_of_request(struct arena *a, const struct preview_mutation *m, const struct preview *stored,
                        const char *preview_id, const char *base_url, const char *now, struct preview *out,
                        struct err *err)
{
	struct preview_mutation whole = *m;
	if (stored) {
		whole.created_at = stored->created_at;
		whole.updated_at = first_of(m->updated_at, now, "");
		whole.eligible_at = first_of(m->eligible_at, stored->eligible_at, "");
		whole.canonical_url = first_of(m->canonical_url, stored->canonical_url, "");
	}
	if (!preview_create(a, &whole, preview_id, base_url, out, err))
		return false;
	out->state = m->state;
	return true;
}

static void lay_over(const char **stored, const char *given)
{
	if (!is_blank(given))
		*stored = given;
}

void preview_update(struct preview *p, const struct preview_mutation *m)
{
	p->anchor_pr_url = m->anchor_pr_url;
	lay_over(&p->canonical_url, m->canonical_url);
	lay_over(&p->eligible_at, m->eligible_at);
	lay_over(&p->paused_at, m->paused_at);
	lay_over(&p->destroy_after, m->destroy_after);
}

void generation_record(const struct generation_mutation *m, const struct generation *stored, const char *generation_id,
                       const char *preview_id, int64_t sequence, struct generation *out)
{
	*out = m->record;
	out->generation_id = generation_id;
	out->preview_id = preview_id;
	out->sequence = sequence;
	if (!out->runtime_identity && stored)
		out->runtime_identity = stored->runtime_identity;
}

bool generation_is_same(struct arena *a, const struct generation *stored, const struct generation_mutation *m)
{
	struct generation evidence;
	if (m->sequence.is_set && m->sequence.value != stored->sequence)
		return false;
	generation_record(m, stored, stored->generation_id, stored->preview_id, stored->sequence, &evidence);
	evidence.schema_version = stored->schema_version;
	evidence.runtime_identity = stored->runtime_identity;
	return strcmp(contract_text(a, &generation_contract, stored),
	              contract_text(a, &generation_contract, &evidence)) == 0;
}

/* How far a generation has come; its two ends are equally far. */
static int progress(int state)
{
	return state == GENERATION_FAILED ? GENERATION_READY : state;
}

bool generation_is_late(const struct generation *stored, const struct generation *evidence)
{
	int order = strcmp(stored->requested_at, evidence->requested_at);
	return order > 0 || (order == 0 && progress(stored->state) > progress(evidence->state));
}

static void move_forward(struct preview *p, const char *at)
{
	if (strcmp(at, p->updated_at) > 0)
		p->updated_at = at;
}

static void clear_destruction(struct preview *p)
{
	p->destroyed_at = "";
	p->destroy_reason = "";
}

/* A later generation exists: its pointers stay, but what serves may still be this one. */
static enum transition follow_older(struct preview *p, const struct generation *g, int64_t serving)
{
	if (p->state == PREVIEW_DESTROYED || g->state != GENERATION_READY || g->sequence < serving)
		return TRANSITION_OLDER;
	p->serving_generation_id = g->generation_id;
	if (p->state == PREVIEW_PENDING)
		p->state = PREVIEW_ACTIVE;
	move_forward(p, first_of(g->ready_at, g->finished_at, g->requested_at));
	return TRANSITION_OLDER;
}

enum transition preview_follow(struct preview *p, const struct generation *g, int64_t newest, int64_t serving)
{
	if (GUARD(F5) && p->state == PREVIEW_DESTROYED && strcmp(g->requested_at, p->destroyed_at) <= 0)
		return TRANSITION_DESTROYED;
	if (g->sequence < newest)
		return follow_older(p, g, serving);
	switch (g->state) {
	case GENERATION_READY:
		p->state = PREVIEW_ACTIVE;
		p->updated_at = first_of(g->ready_at, g->finished_at, g->requested_at);
		p->serving_generation_id = g->generation_id;
		clear_destruction(p);
		break;
	case GENERATION_FAILED:
		p->state = PREVIEW_FAILED;
		p->updated_at = first_of(g->failed_at, g->finished_at, g->requested_at);
		break;
	default:
		p->state = is_blank(p->serving_generation_id) ? PREVIEW_PENDING : PREVIEW_ACTIVE;
		p->updated_at = g->requested_at;
		clear_destruction(p);
		break;
	}
	p->active_generation_id = g->generation_id;
	p->latest_generation_id = g->generation_id;
	p->latest_manifest_fingerprint = g->resolved_manifest_fingerprint;
	return TRANSITION_MADE;
}

bool preview_be_destroyed(struct preview *p, const struct preview_destroy *d, const char *newest_requested_at)
{
	if (strcmp(newest_requested_at, d->destroyed_at) > 0)
		return false;
	if (p->state == PREVIEW_DESTROYED && strcmp(p->destroyed_at, d->destroyed_at) > 0)
		return false;
	p->state = PREVIEW_DESTROYED;
	p->updated_at = d->destroyed_at;
	p->destroyed_at = d->destroyed_at;
	p->destroy_reason = d->destroy_reason;
	p->active_generation_id = "";
	p->serving_generation_id = "";
	return true;
}
