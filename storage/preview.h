/* storage/preview.h - previews of pull requests and their generations: what evidence does to them. Shapes and rules:
 * facts/core.md 5.5, 5.6.
 *
 * Pure: the caller reads what is stored (under the anchor's lock), asks here, and writes what comes out. */
#pragma once

#include "storage/evidence.h"

enum preview_state {
	PREVIEW_PENDING,
	PREVIEW_ACTIVE,
	PREVIEW_FAILED,
	PREVIEW_PAUSED,
	PREVIEW_TEARDOWN_PENDING,
	PREVIEW_DESTROYED,
};
extern const char *const preview_state_names[];

enum generation_state {
	GENERATION_RESOLVING,
	GENERATION_BUILDING,
	GENERATION_DEPLOYING,
	GENERATION_VERIFYING,
	GENERATION_READY,
	GENERATION_FAILED,
	GENERATION_SUPERSEDED,
};
extern const char *const generation_state_names[];

struct preview_anchor {
	const char *context, *repo;
	int64_t pr_number;
};

struct preview {
	int64_t schema_version;
	const char *preview_id, *context, *anchor_repo;
	int64_t anchor_pr_number;
	const char *anchor_pr_url, *preview_label, *canonical_url;
	int state;
	const char *created_at, *updated_at, *eligible_at, *paused_at, *destroy_after, *destroyed_at, *destroy_reason;
	const char *active_generation_id, *serving_generation_id, *latest_generation_id, *latest_manifest_fingerprint;
};
extern const struct contract preview_contract;

struct preview_source {
	const char *repo, *git_sha;
	int selection;
};
struct companion_summary {
	const char *repo;
	int64_t pr_number;
	const char *head_sha, *pr_url;
};
struct generation {
	int64_t schema_version;
	const char *generation_id, *preview_id;
	int64_t sequence;
	int state;
	const char *requested_reason, *requested_at, *started_at, *ready_at, *finished_at, *superseded_at, *failed_at,
	        *expires_at;
	const char *resolved_manifest_fingerprint, *artifact_id, *baseline_release_tuple_id;
	LIST_OF(struct preview_source) source_map;
	struct companion_summary anchor_summary;
	LIST_OF(struct companion_summary) companion_summaries;
	int deploy_status, verify_status, overall_health_status;
	const char *failure_stage, *failure_summary;
	struct runtime_identity *runtime_identity;
};
extern const struct contract generation_contract, companion_summary_contract;

/* ---- requests ---- */

struct preview_mutation {
	int64_t schema_version;
	const char *context, *anchor_repo;
	int64_t anchor_pr_number;
	const char *anchor_pr_url, *canonical_url;
	int state;
	const char *created_at, *updated_at, *eligible_at, *paused_at, *destroy_after, *destroyed_at, *destroy_reason;
	const char *active_generation_id, *serving_generation_id, *latest_generation_id, *latest_manifest_fingerprint;
};
struct generation_mutation {
	struct generation record; /* what the request says of it; ids "" and sequence 0 when it does not */
	const char *context, *anchor_repo;
	int64_t anchor_pr_number;
	const char *anchor_pr_url, *anchor_head_sha;
	struct opt_int sequence;
};
extern const struct contract preview_mutation_contract, generation_mutation_contract;
struct preview_generation_request {
	int64_t schema_version;
	const char *product;
	struct preview_mutation preview;
	struct generation_mutation generation;
};
extern const struct contract preview_generation_request_contract;

struct preview_destroy {
	int64_t schema_version;
	const char *context, *anchor_repo;
	int64_t anchor_pr_number;
	const char *destroyed_at, *destroy_reason;
};
struct preview_destroyed_request {
	int64_t schema_version;
	const char *product;
	struct preview_destroy destroy;
};
extern const struct contract preview_destroyed_request_contract;

/* ---- decisions ---- */

/* preview-<context>-<repo>-pr-<n>, lower-cased, runs of other characters as one '-'. */
const char *preview_id_of(struct arena *a, const struct preview_anchor *anchor);
const char *generation_id_of(struct arena *a, const char *preview_id, int64_t sequence);

/* A preview as evidence makes it. base_url: of the context's previews, "" when there is none. */
bool preview_create(struct arena *a, const struct preview_mutation *m, const char *preview_id, const char *base_url,
                    struct preview *out, struct err *err);
/* A preview as somebody writes it by hand: state and pointers as given. Of a stored one its creation stays, and its
 * address and eligibility unless others are given. */
bool preview_of_request(struct arena *a, const struct preview_mutation *m, const struct preview *stored,
                        const char *preview_id, const char *base_url, const char *now, struct preview *out,
                        struct err *err);
/* Lays the non-blank members that evidence may change over a stored preview; its transition has set updated_at. */
void preview_update(struct preview *p, const struct preview_mutation *m);

/* The stored generation that the evidence speaks of although it names no id: equal in everything submitted. */
bool generation_is_same(struct arena *a, const struct generation *stored, const struct generation_mutation *m);
/* The record that the evidence makes; stored is the one it replaces, or NULL. */
void generation_record(const struct generation_mutation *m, const struct generation *stored, const char *generation_id,
                       const char *preview_id, int64_t sequence, struct generation *out);
/* What is stored is a later state of the same generation: the evidence came late and changes nothing. */
bool generation_is_late(const struct generation *stored, const struct generation *evidence);

enum transition {
	TRANSITION_MADE,      /* the preview follows the generation */
	TRANSITION_OLDER,     /* a later generation exists: at most what serves moves forward */
	TRANSITION_DESTROYED, /* the preview was destroyed after this generation was asked for: it stays destroyed */
};
/* Moves the preview. newest: the highest sequence of its other generations, serving: that of the serving one; 0 for
 * none. */
enum transition preview_follow(struct preview *p, const struct generation *g, int64_t newest, int64_t serving);

/* False when a generation was asked for after the destruction that the evidence tells of, or a later destruction is
 * stored: then nothing changes. newest_requested_at "": there are no generations. */
bool preview_be_destroyed(struct preview *p, const struct preview_destroy *d, const char *newest_requested_at);
