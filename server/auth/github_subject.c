#include "server/auth/github_subject.h"

#include <string.h>

/* A piece of sub; not terminated. */
struct piece {
	const char *p;
	size_t n;
};

static bool is_text(struct piece x, const char *s)
{
	return strlen(s) == x.n && memcmp(x.p, s, x.n) == 0;
}

/* The next piece up to the separator, which is skipped; false at the end. */
static bool next_piece(const char **rest, const char *end, char separator, struct piece *out)
{
	if (!*rest)
		return false;
	const char *stop = memchr(*rest, separator, (size_t)(end - *rest));
	*out = (struct piece){ *rest, (size_t)((stop ? stop : end) - *rest) };
	*rest = stop ? stop + 1 : NULL;
	return true;
}

/* Whether a piece is the claim's text, which sub carries with each colon as %3A. */
static bool says(struct piece x, const char *claim)
{
	size_t i = 0;
	for (; *claim; claim++) {
		if (*claim == ':') {
			if (i + 3 > x.n || memcmp(x.p + i, "%3A", 3) != 0)
				return false;
			i += 3;
		} else if (i == x.n || x.p[i++] != *claim) {
			return false;
		}
	}
	return i == x.n;
}

/* "name" or "name@123": *id is empty for the first. */
static bool read_name(struct piece whole, struct piece *name, struct piece *id)
{
	const char *at = memchr(whole.p, '@', whole.n);
	*name = (struct piece){ whole.p, at ? (size_t)(at - whole.p) : whole.n };
	*id = at ? (struct piece){ at + 1, whole.n - name->n - 1 } : (struct piece){ whole.p, 0 };
	if (name->n == 0 || (at && (id->n == 0 || id->n > 20)))
		return false;
	for (size_t i = 0; i < id->n; i++)
		if (id->p[i] < '0' || id->p[i] > '9')
			return false;
	return true;
}

static bool same_id(struct arena *a, struct piece id, const char **claim)
{
	if (id.n && !(*claim)[0])
		*claim = arena_strndup(a, id.p, id.n);
	return id.n == 0 || is_text(id, *claim);
}

static enum token_refusal check_repository(struct arena *a, struct piece whole, struct github_claims *c)
{
	const char *rest = whole.p, *end = whole.p + whole.n;
	struct piece owner, name, owner_id, name_id, half;
	if (!next_piece(&rest, end, '/', &half) || !read_name(half, &owner, &owner_id) ||
	    !next_piece(&rest, end, '/', &half) || !read_name(half, &name, &name_id) || rest)
		return REFUSED_subject_malformed;
	if ((owner_id.n == 0) != (name_id.n == 0))
		return REFUSED_subject_malformed; /* both carry a number, or none */
	const char *slash = strchr(c->repository, '/');
	if (!slash || !is_text(name, slash + 1) || owner.n != (size_t)(slash - c->repository) ||
	    memcmp(owner.p, c->repository, owner.n) != 0 ||
	    (c->repository_owner[0] && !is_text(owner, c->repository_owner)))
		return REFUSED_subject_contradicts_repository;
	if (!same_id(a, owner_id, &c->repository_owner_id) || !same_id(a, name_id, &c->repository_id))
		return REFUSED_subject_contradicts_id;
	return TOKEN_ACCEPTED;
}

static enum token_refusal check_pull_request(const struct github_claims *c)
{
	if (c->event_name[0] && strncmp(c->event_name, "pull_request", strlen("pull_request")) != 0)
		return REFUSED_subject_contradicts_event;
	/* A job with an environment is named after that, pull request or not. */
	return c->environment[0] ? REFUSED_subject_contradicts_environment : TOKEN_ACCEPTED;
}

/* One pair behind the repository, or of a customised sub. */
static enum token_refusal check_pair(struct arena *a, struct piece key, struct piece value, struct github_claims *c)
{
	const struct {
		const char *key, *claim;
		enum token_refusal otherwise;
	} pairs[] = {
		{ "ref", c->ref, REFUSED_subject_contradicts_ref },
		{ "ref_type", c->ref_type, REFUSED_subject_contradicts_ref },
		{ "environment", c->environment, REFUSED_subject_contradicts_environment },
		{ "event_name", c->event_name, REFUSED_subject_contradicts_event },
		{ "workflow_ref", c->workflow_ref, REFUSED_subject_contradicts_workflow },
		{ "job_workflow_ref", c->job_workflow_ref, REFUSED_subject_contradicts_workflow },
		{ "repository", c->repository, REFUSED_subject_contradicts_repository },
		{ "repository_owner", c->repository_owner, REFUSED_subject_contradicts_repository },
		{ "repository_id", c->repository_id, REFUSED_subject_contradicts_id },
		{ "repository_owner_id", c->repository_owner_id, REFUSED_subject_contradicts_id },
	};
	if (is_text(key, "repo"))
		return check_repository(a, value, c);
	for (size_t i = 0; i < countof(pairs); i++)
		if (is_text(key, pairs[i].key))
			/* Of these a token without an environment is complete; another claim it merely lacks. */
			return says(value, pairs[i].claim) || (!pairs[i].claim[0] && !is_text(key, "environment"))
			               ? TOKEN_ACCEPTED
			               : pairs[i].otherwise;
	return TOKEN_ACCEPTED; /* a claim that decides nothing */
}

/* "owner" of "owner/name". */
static bool owner_agrees(const struct github_claims *c)
{
	size_t n = strlen(c->repository_owner);
	return n == 0 || (strncmp(c->repository, c->repository_owner, n) == 0 && c->repository[n] == '/');
}

enum token_refusal github_subject_check(struct arena *a, struct github_claims *c)
{
	if (!owner_agrees(c))
		return REFUSED_owner_contradicts_repository;
	const char *rest = c->sub[0] ? c->sub : NULL, *end = c->sub + strlen(c->sub);
	struct piece key, value;
	bool is_repo = strncmp(c->sub, "repo:", 5) == 0;
	while (next_piece(&rest, end, ':', &key)) {
		enum token_refusal r;
		if (is_text(key, "pull_request"))
			r = check_pull_request(c);
		else if (next_piece(&rest, end, ':', &value))
			r = check_pair(a, key, value, c);
		else
			r = is_repo ? REFUSED_subject_malformed : TOKEN_ACCEPTED;
		if (r != TOKEN_ACCEPTED)
			return r;
	}
	return TOKEN_ACCEPTED;
}
