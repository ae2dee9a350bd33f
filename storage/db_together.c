/* Reads that ask the same of different keys, in one statement (struct query's together).
 *
 * A carrier is a request of the pool's own: it holds the requests that are asked together, and nobody waits for it.
 * They share its result, each with its row. When the statement fails, each is asked again, alone. */
#include "storage/db_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OID 25

/* ---- results that several read ---- */

struct shared_result {
	PGresult *res;
	unsigned refs;
};

void shared_unref(struct shared_result *s)
{
	if (!s || --s->refs)
		return;
	PQclear(s->res);
	free(s);
}

PGresult *shared_result(const struct shared_result *s)
{
	return s->res;
}

/* ---- the parameters, as binary arrays ---- */

static void put(struct db *db, const void *p, size_t n)
{
	while (db->arrays_cap - db->arrays_n < n) {
		db->arrays_cap = db->arrays_cap ? db->arrays_cap * 2 : 4096;
		db->arrays = realloc(db->arrays, db->arrays_cap);
		if (!db->arrays)
			abort();
	}
	if (n)
		memcpy(db->arrays + db->arrays_n, p, n);
	db->arrays_n += n;
}

static void put_number(struct db *db, uint32_t v)
{
	uint32_t big_endian = htonl(v);
	put(db, &big_endian, sizeof(big_endian));
}

/* text[] with the k-th parameter of each. */
static void put_array(struct db *db, const struct request *carrier, size_t k)
{
	const struct request *r;
	bool has_null = false;
	for (r = carrier->members; r; r = r->next)
		has_null |= !r->params[k].p;
	const uint32_t head[] = { 1, has_null, TEXT_OID, carrier->members_n, 1 };
	for (size_t i = 0; i < countof(head); i++)
		put_number(db, head[i]);
	for (r = carrier->members; r; r = r->next) {
		const char *text = r->params[k].p;
		uint32_t n = text ? (uint32_t)strlen(text) : UINT32_MAX;
		put_number(db, n);
		put(db, text, text ? n : 0);
	}
}

bool together_send(struct conn *c, struct request *carrier)
{
	struct db *db = c->link.db;
	struct param params[TOGETHER_PARAMS_MAX];
	size_t at[TOGETHER_PARAMS_MAX + 1] = { 0 }, n = carrier->members->n_params;
	db->arrays_n = 0;
	for (size_t k = 0; k < n; k++) {
		put_array(db, carrier, k);
		at[k + 1] = db->arrays_n;
	}
	for (size_t k = 0; k < n; k++)
		params[k] = P_BYTES(db->arrays + at[k], at[k + 1] - at[k]);
	return conn_send(c, carrier->query, params, n, carrier);
}

/* ---- who is asked together ---- */

static bool may_join(const struct request *r)
{
	if (!r->query->together || r->is_alone || r->n_params > TOGETHER_PARAMS_MAX)
		return false;
	for (size_t i = 0; i < r->n_params; i++)
		if (r->params[i].type != PARAM_TEXT)
			return false;
	return r->n_params > 0;
}

static struct request *next_of(const struct request *first, struct request *r)
{
	while (r && (r->query != first->query || !may_join(r)))
		r = r->next;
	return r;
}

struct request *together_take(struct db *db, unsigned room)
{
	struct request *first = db->reads.first, *next = may_join(first) ? next_of(first, first->next) : NULL;
	request_unqueue(&db->reads, first);
	if (!next || room < 2)
		return first;
	struct request *carrier = request_new(db, REQUEST_READ, NULL, first->query->together, NULL, 0);
	carrier->members = first;
	carrier->members_n = 1;
	struct request *last = first;
	for (struct request *r = next; r && carrier->members_n < room && carrier->members_n < TOGETHER_MAX; r = next) {
		next = next_of(first, r->next);
		request_unqueue(&db->reads, r);
		last->next = r;
		last = r;
		carrier->members_n++;
	}
	last->next = NULL;
	db->stats.together += carrier->members_n;
	return carrier;
}

/* ---- the answer ---- */

static void share(struct db *db, struct request *carrier, PGresult *res)
{
	struct request *members[TOGETHER_MAX];
	unsigned n = 0;
	struct shared_result *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	*s = (struct shared_result){ .res = res, .refs = 1 };
	for (struct request *r = carrier->members; r; r = r->next) {
		r->shared = s;
		r->shared_row = -1;
		s->refs++;
		members[n++] = r;
	}
	for (int i = 0; i < PQntuples(res); i++) {
		unsigned asking = (unsigned)strtoul(PQgetvalue(res, i, 0), NULL, 10) - 1;
		assert(asking < n && members[asking]->shared_row < 0); /* one row at most, as the query promises */
		members[asking]->shared_row = i;
	}
	for (unsigned i = 0; i < n; i++)
		request_complete(db, members[i], OUTCOME_RESULT, NULL);
	shared_unref(s);
}

void together_finished(struct db *db, struct request *carrier, PGresult *res)
{
	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		share(db, carrier, res);
	} else {
		PQclear(res);
		for (struct request *r = carrier->members, *next; r; r = next) {
			next = r->next;
			if (r->task && !db->is_closing)
				read_again_alone(db, r);
			else
				request_complete(db, r, OUTCOME_CLOSED, NULL);
		}
	}
	request_complete(db, carrier, OUTCOME_NONE, NULL); /* frees it */
}

void together_lost(struct db *db, struct request *carrier)
{
	for (struct request *r = carrier->members, *next; r; r = next) {
		next = r->next;
		request_complete(db, r, OUTCOME_LOST, NULL);
	}
	request_complete(db, carrier, OUTCOME_NONE, NULL);
}
