#include "server/routes/route.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS  256
#define ROWS_MAX 1024

/* ---- rows by their first two segments, which are never parameters ---- */

static struct {
	const struct route *rows[ROWS_MAX]; /* bucket by bucket, within one in the tables' order */
	uint16_t first[BUCKETS + 1];
	bool is_filled;
} rows_of;

static unsigned bucket_of(const char *path)
{
	uint32_t h = 0x811c9dc5u;
	for (unsigned slashes = 0; *path; path++) {
		slashes += *path == '/';
		if (slashes == 3)
			break;
		h = (h ^ (unsigned char)*path) * 0x01000193u;
	}
	return (h ^ h >> 16) % BUCKETS;
}

static void fill_buckets(void)
{
	uint16_t next[BUCKETS];
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++)
			rows_of.first[bucket_of(r->path) + 1]++;
	for (unsigned b = 0; b < BUCKETS; b++) {
		next[b] = rows_of.first[b];
		rows_of.first[b + 1] = (uint16_t)(rows_of.first[b + 1] + next[b]);
	}
	assert(rows_of.first[BUCKETS] <= ROWS_MAX);
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++)
			rows_of.rows[next[bucket_of(r->path)]++] = r;
	rows_of.is_filled = true;
}

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
	if (!rows_of.is_filled)
		fill_buckets();
	unsigned bucket = bucket_of(path);
	for (size_t i = rows_of.first[bucket]; i < rows_of.first[bucket + 1]; i++) {
		const struct route *r = rows_of.rows[i];
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

static bool begins_with_names(const char *path)
{
	unsigned slashes = 0;
	for (; *path && *path != '{'; path++)
		slashes += *path == '/';
	return !*path || slashes >= 3;
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
			assert(begins_with_names(r->path));
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
