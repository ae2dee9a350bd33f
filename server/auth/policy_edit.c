#include "server/auth/policy_edit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- equality ---- */

/* Absent, null and an empty list say the same. */
static bool is_nothing(const struct json *j)
{
	return !j || j->type == JSON_NULL || (j->type == JSON_ARRAY && j->n == 0);
}

/* A string, or GitHub's number in either notation. */
static bool texts_equal(const struct json *x, const struct json *y)
{
	char xs[24], ys[24];
	const char *xp = x->string, *yp = y->string;
	if (x->type == JSON_INT) {
		snprintf(xs, sizeof(xs), "%lld", (long long)x->integer);
		xp = xs;
	}
	if (y->type == JSON_INT) {
		snprintf(ys, sizeof(ys), "%lld", (long long)y->integer);
		yp = ys;
	}
	return strcmp(xp, yp) == 0;
}

static bool is_text(const struct json *j)
{
	return j->type == JSON_STRING || j->type == JSON_INT;
}

static bool values_equal(const struct json *x, const struct json *y)
{
	if (is_nothing(x) || is_nothing(y))
		return is_nothing(x) && is_nothing(y);
	if (is_text(x) && is_text(y))
		return texts_equal(x, y);
	if (x->type != JSON_ARRAY || y->type != JSON_ARRAY || x->n != y->n)
		return false;
	for (uint32_t i = 0; i < x->n; i++)
		if (!is_text(&x->items[i]) || !is_text(&y->items[i]) || !texts_equal(&x->items[i], &y->items[i]))
			return false;
	return true;
}

static bool holds_all_of(const struct json *x, const struct json *y)
{
	for (uint32_t i = 0; i < y->n; i++)
		if (!values_equal(json_get(x, y->members[i].key), &y->members[i].value))
			return false;
	return true;
}

bool policy_rules_equal(const struct json *x, const struct json *y)
{
	return holds_all_of(x, y) && holds_all_of(y, x);
}

/* ---- changing ---- */

static void free_policy(void *p)
{
	policy_free(p);
}

static struct json list_of(struct arena *a, size_t room)
{
	return (struct json){ .type = JSON_ARRAY, .items = arena_array(a, room ? room : 1, sizeof(struct json)) };
}

/* The section after the change, and how many of its rules are equal to the given one. */
static struct json edited_section(struct arena *a, const struct json *from, const struct policy_change *change,
                                  size_t *matched)
{
	uint32_t n = from ? from->n : 0;
	struct json to = list_of(a, (size_t)n + 1);
	*matched = 0;
	for (uint32_t i = 0; i < n; i++) {
		bool equal = policy_rules_equal(&from->items[i], change->rule);
		*matched += equal;
		if (!equal || !change->removes)
			to.items[to.n++] = from->items[i];
	}
	if (!change->removes)
		to.items[to.n++] = *change->rule;
	return to;
}

bool policy_edit(struct arena *a, const struct policy *from, const struct policy_change *change,
                 struct policy_edit *out, struct err *err)
{
	const char *name = policy_section(change->kind);
	const struct json *document = policy_document(from);
	*out = (struct policy_edit){ 0 };
	struct json section = edited_section(a, json_get(document, name), change, &out->matched);
	out->changed = change->removes == (out->matched > 0);
	if (!out->changed)
		return true;
	struct json to = json_object();
	for (uint32_t i = 0; i < document->n; i++)
		json_set(a, &to, document->members[i].key, document->members[i].value);
	json_set(a, &to, name, section);
	out->policy = policy_of_json(&to, err);
	if (!out->policy)
		return false;
	arena_defer(a, free_policy, out->policy);
	if (change->removes && !policy_has_administrator(out->policy))
		return err_set(err, &E_conflict,
		               "this would leave nobody who may change the policy; grant authz_policy_grant.write "
		               "on launchplane/launchplane to somebody else first");
	return true;
}

bool policy_rule_check(struct arena *a, enum principal_kind kind, const struct json *rule, const char *path,
                       struct err *err)
{
	const char *name = policy_section(kind);
	struct json section = list_of(a, 1), document = json_object();
	section.items[section.n++] = *rule;
	json_set(a, &document, name, section);
	struct policy *p = policy_of_json(&document, err);
	if (p) {
		policy_free(p);
		return true;
	}
	/* The document's place, "github_humans[0].roles[1]", as the request's, "grant.roles[1]". */
	size_t n = strlen(name) + strlen("[0]");
	const char *why = arena_strdup(a, err->message + strlen(err->field) + strlen(": "));
	const char *place = arena_printf(a, "%s%s", path, strlen(err->field) >= n ? err->field + n : "");
	return err_field(err, place, "%s", why);
}

/* ---- time ---- */

/* Microseconds since 1970 of "2026-01-31T10:00:00Z" or "...00.123456Z". Digits that are not there count as nines: texts
 * are compared, and 'Z' comes after '.' and after every digit. */
static bool micros_of(const char *utc, int64_t *out)
{
	struct tm tm = { 0 };
	const char *rest = strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return false;
	int64_t fraction = 0;
	int digits = 0;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9' && digits < 6; rest++, digits++)
			fraction = fraction * 10 + (*rest - '0');
	for (; digits < 6; digits++)
		fraction = fraction * 10 + 9;
	*out = (int64_t)timegm(&tm) * 1000000 + fraction;
	return true;
}

const char *policy_time(struct arena *a, int64_t wall_ms, const char *previous)
{
	int64_t micros = wall_ms * 1000, before;
	if (micros_of(previous, &before) && micros <= before)
		micros = before + 1;
	time_t s = (time_t)(micros / 1000000);
	struct tm tm;
	char text[32];
	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_printf(a, "%s.%06dZ", text, (int)(micros % 1000000));
}
