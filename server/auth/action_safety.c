#include "server/auth/policy.h"

#include <string.h>

static bool has_part(const char *action, const char *const *parts)
{
	for (const char *s = action; *s;) {
		size_t n = strcspn(s, "_.-");
		for (size_t i = 0; parts[i]; i++)
			if (strlen(parts[i]) == n && memcmp(s, parts[i], n) == 0)
				return true;
		s += n;
		s += strspn(s, "_.-");
	}
	return false;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && strcmp(s + n - m, end) == 0;
}

enum action_safety action_safety(const char *action)
{
	static const char *const secret[] = { "secret", NULL };
	static const char *const destructive[] = { "destroy", "cleanup", "delete", "rollback", NULL };
	static const char *const prod[] = { "prod", "promotion", NULL };
	static const char *const safe[] = { "rerun", "reconcile", NULL };
	if (is_blank(action))
		return ACTION_read;
	if (strncmp(action, "authz_policy", strlen("authz_policy")) == 0)
		return ACTION_policy_admin;
	if (has_part(action, secret) || ends_with(action, ".secret"))
		return ACTION_secret_backed;
	if (has_part(action, destructive))
		return ACTION_destructive;
	if (has_part(action, prod))
		return ACTION_prod;
	if (ends_with(action, ".read") || strcmp(action, "work_graph.rank") == 0)
		return ACTION_read;
	if (ends_with(action, ".write") || has_part(action, safe))
		return ACTION_safe_write;
	return ACTION_mutation;
}

const char *action_safety_name(enum action_safety s)
{
	static const char *const names[] = {
#define X(name) #name,
		ACTION_SAFETIES(X)
#undef X
	};
	return names[s];
}
