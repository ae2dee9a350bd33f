/* server/auth/policy.h - who may do what: the policy document, and the question every route asks.
 *
 * A policy is five lists of rules, one for each kind of caller. A rule matches when all its conditions do; an empty
 * list is no condition. Any matching rule of the caller's own kind allows; nothing else does; there is no rule that
 * denies.
 *
 * A policy is immutable and owns its memory. Asking it allocates nothing and never suspends. */
#pragma once

#include "core/json.h"
#include "server/auth/principal.h"

#define POLICY_MAX_BYTES (4u << 20)
#define POLICY_MAX_RULES 50000

struct policy;

/* NULL with err: a field error names the path ("github_actions[2].workflow_refs[0]"); what names the document. */
struct policy *policy_of_json(const struct json *document, struct err *err);
/* A document that starts with { is JSON, any other TOML. */
struct policy *policy_of_text(const char *text, size_t n, const char *what, struct err *err);
void policy_free(struct policy *p);

/* False for what a kind of caller may never do, whatever the rules say. */
bool policy_admits(const struct principal *who, const char *action);
/* What may be granted to local operators: these three actions and no others (U-59). */
bool local_operator_may_get(const char *action);
bool policy_allows(const struct policy *p, const struct principal *who, const char *action, const char *product,
                   const char *context);
/* Whether any rule lets any caller change the policy. */
bool policy_has_administrator(const struct policy *p);
/* The highest role a person's rules give at sign-in; HUMAN_NO_ROLE: may not sign in. Lists end with NULL. */
enum human_role policy_human_role(const struct policy *p, const char *login, const char *const *organizations,
                                  const char *const *teams);

/* The validated document: every list present, optional values left out; what a policy record stores. */
const struct json *policy_document(const struct policy *p);
const char *policy_sha256(const struct policy *p); /* over the canonical form of that */
size_t policy_rule_count(const struct policy *p, enum principal_kind kind);
const char *policy_section(enum principal_kind kind); /* "github_humans" */

/* What an action can do, from its name. A read_only person gets no further than safe_write. */
#define ACTION_SAFETIES(X) X(read) X(safe_write) X(mutation) X(prod) X(destructive) X(secret_backed) X(policy_admin)
enum action_safety {
#define X(name) ACTION_##name,
	ACTION_SAFETIES(X)
#undef X
};
enum action_safety action_safety(const char *action);
const char *action_safety_name(enum action_safety s);
