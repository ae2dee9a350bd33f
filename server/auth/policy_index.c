/* Which rules may match at all: a decision looks at those of its caller, action, product and context, not at each of
 * thousands.
 *
 * A rule stands in the index once for each combination of what it names. What cannot be looked up, an empty list or one
 * with wildcards, stands under NULL, and so does a list so long that the combinations would not pay. Of wildcards the
 * text before the first is compared before the rule is read. */
#include "server/auth/policy_internal.h"

#include <stdlib.h>
#include <string.h>

#define COMBINATIONS_MAX 256 /* of one rule */

/* By whom a kind of caller is known in the index. */
static const enum subject who_of[PRINCIPAL_KINDS] = {
	[PRINCIPAL_GITHUB_ACTIONS] = OF_REPOSITORY, [PRINCIPAL_GITHUB_HUMAN] = OF_LOGIN,
	[PRINCIPAL_TERMINAL_AGENT] = OF_SUBJECT,    [PRINCIPAL_LOCAL_OPERATOR] = OF_SUBJECT,
	[PRINCIPAL_LOCAL_ADMIN] = OF_SUBJECT,
};

static enum subject subject_of(enum principal_kind kind, enum key_part part)
{
	static const enum subject subjects[KEY_PARTS] = {
		[KEY_ACTION] = OF_ACTION, [KEY_PRODUCT] = OF_PRODUCT, [KEY_CONTEXT] = OF_CONTEXT
	};
	return part == KEY_WHO ? who_of[kind] : subjects[part];
}

static const struct list *condition_of(const struct section *s, const struct rule *r, enum subject of,
                                       enum match *match)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		if (s->fields[i].of == of) {
			*match = s->fields[i].match;
			return &r->conditions[i];
		}
	}
	abort(); /* every kind of rule has it */
}

static size_t literal_length(const char *glob)
{
	return strcspn(glob, "*?[");
}

/* Whether each item of a condition is one text. */
static bool is_plain(const struct list *l, enum match match)
{
	for (size_t i = 0; i < l->n; i++)
		if (match == GLOB && l->items[i][literal_length(l->items[i])])
			return false;
	return l->n > 0;
}

static uint64_t first_bytes(const char *text, size_t n)
{
	uint64_t bytes = 0;
	memcpy(&bytes, text, n < sizeof(bytes) ? n : sizeof(bytes));
	return bytes;
}

/* Of a condition with one glob; any other lets all texts through. */
static struct prefix prefix_of(const struct list *l, enum match match)
{
	static const char ones[sizeof(uint64_t)] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	if (l->n != 1 || match != GLOB)
		return (struct prefix){ 0 };
	size_t n = literal_length(l->items[0]);
	return (struct prefix){ first_bytes(l->items[0], n), first_bytes(ones, n) };
}

static bool fits(struct prefix p, uint64_t text)
{
	return (text & p.mask) == p.bytes;
}

struct combination {
	const struct list *parts[KEY_PARTS]; /* NULL: not looked up by this */
	struct prefix product, context;
};

static size_t combine(enum principal_kind kind, const struct rule *r, struct combination *out)
{
	const struct section *s = &policy_sections[kind];
	size_t n = 1;
	enum match match;
	*out = (struct combination){ 0 };
	for (enum key_part part = 0; part < KEY_PARTS; part++) {
		const struct list *l = condition_of(s, r, subject_of(kind, part), &match);
		if (!is_plain(l, match) || n * l->n > COMBINATIONS_MAX)
			continue;
		out->parts[part] = l;
		n *= l->n;
	}
	const struct list *products = condition_of(s, r, OF_PRODUCT, &match);
	out->product = prefix_of(products, match);
	const struct list *contexts = condition_of(s, r, OF_CONTEXT, &match);
	out->context = prefix_of(contexts, match);
	return n;
}

/* Fills n entries: every choice of one item from each part. */
static void enter(const struct rule *r, const struct combination *c, struct index_entry *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t rest = i;
		out[i] = (struct index_entry){ .product = c->product, .context = c->context, .rule = r };
		for (enum key_part part = 0; part < KEY_PARTS; part++) {
			const struct list *l = c->parts[part];
			if (!l)
				continue;
			out[i].key[part] = l->items[rest % l->n];
			rest /= l->n;
		}
	}
}

static int compare_keys(const char *const x[KEY_PARTS], const char *const y[KEY_PARTS])
{
	for (enum key_part part = 0; part < KEY_PARTS; part++) {
		int c = !x[part] || !y[part] ? (x[part] != NULL) - (y[part] != NULL) : strcmp(x[part], y[part]);
		if (c)
			return c;
	}
	return 0;
}

static int by_key(const void *x, const void *y)
{
	const struct index_entry *a = x, *b = y;
	return compare_keys(a->key, b->key);
}

void policy_index(struct policy *p)
{
	struct combination c;
	for (enum principal_kind kind = 0; kind < PRINCIPAL_KINDS; kind++) {
		size_t n = 0;
		for (size_t i = 0; i < p->of[kind].n; i++)
			n += combine(kind, &p->of[kind].rules[i], &c);
		struct index_entry *index = arena_array(p->arena, n ? n : 1, sizeof(*index));
		p->of[kind].index = index;
		p->of[kind].index_n = n;
		for (size_t i = 0; i < p->of[kind].n; i++) {
			size_t added = combine(kind, &p->of[kind].rules[i], &c);
			enter(&p->of[kind].rules[i], &c, index, added);
			index += added;
		}
		if (n)
			qsort(p->of[kind].index, n, sizeof(*index), by_key);
	}
}

/* The first entry that is not below the key. */
static size_t first_of(const struct index_entry *index, size_t n, const char *const key[KEY_PARTS])
{
	size_t low = 0;
	while (low < n) {
		size_t middle = low + (n - low) / 2;
		if (compare_keys(index[middle].key, key) < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* Where the entries of the key end, from the first of them on. */
static size_t end_of(const struct index_entry *index, size_t first, size_t n, const char *const key[KEY_PARTS])
{
	size_t low = first;
	while (low < n) {
		size_t middle = low + (n - low) / 2;
		if (compare_keys(index[middle].key, key) <= 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

bool policy_index_finds(const struct policy *p, enum principal_kind kind, const struct question *q)
{
	const struct section *s = &policy_sections[kind];
	const struct index_entry *index = p->of[kind].index;
	size_t n = p->of[kind].index_n;
	uint64_t product = first_bytes(q->text[OF_PRODUCT], strlen(q->text[OF_PRODUCT]));
	uint64_t context = first_bytes(q->text[OF_CONTEXT], strlen(q->text[OF_CONTEXT]));
	for (unsigned form = 0; n && form < 1u << KEY_PARTS; form++) {
		const char *key[KEY_PARTS];
		for (enum key_part part = 0; part < KEY_PARTS; part++)
			key[part] = form & 1u << part ? NULL : q->text[subject_of(kind, part)];
		size_t i = first_of(index, n, key);
		if (i == n || compare_keys(index[i].key, key) != 0)
			continue;
		for (size_t end = end_of(index, i, n, key); i < end; i++)
			if (fits(index[i].product, product) && fits(index[i].context, context) &&
			    rule_matches(s, index[i].rule, q))
				return true;
	}
	return false;
}
