#include "server/routes/route.h"

#include <assert.h>
#include <stdlib.h>

/* Most rows differ from a path within a few characters. */
static bool path_matches(const char *pattern, const char *path, struct path_params *params)
{
	params->n = 0;
	for (; *pattern; pattern++) {
		if (*pattern != '{') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		size_t n = strcspn(path, "/");
		if (n == 0)
			return false;
		assert(params->n < PATH_PARAMS_MAX);
		params->v[params->n].name = pattern + 1;
		params->v[params->n].at = path;
		params->v[params->n++].len = n;
		path += n;
		pattern = strchr(pattern, '}');
	}
	return !*path;
}

/* Literal rows come before rows with parameters where both fit: a row's rank is its count of parameters. */
static size_t parameter_count(const char *template)
{
	size_t n = 0;
	for (; *template; template ++)
		n += *template == '{';
	return n;
}

const struct route *route_match(llhttp_method_t method, const char *path, struct path_params *params,
                                const char **allowed)
{
	const struct route *found = NULL;
	bool has_get = false, has_post = false;
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++) {
			struct path_params p;
			if (!path_matches(r->path, path, &p))
				continue;
			has_get |= r->method == HTTP_GET;
			has_post |= r->method == HTTP_POST;
			if (r->method != method || (found && parameter_count(found->path) <= parameter_count(r->path)))
				continue;
			found = r;
			*params = p;
		}
	*allowed = found                 ? ""
	           : has_get && has_post ? "GET, HEAD, POST"
	           : has_get             ? "GET, HEAD"
	           : has_post            ? "POST"
	                                 : "";
	return found;
}

static void check_source(const struct route *r, const char *source)
{
	assert(source);
	assert(source[0] == '=' || strncmp(source, "body:", 5) == 0 || strncmp(source, "path:", 5) == 0 ||
	       strncmp(source, "query:", 6) == 0 || strcmp(source, "handler") == 0);
	assert(strncmp(source, "body:", 5) != 0 || r->body);
	(void)r;
	(void)source;
}

void routes_check(void)
{
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++) {
			assert(r->path[0] == '/' && r->handler && r->summary);
			assert(r->method == HTTP_GET || r->method == HTTP_POST);
			if (r->callers != CALLERS_ANYONE) {
				assert(r->action);
				check_source(r, r->product);
				check_source(r, r->context);
			}
			for (const struct route *const *other = all_routes; *other; other++)
				for (const struct route *o = *other; o->path; o++)
					assert(o == r || o->method != r->method || strcmp(o->path, r->path) != 0);
		}
}
