/* server/routes/list.h - lists: filters, a bounded page, an opaque cursor. A list is one row; call_list() is its
 * handler.
 *
 * Its query takes the filters in their order (null: not asked for), then the sort keys of the row to go on behind (all
 * null: from the start), then how many rows, then, where the row says so, the time. It answers the item's document and,
 * behind it, the item's sort keys as text. It is sent unprepared, so that PostgreSQL plans for the filters that were
 * given. */
#pragma once

#include "server/routes/route.h"
#include "storage/cursor.h"

#define LIST_DEFAULT     50
#define LIST_MOST        200
#define LIST_FILTERS_MAX 8

struct list_filter {
	const char *name; /* of the query parameter; NULL ends the table */
	const char *help;
	const char *const *values; /* the only ones there are, NULL-terminated; NULL: any text */
	bool is_required;
};

struct list {
	const char *member; /* of the answer, and the cursor's name */
	const struct query *query;
	const struct list_filter *filters;
	const char *keys; /* one letter for each sort key, as in storage/cursor.h */
	bool takes_time;  /* the service's now is the last parameter */
};

/* Handler of a route with a list. A row whose product or context is "handler" is authorized on the filter of that name;
 * without the filter a context is "*", which only a grant for all contexts covers. */
SUSPENDS bool call_list(struct call *c, struct err *err);
/* limit as every list reads it, 1 to most. */
bool read_limit(struct call *c, long long fallback, long long most, long long *limit, struct err *err);
/* E_invalid_query for a query parameter that is not in known (NULL-terminated). */
bool check_query_names(struct call *c, const char *const *known, struct err *err);
