#include "server/auth/static_tokens.h"

#include "core/digest.h"

/* clang-format off */
const struct setting static_token_settings[] = {
	{ NULL, "LAUNCHPLANE_TERMINAL_AGENT_READ_TOKEN",  NULL, NULL, "Bearer token of a terminal agent, which may only read", SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_TERMINAL_AGENT_SUBJECT",     NULL, NULL, "Who holds it, as policy rules name them", 0 },
	{ NULL, "LAUNCHPLANE_TERMINAL_AGENT_TOKEN_LABEL", NULL, NULL, "Which token it is, likewise", 0 },
	{ NULL, "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN",       NULL, NULL, "Bearer token of a local operator", SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT",     NULL, NULL, "Who holds it, as policy rules name them", 0 },
	{ NULL, "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN_LABEL", NULL, NULL, "Which token it is, likewise", 0 },
	{ NULL, "LAUNCHPLANE_LOCAL_ADMIN_TOKEN",          NULL, NULL, "Bearer token of a local admin", SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_LOCAL_ADMIN_SUBJECT",        NULL, NULL, "Who holds it, as policy rules name them", 0 },
	{ NULL, "LAUNCHPLANE_LOCAL_ADMIN_TOKEN_LABEL",    NULL, NULL, "Which token it is, likewise", 0 },
	{ 0 },
};

static const struct {
	enum principal_kind kind;
	const char *token, *subject, *label;
} names[] = {
	{ PRINCIPAL_LOCAL_ADMIN, "LAUNCHPLANE_LOCAL_ADMIN_TOKEN", "LAUNCHPLANE_LOCAL_ADMIN_SUBJECT",
	  "LAUNCHPLANE_LOCAL_ADMIN_TOKEN_LABEL" },
	{ PRINCIPAL_LOCAL_OPERATOR, "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN", "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT",
	  "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN_LABEL" },
	{ PRINCIPAL_TERMINAL_AGENT, "LAUNCHPLANE_TERMINAL_AGENT_READ_TOKEN", "LAUNCHPLANE_TERMINAL_AGENT_SUBJECT",
	  "LAUNCHPLANE_TERMINAL_AGENT_TOKEN_LABEL" },
};
/* clang-format on */

static const char *text(struct arena *a, const struct settings *s, const char *name)
{
	const char *value = setting(s, name);
	return value ? trimmed(a, value) : "";
}

void static_tokens_read(struct arena *a, const struct settings *s, struct static_tokens *out)
{
	*out = (struct static_tokens){ 0 };
	for (size_t i = 0; i < countof(names); i++) {
		out->of[names[i].kind].token = text(a, s, names[i].token);
		out->of[names[i].kind].subject = text(a, s, names[i].subject);
		out->of[names[i].kind].label = text(a, s, names[i].label);
	}
}

bool static_token_find(const struct static_tokens *t, const char *given, enum principal_kind *out)
{
	size_t longest = 0;
	for (size_t i = 0; i < countof(names); i++) {
		size_t n = t->of[names[i].kind].token ? strlen(t->of[names[i].kind].token) : 0;
		longest = n > longest ? n : longest;
	}
	if (strlen(given) > longest)
		return false; /* most credentials are OIDC tokens, which take long to compare */
	bool found = false;
	for (size_t i = 0; i < countof(names); i++) { /* all of them, so that the time does not tell which */
		const char *token = t->of[names[i].kind].token;
		if (token && token_equal(given, token) && !found) {
			*out = names[i].kind;
			found = true;
		}
	}
	return found;
}
