#include "core/settings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_end(const struct setting *s)
{
	return !s->flag && !s->env;
}

static size_t count_rows(const struct setting *const *tables)
{
	size_t n = 0;
	for (; *tables; tables++)
		for (const struct setting *s = *tables; !is_end(s); s++)
			n++;
	return n;
}

/* The row by flag or variable, and its place in values. */
static const struct setting *row_named(const struct setting *const *tables, const char *name, size_t n, size_t *at)
{
	size_t i = 0;
	for (; *tables; tables++)
		for (const struct setting *s = *tables; !is_end(s); s++, i++) {
			const char *own = name[0] == '-' ? s->flag : s->env;
			if (own && strlen(own) == n && strncmp(own, name, n) == 0) {
				*at = i;
				return s;
			}
		}
	return NULL;
}

static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);
	if (n >= countof(row))
		return SIZE_MAX;
	for (size_t k = 0; k <= n; k++)
		row[k] = k;
	for (size_t i = 1; *a; a++, i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t k = 1; k <= n; k++) {
			size_t up = row[k], best = diagonal + (*a != b[k - 1]);
			if (up + 1 < best)
				best = up + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			row[k] = best;
			diagonal = up;
		}
	}
	return row[n];
}

const char *closest_word(const char *word, const char *const *known, size_t n)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 2 + 1;
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, known[i]);
		if (d < best_distance) {
			best_distance = d;
			best = known[i];
		}
	}
	return best;
}

static bool unknown_flag(const struct setting *const *tables, const char *word, size_t n, struct err *err)
{
	char given[80];
	snprintf(given, sizeof(given), "%.*s", (int)n, word);
	const char *flags[128];
	size_t flags_n = 0;
	for (; *tables; tables++)
		for (const struct setting *s = *tables; !is_end(s); s++)
			if (s->flag && !(s->flags & SETTING_TEST) && flags_n < countof(flags))
				flags[flags_n++] = s->flag;
	const char *close = closest_word(given, flags, flags_n);
	if (close)
		return err_set(err, &E_invalid_request, "unknown option %s, did you mean %s?", given, close);
	return err_set(err, &E_invalid_request, "unknown option %s; --help lists the options", given);
}

bool settings_read(struct arena *a, const struct setting *const *tables, int argc, char *const *argv,
                   size_t max_positionals, struct settings *out, struct err *err)
{
	size_t n = count_rows(tables), i = 0;
	*out = (struct settings){ .arena = a,
		                  .tables = tables,
		                  .values = arena_array(a, n + 1, sizeof(char *)),
		                  .positionals = arena_array(a, (size_t)argc + 1, sizeof(char *)) };
	for (const struct setting *const *t = tables; *t; t++)
		for (const struct setting *s = *t; !is_end(s); s++, i++) {
			const char *v = s->env ? getenv(s->env) : NULL;
			out->values[i] = v && v[0] ? v : s->fallback;
		}
	for (int k = 0; k < argc; k++) {
		const char *word = argv[k];
		if (strncmp(word, "--", 2) != 0) {
			if (out->positionals_n >= max_positionals)
				return err_set(err, &E_invalid_request,
				               "unexpected argument %s; --help shows the usage", word);
			out->positionals[out->positionals_n++] = word;
			continue;
		}
		size_t len = strcspn(word, "="), at = 0;
		const struct setting *s = row_named(tables, word, len, &at);
		if (!s)
			return unknown_flag(tables, word, len, err);
		const char *value;
		if (s->flags & SETTING_SWITCH) {
			if (word[len])
				return err_set(err, &E_invalid_request, "%s takes no value", s->flag);
			value = "true";
		} else if (word[len]) {
			value = word + len + 1;
		} else if (k + 1 < argc) {
			value = argv[++k];
		} else {
			return err_set(err, &E_invalid_request, "%s needs a value: %s %s", s->flag, s->flag,
			               s->metavar);
		}
		if ((s->flags & SETTING_MANY) && out->values[at])
			value = arena_printf(a, "%s\n%s", out->values[at], value);
		out->values[at] = value;
	}
	return true;
}

const char *setting(const struct settings *s, const char *name)
{
	size_t at = 0;
	const struct setting *row = row_named(s->tables, name, strlen(name), &at);
	assert(row);
	(void)row;
	return s->values[at];
}

bool setting_on(const struct settings *s, const char *name)
{
	const char *v = setting(s, name);
	return v && (strcmp(v, "true") == 0 || strcmp(v, "1") == 0 || strcmp(v, "yes") == 0);
}

void setting_forget(const struct settings *s, const char *name)
{
	size_t at = 0;
	const struct setting *row = row_named(s->tables, name, strlen(name), &at);
	assert(row && row->env);
	char *v = getenv(row->env);
	if (v)
		explicit_bzero(v, strlen(v));
	unsetenv(row->env);
	s->values[at] = NULL;
}

bool setting_required(const struct settings *s, const char *name, const char **out, struct err *err)
{
	const char *v = setting(s, name);
	size_t at = 0;
	const struct setting *row = row_named(s->tables, name, strlen(name), &at);
	if (v) {
		*out = v;
		return true;
	}
	if (row->flag && row->env)
		return err_set(err, &E_invalid_request, "%s is not set: set it or give %s %s (%s)", row->env, row->flag,
		               row->metavar, row->help);
	return err_set(err, &E_invalid_request, "%s is not given (%s)", row->flag ? row->flag : row->env, row->help);
}

bool setting_int(const struct settings *s, const char *name, long long min, long long max, long long *out,
                 struct err *err)
{
	const char *v = setting(s, name);
	char *end = NULL;
	long long n = v ? strtoll(v, &end, 10) : 0;
	size_t at = 0;
	const struct setting *row = row_named(s->tables, name, strlen(name), &at);
	if (!v || !v[0] || *end || n < min || n > max)
		return err_set(err, &E_invalid_request, "%s%s%s must be a whole number from %lld to %lld, not \"%s\"",
		               row->env ? row->env : "", row->env && row->flag ? ", " : "", row->flag ? row->flag : "",
		               min, max, v ? v : "");
	*out = n;
	return true;
}

void settings_help(struct buf *b, const struct setting *table)
{
	for (const struct setting *s = table; !is_end(s); s++) {
		if (s->flags & SETTING_TEST)
			continue;
		if (s->flag)
			buf_printf(b, "  %s%s%s\n", s->flag, s->metavar ? " " : "", s->metavar ? s->metavar : "");
		else
			buf_printf(b, "  %s (environment only)\n", s->env);
		buf_printf(b, "      %s", s->help);
		if (s->flag && s->env)
			buf_printf(b, " [%s]", s->env);
		if (s->fallback)
			buf_printf(b, " (default %s)", s->fallback);
		buf_char(b, '\n');
	}
}
