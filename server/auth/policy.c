#include "server/auth/policy_internal.h"

#include "server/auth/glob.h"

#include <assert.h>
#include <string.h>

bool item_matches(const struct field *f, const char *item, const char *text)
{
	return f->match == GLOB ? glob_match(item, text) : strcmp(item, text) == 0;
}

static bool text_matches(const struct list *l, enum match match, const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (match == GLOB ? glob_match(l->items[i], text) : strcmp(l->items[i], text) == 0)
			return true;
	return false;
}

bool condition_holds(const struct field *f, const struct list *l, const struct question *q)
{
	if (l->n == 0)
		return true;
	assert(f->of != OF_CONTEXT || q->text[OF_CONTEXT]);
	/* The literal * asks for all contexts at once: only a rule that says so grants that, not one that happens to
	 * match. */
	if (f->of == OF_CONTEXT && strcmp(q->text[OF_CONTEXT], "*") == 0)
		return text_matches(l, EXACT, "*");
	if (f->of == OF_ORGANIZATIONS || f->of == OF_TEAMS) {
		for (const char *const *s = q->several[f->of]; s && *s; s++)
			if (text_matches(l, f->match, *s))
				return true;
		return false;
	}
	return text_matches(l, f->match, q->text[f->of]);
}

bool rule_matches(const struct section *s, const struct rule *r, const struct question *q)
{
	for (size_t i = 0; i < s->fields_n; i++)
		if (!condition_holds(&s->fields[i], &r->conditions[i], q))
			return false;
	return true;
}

/* The first workflow rule whose repository is not below the asked one. */
static size_t first_of_repository(const struct policy *p, const char *repository)
{
	size_t low = 0, high = p->of[PRINCIPAL_GITHUB_ACTIONS].n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(rule_repository(&p->of[PRINCIPAL_GITHUB_ACTIONS].rules[middle]), repository) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void policy_own_rules(const struct policy *p, const struct principal *who, const struct rule **rules, size_t *n)
{
	size_t first = 0, end = p->of[who->kind].n;
	if (who->kind == PRINCIPAL_GITHUB_ACTIONS) {
		first = end = first_of_repository(p, who->github.repository);
		while (end < p->of[who->kind].n &&
		       strcmp(rule_repository(&p->of[who->kind].rules[end]), who->github.repository) == 0)
			end++;
	}
	*rules = p->of[who->kind].rules + first;
	*n = end - first;
}

static void ask_as_workflow(struct question *q, const struct github_claims *c)
{
	q->text[OF_REPOSITORY] = c->repository;
	q->text[OF_REPOSITORY_ID] = c->repository_id;
	q->text[OF_REPOSITORY_OWNER_ID] = c->repository_owner_id;
	q->text[OF_WORKFLOW_REF] = c->workflow_ref;
	q->text[OF_JOB_WORKFLOW_REF] = c->job_workflow_ref;
	q->text[OF_EVENT_NAME] = c->event_name;
	q->text[OF_REF] = c->ref;
	q->text[OF_ENVIRONMENT] = c->environment;
	q->text[OF_RUNNER_ENVIRONMENT] = c->runner_environment;
}

static void ask_as_human(struct question *q, const struct human *h)
{
	q->text[OF_LOGIN] = h->login;
	q->text[OF_ROLE] = human_role_name(h->role);
	q->several[OF_ORGANIZATIONS] = h->organizations;
	q->several[OF_TEAMS] = h->teams;
}

bool local_operator_may_get(const char *action)
{
	static const char *const allowed[] = { "product_config.plan", "product_config.apply",
		                               "private_health_endpoint.apply" };
	for (size_t i = 0; i < countof(allowed); i++)
		if (strcmp(action, allowed[i]) == 0)
			return true;
	return false;
}

/* What changes something is the closed list's, also when a document that nobody granted says more. Operators know the
 * products they work on, and may not list the others. */
static bool local_operator_may_do(const char *action)
{
	return local_operator_may_get(action) ||
	       (action_safety(action) == ACTION_read && strcmp(action, "product_profile.read") != 0);
}

bool policy_admits(const struct principal *who, const char *action)
{
	switch (who->kind) {
	case PRINCIPAL_GITHUB_ACTIONS:
		return who->github.repository[0] != '\0';
	case PRINCIPAL_GITHUB_HUMAN:
		return who->human.role == HUMAN_ADMIN ||
		       (who->human.role == HUMAN_READ_ONLY && action_safety(action) <= ACTION_safe_write);
	case PRINCIPAL_TERMINAL_AGENT:
		return true;
	case PRINCIPAL_LOCAL_OPERATOR:
	case PRINCIPAL_LOCAL_ADMIN:
		if (who->kind == PRINCIPAL_LOCAL_OPERATOR && !local_operator_may_do(action))
			return false;
		return !is_blank(who->subject) && !is_blank(who->token_label) && !is_blank(action);
	default:
		return false;
	}
}

void question_ask(struct question *q, const struct principal *who, const char *action, const char *product,
                  const char *context)
{
	*q = (struct question){ .text = { [OF_ACTION] = action, [OF_PRODUCT] = product, [OF_CONTEXT] = context } };
	if (who->kind == PRINCIPAL_GITHUB_ACTIONS)
		ask_as_workflow(q, &who->github);
	else if (who->kind == PRINCIPAL_GITHUB_HUMAN)
		ask_as_human(q, &who->human);
	q->text[OF_SUBJECT] = who->subject;
	q->text[OF_TOKEN_LABEL] = who->token_label;
}

bool policy_allows(const struct policy *p, const struct principal *who, const char *action, const char *product,
                   const char *context)
{
	if (!policy_admits(who, action))
		return false;
	struct question q;
	question_ask(&q, who, action, product, context);
	return policy_index_finds(p, who->kind, &q);
}

/* Whether a rule gives an action to whomever it names; a person as an admin. */
static bool rule_gives(const struct section *s, const struct rule *r, const struct question *q)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		enum subject of = s->fields[i].of;
		bool asked = of == OF_ACTION || of == OF_PRODUCT || of == OF_CONTEXT || of == OF_ROLE;
		if (asked && !condition_holds(&s->fields[i], &r->conditions[i], q))
			return false;
	}
	return true;
}

bool policy_has_administrator(const struct policy *p)
{
	const struct question q = { .text = { [OF_ACTION] = "authz_policy_grant.write",
		                              [OF_PRODUCT] = "launchplane",
		                              [OF_CONTEXT] = "launchplane",
		                              [OF_ROLE] = human_role_name(HUMAN_ADMIN) } };
	for (enum principal_kind kind = 0; kind < PRINCIPAL_KINDS; kind++)
		for (size_t i = 0; kind != PRINCIPAL_TERMINAL_AGENT && i < p->of[kind].n; i++)
			if (rule_gives(&policy_sections[kind], &p->of[kind].rules[i], &q))
				return true;
	return false;
}

enum human_role policy_human_role(const struct policy *p, const char *login, const char *const *organizations,
                                  const char *const *teams)
{
	const struct section *s = &policy_sections[PRINCIPAL_GITHUB_HUMAN];
	const struct question q = { .text = { [OF_LOGIN] = login },
		                    .several = { [OF_ORGANIZATIONS] = organizations, [OF_TEAMS] = teams } };
	enum human_role best = HUMAN_NO_ROLE;
	for (size_t i = 0; i < p->of[PRINCIPAL_GITHUB_HUMAN].n && best < HUMAN_ADMIN; i++) {
		const struct rule *r = &p->of[PRINCIPAL_GITHUB_HUMAN].rules[i];
		const struct list *roles = &r->conditions[HUMAN_ROLES];
		bool is_theirs = true;
		for (size_t k = 0; k < HUMAN_ROLES && is_theirs; k++)
			is_theirs = condition_holds(&s->fields[k], &r->conditions[k], &q);
		if (!is_theirs)
			continue;
		if (roles->n == 0 || text_matches(roles, EXACT, "admin"))
			best = HUMAN_ADMIN;
		else if (text_matches(roles, EXACT, "read_only"))
			best = HUMAN_READ_ONLY;
	}
	return best;
}
