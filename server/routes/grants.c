/* Who may do what, as data: grants, removals, and why a decision is as it is (facts/core.md 3.6, 3.7). */
#include "server/auth/policy_edit.h"
#include "server/auth/policy_explain.h"
#include "server/auth/policy_record.h"
#include "server/auth/policy_store.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

/* ---- bodies ---- */

struct workflow_grant {
	const char *repository, *repository_id, *repository_owner_id;
	struct strings workflow_refs, job_workflow_refs, event_names, refs, environments, runner_environments;
	struct strings products, contexts, actions;
	const char *source_label;
};
struct human_grant {
	struct strings logins, organizations, teams, roles, products, contexts, actions;
	const char *source_label;
};
struct token_grant {
	struct strings subjects, token_labels, products, contexts, actions;
	const char *source_label;
};

#define F_NAMES(type, member, help_) F_STRINGS(type, member, TRIMMED, .max = 2000, .help = (help_))
#define F_SCOPES(type)                                                                                                 \
	F_NAMES(type, products, "Products; none: all"), F_NAMES(type, contexts, "Contexts; none: all"),                \
	        F_STRINGS(type, actions, REQUIRED | TRIMMED, .max = 2000, .help = "What may be done"),                 \
	        F_STR(type, source_label, TRIMMED, .max = 200, .help = "Where the change comes from, for the record")

static const struct field workflow_grant_fields[] = {
	F_STR(workflow_grant, repository, REQUIRED | TRIMMED | NON_BLANK, .max = 1024, .help = "owner/name"),
	F_STR(workflow_grant, repository_id, TRIMMED, .max = 20, .help = "GitHub's number of the repository"),
	F_STR(workflow_grant, repository_owner_id, TRIMMED, .max = 20, .help = "GitHub's number of its owner"),
	F_NAMES(workflow_grant, workflow_refs, "Workflow file and ref, may be globs; none: all"),
	F_NAMES(workflow_grant, job_workflow_refs, "Reusable workflow and ref, may be globs; none: all"),
	F_NAMES(workflow_grant, event_names, "Events; none: all"),
	F_NAMES(workflow_grant, refs, "Git refs; none: all"),
	F_NAMES(workflow_grant, environments, "Deployment environments; none: all"),
	F_NAMES(workflow_grant, runner_environments, "github-hosted, self-hosted; none: all"),
	F_SCOPES(workflow_grant),
	F_END,
};
static const struct field human_grant_fields[] = {
	F_NAMES(human_grant, logins, "GitHub logins, may be globs"),
	F_NAMES(human_grant, organizations, "GitHub organizations, may be globs"),
	F_NAMES(human_grant, teams, "GitHub teams as slug or organization/slug, may be globs"),
	F_NAMES(human_grant, roles, "read_only, admin; none: both"),
	F_SCOPES(human_grant),
	F_END,
};
static const struct field token_grant_fields[] = {
	F_STRINGS(token_grant, subjects, REQUIRED | TRIMMED, .max = 2000, .help = "Who holds the token, may be globs"),
	F_STRINGS(token_grant, token_labels, REQUIRED | TRIMMED, .max = 2000, .help = "Which token, may be globs"),
	F_SCOPES(token_grant),
	F_END,
};

/* Entries that are blank are dropped, as an empty form line would be. */
static void drop_blanks(const struct field *fields, void *record)
{
	for (const struct field *f = fields; f->name; f++) {
		if (f->kind != FIELD_STRINGS)
			continue;
		struct strings *list = (void *)((char *)record + f->offset);
		size_t kept = 0;
		for (size_t i = 0; i < list->n; i++)
			if (list->v[i][0])
				list->v[kept++] = list->v[i];
		list->n = kept;
	}
}

/* The rule as the policy keeps it: without the label, and without what says nothing beyond the lists. */
static struct json rule_of(struct arena *a, const struct json *grant)
{
	struct json rule = json_object();
	for (uint32_t i = 0; i < grant->n; i++) {
		const struct json_member *m = &grant->members[i];
		bool is_blank_id = m->value.type == JSON_STRING && !m->value.string[0];
		if (strcmp(m->key, "source_label") != 0 && !is_blank_id)
			json_set(a, &rule, m->key, m->value);
	}
	return rule;
}

static bool check_workflow_grant(struct arena *a, void *record, const char *path, struct err *err);
static bool check_human_grant(struct arena *a, void *record, const char *path, struct err *err);
static bool check_token_grant(struct arena *a, void *record, const char *path, struct err *err);
static bool check_operator_grant(struct arena *a, void *record, const char *path, struct err *err);

static const struct contract workflow_grant =
        CONTRACT(workflow_grant, workflow_grant_fields, "A rule for workflows", .check = check_workflow_grant);
static const struct contract human_grant =
        CONTRACT(human_grant, human_grant_fields, "A rule for people", .check = check_human_grant);
static const struct contract token_grant =
        CONTRACT(token_grant, token_grant_fields, "A rule for the holder of a token", .check = check_token_grant);
static const struct contract operator_grant = CONTRACT(token_grant, token_grant_fields,
                                                       "A rule for a local operator: product_config.plan, "
                                                       "product_config.apply or private_health_endpoint.apply",
                                                       .check = check_operator_grant);

static bool check_rule(struct arena *a, enum principal_kind kind, const struct contract *c, void *record,
                       const char *path, const struct strings *actions, struct err *err)
{
	if (actions->n == 0)
		return contract_fail(a, err, path, "actions", "must name at least one action");
	struct json grant = contract_json(a, c, record, false), rule = rule_of(a, &grant);
	return policy_rule_check(a, kind, &rule, path, err);
}

static bool check_workflow_grant(struct arena *a, void *record, const char *path, struct err *err)
{
	struct workflow_grant *g = record;
	drop_blanks(workflow_grant_fields, g);
	return check_rule(a, PRINCIPAL_GITHUB_ACTIONS, &workflow_grant, g, path, &g->actions, err);
}

static bool check_human_grant(struct arena *a, void *record, const char *path, struct err *err)
{
	struct human_grant *g = record;
	drop_blanks(human_grant_fields, g);
	if (g->logins.n + g->organizations.n + g->teams.n == 0)
		return contract_fail(a, err, path, "logins", "name at least one login, organization or team");
	return check_rule(a, PRINCIPAL_GITHUB_HUMAN, &human_grant, g, path, &g->actions, err);
}

static bool check_token_grant(struct arena *a, void *record, const char *path, struct err *err)
{
	struct token_grant *g = record;
	drop_blanks(token_grant_fields, g);
	if (g->subjects.n == 0)
		return contract_fail(a, err, path, "subjects", "must name at least one subject");
	if (g->token_labels.n == 0)
		return contract_fail(a, err, path, "token_labels", "must name at least one token label");
	return check_rule(a, PRINCIPAL_LOCAL_ADMIN, &token_grant, g, path, &g->actions, err);
}

static bool check_operator_grant(struct arena *a, void *record, const char *path, struct err *err)
{
	struct token_grant *g = record;
	if (!check_token_grant(a, record, path, err))
		return false;
	for (size_t i = 0; i < g->actions.n; i++)
		if (!local_operator_may_get(g->actions.v[i]))
			return err_field(err, arena_printf(a, "%s.actions[%zu]", path, i),
			                 "cannot be granted to local operators; they get product_config.plan, "
			                 "product_config.apply and private_health_endpoint.apply");
	return true;
}

enum { MODE_APPLY, MODE_DRY_RUN };
static const char *const modes[] = { "apply", "dry_run", NULL };

#define REQUEST(name, of)                                                                                              \
	struct name {                                                                                                  \
		int64_t schema_version;                                                                                \
		const char *product;                                                                                   \
		int mode;                                                                                              \
		const char *reason, *related_issue;                                                                    \
		of;                                                                                                    \
	}
#define F_REQUEST(type)                                                                                                \
	F_SCHEMA_VERSION(type), F_STR(type, product, REQUIRED | TRIMMED, .help = "Must be launchplane"),               \
	        F_ENUM(type, mode, 0, .names = modes, .fallback = "apply", .help = "dry_run shows the difference"),    \
	        F_STR(type, reason, TRIMMED, .max = 1000, .help = "Why; needed to apply"),                             \
	        F_STR(type, related_issue, TRIMMED, .max = 500, .help = "Where it was agreed")

REQUEST(workflow_grant_request, struct workflow_grant grant);
REQUEST(workflow_removal_request, struct workflow_grant removal);
REQUEST(human_grant_request, struct human_grant grant);
REQUEST(token_grant_request, struct token_grant grant);
REQUEST(operator_grant_request, struct token_grant grant);
REQUEST(human_removal_request, struct human_grant removal);
REQUEST(token_removal_request, struct token_grant removal);

static bool check_product(struct arena *a, const char *path, const char *product, struct err *err)
{
	return strcmp(product, "launchplane") == 0 || contract_fail(a, err, path, "product", "must be launchplane");
}

#define REQUEST_CONTRACT(type, member, rule, help_)                                                                    \
	static bool check_##type(struct arena *a, void *record, const char *path, struct err *err)                     \
	{                                                                                                              \
		const struct type *r = record;                                                                         \
		return check_product(a, path, r->product, err);                                                        \
	}                                                                                                              \
	static const struct field type##_fields[] = {                                                                  \
		F_REQUEST(type),                                                                                       \
		F_OBJECT(type, member, REQUIRED, &(rule), .help = "The whole rule"),                                   \
		F_END,                                                                                                 \
	};                                                                                                             \
	static const struct contract type##_contract = CONTRACT(type, type##_fields, help_, .check = check_##type)

REQUEST_CONTRACT(workflow_grant_request, grant, workflow_grant, "Adds a rule for workflows");
REQUEST_CONTRACT(workflow_removal_request, removal, workflow_grant, "Removes every rule that equals the given one");
REQUEST_CONTRACT(human_grant_request, grant, human_grant, "Adds a rule for people");
REQUEST_CONTRACT(token_grant_request, grant, token_grant, "Adds a rule for the holder of a token");
REQUEST_CONTRACT(operator_grant_request, grant, operator_grant, "Adds a rule for a local operator");
REQUEST_CONTRACT(human_removal_request, removal, human_grant, "Removes every rule that equals the given one");
/* Local operators' too: a rule that could no longer be granted to them can still be taken away. */
REQUEST_CONTRACT(token_removal_request, removal, token_grant, "Removes every rule that equals the given one");

/* ---- the change ---- */

struct change {
	struct policy_change edit;
	struct json rule;
	struct policy_record before, after;
	struct policy_edit outcome;
};

static void set_counts(struct arena *a, struct json *to, const char *prefix, const struct policy *p)
{
	for (enum principal_kind kind = 0; kind < PRINCIPAL_KINDS; kind++)
		json_set(a, to, arena_printf(a, "%s%s_rule_count", prefix, policy_section(kind)),
		         json_of_int((int64_t)policy_rule_count(p, kind)));
}

/* How many, where the names would tell who; the scope as it is. */
static struct json summary_of(struct arena *a, const struct change *ch)
{
	static const struct {
		const char *member, *count;
	} counted[] = {
		{ "workflow_refs", "workflow_ref_count" },
		{ "job_workflow_refs", "job_workflow_ref_count" },
		{ "logins", "login_count" },
		{ "organizations", "organization_count" },
		{ "teams", "team_count" },
		{ "subjects", "subject_count" },
		{ "token_labels", "token_label_count" },
	};
	static const char *const shown[] = { "repository", "event_names", "roles", "products", "contexts", "actions" };
	struct json s = json_object();
	json_set_str(a, &s, "principal_type", principal_kind_name(ch->edit.kind));
	for (size_t i = 0; i < countof(counted); i++) {
		const struct json *list = json_get(&ch->rule, counted[i].member);
		if (list)
			json_set(a, &s, counted[i].count, json_of_int(list->n));
	}
	for (size_t i = 0; i < countof(shown); i++) {
		const struct json *value = json_get(&ch->rule, shown[i]);
		if (value)
			json_set(a, &s, shown[i], *value);
	}
	return s;
}

/* What the record keeps of who changed what and why; redacted: what an answer may show of it. */
static struct json audit_of(struct call *c, const struct change *ch, bool redacted)
{
	struct arena *a = c->arena;
	const struct contract *body = c->route->body;
	struct json audit = json_object(), operator_ = principal_audit(a, c->principal), type = json_object();
	const char *member = ch->edit.removes ? "requested_removal" : "requested_grant";
	json_set_str(a, &type, "type", principal_kind_name(c->principal->kind));
	json_set_str(a, &audit, "mode", contract_str(body, c->body, "mode"));
	json_set_str(a, &audit, "reason", contract_str(body, c->body, "reason"));
	json_set_str(a, &audit, "related_issue", contract_str(body, c->body, "related_issue"));
	json_set_str(a, &audit, "principal_type", principal_kind_name(c->principal->kind));
	json_set(a, &audit, "operator", redacted ? type : operator_);
	if (redacted)
		json_set(a, &audit, arena_printf(a, "%s_summary", member), summary_of(a, ch));
	else
		json_set(a, &audit, member, ch->rule);
	json_set_str(a, &audit, "previous_policy_record_id", ch->before.record_id);
	json_set_str(a, &audit, "previous_policy_sha256", policy_sha256(ch->before.policy));
	json_set_str(a, &audit, "new_policy_record_id", ch->after.record_id);
	json_set_str(a, &audit, "new_policy_sha256", policy_sha256(ch->after.policy));
	json_set(a, &audit, "changed", json_of_bool(ch->outcome.changed));
	json_set_str(a, &audit, "trace_id", c->trace_id);
	json_set_str(a, &audit, "updated_at", ch->after.updated_at);
	return audit;
}

/* The record that is in force after this answer: a dry-run leaves the one before. */
static const struct policy_record *in_force(const struct call *c, const struct change *ch)
{
	return c->applies ? &ch->after : &ch->before;
}

static const char *result_of(struct call *c, const struct change *ch)
{
	struct arena *a = c->arena;
	const struct policy_record *r = in_force(c, ch);
	struct json result = json_object(), record = json_object(), diff = json_object();
	json_set_str(a, &record, "record_id", r->record_id);
	json_set_str(a, &record, "status", "active");
	json_set_str(a, &record, "source", r->source);
	json_set_str(a, &record, "updated_at", r->updated_at);
	json_set_str(a, &record, "policy_sha256", policy_sha256(r->policy));
	set_counts(a, &record, "", r->policy);
	json_set(a, &diff, "changed", json_of_bool(ch->outcome.changed));
	set_counts(a, &diff, "previous_", ch->before.policy);
	set_counts(a, &diff, "new_", ch->after.policy);
	if (ch->edit.removes) {
		json_set(a, &diff, "matched_rule_count", json_of_int((int64_t)ch->outcome.matched));
		json_set(a, &diff, "removed_rule_count", json_of_int((int64_t)ch->outcome.matched));
	}
	json_set(a, &result, "authz_policy", record);
	json_set(a, &result, "changed", json_of_bool(ch->outcome.changed));
	json_set_str(a, &result, "mode", contract_str(c->route->body, c->body, "mode"));
	json_set(a, &result, "diff", diff);
	json_set(a, &result, "audit", audit_of(c, ch, true));
	return json_text(a, &result);
}

/* ch->before is read; works out what comes after it. */
static bool edit(struct call *c, struct change *ch, const char *source, struct err *err)
{
	if (!policy_edit(c->arena, ch->before.policy, &ch->edit, &ch->outcome, err))
		return false;
	ch->after = ch->before;
	if (!ch->outcome.changed)
		return true;
	ch->after.policy = ch->outcome.policy;
	ch->after.source = source;
	if (c->applies)
		policy_record_name(c->t, &ch->before, &ch->after);
	return true;
}

static SUSPENDS bool apply(struct call *c, struct change *ch, const char *source, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!policy_record_lock(tx, &ch->before, err) || !edit(c, ch, source, err)) {
		tx_rollback(tx);
		return false;
	}
	if (ch->outcome.changed) {
		struct json audit = audit_of(c, ch, false);
		policy_record_send(tx, &ch->after, &audit);
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "authz_policy_record_id", ch->after.record_id);
	const char *result = result_of(c, ch);
	call_store_answer(c, tx, &records, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	if (ch->outcome.changed)
		policy_store_reload(c->t, c->app->policy);
	return call_accept(c, &records, result);
}

static SUSPENDS bool plan(struct call *c, struct change *ch, const char *source, struct err *err)
{
	if (!policy_record_active(c->t, NULL, &ch->before, err) || !edit(c, ch, source, err))
		return false;
	struct json records = json_object();
	json_set_str(c->arena, &records, "authz_policy_record_id", ch->before.record_id);
	return call_accept(c, &records, result_of(c, ch));
}

static SUSPENDS bool change_policy(struct call *c, enum principal_kind kind, bool removes, const char *default_label,
                                   struct err *err)
{
	const struct contract *body = c->route->body;
	if (c->applies && is_blank(contract_str(body, c->body, "reason")))
		return err_set(err, &E_reason_required, "reason: is required to apply; say why this is done");
	const char *member = removes ? "removal" : "grant";
	struct json whole = contract_json(c->arena, body, c->body, false);
	const struct json *given = json_get(&whole, member);
	struct change ch = { .edit = { .kind = kind, .removes = removes }, .rule = rule_of(c->arena, given) };
	ch.edit.rule = &ch.rule;
	const char *label = json_str(given, "source_label", "");
	label = label[0] ? label : default_label;
	return c->applies ? apply(c, &ch, label, err) : plan(c, &ch, label, err);
}

static SUSPENDS bool grant_workflow(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_GITHUB_ACTIONS, false, "service:authz-policy-grant", err);
}

static SUSPENDS bool remove_workflow(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_GITHUB_ACTIONS, true, "service:authz-policy-grant", err);
}

static SUSPENDS bool grant_human(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_GITHUB_HUMAN, false, "service:authz-human-policy-grant", err);
}

static SUSPENDS bool remove_human(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_GITHUB_HUMAN, true, "service:authz-human-policy-grant", err);
}

static SUSPENDS bool grant_terminal_agent(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_TERMINAL_AGENT, false, "service:authz-terminal-agent-policy-grant", err);
}

static SUSPENDS bool remove_terminal_agent(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_TERMINAL_AGENT, true, "service:authz-terminal-agent-policy-grant", err);
}

static SUSPENDS bool grant_local_operator(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_LOCAL_OPERATOR, false, "service:authz-local-operator-policy-grant", err);
}

static SUSPENDS bool remove_local_operator(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_LOCAL_OPERATOR, true, "service:authz-local-operator-policy-grant", err);
}

static SUSPENDS bool grant_local_admin(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_LOCAL_ADMIN, false, "service:authz-local-admin-policy-grant", err);
}

static SUSPENDS bool remove_local_admin(struct call *c, struct err *err)
{
	return change_policy(c, PRINCIPAL_LOCAL_ADMIN, true, "service:authz-local-admin-policy-grant", err);
}

/* ---- why ---- */

struct explain_request {
	int64_t schema_version;
	const char *action, *product, *context;
};
static const struct field explain_fields[] = {
	F_SCHEMA_VERSION(explain_request),
	F_STR(explain_request, action, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = "The action asked about"),
	F_STR(explain_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = "On which product"),
	F_STR(explain_request, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "In which context; * for all at once"),
	F_END,
};
static const struct contract explain_contract =
        CONTRACT(explain_request, explain_fields, "Asks whether the caller itself may do something, and why");

static bool explain(struct call *c, struct err *err)
{
	(void)err;
	const struct explain_request *r = c->body;
	return call_accept(c, NULL,
	                   policy_explain(c->arena, policy_store_current(c->app->policy), c->principal, r->action,
	                                  r->product, r->context));
}

#define MAINTENANCE                                                                                                    \
	.callers = CALLERS_WRITE_HUMAN, .action = "authz_policy_grant.write",                                          \
	.apply_action = "authz_policy_grant.write", .product = "=launchplane", .context = "=launchplane",              \
	.idempotency = IDEMPOTENCY_APPLY

const struct route grant_routes[] = {
	{ HTTP_POST, "/v1/authz-policies/github-actions/grants", "Let a workflow do something", grant_workflow,
	  MAINTENANCE, .body = &workflow_grant_request_contract },
	{ HTTP_POST, "/v1/authz-policies/github-actions/removals", "Remove a rule for workflows", remove_workflow,
	  MAINTENANCE, .body = &workflow_removal_request_contract },
	{ HTTP_POST, "/v1/authz-policies/github-humans/grants", "Let people do something", grant_human, MAINTENANCE,
	  .body = &human_grant_request_contract },
	{ HTTP_POST, "/v1/authz-policies/github-humans/removals", "Remove a rule for people", remove_human, MAINTENANCE,
	  .body = &human_removal_request_contract },
	{ HTTP_POST, "/v1/authz-policies/terminal-agents/grants", "Let a terminal agent read something",
	  grant_terminal_agent, MAINTENANCE, .body = &token_grant_request_contract },
	{ HTTP_POST, "/v1/authz-policies/terminal-agents/removals", "Remove a rule for terminal agents",
	  remove_terminal_agent, MAINTENANCE, .body = &token_removal_request_contract },
	{ HTTP_POST, "/v1/authz-policies/local-operators/grants", "Let a local operator do something",
	  grant_local_operator, MAINTENANCE, .body = &operator_grant_request_contract },
	{ HTTP_POST, "/v1/authz-policies/local-operators/removals", "Remove a rule for local operators",
	  remove_local_operator, MAINTENANCE, .body = &token_removal_request_contract },
	{ HTTP_POST, "/v1/authz-policies/local-admins/grants", "Let a local admin do something", grant_local_admin,
	  MAINTENANCE, .body = &token_grant_request_contract },
	{ HTTP_POST, "/v1/authz-policies/local-admins/removals", "Remove a rule for local admins", remove_local_admin,
	  MAINTENANCE, .body = &token_removal_request_contract },
	{ HTTP_POST, "/v1/authz/explain", "Whether the caller may do something, and why", explain,
	  .callers = CALLERS_WRITE_HUMAN, .action = "authz_explain.read", .product = "=launchplane",
	  .context = "=launchplane", .body = &explain_contract },
	{ 0 },
};
