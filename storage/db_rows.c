#include "storage/db_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rows_owner {
	PGresult *res;
	struct shared_result *shared; /* instead */
};

static void owner_clear(void *arg)
{
	struct rows_owner *owner = arg;
	PQclear(owner->res);
	shared_unref(owner->shared);
	*owner = (struct rows_owner){ 0 };
}

void rows_from(struct task *t, struct request *r, struct rows *out)
{
	struct rows_owner *owner = ARENA_NEW(t->arena, struct rows_owner);
	owner->res = r->res;
	r->res = NULL;
	arena_defer(t->arena, owner_clear, owner);
	const char *changed = PQcmdTuples(owner->res);
	*out = (struct rows){
		.n = (size_t)PQntuples(owner->res),
		.changed = changed[0] ? strtoll(changed, NULL, 10) : 0,
		.res = owner->res,
		.hidden = r->query->hidden,
		.owner = owner,
	};
}

void rows_from_shared(struct task *t, struct request *r, struct rows *out)
{
	struct rows_owner *owner = ARENA_NEW(t->arena, struct rows_owner);
	owner->shared = r->shared;
	r->shared = NULL;
	arena_defer(t->arena, owner_clear, owner);
	size_t n = r->shared_row >= 0;
	*out = (struct rows){
		.n = n,
		.changed = (int64_t)n,
		.res = owner->shared->res,
		.first = n ? (size_t)r->shared_row : 0,
		.hidden = r->query->hidden,
		.owner = owner,
	};
}

void rows_done(struct rows *rows)
{
	if (rows->owner)
		owner_clear(rows->owner);
	*rows = (struct rows){ 0 };
}

bool row_is_null(const struct rows *rows, size_t r, int col)
{
	assert(r < rows->n && col >= 0 && col + rows->hidden < PQnfields(rows->res));
	return PQgetisnull(rows->res, (int)(rows->first + r), col + rows->hidden);
}

const char *row_text(const struct rows *rows, size_t r, int col)
{
	return row_is_null(rows, r, col) ? NULL : PQgetvalue(rows->res, (int)(rows->first + r), col + rows->hidden);
}

const char *row_bytes(const struct rows *rows, size_t r, int col, size_t *n)
{
	const char *p = row_text(rows, r, col);
	*n = p ? (size_t)PQgetlength(rows->res, (int)(rows->first + r), col + rows->hidden) : 0;
	return p;
}

int row_column(const struct rows *rows, const char *column)
{
	int col = PQfnumber(rows->res, column) - rows->hidden;
	return col < 0 ? -1 : col;
}

const char *row_named(const struct rows *rows, size_t r, const char *column)
{
	int col = row_column(rows, column);
	assert(col >= 0);
	return row_text(rows, r, col);
}

int64_t row_int(const struct rows *rows, size_t r, int col)
{
	const char *s = row_text(rows, r, col);
	return s ? strtoll(s, NULL, 10) : 0;
}

bool row_bool(const struct rows *rows, size_t r, int col)
{
	const char *s = row_text(rows, r, col);
	return s && s[0] == 't';
}

/* ---- errors ---- */

static const char *field(const PGresult *res, int code)
{
	const char *s = PQresultErrorField(res, code);
	return s ? s : "";
}

bool is_sqlstate(const PGresult *res, const char *code)
{
	return strncmp(field(res, PG_DIAG_SQLSTATE), code, strlen(code)) == 0;
}

/* What the SQLSTATE means to a caller. "" is libpq's own trouble: the connection. */
static const struct {
	const char *prefix;
	const struct error_code *code;
	const char *message;
} sqlstates[] = {
	{ "57014", &E_timeout, "the database did not finish in time" },
	{ "57P0", &E_database_unavailable, "the database is shutting down or starting" },
	{ "53300", &E_database_unavailable, "the database has no connection left" },
	{ "53100", &E_database_unavailable, "the database's disk is full" },
	{ "53200", &E_database_unavailable, "the database has no memory left" },
	{ "58030", &E_database_unavailable, "the database cannot read or write its files" },
	{ "08", &E_database_unavailable, "the connection to the database broke" },
	{ "25006", &E_database_unavailable, "the database is read-only right now" },
	{ "40001", &E_service_unavailable, "another change came in between; try again" },
	{ "40P01", &E_service_unavailable, "another change came in between; try again" },
	{ "55P03", &E_service_unavailable, "another change holds what this one needs; try again" },
	{ "", &E_internal_error, "the database refused a statement" },
};

bool err_from_result(struct err *err, const PGresult *res)
{
	const char *state = field(res, PG_DIAG_SQLSTATE);
	if (!state[0]) {
		err_set(err, &E_database_unavailable, "the connection to the database broke");
		return err_cause(err, "%s", res ? PQresultErrorMessage(res) : "");
	}
	size_t i = 0;
	while (strncmp(state, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
		i++;
	err_set(err, sqlstates[i].code, "%s", sqlstates[i].message);
	const char *constraint = field(res, PG_DIAG_CONSTRAINT_NAME);
	/* Details of other kinds, and the context, quote whole rows and documents: not for the log. */
	const char *detail = field(res, PG_DIAG_MESSAGE_DETAIL);
	bool is_key = strncmp(detail, "Key (", 5) == 0;
	err_cause(err, "%s%s%s: %s%s%s", state, constraint[0] ? " constraint " : "", constraint,
	          field(res, PG_DIAG_MESSAGE_PRIMARY), is_key ? ". " : "", is_key ? detail : "");
	snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
	return false;
}

bool db_is_unique_violation(const struct err *err, const char *constraint)
{
	if (strcmp(err->sqlstate, "23505") != 0)
		return false;
	if (!constraint)
		return true;
	static const char before[] = "23505 constraint ";
	const char *name = err->cause + sizeof(before) - 1;
	size_t n = strlen(constraint);
	return strncmp(err->cause, before, sizeof(before) - 1) == 0 && strncmp(name, constraint, n) == 0 &&
	       name[n] == ':';
}

bool db_outcome_is_unknown(const struct err *err)
{
	return strcmp(err->sqlstate, "08007") == 0;
}
