#include "server/auth/agent_audit.h"

#include "server/auth/policy_store.h"

#include <assert.h>

/* How a kind of caller is to be thought of. */
struct standing {
	const char *subject, *label, *profile, *role;
	bool reads_only, approves;
};

static bool is_heavy(enum action_safety s)
{
	return s == ACTION_mutation || s == ACTION_prod || s == ACTION_destructive || s == ACTION_secret_backed;
}

static void standing_of(const struct principal *p, enum action_safety safety, struct standing *out)
{
	bool reads = safety == ACTION_read;
	switch (p->kind) {
	case PRINCIPAL_GITHUB_ACTIONS:
		*out = (struct standing){ p->github.sub[0] ? p->github.sub : p->github.workflow_ref,
			                  p->github.repository,
			                  "automation_worker",
			                  "worker",
			                  reads,
			                  is_heavy(safety) || safety == ACTION_policy_admin };
		return;
	case PRINCIPAL_GITHUB_HUMAN:
		*out = p->human.role == HUMAN_ADMIN
		               ? (
		                         struct standing){ p->human.login, p->human.login, "human_admin",
			                                   "admin",        false,          true }
		               : (struct standing){ p->human.login, p->human.login, "limited_remote_user",
			                            "read_only",    true,           false };
		return;
	case PRINCIPAL_TERMINAL_AGENT:
		*out = (struct standing){ p->subject, p->token_label, "owner_local_agent", "worker", true, false };
		return;
	case PRINCIPAL_LOCAL_OPERATOR:
		*out = (struct standing){ p->subject, p->token_label, "owner_local_agent",
			                  "operator", reads,          is_heavy(safety) };
		return;
	case PRINCIPAL_LOCAL_ADMIN:
		*out = (struct standing){ p->subject, p->token_label, "owner_local_agent", "admin", reads, true };
		return;
	default:
		assert(false);
	}
}

static void write_subject(struct json_out *o, const struct principal *who, const struct agent_decision *d)
{
	enum action_safety safety = action_safety(d->action);
	struct standing s = { 0 };
	standing_of(who, safety, &s);
	jo_open(o, '{');
	jo_kv(o, "subject_type", principal_kind_name(who->kind));
	jo_kv(o, "subject", s.subject);
	jo_kv(o, "display_label", s.label);
	jo_kv(o, "access_profile", s.profile);
	jo_kv(o, "role", s.role);
	jo_kv(o, "product", d->product);
	jo_kv(o, "context", d->context);
	jo_kv(o, "action", d->action);
	jo_kv(o, "action_safety", action_safety_name(safety));
	jo_kv_bool(o, "read_only_context", s.reads_only);
	jo_kv_bool(o, "approval_capable", s.approves);
	jo_close(o, '}');
}

const char *agent_audit(struct arena *a, const struct policy_store *store, const struct principal *who,
                        const struct agent_decision *d)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "decision", d->is_allowed ? "allowed" : "denied");
	jo_kv(&o, "reason_code", d->reason_code);
	jo_key(&o, "subject");
	write_subject(&o, who, d);
	jo_kv(&o, "action", d->action);
	jo_kv(&o, "product", d->product);
	jo_kv(&o, "context", d->context);
	jo_kv(&o, "policy_source", policy_store_source(store));
	jo_kv(&o, "policy_sha256", policy_store_digest(store));
	jo_kv(&o, "source_kind", "authz_policy");
	jo_close(&o, '}');
	return buf_cstr(&b);
}
