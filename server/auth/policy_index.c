/* Which rules may match at all: a decision looks at those of its action and product, not at each of thousands.
 *
 * A rule stands in the index once for each pair of an action and a product that it names. What cannot be looked up, an
 * empty list or a product with wildcards, stands under NULL, and so does a list so long that the pairs would not pay.
 */
#include "server/auth/policy_internal.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 256 /* of one rule */

static bool has_wildcard(const char *s)
{
	return s[strcspn(s, "*?[")] != '\0';
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
	abort(); /* every kind of rule has the condition */
}

/* Whether each item of a condition is one text. */
static bool is_plain(const struct list *l, enum match match)
{
	for (size_t i = 0; i < l->n; i++)
		if (match == GLOB && has_wildcard(l->items[i]))
			return false;
	return l->n > 0;
}

/* The rule's entries; out NULL: only counted. */
static size_t entries_of(const struct section *s, enum principal_kind kind, const struct rule *r,
                         struct index_entry *out)
{
	static const char *const any[] = { NULL };
	enum match action_match, product_match;
	const struct list *actions = condition_of(s, r, OF_ACTION, &action_match);
	const struct list *products = condition_of(s, r, OF_PRODUCT, &product_match);
	bool by_action = is_plain(actions, action_match) && actions->n <= PAIRS_MAX;
	size_t actions_n = by_action ? actions->n : 1;
	bool by_product = is_plain(products, product_match) && products->n * actions_n <= PAIRS_MAX;
	size_t products_n = by_product ? products->n : 1;
	for (size_t i = 0; out && i < actions_n; i++)
		for (size_t k = 0; k < products_n; k++)
			*out++ = (struct index_entry){
				.repository = kind == PRINCIPAL_GITHUB_ACTIONS ? rule_repository(r) : "",
				.action = (by_action ? actions->items : (const char **)any)[i],
				.product = (by_product ? products->items : (const char **)any)[k],
				.rule = r,
			};
	return actions_n * products_n;
}

static int compare(const char *x, const char *y)
{
	return !x || !y ? (x != NULL) - (y != NULL) : strcmp(x, y);
}

static int by_key(const void *x, const void *y)
{
	const struct index_entry *a = x, *b = y;
	int c = strcmp(a->repository, b->repository);
	if (c == 0)
		c = compare(a->action, b->action);
	return c ? c : compare(a->product, b->product);
}

void policy_index(struct policy *p)
{
	for (enum principal_kind kind = 0; kind < PRINCIPAL_KINDS; kind++) {
		const struct section *s = &policy_sections[kind];
		size_t n = 0;
		for (size_t i = 0; i < p->of[kind].n; i++)
			n += entries_of(s, kind, &p->of[kind].rules[i], NULL);
		struct index_entry *index = arena_array(p->arena, n ? n : 1, sizeof(*index));
		p->of[kind].index = index;
		p->of[kind].index_n = n;
		for (size_t i = 0; i < p->of[kind].n; i++)
			index += entries_of(s, kind, &p->of[kind].rules[i], index);
		if (n)
			qsort(p->of[kind].index, n, sizeof(*index), by_key);
	}
}

/* The first entry that is not below the key. */
static size_t first_of(const struct index_entry *index, size_t n, const struct index_entry *key)
{
	size_t low = 0;
	while (low < n) {
		size_t middle = low + (n - low) / 2;
		if (by_key(&index[middle], key) < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

bool policy_index_finds(const struct policy *p, enum principal_kind kind, const struct question *q)
{
	const struct index_entry *index = p->of[kind].index;
	size_t n = p->of[kind].index_n;
	for (int form = 0; form < 4; form++) {
		const struct index_entry key = {
			.repository = kind == PRINCIPAL_GITHUB_ACTIONS ? q->text[OF_REPOSITORY] : "",
			.action = form & 1 ? NULL : q->text[OF_ACTION],
			.product = form & 2 ? NULL : q->text[OF_PRODUCT],
		};
		for (size_t i = first_of(index, n, &key); i < n && by_key(&index[i], &key) == 0; i++)
			if (rule_matches(&policy_sections[kind], index[i].rule, q))
				return true;
	}
	return false;
}
