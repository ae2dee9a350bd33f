#include "storage/session.h"

#include "core/digest.h"
#include "storage/session.sql.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ID_BYTES 32

static const struct field session_identity_fields[] = {
	F_STR(session_identity, provider, 0, .fallback = "github"),
	F_STR(session_identity, login, REQUIRED | NON_BLANK, .help = "GitHub login"),
	F_INT(session_identity, github_id, REQUIRED, .min = 1, .max = INT64_MAX,
	      .help = "GitHub's number of the person"),
	F_STR(session_identity, name, 0),
	F_STR(session_identity, email, 0, .max = 1000),
	F_STRINGS(session_identity, organizations, 0, .max = 4000),
	F_STRINGS(session_identity, teams, 0, .max = 4000),
	F_STR(session_identity, role, REQUIRED, .help = "admin or read_only"),
	F_END,
};
const struct contract session_identity_contract = CONTRACT(session_identity, session_identity_fields, "Who signed in");

/* "2026-06-01T10:00:00+00:00", as the records have it. */
static const char *utc_offset(struct arena *a, int64_t s)
{
	time_t at = (time_t)s;
	struct tm tm;
	char text[40];
	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
	return arena_strdup(a, text);
}

static bool utc_read(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	int n = 0;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
	           &tm.tm_sec, &n) != 6 ||
	    n != 19)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*out = timegm(&tm);
	return true;
}

static int64_t now_s(const struct task *t)
{
	return loop_wall_ms(t->loop) / 1000;
}

int64_t session_left_s(const struct task *t, const struct session *s)
{
	return s->expires_s - now_s(t);
}

static const char *lane_of(struct arena *a, const char *key)
{
	return arena_printf(a, "session %s", key);
}

static bool read_identity(struct task *t, const char *stored, struct session_identity *out, struct err *err)
{
	struct json j;
	return json_parse(t->arena, stored, strlen(stored), "the stored identity", &j, err) &&
	       contract_read(t->arena, &session_identity_contract, &j, "", out, err);
}

bool session_load(struct task *t, const char *id, struct session *out, bool *found, struct err *err)
{
	struct rows rows;
	struct err unreadable = { 0 };
	*found = false;
	*out = (struct session){ .id = id, .key = sha256_text(t->arena, id, strlen(id)) };
	if (!db_query(t, &Q_session_read, PARAMS(P_TEXT(out->key)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	out->created_at = row_text(&rows, 0, 3);
	out->csrf_generation = row_int(&rows, 0, 5);
	const char *identity = row_text(&rows, 0, 6);
	if (!utc_read(row_text(&rows, 0, 4), &out->expires_s) || now_s(t) >= out->expires_s || !identity ||
	    !read_identity(t, identity, &out->identity, &unreadable))
		return session_end(t, out, err);
	*found = true;
	return true;
}

static const char *payload_of(struct arena *a, const struct session *s, const char *expires_at)
{
	struct json j = json_object();
	json_set_str(a, &j, "session_id", s->key);
	json_set_str(a, &j, "created_at", s->created_at);
	json_set_str(a, &j, "expires_at", expires_at);
	json_set(a, &j, "identity", contract_json(a, &session_identity_contract, &s->identity, true));
	return json_text(a, &j);
}

bool session_create(struct task *t, const struct session_identity *identity, const char *replaced, struct session *out,
                    struct err *err)
{
	struct arena *a = t->arena;
	int64_t now = now_s(t);
	*out = (struct session){ .id = random_base64url(a, ID_BYTES),
		                 .identity = *identity,
		                 .created_at = utc_offset(a, now),
		                 .expires_s = now + SESSION_TTL_S };
	out->key = sha256_text(a, out->id, strlen(out->id));
	const char *expires_at = utc_offset(a, out->expires_s);
	return db_write(t, lane_of(a, out->key), &Q_session_insert,
	                PARAMS(P_TEXT(out->key), P_TEXT(identity->login), P_INT(identity->github_id),
	                       P_TEXT(identity->role), P_TEXT(out->created_at), P_TEXT(expires_at),
	                       P_TEXT(payload_of(a, out, expires_at)), P_TEXT(replaced)),
	                NULL, err);
}

bool session_renew(struct task *t, struct session *s, bool *renewed, struct err *err)
{
	struct rows rows;
	int64_t now = now_s(t), created, until = now + SESSION_TTL_S;
	*renewed = false;
	if (s->expires_s - now >= SESSION_TTL_S - SESSION_RENEW_S || !utc_read(s->created_at, &created))
		return true;
	if (until > created + SESSION_LONGEST_S)
		until = created + SESSION_LONGEST_S;
	if (until <= s->expires_s)
		return true;
	if (!db_write(t, lane_of(t->arena, s->key), &Q_session_extend,
	              PARAMS(P_TEXT(s->key), P_TEXT(utc_offset(t->arena, until))), &rows, err))
		return false;
	*renewed = rows.changed > 0;
	if (*renewed)
		s->expires_s = until;
	return true;
}

bool session_spend_csrf(struct task *t, struct session *s, bool *spent, struct err *err)
{
	struct rows rows;
	if (!db_write(t, lane_of(t->arena, s->key), &Q_session_spend_csrf,
	              PARAMS(P_TEXT(s->key), P_INT(s->csrf_generation)), &rows, err))
		return false;
	*spent = rows.changed == 1;
	s->csrf_generation += *spent;
	return true;
}

bool session_end(struct task *t, const struct session *s, struct err *err)
{
	return db_write(t, lane_of(t->arena, s->key), &Q_session_delete, PARAMS(P_TEXT(s->key)), NULL, err);
}

bool sign_in_state_use(struct task *t, const char *state, int64_t expires_ms, bool *is_first, struct err *err)
{
	struct rows rows;
	if (!db_write(t, "sign-in states", &Q_sign_in_state_use,
	              PARAMS(P_TEXT(sha256_text(t->arena, state, strlen(state))), P_INT(loop_wall_ms(t->loop)),
	                     P_INT(expires_ms)),
	              &rows, err))
		return false;
	*is_first = rows.changed == 1;
	return true;
}
