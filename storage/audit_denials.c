/* Refusals, counted: a flood of them must neither fill the log nor cost much. */
#include "storage/audit_log.h"

#include <stdlib.h>
#include <time.h>

#define SLOTS       64
#define INTERVAL_MS 60000
#define TEXT_MAX    300

enum text { ACTOR, ACTION, ROUTE, PRODUCT, CONTEXT, CALLER, TRACE, POLICY, TEXTS };

struct slot {
	char *text[TEXTS]; /* of the first refusal that was not told yet */
	int64_t count, from_ms, to_ms, due_ms;
};

struct denials {
	struct slot slots[SLOTS + 1]; /* the last one: of everybody for whom there was no room */
};

struct denials *denials_new(void)
{
	struct denials *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	return d;
}

static void forget(struct slot *s)
{
	for (int i = 0; i < TEXTS; i++)
		free(s->text[i]);
	*s = (struct slot){ 0 };
}

void denials_free(struct denials *d)
{
	for (size_t i = 0; d && i < countof(d->slots); i++)
		forget(&d->slots[i]);
	free(d);
}

static char *copy(const char *text, size_t max)
{
	char *p = strndup(text ? text : "", max);
	if (!p)
		abort();
	return p;
}

static void fill(struct slot *s, const struct audit_entry *e)
{
	const char *const from[TEXTS] = { e->actor,   e->action, e->route,    e->product,
		                          e->context, NULL,      e->trace_id, e->policy_sha256 };
	for (int i = 0; i < TEXTS; i++) {
		free(s->text[i]);
		s->text[i] = copy(from[i], TEXT_MAX);
	}
	if (e->caller) {
		struct arena *a = arena_new();
		free(s->text[CALLER]);
		s->text[CALLER] = copy(json_text(a, e->caller), 4096);
		arena_free(a);
	}
}

static struct slot *slot_of(struct denials *d, int64_t now_ms, const struct audit_entry *e)
{
	struct slot *spare = NULL;
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &d->slots[i];
		if (s->text[ACTOR] && strncmp(s->text[ACTOR], e->actor, TEXT_MAX) == 0 &&
		    strncmp(s->text[ACTION], e->action, TEXT_MAX) == 0)
			return s;
		if (!s->count && s->due_ms <= now_ms)
			spare = s;
	}
	if (!spare)
		return &d->slots[SLOTS];
	forget(spare);
	return spare;
}

void denials_note(struct denials *d, int64_t now_ms, const struct audit_entry *e)
{
	struct slot *s = slot_of(d, now_ms, e);
	if (s->count == 0) {
		static const struct audit_entry others = { .actor = "others" };
		fill(s, s == &d->slots[SLOTS] ? &others : e);
		s->from_ms = now_ms;
	}
	s->count++;
	s->to_ms = now_ms;
}

static const char *time_text(struct arena *a, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];
	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

bool denials_take(struct denials *d, struct arena *a, int64_t now_ms, bool at_end, struct audit_entry *out)
{
	for (size_t i = 0; i < countof(d->slots); i++) {
		struct slot *s = &d->slots[i];
		if (!s->count || (s->due_ms > now_ms && !at_end))
			continue;
		struct json *caller = ARENA_NEW(a, struct json);
		struct err ignored = { 0 };
		*out = (struct audit_entry){ .type = "request", .event = "denied" };
		out->actor = arena_strdup(a, s->text[ACTOR]);
		out->action = arena_strdup(a, s->text[ACTION]);
		out->route = arena_strdup(a, s->text[ROUTE]);
		out->product = arena_strdup(a, s->text[PRODUCT]);
		out->context = arena_strdup(a, s->text[CONTEXT]);
		out->trace_id = arena_strdup(a, s->text[TRACE]);
		out->policy_sha256 = arena_strdup(a, s->text[POLICY]);
		if (s->text[CALLER][0] && json_parse(a, s->text[CALLER], strlen(s->text[CALLER]), "", caller, &ignored))
			out->caller = caller;
		out->count = s->count;
		out->from_at = time_text(a, s->from_ms);
		out->to_at = time_text(a, s->to_ms);
		s->count = 0;
		s->due_ms = now_ms + INTERVAL_MS;
		return true;
	}
	return false;
}
