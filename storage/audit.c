#include "storage/audit.h"

#include "core/loop.h"
#include "core/redact.h"
#include "storage/audit.sql.h"
#include "storage/guard.h"

#include <stdio.h>
#include <time.h>

#define TEXT_MAX 1000 /* bytes of a reason or an id; what is longer is cut */

/* The bytes of the well-formed UTF-8 character at s, 0 when there is none. */
static size_t character(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] != 0;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool is_bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	              (s[0] == 0xf4 && s[1] > 0x8f);
	return is_bad ? 0 : n;
}

/* What a leaf may hold: an entry that PostgreSQL could not read would hold up all that follow it. */
static const char *clean(struct arena *a, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0, n;
	while (at < TEXT_MAX && (n = character(s + at)) > 0)
		at += n;
	if (!s[at])
		return text;
	struct buf b = buf_in(a);
	for (at = 0; s[at] && b.n < TEXT_MAX; at += n ? n : 1) {
		n = character(s + at);
		buf_add(&b, n ? (const char *)s + at : "?", n ? n : 1);
	}
	return b.p;
}

void audit_begin(struct task *t, struct audit_entry *e)
{
	t->audit = e;
	if (e && !e->records.type)
		e->records = json_object();
	if (e && !e->details.type)
		e->details = json_object();
}

void audit_record(struct task *t, const char *name, const char *id)
{
	if (t->audit && id && id[0])
		json_set_str(t->arena, &t->audit->records, name, clean(t->arena, id));
}

void audit_detail(struct task *t, const char *name, const char *value)
{
	if (t->audit && value && value[0])
		json_set_str(t->arena, &t->audit->details, name, clean(t->arena, value));
}

void audit_override(struct task *t, const char *kind, const char *reason)
{
	if (!t->audit)
		return;
	t->audit->override = kind;
	if (reason && reason[0])
		t->audit->reason = reason;
}

static const char *now_text(struct task *t)
{
	int64_t ms = loop_wall_ms(t->loop);
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];
	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_printf(t->arena, "%s.%03dZ", text, (int)(ms % 1000));
}

static void set(struct arena *a, struct json *leaf, const char *name, const char *value)
{
	if (value && value[0])
		json_set_str(a, leaf, name, clean(a, value));
}

static void set_number(struct arena *a, struct json *leaf, const char *name, int64_t value)
{
	if (value)
		json_set(a, leaf, name, json_of_int(value));
}

static void set_object(struct arena *a, struct json *leaf, const char *name, const struct json *value)
{
	if (value && value->type == JSON_OBJECT && value->n)
		json_set(a, leaf, name, *value);
}

static void set_operation(struct arena *a, struct json *leaf, const struct audit_entry *e)
{
	struct json operation = json_object();
	set(a, &operation, "operation_id", e->operation_id);
	set(a, &operation, "kind", e->kind);
	set(a, &operation, "phase", e->phase);
	set_number(a, &operation, "run", e->run);
	set_number(a, &operation, "effects", e->effects);
	set_object(a, leaf, "operation", &operation);
}

const char *audit_leaf_of(struct task *t, const struct audit_entry *e)
{
	struct arena *a = t->arena;
	struct json leaf = json_object();
	json_set(a, &leaf, "v", json_of_int(1));
	json_set_str(a, &leaf, "at", now_text(t));
	set(a, &leaf, "type", e->type);
	set(a, &leaf, "event", e->event);
	set(a, &leaf, "route", e->route);
	set(a, &leaf, "action", e->action);
	set(a, &leaf, "product", e->product);
	set(a, &leaf, "context", e->context);
	set(a, &leaf, "actor", e->actor);
	set_object(a, &leaf, "caller", e->caller);
	set(a, &leaf, "reason", e->reason && e->reason[0] ? redact(a, e->reason) : NULL);
	set(a, &leaf, "override", e->override);
	set(a, &leaf, "request_sha256", e->request_sha256);
	set(a, &leaf, "policy_sha256", e->policy_sha256);
	set(a, &leaf, "trace_id", e->trace_id);
	set(a, &leaf, "error_code", e->error_code);
	set_operation(a, &leaf, e);
	set_number(a, &leaf, "count", e->count);
	set(a, &leaf, "from_at", e->from_at);
	set(a, &leaf, "to_at", e->to_at);
	set_object(a, &leaf, "records", &e->records);
	set_object(a, &leaf, "details", &e->details);
	struct buf b = buf_in(a);
	json_write_canonical(&b, &leaf);
	return b.p;
}

const char *audit_leaf(struct task *t)
{
	return t->audit && GUARD(F11) ? audit_leaf_of(t, t->audit) : NULL;
}

bool audit_append(struct task *t, const struct audit_entry *e, struct err *err)
{
	struct rows rows;
	return db_write(t, "", &Q_audit_append, PARAMS(P_TEXT(audit_leaf_of(t, e))), &rows, err);
}
