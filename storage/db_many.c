/* Statements that store many items at once: each parameter is an array with an element of each item. */
#include "storage/db_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OID_TEXT 25

const char *param_text(const struct param *p, char buffer[NUMBER_MAX], size_t *n)
{
	const char *text = NULL;
	switch (p->type) {
	case PARAM_NULL:
		break;
	case PARAM_TEXT:
		text = p->p;
		break;
	case PARAM_BYTES:
		*n = p->n;
		return p->p ? p->p : "";
	case PARAM_INT:
		snprintf(buffer, NUMBER_MAX, "%lld", (long long)p->i);
		text = buffer;
		break;
	case PARAM_BOOL:
		text = p->i ? "t" : "f";
		break;
	}
	*n = text ? strlen(text) : 0;
	return text;
}

/* ---- parameters ---- */

static char *put_int(char *at, int32_t value)
{
	uint32_t bytes = htonl((uint32_t)value);
	memcpy(at, &bytes, sizeof(bytes));
	return at + sizeof(bytes);
}

char *many_array(const struct param *const *items, size_t n_items, size_t param, size_t *size)
{
	enum { HEAD = 5 * sizeof(int32_t) };
	char number[NUMBER_MAX];
	size_t room = HEAD, n;
	for (size_t i = 0; i < n_items; i++) {
		param_text(&items[i][param], number, &n);
		room += sizeof(int32_t) + n;
	}
	char *array = malloc(room), *at = array;
	if (!array)
		abort();
	bool has_null = false;
	at += HEAD;
	for (size_t i = 0; i < n_items; i++) {
		const char *text = param_text(&items[i][param], number, &n);
		has_null |= !text;
		at = put_int(at, text ? (int32_t)n : -1);
		if (n)
			memcpy(at, text, n);
		at += n;
	}
	char *head = put_int(array, 1); /* dimensions */
	head = put_int(head, has_null);
	head = put_int(head, OID_TEXT);
	head = put_int(head, (int32_t)n_items);
	put_int(head, 1); /* the first index */
	*size = room;
	return array;
}

/* ---- which go together ---- */

/* Every process locks lanes in the same order, so that statements do not wait for each other in circles. */
static void insert_by_lane(struct request **first, struct request *r)
{
	while (*first && (*first)->lane < r->lane)
		first = &(*first)->beside;
	r->beside = *first;
	*first = r;
}

struct request *many_gather(struct request *const *group, unsigned n, unsigned i, bool *is_taken)
{
	bool lane_is_seen[PIN_LANES] = { 0 };
	struct request *first = NULL;
	for (unsigned k = i; k < n; k++) {
		struct request *r = group[k];
		if (is_taken[k])
			continue;
		/* Of a lane only the oldest, so that writes of one key stay in order. */
		if (r->query == group[i]->query && !lane_is_seen[r->lane]) {
			is_taken[k] = true;
			insert_by_lane(&first, r);
		}
		lane_is_seen[r->lane] = true;
	}
	return first;
}

/* ---- results ---- */

static PGresult *row_alone(PGresult *res, int row)
{
	int columns = PQnfields(res);
	PGresult *one = PQcopyResult(res, PG_COPYRES_ATTRS);
	if (!one)
		abort();
	for (int c = 0; c < columns; c++) {
		bool is_null = PQgetisnull(res, row, c);
		if (!PQsetvalue(one, 0, c, is_null ? NULL : PQgetvalue(res, row, c),
		                is_null ? -1 : PQgetlength(res, row, c)))
			abort();
	}
	return one;
}

void many_hand_out(struct request *first, PGresult *res)
{
	int row = 0;
	for (struct request *r = first; r; r = r->beside, row++) {
		assert(row < PQntuples(res));
		PQclear(r->res);
		r->res = row_alone(res, row);
	}
	assert(row == PQntuples(res));
	PQclear(res);
}
