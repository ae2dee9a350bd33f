/* Reads whose answer is known.
 *
 * A snapshot says which transactions one sees. Reads that depend on tables alone (`-- together`) come with the one they
 * were made in; while nothing is committed anywhere in the cluster, the snapshot is still the same, and so is the
 * answer. The next reads of a known answer therefore ask for the current snapshot only, once for all that wait in a
 * turn; if it is another, they are asked in full. So no reader is ever told less than what was committed when it asked.
 *
 * Only what belongs to the latest snapshot is kept: none but that can come again. Where commits follow each other
 * closely, nothing is: an answer is kept from the second time on that its snapshot is met.
 * A connection that breaks or is made new means that the server may be another one, or have lost its last commits. */
#include "storage/db_internal.h"

#include "core/digest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS     4096 /* a power of two */
#define KEPT_MAX  2048
#define BYTES_MAX (8u << 20) /* of results, as libpq counts them */

/* Null on a standby: what that says leaves out what is in progress. */
static const struct query snapshot_query = {
	.name = "snapshot",
	.sql = "select case when not pg_is_in_recovery() then pg_current_snapshot()::text end",
};

struct answer {
	const struct query *query; /* NULL: a free slot */
	char *key;
	size_t key_n;
	struct shared_result *shared;
	int row;
};

struct known {
	char *snapshot;
	uint64_t generation; /* of the snapshot */
	struct answer *slots;
	unsigned kept[KEPT_MAX], n; /* slots in use */
	size_t bytes;
};

struct known *known_new(void)
{
	struct known *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	return k;
}

void known_forget(struct known *k)
{
	for (unsigned i = 0; i < k->n; i++) {
		struct answer *a = &k->slots[k->kept[i]];
		shared_unref(a->shared);
		free(a->key);
		*a = (struct answer){ 0 };
	}
	free(k->snapshot);
	k->snapshot = NULL;
	k->generation++;
	k->n = 0;
	k->bytes = 0;
}

void known_free(struct known *k)
{
	known_forget(k);
	free(k->slots);
	free(k);
}

/* ---- keys ---- */

struct key {
	char bytes[512];
	size_t n;
};

/* False: too long to be worth it. */
static bool key_of(const struct request *r, struct key *key)
{
	key->n = 0;
	for (size_t i = 0; i < r->n_params; i++) {
		char number[NUMBER_MAX];
		size_t n;
		const char *text = param_text(&r->params[i], number, &n);
		if (key->n + 1 + sizeof(n) + n > sizeof(key->bytes))
			return false;
		key->bytes[key->n++] = text ? 't' : 'n';
		memcpy(key->bytes + key->n, &n, sizeof(n));
		key->n += sizeof(n);
		if (text)
			memcpy(key->bytes + key->n, text, n);
		key->n += n;
	}
	return true;
}

/* The slot that has it, or a free one. */
static struct answer *slot_of(struct known *k, const struct request *r, const struct key *key)
{
	unsigned i = (unsigned)hash64((uintptr_t)r->query, key->bytes, key->n) & (SLOTS - 1);
	for (;; i = (i + 1) & (SLOTS - 1)) {
		struct answer *a = &k->slots[i];
		if (!a->query ||
		    (a->query == r->query && a->key_n == key->n && memcmp(a->key, key->bytes, key->n) == 0))
			return a;
	}
}

/* ---- what is known ---- */

bool known_find(struct known *k, struct request *r)
{
	struct key key;
	if (!k->n || !r->query->together || !key_of(r, &key))
		return false;
	const struct answer *a = slot_of(k, r, &key);
	if (!a->query)
		return false;
	r->shared = a->shared;
	r->shared->refs++;
	r->shared_row = a->row;
	r->known_in = k->generation;
	return true;
}

/* Whether what is known belongs to the snapshot in that column; from now on it does. */
static bool is_same(struct known *k, const PGresult *res, int column)
{
	const char *snapshot = PQgetvalue(res, 0, column);
	if (k->snapshot && strcmp(k->snapshot, snapshot) == 0)
		return true;
	known_forget(k);
	k->snapshot = PQgetisnull(res, 0, column) ? NULL : strdup(snapshot);
	return false;
}

static void keep(struct known *k, const struct request *r)
{
	struct key key;
	if (!k->slots)
		k->slots = calloc(SLOTS, sizeof(*k->slots));
	if (!k->slots || k->n == KEPT_MAX || !key_of(r, &key))
		return;
	struct answer *a = slot_of(k, r, &key);
	if (a->query)
		return;
	*a = (struct answer){
		.query = r->query, .key = malloc(key.n + 1), .key_n = key.n, .shared = r->shared, .row = r->shared_row
	};
	if (!a->key)
		abort();
	memcpy(a->key, key.bytes, key.n);
	r->shared->refs++;
	k->kept[k->n++] = (unsigned)(a - k->slots);
}

void known_learn(struct known *k, const struct request *first)
{
	const PGresult *res = first->shared->res;
	if (PQntuples(res) == 0 || !is_same(k, res, 1))
		return;
	if (k->bytes + PQresultMemorySize(res) > BYTES_MAX)
		return;
	k->bytes += PQresultMemorySize(res);
	for (const struct request *r = first; r; r = r->beside)
		if (r->task && r->shared_row >= 0) /* without a task its parameters are gone */
			keep(k, r);
}

/* ---- asking whether it still is ---- */

bool known_ask(struct conn *c, struct queue *checks)
{
	struct request *first = checks->first, *last = NULL;
	while (checks->first) {
		struct request *r = checks->first;
		request_unqueue(checks, r);
		*(last ? &last->beside : &first) = r;
		r->beside = NULL;
		last = r;
	}
	c->reads_in_flight++;
	return conn_send(c, &snapshot_query, NULL, 0, first);
}

bool known_is_asked(const struct query *q)
{
	return q == &snapshot_query;
}

void known_answered(struct db *db, struct request *first, PGresult *res)
{
	struct known *k = db->known;
	bool is_good = PQresultStatus(res) == PGRES_TUPLES_OK && is_same(k, res, 0);
	PQclear(res);
	for (struct request *r = first, *next; r; r = next) {
		next = r->beside;
		if (is_good && r->known_in == k->generation) {
			db->stats.known++;
			request_complete(db, r, OUTCOME_RESULT, NULL);
		} else if (r->task && !db->is_closing) {
			request_forget_result(r);
			request_enqueue(db, &db->reads, r, true);
		} else {
			request_complete(db, r, OUTCOME_CLOSED, NULL);
		}
	}
}
