/* Reads that ask the same of different keys, in one statement (struct query's together).
 *
 * A carrier is a request of the pool's own: it holds the requests that are asked together, and nobody waits for it.
 * They share its result, each with its row. When one of them makes the statement fail, each is asked again, alone. */
#include "storage/db_internal.h"

#include <assert.h>
#include <stdlib.h>

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

bool together_send(struct conn *c, struct request *carrier)
{
	const struct param *askings[TOGETHER_MAX];
	size_t n = 0;
	for (const struct request *r = carrier->members; r; r = r->next)
		askings[n++] = r->params;
	return conn_send_many(c, carrier->query, askings, n, carrier);
}

/* ---- who is asked together ---- */

static bool may_join(const struct request *r)
{
	if (!r->query->together || r->is_alone)
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
	/* Out of time, or the server is going away: that is said to all of them. */
	if (PQresultStatus(res) == PGRES_TUPLES_OK || is_sqlstate(res, "57")) {
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
