#include "server/auth/sign_in.h"

#include "core/digest.h"
#include "core/log.h"
#include "server/http/server.h"
#include "storage/codes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECRET_MIN    16
#define RETURN_TO_MAX 1024

/* clang-format off */
const struct setting sign_in_settings[] = {
	{ "--github-url", "LAUNCHPLANE_GITHUB_URL", "https://github.com", "URL", "GitHub's web address, for sign-in", 0 },
	{ NULL, "LAUNCHPLANE_GITHUB_CLIENT_ID", NULL, NULL, "Client id of the GitHub OAuth app that people sign in with", 0 },
	{ NULL, "LAUNCHPLANE_GITHUB_CLIENT_SECRET", NULL, NULL, "Its client secret", SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_SESSION_SECRET", NULL, NULL, "Proves cookies; at least 16 characters, the same in all processes", SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_COOKIE_SECURE", "1", NULL, "0, false or no: cookies travel over plain HTTP as well; for trying out", 0 },
	{ NULL, "LAUNCHPLANE_BOOTSTRAP_ADMIN_EMAILS", NULL, NULL, "Addresses, separated by commas, that sign in as admin whatever the policy says", 0 },
	{ 0 },
};
/* clang-format on */

/* ---- settings ---- */

bool url_origin(struct arena *a, const char *url, const char **out)
{
	bool https = strncasecmp(url, "https://", 8) == 0;
	if (!https && strncasecmp(url, "http://", 7) != 0)
		return false;
	const char *host = url + (https ? 8 : 7), *own = https ? ":443" : ":80";
	size_t n = strcspn(host, "/?#"), own_n = strlen(own);
	if (n == 0 || memchr(host, '@', n))
		return false;
	if (n > own_n && strncmp(host + n - own_n, own, own_n) == 0)
		n -= own_n;
	*out = arena_printf(a, "%s://%s", https ? "https" : "http", lowered(a, arena_strndup(a, host, n)));
	return true;
}

static const char *const *read_emails(struct arena *a, const char *list)
{
	size_t n = 1, k = 0;
	for (const char *s = list; *s; s++)
		n += *s == ',';
	const char **out = arena_array(a, n + 1, sizeof(*out));
	while (*list) {
		size_t len = strcspn(list, ",");
		const char *one = lowered(a, trimmed(a, arena_strndup(a, list, len)));
		if (one[0])
			out[k++] = one;
		list += len + (list[len] == ',');
	}
	return out;
}

static const char *without_slash(struct arena *a, const char *url)
{
	size_t n = url ? strlen(url) : 0;
	while (n && url[n - 1] == '/')
		n--;
	return arena_strndup(a, url ? url : "", n);
}

static const char *given(struct arena *a, const struct settings *s, const char *name)
{
	const char *value = setting(s, name);
	return value ? trimmed(a, value) : "";
}

static const char *missing_of(struct arena *a, const struct sign_in *s)
{
	struct buf b = buf_in(a);
	const struct {
		const char *name, *value;
	} needed[] = {
		{ "LAUNCHPLANE_GITHUB_CLIENT_ID", s->client_id },
		{ "LAUNCHPLANE_GITHUB_CLIENT_SECRET", s->client_secret },
		{ "LAUNCHPLANE_PUBLIC_URL", s->public_url },
		{ "LAUNCHPLANE_SESSION_SECRET", s->session_secret },
	};
	for (size_t i = 0; i < countof(needed); i++)
		if (!needed[i].value || !needed[i].value[0])
			buf_printf(&b, "%s%s", b.n ? ", " : "", needed[i].name);
	return buf_cstr(&b);
}

bool sign_in_read(struct arena *a, const struct settings *s, struct sign_in *out, struct err *err)
{
	const char *secure = lowered(a, given(a, s, "LAUNCHPLANE_COOKIE_SECURE"));
	const char *secret = given(a, s, "LAUNCHPLANE_SESSION_SECRET");
	*out = (struct sign_in){
		.client_id = given(a, s, "LAUNCHPLANE_GITHUB_CLIENT_ID"),
		.client_secret = given(a, s, "LAUNCHPLANE_GITHUB_CLIENT_SECRET"),
		.github_url = without_slash(a, setting(s, "--github-url")),
		.api_url = without_slash(a, setting(s, "--github-api-url")),
		.public_url = without_slash(a, setting(s, "--public-url")),
		.origin = "",
		.session_secret = secret[0] ? secret : NULL,
		.cookie_secure = strcmp(secure, "0") != 0 && strcmp(secure, "false") != 0 && strcmp(secure, "no") != 0,
		.admin_emails = read_emails(a, given(a, s, "LAUNCHPLANE_BOOTSTRAP_ADMIN_EMAILS")),
	};
	if (secret[0] && strlen(secret) < SECRET_MIN)
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_SESSION_SECRET is shorter than %d characters: set a long random text",
		               SECRET_MIN);
	if (out->public_url[0] && !url_origin(a, out->public_url, &out->origin))
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_PUBLIC_URL must be http(s)://host[:port][/path] without a user name");
	out->missing = missing_of(a, out);
	out->configured = !out->missing[0];
	return true;
}

/* ---- roles ---- */

const char *sign_in_admin_email(const struct sign_in *s, const char *const *emails)
{
	for (; *emails; emails++)
		for (const char *const *admin = s->admin_emails; *admin; admin++)
			if (strcasecmp(*emails, *admin) == 0)
				return *emails;
	return NULL;
}

static const char *const *ended(struct arena *a, const struct strings *l)
{
	const char **out = arena_array(a, l->n + 1, sizeof(*out));
	if (l->n)
		memcpy(out, l->v, l->n * sizeof(*out));
	return out;
}

enum human_role sign_in_role(struct arena *a, const struct sign_in *s, const struct policy *p,
                             const struct session_identity *who, const char *const *emails)
{
	if (sign_in_admin_email(s, emails))
		return HUMAN_ADMIN;
	return policy_human_role(p, who->login, ended(a, &who->organizations), ended(a, &who->teams));
}

bool session_principal(struct arena *a, const struct sign_in *s, const struct policy *p, const struct session *session,
                       struct principal *out)
{
	const struct session_identity *who = &session->identity;
	const char *const emails[] = { who->email, NULL };
	enum human_role at_sign_in, now = sign_in_role(a, s, p, who, emails);
	if (now == HUMAN_NO_ROLE || !human_role_of(who->role, &at_sign_in))
		return false;
	const struct human human = {
		.login = who->login,
		.name = who->name,
		.email = who->email,
		.github_id = who->github_id,
		.organizations = ended(a, &who->organizations),
		.teams = ended(a, &who->teams),
		.role = now < at_sign_in ? now : at_sign_in,
	};
	principal_of_human(a, &human, out);
	return true;
}

/* ---- proofs ---- */

static void prove(const struct sign_in *s, struct arena *a, const char *label, const char *text,
                  unsigned char out[SHA256_N])
{
	struct buf b = buf_in(a);
	buf_add(&b, label, strlen(label) + 1);
	buf_str(&b, text);
	hmac_sha256(s->session_secret, strlen(s->session_secret), b.p, b.n, out);
}

static const char *session_proof(const struct sign_in *s, struct arena *a, const char *id)
{
	unsigned char mac[SHA256_N];
	hmac_sha256(s->session_secret, strlen(s->session_secret), id, strlen(id), mac);
	return hex_encode(a, mac, sizeof(mac));
}

/* ---- cookies ---- */

#define SESSION_COOKIE "launchplane_session"
#define SIGN_IN_COOKIE "launchplane_sign_in"

/* How many cookies of that name the request has; *value is one of them. */
static size_t cookies_named(const struct request *rq, const char *name, const char **value)
{
	size_t found = 0, name_n = strlen(name);
	for (size_t i = 0; i < rq->headers_n; i++) {
		if (rq->headers[i].name_n != 6 || memcmp(rq->headers[i].name, "cookie", 6) != 0)
			continue;
		for (const char *s = rq->headers[i].value; *s;) {
			s += strspn(s, "; \t");
			size_t n = strcspn(s, ";");
			if (n > name_n && memcmp(s, name, name_n) == 0 && s[name_n] == '=') {
				*value = arena_strndup(rq->arena, s + name_n + 1, n - name_n - 1);
				found++;
			}
			s += n;
		}
	}
	return found;
}

void response_no_store(struct response *rs)
{
	for (size_t i = 0; i < rs->headers_n; i++)
		if (strcmp(rs->headers[i].name, "Cache-Control") == 0)
			return;
	response_header(rs, "Cache-Control", "no-store");
}

static void cookie_set(const struct sign_in *s, struct arena *a, const char *name, const char *value, const char *path,
                       int64_t max_age_s, struct response *rs)
{
	response_header(rs, "Set-Cookie",
	                arena_printf(a, "%s=%s; Path=%s; Max-Age=%lld; HttpOnly; SameSite=Lax%s", name, value, path,
	                             (long long)max_age_s, s->cookie_secure ? "; Secure" : ""));
	response_no_store(rs);
}

enum cookie_finding session_cookie_read(const struct sign_in *s, const struct request *rq, const char **id)
{
	const char *value = NULL;
	size_t n = cookies_named(rq, SESSION_COOKIE, &value);
	if (n == 0 || !s->configured)
		return COOKIE_NONE;
	const char *dot = strchr(value, '.');
	/* Two of them: somebody planted one, and nobody knows which. */
	if (n > 1 || !dot || dot == value || !dot[1] || strpbrk(value, " \t\r\n\v\f"))
		return COOKIE_FORGED;
	*id = arena_strndup(rq->arena, value, (size_t)(dot - value));
	return token_equal(dot + 1, session_proof(s, rq->arena, *id)) ? COOKIE_GENUINE : COOKIE_FORGED;
}

void session_cookie_set(const struct sign_in *s, struct arena *a, const struct session *session, int64_t max_age_s,
                        struct response *rs)
{
	cookie_set(s, a, SESSION_COOKIE, arena_printf(a, "%s.%s", session->id, session_proof(s, a, session->id)), "/",
	           max_age_s, rs);
}

void session_cookie_clear(const struct sign_in *s, struct arena *a, struct response *rs)
{
	cookie_set(s, a, SESSION_COOKIE, "", "/", 0, rs);
}

void sign_in_cookie_clear(const struct sign_in *s, struct arena *a, struct response *rs)
{
	cookie_set(s, a, SIGN_IN_COOKIE, "", "/auth", 0, rs);
}

/* ---- a sign-in under way ---- */

/* "v1.<state>.<expiry, ms>.<return_to, base64url>.<proof>" */
static const char *state_proof(const struct sign_in *s, struct arena *a, const char *text)
{
	unsigned char mac[SHA256_N];
	prove(s, a, "launchplane-sign-in", text, mac);
	return base64url_encode(a, mac, sizeof(mac));
}

void sign_in_begin(const struct sign_in *s, struct arena *a, int64_t now_ms, const char *return_to, struct response *rs,
                   struct sign_in_state *out)
{
	*out = (struct sign_in_state){ .state = random_base64url(a, 32),
		                       .return_to = return_to,
		                       .expires_ms = now_ms + SIGN_IN_STATE_MS };
	const char *text = arena_printf(a, "v1.%s.%lld.%s", out->state, (long long)out->expires_ms,
	                                base64url_encode(a, return_to, strlen(return_to)));
	cookie_set(s, a, SIGN_IN_COOKIE, arena_printf(a, "%s.%s", text, state_proof(s, a, text)), "/auth",
	           SIGN_IN_STATE_MS / 1000, rs);
}

bool sign_in_resume(const struct sign_in *s, const struct request *rq, int64_t now_ms, const char *state,
                    struct sign_in_state *out)
{
	struct arena *a = rq->arena;
	const char *value;
	if (cookies_named(rq, SIGN_IN_COOKIE, &value) != 1)
		return false;
	const char *proof = strrchr(value, '.');
	if (!proof)
		return false;
	const char *text = arena_strndup(a, value, (size_t)(proof - value));
	if (!token_equal(proof + 1, state_proof(s, a, text)) || strncmp(text, "v1.", 3) != 0)
		return false;
	/* The text is ours from here on. */
	const char *own = text + 3, *expiry = strchr(own, '.'), *path = strchr(expiry + 1, '.');
	unsigned char *return_to;
	size_t n;
	*out = (struct sign_in_state){ .state = arena_strndup(a, own, (size_t)(expiry - own)),
		                       .expires_ms = strtoll(expiry + 1, NULL, 10) };
	if (!base64url_decode(a, path + 1, strlen(path + 1), &return_to, &n))
		return false;
	out->return_to = (const char *)return_to;
	return token_equal(state, out->state) && now_ms < out->expires_ms;
}

const char *sign_in_verifier(const struct sign_in *s, struct arena *a, const char *state)
{
	unsigned char bytes[2 * SHA256_N];
	prove(s, a, "launchplane-pkce-1", state, bytes);
	prove(s, a, "launchplane-pkce-2", state, bytes + SHA256_N);
	return base64url_encode(a, bytes, sizeof(bytes));
}

const char *sign_in_challenge(struct arena *a, const char *verifier)
{
	unsigned char digest[SHA256_N];
	sha256(verifier, strlen(verifier), digest);
	return base64url_encode(a, digest, sizeof(digest));
}

const char *safe_return_to(const char *path)
{
	if (!path || path[0] != '/' || path[1] == '/' || strlen(path) > RETURN_TO_MAX)
		return "/";
	for (const char *s = path; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || *s == '\\') /* browsers read a backslash as a slash */
			return "/";
	return path;
}

/* ---- changes asked for by a browser ---- */

const char *csrf_token(const struct sign_in *s, struct arena *a, const struct session *session)
{
	unsigned char mac[SHA256_N];
	struct buf b = buf_in(a);
	static const char label[] = "launchplane-csrf";
	buf_add(&b, label, sizeof(label)); /* with its NUL */
	buf_add(&b, session->id, strlen(session->id) + 1);
	buf_printf(&b, "%lld", (long long)session->csrf_generation);
	hmac_sha256(s->session_secret, strlen(s->session_secret), b.p, b.n, mac);
	return arena_printf(a, "v1.%lld.%s", (long long)session->csrf_generation,
	                    base64url_encode(a, mac, sizeof(mac)));
}

static bool denied(const char *what, struct err *err)
{
	return err_set(err, &E_browser_mutation_denied,
	               "a change with a session cookie must come from a page of this service: %s", what);
}

/* The one header of that name, or NULL. */
static const char *only(const struct request *rq, const char *name)
{
	return request_header_count(rq, name) == 1 ? request_header(rq, name) : NULL;
}

static bool is(const char *value, const char *expected)
{
	return value && strcmp(value, expected) == 0;
}

bool browser_mutation_check(const struct sign_in *s, const struct request *rq, const struct session *session,
                            struct err *err)
{
	const char *mode = only(rq, "sec-fetch-mode"), *token = only(rq, "x-csrf-token");
	if (!is(only(rq, "origin"), s->origin))
		return denied("Origin must be the service's own, once", err);
	if (!is(only(rq, "sec-fetch-site"), "same-origin"))
		return denied("Sec-Fetch-Site must be same-origin", err);
	if (!is(mode, "cors") && !is(mode, "same-origin"))
		return denied("Sec-Fetch-Mode must be cors or same-origin", err);
	if (!is(only(rq, "sec-fetch-dest"), "empty"))
		return denied("Sec-Fetch-Dest must be empty", err);
	if (!token || !token_equal(token, csrf_token(s, rq->arena, session)))
		return denied("X-CSRF-Token must be the token that GET /v1/auth/session shows, which serves once", err);
	return true;
}
