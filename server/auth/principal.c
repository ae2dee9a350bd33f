#include "server/auth/principal.h"

#include <assert.h>
#include <string.h>

static const char *const kind_names[] = { "github_actions", "github_human", "terminal_agent", "local_operator",
	                                  "local_admin" };
static const char *const scope_names[] = { NULL, "github-human", "terminal-agent", "local-operator", "local-admin" };
static const char *const role_names[] = { "", "read_only", "admin" };

const char *principal_kind_name(enum principal_kind kind)
{
	return kind_names[kind];
}

const char *human_role_name(enum human_role role)
{
	return role_names[role];
}

bool human_role_of(const char *name, enum human_role *out)
{
	for (enum human_role r = HUMAN_READ_ONLY; r <= HUMAN_ADMIN; r++) {
		if (strcmp(name, role_names[r]) == 0) {
			*out = r;
			return true;
		}
	}
	return false;
}

void principal_of_workflow(struct arena *a, const struct github_claims *claims, struct principal *out)
{
	const char *workflow = claims->workflow_ref[0] ? claims->workflow_ref : claims->job_workflow_ref;
	*out = (struct principal){
		.kind = PRINCIPAL_GITHUB_ACTIONS, .github = *claims, .subject = "", .token_label = ""
	};
	out->scope = arena_printf(a, "%s|%s|%s", claims->repository, workflow, claims->sub);
	out->actor = arena_printf(a, "github-actions:%s:%s", claims->repository, workflow);
}

void principal_of_human(struct arena *a, const struct human *human, struct principal *out)
{
	*out = (struct principal){ .kind = PRINCIPAL_GITHUB_HUMAN, .human = *human, .subject = "", .token_label = "" };
	out->scope = arena_printf(a, "github-human|%s|%lld", human->login, (long long)human->github_id);
	out->actor = arena_printf(a, "github:%s", human->login);
}

bool principal_of_token(struct arena *a, enum principal_kind kind, const char *subject, const char *label,
                        struct principal *out)
{
	assert(kind >= PRINCIPAL_TERMINAL_AGENT && kind < PRINCIPAL_KINDS);
	subject = trimmed(a, subject ? subject : "");
	label = trimmed(a, label ? label : "");
	if (!subject[0] || !label[0])
		return false;
	*out = (struct principal){ .kind = kind, .subject = subject, .token_label = label };
	out->scope = arena_printf(a, "%s|%s|%s", scope_names[kind], subject, label);
	out->actor = arena_printf(a, "%s:%s:%s", scope_names[kind], subject, label);
	return true;
}

struct json principal_audit(struct arena *a, const struct principal *p)
{
	struct json j = json_object();
	json_set_str(a, &j, "type", principal_kind_name(p->kind));
	switch (p->kind) {
	case PRINCIPAL_GITHUB_ACTIONS:
		json_set_str(a, &j, "repository", p->github.repository);
		json_set_str(a, &j, "workflow_ref", p->github.workflow_ref);
		json_set_str(a, &j, "event_name", p->github.event_name);
		json_set_str(a, &j, "ref", p->github.ref);
		json_set_str(a, &j, "sha", p->github.sha);
		break;
	case PRINCIPAL_GITHUB_HUMAN:
		json_set_str(a, &j, "login", p->human.login);
		json_set_str(a, &j, "role", human_role_name(p->human.role));
		break;
	default:
		json_set_str(a, &j, "subject", p->subject);
		json_set_str(a, &j, "token_label", p->token_label);
		break;
	}
	return j;
}
