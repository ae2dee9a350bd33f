/* server/auth/principal.h - who is asking: what a credential proved, and nothing it merely said.
 *
 * Strings live in the arena of the request. "" stands for what is not known. */
#pragma once

#include "core/arena.h"
#include "core/json.h"
#include "core/text.h"

enum principal_kind {
	PRINCIPAL_GITHUB_ACTIONS, /* a workflow, by its OIDC token */
	PRINCIPAL_GITHUB_HUMAN,   /* a person, by a browser session */
	PRINCIPAL_TERMINAL_AGENT, /* static tokens: reads only, */
	PRINCIPAL_LOCAL_OPERATOR, /* an owner's terminal, */
	PRINCIPAL_LOCAL_ADMIN,    /* and rare broad repair */
	PRINCIPAL_KINDS
};

/* The claims that decisions and audits may use; trimmed. */
/* clang-format off */
#define GITHUB_CLAIMS(X) \
	X(repository) X(repository_owner) X(repository_id) X(repository_owner_id) X(workflow_ref) X(job_workflow_ref) \
	X(ref) X(ref_type) X(event_name) X(environment) X(runner_environment) X(sub) X(sha)
/* clang-format on */

struct github_claims {
#define X(name) const char *name;
	GITHUB_CLAIMS(X)
#undef X
};

enum human_role { HUMAN_NO_ROLE, HUMAN_READ_ONLY, HUMAN_ADMIN };

struct human {
	const char *login, *name, *email;
	int64_t github_id;
	const char *const *organizations; /* NULL-terminated */
	const char *const *teams;         /* both "slug" and "org/slug" */
	enum human_role role;
};

struct principal {
	enum principal_kind kind;
	struct github_claims github;       /* PRINCIPAL_GITHUB_ACTIONS */
	struct human human;                /* PRINCIPAL_GITHUB_HUMAN */
	const char *subject, *token_label; /* the static tokens */
	const char *scope;                 /* idempotency keys belong to this */
	const char *actor;                 /* for records: "github:octocat" */
};

/* Each fills *out from strings that stay the caller's, and makes scope and actor in the arena. */
void principal_of_workflow(struct arena *a, const struct github_claims *claims, struct principal *out);
void principal_of_human(struct arena *a, const struct human *human, struct principal *out);
/* kind is one of the static tokens'. False when subject or label is blank: such a token proves nothing. */
bool principal_of_token(struct arena *a, enum principal_kind kind, const char *subject, const char *label,
                        struct principal *out);

const char *principal_kind_name(enum principal_kind kind); /* "github_actions" */
const char *human_role_name(enum human_role role);         /* "read_only" */
bool human_role_of(const char *name, enum human_role *out);
/* Who did it, as audit records keep it: type and the fields that name the caller. */
struct json principal_audit(struct arena *a, const struct principal *p);
/* True for callers that may only read, whatever a policy says. */
static inline bool principal_reads_only(const struct principal *p)
{
	return p->kind == PRINCIPAL_TERMINAL_AGENT;
}
