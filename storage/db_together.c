/* Several items of one query in one statement (struct query's together).
 *
 * Their requests stand beside each other; the first is the one that the pipeline knows. They share the result, each
 * with its row. When one of them makes the statement fail, each is sent again, alone. */
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

char *array_of_param(const struct request *first, size_t param, size_t *size)
{
	enum { HEAD = 5 * sizeof(int32_t) };
	char number[NUMBER_MAX];
	size_t room = HEAD, n;
	int32_t items = 0;
	for (const struct request *r = first; r; r = r->beside, items++) {
		param_text(&r->params[param], number, &n);
		room += sizeof(int32_t) + n;
	}
	char *array = malloc(room), *at = array;
	if (!array)
		abort();
	bool has_null = false;
	at += HEAD;
	for (const struct request *r = first; r; r = r->beside) {
		const char *text = param_text(&r->params[param], number, &n);
		has_null |= !text;
		at = put_int(at, text ? (int32_t)n : -1);
		if (text)
			memcpy(at, text, n);
		at += n;
	}
	char *head = put_int(array, 1); /* dimensions */
	head = put_int(head, has_null);
	head = put_int(head, OID_TEXT);
	head = put_int(head, items);
	put_int(head, 1); /* the first index */
	*size = room;
	return array;
}

/* ---- which go together ---- */

static struct request *next_of(const struct request *first, struct request *r)
{
	while (r && (r->query != first->query || r->is_alone))
		r = r->next;
	return r;
}

struct request *together_take(struct db *db, unsigned room, unsigned *took)
{
	struct request *first = db->reads.first, *last = first;
	bool may_join = first->query->together && !first->is_alone;
	struct request *next = may_join ? next_of(first, first->next) : NULL;
	request_unqueue(&db->reads, first);
	*took = 1;
	for (struct request *r = next; r && *took < room && *took < TOGETHER_MAX; r = next, (*took)++) {
		next = next_of(first, r->next);
		request_unqueue(&db->reads, r);
		last = last->beside = r;
	}
	last->beside = NULL;
	if (*took > 1)
		db->stats.together += *took;
	return first;
}

/* Every process locks lanes in the same order, so that statements do not wait for each other in circles. */
static void insert_by_lane(struct request **first, struct request *r)
{
	while (*first && (*first)->lane < r->lane)
		first = &(*first)->beside;
	r->beside = *first;
	*first = r;
}

struct request *together_gather(struct request *const *group, unsigned n, unsigned i, bool *is_taken)
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

/* ---- results that several read ---- */

void shared_unref(struct shared_result *s)
{
	if (!s || --s->refs)
		return;
	PQclear(s->res);
	free(s);
}

void together_share(struct request *first, PGresult *res)
{
	assert(first);
	struct request *items[TOGETHER_MAX];
	struct shared_result *s = calloc(1, sizeof(*s));
	unsigned n = 0;
	if (!s)
		abort();
	*s = (struct shared_result){ .res = res };
	for (struct request *r = first; r; r = r->beside) {
		assert(n < countof(items) && !r->shared);
		PQclear(r->res);
		r->res = NULL;
		r->shared = s;
		r->shared_row = -1;
		s->refs++;
		items[n++] = r;
	}
	for (int i = 0; i < PQntuples(res); i++) {
		unsigned number = (unsigned)strtoul(PQgetvalue(res, i, 0), NULL, 10) - 1;
		assert(number < n && items[number]->shared_row < 0); /* one row at most, as the query promises */
		items[number]->shared_row = i;
	}
}

void request_forget_result(struct request *r)
{
	PQclear(r->res);
	shared_unref(r->shared);
	r->res = NULL;
	r->shared = NULL;
}
