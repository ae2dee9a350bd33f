#include "drivers/dokploy/env_text.h"

/* Bytes up to the end of the entry that starts at p: its line, or as far as its quoted value goes. */
static size_t entry_length(const char *p)
{
	size_t line = strcspn(p, "\n");
	const char *value = memchr(p, '=', line);
	if (!value)
		return line;
	value++;
	while (value < p + line && is_white(*value))
		value++;
	char quote = value < p + line ? *value : '\0';
	if (quote != '"' && quote != '\'' && quote != '`')
		return line;
	if (memchr(value + 1, quote, (size_t)(p + line - value - 1)))
		return line;
	const char *close = strchr(value + 1, quote);
	if (!close)
		return line; /* an ordinary character after all */
	return (size_t)(close - p) + strcspn(close, "\n");
}

static void parse_entry(struct arena *a, const char *p, size_t n, struct text_map *out)
{
	while (n && is_white(p[n - 1]))
		n--;
	for (;;) { /* past blanks and "export", so that what is written from this reads as the same key */
		while (n && is_white(*p)) {
			p++;
			n--;
		}
		if (n == 0 || *p == '#')
			return;
		if (n <= 7 || strncmp(p, "export ", 7) != 0)
			break;
		p += 7;
		n -= 7;
	}
	const char *equals = memchr(p, '=', n);
	if (!equals)
		return;
	const char *key = trimmed(a, arena_strndup(a, p, (size_t)(equals - p)));
	if (key[0])
		map_set(a, out, key, arena_strndup(a, equals + 1, n - (size_t)(equals + 1 - p)));
}

void env_text_parse(struct arena *a, const char *text, struct text_map *out)
{
	*out = (struct text_map){ 0 };
	while (text && *text) {
		size_t n = entry_length(text);
		parse_entry(a, text, n, out);
		text += n + (text[n] == '\n');
	}
}

char *env_text_write(struct arena *a, const struct text_map *env)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < env->n; i++)
		buf_printf(&b, "%s%s=%s", i ? "\n" : "", env->v[i].key, env->v[i].value);
	buf_str(&b, "");
	return b.p;
}

bool env_remove(struct text_map *env, const char *key)
{
	for (size_t i = 0; i < env->n; i++) {
		if (strcmp(env->v[i].key, key) == 0) {
			memmove(env->v + i, env->v + i + 1, (env->n - i - 1) * sizeof(*env->v));
			env->n--;
			return true;
		}
	}
	return false;
}

const char *env_value_problem(const char *value)
{
	size_t n = strlen(value);
	if (n == 0)
		return NULL;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\t')
			return *p == '\n' || *p == '\r' ? "spans several lines" : "has a control character";
	if (is_white(value[0]) || is_white(value[n - 1]))
		return "begins or ends with a blank";
	if (strchr("\"'`", value[0]))
		return "begins with a quote";
	if (value[0] == '#' || strstr(value, " #") || strstr(value, "\t#"))
		return "has a # that starts a comment";
	return NULL;
}
