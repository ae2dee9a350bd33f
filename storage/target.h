/* storage/target.h - where a lane lives at its provider: the tracked Dokploy target, its id, and the provider-neutral
 * row. Shapes: facts/config-health.md 5.1, 5.6. */
#pragma once

#include "storage/db.h"
#include "storage/evidence.h"

struct shopify_policy {
	struct strings protected_store_keys;
};
struct target_policies {
	struct shopify_policy shopify;
};
struct dokploy_target {
	const char *context, *instance, *project_name;
	int target_type;
	const char *target_name, *git_branch, *source_git_ref, *source_type, *custom_git_url, *custom_git_branch,
	        *compose_path;
	struct strings watch_paths;
	bool enable_submodules, require_test_gate, require_prod_gate;
	struct opt_int deploy_timeout_seconds;
	bool healthcheck_enabled;
	const char *healthcheck_path;
	struct opt_int healthcheck_timeout_seconds;
	struct text_map env;
	struct strings domains;
	struct target_policies policies;
	const char *updated_at, *source_label;
};
extern const struct contract dokploy_target_contract;

struct dokploy_target_id {
	const char *context, *instance, *target_id, *updated_at, *source_label;
};
extern const struct contract dokploy_target_id_contract;

struct provider_target {
	const char *context, *instance, *provider_id;
	int target_category;
	const char *target_id, *display_name, *provider_target_type;
	struct text_map provider_evidence;
	const char *updated_at, *source_label;
};
extern const struct contract provider_target_contract;

/* ---- the dual write (config-health.md 5.6) ----
 *
 * Every path that changes a lane's target records goes through these two, or through Q_target_write in an operation's
 * checkpoint. The recorded provider row is checked first: when it names something else than the records will, or is
 * out of date, nothing is written (E_provider_target_conflict). Then the halves that are given are written (NULL: that
 * half stays), then the provider row that the pair stands for; while a half is missing no row is made up. expected:
 * what the caller says is recorded now, NULL: nothing said; only what is named so is replaced by something else. */

struct deployed_target;
struct target_change {
	const char *context, *instance;
	const struct dokploy_target *target;
	const struct dokploy_target_id *id;
	const struct deployed_target *expected;
};
/* Asks without writing, for plans. *provider_row is the row it leads to, JSON, NULL while the pair is incomplete. */
SUSPENDS bool target_check(struct task *t, const struct target_change *change, const char **provider_row,
                           struct err *err);
/* Writes inside tx, with the lane's records locked until its end. */
SUSPENDS bool target_write(struct tx *tx, const struct target_change *change, const char **provider_row,
                           struct err *err);
