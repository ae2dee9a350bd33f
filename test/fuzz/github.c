/* GitHub's answers at sign-in. The first byte of the input chooses: the code's exchange, or who the person is. */
#include "drivers/github/sign_in.h"

#include "provider.h"

static SUSPENDS void fuzz_ask(struct task *t, const char *url, unsigned call)
{
	const struct github_app app = { .web_url = url, .api_url = url, .client_id = "id", .client_secret = "secret" };
	struct err err = { 0 };
	struct github_person who;
	const char *token;
	if (call % 4 == 0) {
		if (github_exchange_code(t, &app, "code", "https://plane.example/callback", "verifier", &token, &err))
			assert(token && token[0]);
		else
			fuzz_refused(&err);
		return;
	}
	if (!github_person_read(t, &app, "token", &who, &err)) {
		fuzz_refused(&err);
		return;
	}
	assert(who.login[0] && who.name && who.email);
	assert(!who.has_primary || who.emails.n);
	for (size_t i = 0; i < who.teams.n; i++)
		assert(who.teams.v[i]);
}
