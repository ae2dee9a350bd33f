#include "server/auth/policy_explain.h"

#include "server/auth/policy_internal.h"

#define NEAREST_MAX 3

/* What says whose rule it is. One that does not fit the caller is somebody else's, and is not shown. */
static bool says_who(enum subject of)
{
	switch (of) {
	case OF_REPOSITORY:
	case OF_REPOSITORY_ID:
	case OF_REPOSITORY_OWNER_ID:
	case OF_LOGIN:
	case OF_ORGANIZATIONS:
	case OF_TEAMS:
	case OF_SUBJECT:
	case OF_TOKEN_LABEL:
		return true;
	default:
		return false;
	}
}

struct verdict {
	const struct rule *rule;
	size_t failing; /* conditions that do not hold */
	size_t first;   /* the first of them */
	bool is_own;
};

static struct verdict judge(const struct section *s, const struct rule *r, const struct question *q)
{
	struct verdict v = { .rule = r, .is_own = true };
	for (size_t i = 0; i < s->fields_n; i++) {
		if (condition_holds(&s->fields[i], &r->conditions[i], q))
			continue;
		if (v.failing++ == 0)
			v.first = i;
		if (says_who(s->fields[i].of))
			v.is_own = false;
	}
	return v;
}

/* Whether the caller is, or belongs to, what one item names. */
static bool names_caller(const struct field *f, const char *item, const struct question *q)
{
	if (f->of != OF_ORGANIZATIONS && f->of != OF_TEAMS)
		return item_matches(f, item, q->text[f->of]);
	for (const char *const *s = q->several[f->of]; s && *s; s++)
		if (item_matches(f, item, *s))
			return true;
	return false;
}

static void write_condition(struct json_out *o, const struct field *f, const struct list *l, const struct question *q)
{
	jo_open(o, '[');
	for (size_t i = 0; i < l->n; i++)
		if (!says_who(f->of) || names_caller(f, l->items[i], q))
			jo_str(o, l->items[i]);
	jo_close(o, ']');
}

static void write_rule(struct json_out *o, const struct section *s, const struct rule *r, const struct question *q)
{
	jo_open(o, '{');
	for (size_t i = 0; i < s->fields_n; i++) {
		if (r->conditions[i].n == 0)
			continue;
		jo_key(o, s->fields[i].name);
		if (s->fields[i].kind == FIELD_NAME || s->fields[i].kind == FIELD_ID)
			jo_str(o, r->conditions[i].items[0]);
		else
			write_condition(o, &s->fields[i], &r->conditions[i], q);
	}
	jo_close(o, '}');
}

static void write_near(struct json_out *o, const struct section *s, const struct verdict *v, const struct question *q)
{
	const struct field *f = &s->fields[v->first];
	jo_open(o, '{');
	jo_kv(o, "condition", f->name);
	jo_kv(o, "asked", q->text[f->of] ? q->text[f->of] : "");
	jo_key(o, "allowed");
	write_condition(o, f, &v->rule->conditions[v->first], q);
	jo_kv_int(o, "failing_conditions", (int64_t)v->failing);
	jo_key(o, "rule");
	write_rule(o, s, v->rule, q);
	jo_close(o, '}');
}

/* The caller's rules in the order of how little is missing; the first is the one that allows, if any does. */
static size_t nearest(const struct policy *p, const struct principal *who, const struct question *q,
                      struct verdict out[NEAREST_MAX])
{
	const struct section *s = &policy_sections[who->kind];
	const struct rule *rules;
	size_t n, kept = 0;
	policy_own_rules(p, who, &rules, &n);
	for (size_t i = 0; i < n; i++) {
		struct verdict v = judge(s, &rules[i], q);
		size_t at = kept;
		while (at > 0 && out[at - 1].failing > v.failing)
			at--;
		if (!v.is_own || at == NEAREST_MAX)
			continue;
		if (kept < NEAREST_MAX)
			kept++;
		for (size_t k = kept - 1; k > at; k--)
			out[k] = out[k - 1];
		out[at] = v;
	}
	return kept;
}

const char *policy_denial(const struct policy *p, const struct principal *who, const char *action, const char *product,
                          const char *context)
{
	const struct section *s = &policy_sections[who->kind];
	const struct rule *rules;
	struct question q;
	struct verdict best = { .failing = SIZE_MAX };
	size_t n;
	if (!policy_admits(who, action))
		return "caller";
	question_ask(&q, who, action, product, context);
	policy_own_rules(p, who, &rules, &n);
	for (size_t i = 0; i < n; i++) {
		struct verdict v = judge(s, &rules[i], &q);
		best = v.failing < best.failing ? v : best;
	}
	return n ? s->fields[best.first].name : "no_rule";
}

const char *policy_explain(struct arena *a, const struct policy *p, const struct principal *who, const char *action,
                           const char *product, const char *context)
{
	const struct section *s = &policy_sections[who->kind];
	struct verdict near[NEAREST_MAX];
	struct question q;
	question_ask(&q, who, action, product, context);
	size_t n = nearest(p, who, &q, near);
	bool admitted = policy_admits(who, action), fits = n && near[0].failing == 0;
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "action", action);
	jo_kv(&o, "product", product);
	jo_kv(&o, "context", context);
	jo_kv(&o, "action_safety", action_safety_name(action_safety(action)));
	jo_kv_bool(&o, "allowed", admitted && fits);
	/* What a kind of caller may never do is refused before any rule is asked. */
	jo_kv(&o, "decided_by", !admitted ? "caller" : fits ? "rule" : n ? "condition" : "no_rule");
	jo_kv(&o, "section", s->name);
	jo_kv(&o, "policy_sha256", policy_sha256(p));
	jo_key(&o, "rule");
	if (admitted && fits)
		write_rule(&o, s, near[0].rule, &q);
	else
		jo_null(&o);
	jo_key(&o, "nearest_rules");
	jo_open(&o, '[');
	for (size_t i = 0; i < n && admitted && !fits; i++)
		write_near(&o, s, &near[i], &q);
	jo_close(&o, ']');
	jo_close(&o, '}');
	return b.p;
}
