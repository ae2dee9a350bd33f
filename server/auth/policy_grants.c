#include "server/auth/policy_grants.h"

#include "server/auth/policy_internal.h"

#include <string.h>

/* A set as PostgreSQL's bracket expression; s is behind the [, end at its ]. A range that runs backwards holds nothing
 * here and is an error there: such a set matches nothing. */
static void write_set(struct buf *b, const char *s, const char *end)
{
	for (const char *p = s; p + 2 < end; p++)
		if (p[1] == '-' && (unsigned char)p[0] > (unsigned char)p[2]) {
			buf_str(b, "(?!)");
			return;
		}
	buf_char(b, '[');
	if (*s == '!') {
		buf_char(b, '^');
		s++;
	}
	for (; s < end; s++) {
		if (strchr("\\[]^", *s))
			buf_char(b, '\\');
		buf_char(b, *s);
	}
	buf_char(b, ']');
}

static const char *end_of_set(const char *s)
{
	s += *s == '!';
	s += *s == ']';
	return strchr(s, ']');
}

static void write_glob(struct buf *b, const char *glob)
{
	for (; *glob; glob++) {
		const char *end = *glob == '[' ? end_of_set(glob + 1) : NULL;
		if (*glob == '*') {
			buf_str(b, ".*");
		} else if (*glob == '?') {
			buf_char(b, '.');
		} else if (end) {
			write_set(b, glob + 1, end);
			glob = end;
		} else {
			if (strchr("\\^$.|+()[]{}", *glob))
				buf_char(b, '\\');
			buf_char(b, *glob);
		}
	}
}

static void write_condition(struct json_out *o, const char *key, const struct field *f, const struct list *l)
{
	struct buf b = buf_in(o->buf->arena);
	jo_key(o, key);
	if (!l || l->n == 0) {
		jo_null(o);
		return;
	}
	buf_str(&b, "^(?:");
	for (size_t i = 0; i < l->n; i++) {
		buf_str(&b, i ? "|" : "");
		if (f->match == GLOB) {
			write_glob(&b, l->items[i]);
		} else {
			for (const char *p = l->items[i]; *p; p++) {
				if (strchr("\\^$.|+()[]{}*?", *p))
					buf_char(&b, '\\');
				buf_char(&b, *p);
			}
		}
	}
	buf_str(&b, ")$");
	jo_str(o, buf_cstr(&b));
}

/* Whether the rule allows the question's action somewhere; *product and *context are its conditions on where. */
static bool rule_reaches(const struct section *s, const struct rule *r, const struct question *q, size_t *product,
                         size_t *context)
{
	*product = *context = FIELDS_MAX;
	for (size_t i = 0; i < s->fields_n; i++) {
		if (s->fields[i].of == OF_PRODUCT)
			*product = i;
		else if (s->fields[i].of == OF_CONTEXT)
			*context = i;
		else if (!condition_holds(&s->fields[i], &r->conditions[i], q))
			return false;
	}
	return true;
}

static void write_action(struct json_out *o, const struct policy *p, const struct principal *who, const char *action)
{
	const struct section *s = &policy_sections[who->kind];
	const struct rule *rules;
	struct question q;
	size_t n, product, context;
	question_ask(&q, who, action, "", "");
	policy_own_rules(p, who, &rules, &n);
	for (size_t i = 0; i < n; i++) {
		if (!rule_reaches(s, &rules[i], &q, &product, &context))
			continue;
		jo_open(o, '{');
		write_condition(o, "products", product < FIELDS_MAX ? &s->fields[product] : NULL,
		                product < FIELDS_MAX ? &rules[i].conditions[product] : NULL);
		write_condition(o, "contexts", context < FIELDS_MAX ? &s->fields[context] : NULL,
		                context < FIELDS_MAX ? &rules[i].conditions[context] : NULL);
		jo_close(o, '}');
	}
}

const char *policy_grants(struct arena *a, const struct policy *p, const struct principal *who,
                          const char *const *actions)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	for (; *actions; actions++) {
		jo_key(&o, *actions);
		jo_open(&o, '[');
		if (policy_admits(who, *actions))
			write_action(&o, p, who, *actions);
		jo_close(&o, ']');
	}
	jo_close(&o, '}');
	return buf_cstr(&b);
}
