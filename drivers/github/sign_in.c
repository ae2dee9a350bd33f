#include "drivers/github/sign_in.h"

#include "core/http_client.h"
#include "storage/codes.h"

#include <stdlib.h>

#define TIMEOUT_MS  10000
#define ANSWER_MAX  (1u << 20)
#define PAGE_SIZE   100
#define PAGES_MAX   20
#define LOGIN_MAX   100
#define API_VERSION "2022-11-28"

const char *github_authorize_url(struct arena *a, const struct github_app *app, const char *redirect_uri,
                                 const char *state, const char *challenge)
{
	const struct {
		const char *name, *value;
	} parameters[] = {
		{ "client_id", app->client_id },     { "redirect_uri", redirect_uri },
		{ "scope", GITHUB_SIGN_IN_SCOPES },  { "state", state },
		{ "response_type", "code" },         { "code_challenge", challenge },
		{ "code_challenge_method", "S256" },
	};
	struct buf b = buf_in(a);
	buf_printf(&b, "%s/login/oauth/authorize", app->web_url);
	for (size_t i = 0; i < countof(parameters); i++) {
		buf_printf(&b, "%c%s=", i ? '&' : '?', parameters[i].name);
		buf_escaped(&b, parameters[i].value);
	}
	return buf_cstr(&b);
}

/* ---- the code's exchange ---- */

static bool unreadable(const char *what, int status, struct err *err)
{
	return err_set(err, &E_upstream_failed, "GitHub's answer about %s cannot be used (status %d)", what, status);
}

static bool has_scope(const char *granted, const char *scope)
{
	size_t n = strlen(scope);
	for (const char *s = granted; *s; s += strcspn(s, ", "), s += strspn(s, ", "))
		if (strcspn(s, ", ") == n && strncmp(s, scope, n) == 0)
			return true;
	return false;
}

/* A wider scope of the same family holds the narrower one. */
static bool scopes_suffice(const char *granted)
{
	bool user = has_scope(granted, "user");
	bool org = has_scope(granted, "admin:org") || has_scope(granted, "write:org") || has_scope(granted, "read:org");
	return org && (user || (has_scope(granted, "read:user") && has_scope(granted, "user:email")));
}

bool github_exchange_code(struct task *t, const struct github_app *app, const char *code, const char *redirect_uri,
                          const char *verifier, const char **token, struct err *err)
{
	static const struct http_header headers[] = {
		{ "Accept", "application/json" },
		{ "Content-Type", "application/x-www-form-urlencoded" },
	};
	const char *const form[][2] = {
		{ "client_id", app->client_id },  { "client_secret", app->client_secret }, { "code", code },
		{ "redirect_uri", redirect_uri }, { "code_verifier", verifier },
	};
	struct buf b = buf_in(t->arena);
	for (size_t i = 0; i < countof(form); i++) {
		buf_printf(&b, "%s%s=", i ? "&" : "", form[i][0]);
		buf_escaped(&b, form[i][1]);
	}
	const struct http_call call = {
		.method = "POST",
		.url = arena_printf(t->arena, "%s/login/oauth/access_token", app->web_url),
		.headers = headers,
		.headers_n = countof(headers),
		.body = b.p,
		.body_n = b.n,
		.timeout_ms = TIMEOUT_MS,
		.max_bytes = ANSWER_MAX,
		.what = "GitHub",
	};
	struct http_answer answer;
	struct json doc;
	struct err ignored = { 0 };
	if (!http_fetch(t, &call, &answer, err))
		return false;
	if (answer.status != 200 || !json_parse(t->arena, answer.body, answer.body_n, "answer", &doc, &ignored))
		return unreadable("the code", answer.status, err);
	/* GitHub refuses with status 200 and a member that says why. */
	const char *error = json_str(&doc, "error", "");
	if (error[0])
		return err_set(err, &E_provider_refused, "GitHub refused the code") ||
		       err_cause(err, "%.60s: %.200s", error, json_str(&doc, "error_description", ""));
	const char *made = json_str(&doc, "access_token", "");
	if (!made[0] || strpbrk(made, " \t\r\n") || strcasecmp(json_str(&doc, "token_type", ""), "bearer") != 0)
		return unreadable("the code", answer.status, err);
	if (!scopes_suffice(json_str(&doc, "scope", "")))
		return err_set(err, &E_provider_refused,
		               "GitHub did not grant what was asked for: " GITHUB_SIGN_IN_SCOPES);
	*token = made;
	return true;
}

/* ---- the person ---- */

static SUSPENDS bool read_page(struct task *t, const struct github_app *app, const char *token, const char *path,
                               struct json *out, struct err *err)
{
	const struct http_header headers[] = {
		{ "Authorization", arena_printf(t->arena, "Bearer %s", token) },
		{ "Accept", "application/vnd.github+json" },
		{ "X-GitHub-Api-Version", API_VERSION },
	};
	const struct http_call call = {
		.url = arena_printf(t->arena, "%s%s", app->api_url, path),
		.headers = headers,
		.headers_n = countof(headers),
		.timeout_ms = TIMEOUT_MS,
		.max_bytes = ANSWER_MAX,
		.what = "GitHub",
	};
	struct http_answer answer;
	struct err ignored = { 0 };
	if (!http_fetch(t, &call, &answer, err))
		return false;
	if (answer.status == 401 || answer.status == 403 || answer.status == 404)
		return err_set(err, &E_provider_refused, "GitHub refused to tell who signed in (status %d on %.40s)",
		               answer.status, path);
	if (answer.status != 200 || !json_parse(t->arena, answer.body, answer.body_n, "answer", out, &ignored))
		return unreadable("the person", answer.status, err);
	return true;
}

typedef bool (*item_fn)(struct arena *a, const struct json *item, void *to);

/* Hands every item of a paged list to fn; false from it: the list is not what GitHub sends. */
static SUSPENDS bool read_list(struct task *t, const struct github_app *app, const char *token, const char *path,
                               item_fn fn, void *to, struct err *err)
{
	for (int page = 1; page <= PAGES_MAX; page++) {
		struct json list;
		const char *full = arena_printf(t->arena, "%s?per_page=%d&page=%d", path, PAGE_SIZE, page);
		if (!read_page(t, app, token, full, &list, err))
			return false;
		if (list.type != JSON_ARRAY)
			return unreadable(path, 200, err);
		for (uint32_t i = 0; i < list.n; i++)
			if (!fn(t->arena, &list.items[i], to))
				return unreadable(path, 200, err);
		if (list.n < PAGE_SIZE)
			return true;
	}
	return err_set(err, &E_upstream_failed, "GitHub lists more than %d entries at %s", PAGES_MAX * PAGE_SIZE, path);
}

struct names {
	struct strings *to;
	size_t room;
};

static void add_name(struct arena *a, struct names *names, const char *name)
{
	struct strings *l = names->to;
	if (l->n == names->room) {
		names->room = names->room ? 2 * names->room : 16;
		const char **grown = arena_array(a, names->room, sizeof(*grown));
		if (l->n)
			memcpy(grown, l->v, l->n * sizeof(*grown));
		l->v = grown;
	}
	l->v[l->n++] = name;
}

static bool add_organization(struct arena *a, const struct json *item, void *to)
{
	const char *login = json_str(item, "login", "");
	if (is_blank(login))
		return false;
	add_name(a, to, login);
	return true;
}

static bool add_team(struct arena *a, const struct json *item, void *to)
{
	const char *slug = json_str(item, "slug", ""), *org = json_str(json_get(item, "organization"), "login", "");
	if (is_blank(slug) || is_blank(org))
		return false;
	add_name(a, to, slug);
	add_name(a, to, arena_printf(a, "%s/%s", org, slug));
	return true;
}

struct addresses {
	struct names verified;
	bool has_primary;
};

static bool add_email(struct arena *a, const struct json *item, void *to)
{
	struct addresses *found = to;
	const char *email = json_str(item, "email", "");
	if (is_blank(email))
		return false;
	if (!json_bool(item, "verified", false))
		return true;
	add_name(a, &found->verified, email);
	struct strings *l = found->verified.to;
	if (json_bool(item, "primary", false)) {
		l->v[l->n - 1] = l->v[0];
		l->v[0] = email;
		found->has_primary = true;
	}
	return true;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* The same name may come from several organizations; sorted, each once. */
static void sort_names(struct strings *l)
{
	size_t kept = 0;
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_name);
	for (size_t i = 0; i < l->n; i++)
		if (!kept || strcmp(l->v[kept - 1], l->v[i]) != 0)
			l->v[kept++] = l->v[i];
	l->n = kept;
}

bool github_person_read(struct task *t, const struct github_app *app, const char *token, struct github_person *out,
                        struct err *err)
{
	struct json user;
	*out = (struct github_person){ 0 };
	struct names organizations = { &out->organizations, 0 }, teams = { &out->teams, 0 };
	struct addresses addresses = { .verified = { &out->emails, 0 } };
	if (!read_page(t, app, token, "/user", &user, err))
		return false;
	out->login = json_str(&user, "login", "");
	out->name = json_str(&user, "name", "");
	out->email = json_str(&user, "email", "");
	out->id = json_int(&user, "id", 0);
	if (is_blank(out->login) || strlen(out->login) > LOGIN_MAX || out->id <= 0)
		return unreadable("the person", 200, err);
	if (!read_list(t, app, token, "/user/orgs", add_organization, &organizations, err) ||
	    !read_list(t, app, token, "/user/teams", add_team, &teams, err) ||
	    !read_list(t, app, token, "/user/emails", add_email, &addresses, err))
		return false;
	out->has_primary = addresses.has_primary;
	sort_names(&out->organizations);
	sort_names(&out->teams);
	return true;
}
