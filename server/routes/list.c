#include "server/routes/list.h"

#include "storage/operation.h"

#include <assert.h>
#include <stdlib.h>

bool read_limit(struct call *c, long long fallback, long long most, long long *limit, struct err *err)
{
	const char *text;
	if (!request_query(c->rq, "limit", &text, err))
		return false;
	char *end = NULL;
	*limit = is_blank(text) ? fallback : strtoll(text, &end, 10);
	if ((end && *end) || *limit < 1 || *limit > most)
		return err_set(err, &E_invalid_query, "limit must be a whole number from 1 to %lld", most);
	return true;
}

bool check_query_names(struct call *c, const char *const *known, struct err *err)
{
	size_t pos = 0;
	const char *name, *value;
	while (request_query_next(c->rq, &pos, &name, &value, err)) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], name) != 0)
			i++;
		if (!known[i])
			return err_set(err, &E_invalid_query, "%.40s is not a query parameter here", name);
	}
	return !err->code;
}

static bool check_names(struct call *c, const struct list *l, struct err *err)
{
	const char *known[LIST_FILTERS_MAX + 3];
	size_t n = 0;
	for (const struct list_filter *f = l->filters; f->name; f++)
		known[n++] = f->name;
	known[n++] = "limit";
	known[n++] = "cursor";
	known[n] = NULL;
	return check_query_names(c, known, err);
}

static bool read_filter(struct call *c, const struct list_filter *f, const char **out, struct err *err)
{
	if (!request_query(c->rq, f->name, out, err))
		return false;
	if (is_blank(*out))
		*out = NULL;
	if (f->is_required && !*out)
		return err_set(err, &E_invalid_query, "the query parameter %s is required", f->name);
	size_t i = 0;
	while (*out && f->values && f->values[i] && strcmp(f->values[i], *out) != 0)
		i++;
	if (*out && f->values && !f->values[i])
		return err_set(err, &E_invalid_query, "%s must be one of %s", f->name,
		               contract_names(c->arena, f->values));
	return true;
}

static const char *filter_value(const struct list *l, const struct param *params, const char *name,
                                const char *fallback)
{
	for (size_t i = 0; l->filters[i].name; i++)
		if (strcmp(l->filters[i].name, name) == 0 && params[i].p)
			return params[i].p;
	return fallback;
}

static bool allowed(struct call *c, const struct list *l, const struct param *params, struct err *err)
{
	const struct route *r = c->route;
	bool own_product = strcmp(r->product, "handler") == 0, own_context = strcmp(r->context, "handler") == 0;
	if (!own_product && !own_context)
		return true; /* dispatch has asked */
	return call_authorize(c, r->action, own_product ? filter_value(l, params, "product", "*") : r->product + 1,
	                      own_context ? filter_value(l, params, "context", "*") : r->context + 1, err);
}

static bool answer(struct call *c, const struct list *l, const struct rows *rows, size_t limit)
{
	size_t n = rows->n > limit ? limit : rows->n;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, l->member);
	jo_open(&o, '[');
	for (size_t i = 0; i < n; i++)
		jo_raw(&o, row_text(rows, i, 0), strlen(row_text(rows, i, 0)));
	jo_close(&o, ']');
	jo_key(&o, "next_cursor");
	if (rows->n > limit) {
		const char *last[CURSOR_KEYS_MAX];
		for (size_t i = 0; l->keys[i]; i++)
			last[i] = row_text(rows, n - 1, (int)i + 1);
		jo_str(&o, cursor_encode(c->arena, l->member, l->keys, last));
	} else {
		jo_null(&o);
	}
	return call_close_ok(c, &o);
}

bool call_list(struct call *c, struct err *err)
{
	const struct list *l = c->route->list;
	struct param params[LIST_FILTERS_MAX + CURSOR_KEYS_MAX + 2];
	size_t n = 0;
	long long limit;
	const char *cursor, *keys[CURSOR_KEYS_MAX] = { 0 };
	if (!check_names(c, l, err) || !read_limit(c, LIST_DEFAULT, LIST_MOST, &limit, err) ||
	    !request_query(c->rq, "cursor", &cursor, err))
		return false;
	for (; l->filters[n].name; n++) {
		assert(n < LIST_FILTERS_MAX);
		params[n] = P_TEXT(NULL);
		if (!read_filter(c, &l->filters[n], &params[n].p, err))
			return false;
	}
	if (!is_blank(cursor) && !cursor_decode(c->arena, cursor, l->member, l->keys, keys, err))
		return false;
	if (!allowed(c, l, params, err))
		return false;
	for (size_t i = 0; l->keys[i]; i++)
		params[n++] = P_TEXT(keys[i]);
	params[n++] = P_INT(limit + 1);
	if (l->takes_time)
		params[n++] = P_TEXT(utc_now(c->t));
	struct rows rows;
	return call_query_planned(c, l->query, params, n, &rows, err) && answer(c, l, &rows, (size_t)limit);
}
