#include "storage/target.h"

#include "storage/codes.h"
#include "storage/target.sql.h"

static const struct field shopify_fields[] = {
	F_STRINGS(shopify_policy, protected_store_keys, TRIMMED | LOWERED | NON_BLANK),
	F_END,
};
static const struct contract shopify_contract =
        CONTRACT(shopify_policy, shopify_fields, "Shops that must not be touched");
static const struct field policies_fields[] = {
	F_OBJECT(target_policies, shopify, 0, &shopify_contract),
	F_END,
};
static const struct contract policies_contract = CONTRACT(target_policies, policies_fields, "Guards of a target");

static const struct field dokploy_target_fields[] = {
	F_STR(dokploy_target, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS),
	F_STR(dokploy_target, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS),
	F_STR(dokploy_target, project_name, 0),
	F_ENUM(dokploy_target, target_type, 0, .names = target_type_names, .fallback = "compose"),
	F_STR(dokploy_target, target_name, TRIMMED),
	F_STR(dokploy_target, git_branch, 0),
	F_STR(dokploy_target, source_git_ref, 0, .fallback = "origin/main"),
	F_STR(dokploy_target, source_type, 0),
	F_STR(dokploy_target, custom_git_url, 0),
	F_STR(dokploy_target, custom_git_branch, 0),
	F_STR(dokploy_target, compose_path, 0),
	F_STRINGS(dokploy_target, watch_paths, 0),
	F_BOOL(dokploy_target, enable_submodules, 0, .fallback = "false"),
	F_BOOL(dokploy_target, require_test_gate, 0, .fallback = "false"),
	F_BOOL(dokploy_target, require_prod_gate, 0, .fallback = "false"),
	F_OPT_INT(dokploy_target, deploy_timeout_seconds, 0, .min = 1, .max = 86400),
	F_BOOL(dokploy_target, healthcheck_enabled, 0, .fallback = "true"),
	F_STR(dokploy_target, healthcheck_path, 0, .fallback = "/web/health"),
	F_OPT_INT(dokploy_target, healthcheck_timeout_seconds, 0, .min = 1, .max = 86400),
	F_MAP(dokploy_target, env, 0),
	F_STRINGS(dokploy_target, domains, TRIMMED | LOWERED | NON_BLANK),
	F_OBJECT(dokploy_target, policies, 0, &policies_contract),
	F_STR(dokploy_target, updated_at, REQUIRED | NON_BLANK),
	F_STR(dokploy_target, source_label, 0),
	F_END,
};
const struct contract dokploy_target_contract =
        CONTRACT(dokploy_target, dokploy_target_fields, "What is tracked of a lane's Dokploy target");

static const struct field dokploy_target_id_fields[] = {
	F_STR(dokploy_target_id, context, REQUIRED | LOWERED | NON_BLANK),
	F_STR(dokploy_target_id, instance, REQUIRED | LOWERED | NON_BLANK),
	F_STR(dokploy_target_id, target_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(dokploy_target_id, updated_at, REQUIRED | NON_BLANK),
	F_STR(dokploy_target_id, source_label, 0),
	F_END,
};
const struct contract dokploy_target_id_contract =
        CONTRACT(dokploy_target_id, dokploy_target_id_fields, "The live provider id of a lane");

static const struct field provider_target_fields[] = {
	F_STR(provider_target, context, REQUIRED | NON_BLANK),
	F_STR(provider_target, instance, REQUIRED | NON_BLANK),
	F_STR(provider_target, provider_id, REQUIRED | LOWERED | NON_BLANK),
	F_ENUM(provider_target, target_category, 0, .names = target_category_names, .fallback = "unknown"),
	F_STR(provider_target, target_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(provider_target, display_name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(provider_target, provider_target_type, 0),
	F_MAP(provider_target, provider_evidence, 0),
	F_STR(provider_target, updated_at, REQUIRED | NON_BLANK),
	F_STR(provider_target, source_label, 0),
	F_END,
};
const struct contract provider_target_contract =
        CONTRACT(provider_target, provider_target_fields, "A lane's target, whatever the provider");

struct guard_texts {
	const char *target, *id, *expected;
};

static struct guard_texts texts_of(struct arena *a, const struct target_change *c)
{
	return (struct guard_texts){
		.target = c->target ? contract_text(a, &dokploy_target_contract, c->target) : NULL,
		.id = c->id ? contract_text(a, &dokploy_target_id_contract, c->id) : NULL,
		.expected = c->expected ? contract_text(a, &deployed_target_contract, c->expected) : NULL,
	};
}

static bool judge(const struct rows *rows, const struct target_change *c, struct err *err)
{
	return row_is_null(rows, 0, 0) ||
	       err_set(err, &E_provider_target_conflict, "%s/%s: %s", c->context, c->instance, row_text(rows, 0, 0));
}

bool target_check(struct task *t, const struct target_change *c, const char **provider_row, struct err *err)
{
	struct rows rows;
	struct guard_texts x = texts_of(t->arena, c);
	if (!db_query(
	            t, &Q_target_refusal,
	            PARAMS(P_TEXT(c->context), P_TEXT(c->instance), P_TEXT(x.target), P_TEXT(x.id), P_TEXT(x.expected)),
	            &rows, err) ||
	    !judge(&rows, c, err))
		return false;
	*provider_row = row_text(&rows, 0, 1);
	return true;
}

bool target_write(struct tx *tx, const struct target_change *c, const char **provider_row, struct err *err)
{
	struct rows rows;
	struct guard_texts x = texts_of(tx_task(tx)->arena, c);
	tx_send(tx, &Q_target_lock, PARAMS(P_TEXT(c->context), P_TEXT(c->instance)));
	if (!tx_query(
	            tx, &Q_target_refusal,
	            PARAMS(P_TEXT(c->context), P_TEXT(c->instance), P_TEXT(x.target), P_TEXT(x.id), P_TEXT(x.expected)),
	            &rows, err) ||
	    !judge(&rows, c, err))
		return false;
	if (!tx_query(
	            tx, &Q_target_write,
	            PARAMS(P_TEXT(c->context), P_TEXT(c->instance), P_TEXT(x.target), P_TEXT(x.id), P_TEXT(x.expected)),
	            &rows, err))
		return false;
	*provider_row = row_text(&rows, 0, 0);
	return true;
}
