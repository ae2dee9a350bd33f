/* drivers/github/sign_in.h - who a person is, as GitHub tells an OAuth app: the code's exchange, and what is read with
 * the token that comes of it.
 *
 * The token is used here and then forgotten; it belongs into an arena that is wiped. Errors: E_provider_refused when
 * GitHub says no (a used code, a wrong client secret, a token that was withdrawn), E_upstream_failed when it could not
 * be asked or answered what nobody can read. */
#pragma once

#include "core/contract.h"
#include "core/task.h"

#define GITHUB_SIGN_IN_SCOPES "read:user read:org user:email"

struct github_app {
	const char *web_url; /* "https://github.com" */
	const char *api_url; /* "https://api.github.com" */
	const char *client_id, *client_secret;
};

struct github_person {
	const char *login, *name, *email; /* email: the public one of the profile; "" for none */
	int64_t id;
	struct strings organizations;
	struct strings teams;  /* each as "slug" and as "organization/slug" */
	struct strings emails; /* verified ones; the primary first */
	bool has_primary;      /* emails.v[0] is the primary address */
};

/* Where the browser is sent; challenge is the PKCE challenge of the verifier. */
const char *github_authorize_url(struct arena *a, const struct github_app *app, const char *redirect_uri,
                                 const char *state, const char *challenge);
SUSPENDS bool github_exchange_code(struct task *t, const struct github_app *app, const char *code,
                                   const char *redirect_uri, const char *verifier, const char **token, struct err *err);
SUSPENDS bool github_person_read(struct task *t, const struct github_app *app, const char *token,
                                 struct github_person *out, struct err *err);
