#include "server/operations/followers.h"

#include "core/buf.h"
#include "core/digest.h"
#include "core/log.h"
#include "storage/db.h"
#include "storage/operation.sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS       2000  /* between looks when nobody says anything */
#define TOGETHER_MS   10    /* between looks when there is much to tell */
#define ANNOUNCE_MS   50    /* between announcements to other processes */
#define BEAT_MS       15000 /* of silence; a client that vanished is noticed by writing */
#define AT_ONCE       256   /* followers served before others may run */
#define READ_TOGETHER 500   /* operations of one statement */
#define EVENTS_MAX    500   /* of one operation in one answer: Q_operation_events_of */
#define BUCKETS       1024
#define CHANNEL       "launchplane_operation_events"

static const char COME_BACK[] = "retry: 1000\n\n";
static const char STILL_HERE[] = ": still here\n\n";

struct followed {
	struct followed *in_bucket;
	struct followed *prev, *next;
	struct follower *first, *last;
	struct follower *cursor; /* of whoever walks the followers: moved on when that one leaves */
	bool is_walked;
	int64_t after; /* every follower has the events up to here */
	char id[];
};

struct follower {
	struct follower *prev, *next;     /* of the same operation */
	struct follower *before, *behind; /* of all, the longest silent one first */
	struct followers *all;
	struct followed *of;
	struct http_conn *conn;
	int64_t last;
	uint64_t heard_ms;
};

struct followers {
	struct loop *loop;
	struct task *task, *stopper;
	struct followed *buckets[BUCKETS];
	struct followed *first;
	struct follower *silent_first, *silent_last;
	char name[40]; /* of this process, to know its own announcements */
	bool must_look, must_announce, is_stopping, in_trouble;
	uint64_t looked_ms, announced_ms;
};

static uint64_t now_ms(const struct followers *f)
{
	return loop_now_ms(f->loop);
}

static void wake(struct followers *f)
{
	if (f->task)
		task_wake(f->task);
}

/* ---- who follows what ---- */

static struct followed **place_of(struct followers *f, const char *id)
{
	uint32_t h = 2166136261u;
	for (const char *p = id; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	struct followed **at = &f->buckets[h % BUCKETS];
	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->in_bucket;
	return at;
}

static struct followed *followed_new(struct followers *f, struct followed **at, const char *id, int64_t after)
{
	size_t n = strlen(id) + 1;
	struct followed *o = calloc(1, sizeof(*o) + n);
	if (!o)
		abort();
	memcpy(o->id, id, n);
	o->after = after;
	o->in_bucket = *at;
	*at = o;
	o->next = f->first;
	if (f->first)
		f->first->prev = o;
	f->first = o;
	return o;
}

static void followed_drop(struct followers *f, struct followed *o)
{
	if (o->first || o->is_walked)
		return;
	struct followed **at = place_of(f, o->id);
	*at = o->in_bucket;
	*(o->prev ? &o->prev->next : &f->first) = o->next;
	if (o->next)
		o->next->prev = o->prev;
	free(o);
}

static void unsilence(struct followers *f, struct follower *w)
{
	*(w->before ? &w->before->behind : &f->silent_first) = w->behind;
	*(w->behind ? &w->behind->before : &f->silent_last) = w->before;
}

static void was_told(struct followers *f, struct follower *w)
{
	w->heard_ms = now_ms(f);
	w->before = f->silent_last;
	w->behind = NULL;
	*(f->silent_last ? &f->silent_last->behind : &f->silent_first) = w;
	f->silent_last = w;
}

static void leave(struct follower *w)
{
	struct followed *o = w->of;
	struct followers *f = w->all;
	if (o->cursor == w)
		o->cursor = w->next;
	*(w->prev ? &w->prev->next : &o->first) = w->next;
	*(w->next ? &w->next->prev : &o->last) = w->prev;
	unsilence(f, w);
	free(w);
	followed_drop(f, o);
}

static void on_over(void *arg)
{
	leave(arg);
}

void followers_join(struct followers *f, const char *operation_id, int64_t last, struct request *rq)
{
	struct followed **at = place_of(f, operation_id);
	struct followed *o = *at ? *at : followed_new(f, at, operation_id, last);
	struct follower *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	if (o->after > last)
		o->after = last;
	*w = (struct follower){ .all = f, .of = o, .prev = o->last, .last = last };
	*(o->last ? &o->last->next : &o->first) = w;
	o->last = w;
	was_told(f, w);
	w->conn = response_stream_keep(rq, on_over, w);
	f->must_look = true; /* for what was committed since it read */
	wake(f);
}

/* Ends w's stream in good order. */
static void send_away(struct follower *w, const char *text, size_t n)
{
	struct http_conn *conn = w->conn;
	leave(w);
	http_stream_end(conn, text, n);
}

/* ---- telling ---- */

/* What is new of one operation: the bytes of the events, and where each begins. */
struct news {
	struct buf text;
	int64_t after; /* asked for what is behind it */
	size_t n;
	int64_t seq[EVENTS_MAX];
	size_t at[EVENTS_MAX];
	bool has_ended;
};

/* Sends w what it does not have. It may be gone afterwards. */
static void tell(struct followers *f, struct follower *w, const struct news *news)
{
	size_t i = 0;
	while (i < news->n && news->seq[i] <= w->last)
		i++;
	if (i < news->n) {
		const char *text = news->text.p + news->at[i];
		size_t n = news->text.n - news->at[i];
		w->last = news->seq[news->n - 1];
		unsilence(f, w);
		was_told(f, w);
		if (news->has_ended)
			send_away(w, text, n);
		else if (!http_stream_push(w->conn, text, n))
			send_away(w, COME_BACK, sizeof(COME_BACK) - 1);
	} else if (news->has_ended) {
		send_away(w, NULL, 0);
	}
}

static SUSPENDS void tell_all(struct task *t, struct followers *f, struct followed *o, const struct news *news)
{
	unsigned served = 0;
	o->is_walked = true;
	for (struct follower *w = o->first; w; w = o->cursor) {
		o->cursor = w->next;
		if (w->last >= news->after) /* else it joined meanwhile and misses what lies before this */
			tell(f, w, news);
		if (++served % AT_ONCE == 0)
			task_breathe(t);
	}
	o->is_walked = false;
	o->after = INT64_MAX;
	for (const struct follower *w = o->first; w; w = w->next)
		o->after = w->last < o->after ? w->last : o->after;
	f->must_look |= o->first && news->n && o->after < news->seq[news->n - 1];
	followed_drop(f, o);
}

/* The rows of one operation, from row i on. Returns the row behind them. */
static size_t take_news(struct arena *a, const struct rows *rows, size_t i, int64_t after, struct news *news)
{
	const char *id = row_text(rows, i, 0);
	*news = (struct news){ .text = buf_in(a), .after = after };
	for (; i < rows->n && strcmp(row_text(rows, i, 0), id) == 0; i++) {
		news->has_ended = row_bool(rows, i, 4);
		if (row_is_null(rows, i, 1))
			continue;
		news->seq[news->n] = row_int(rows, i, 1);
		news->at[news->n++] = news->text.n;
		buf_printf(&news->text, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)row_int(rows, i, 1),
		           row_text(rows, i, 2), row_text(rows, i, 3));
	}
	return i;
}

/* ---- looking ---- */

static void add_quoted(struct buf *b, const char *text)
{
	buf_str(b, b->n > 1 ? ",\"" : "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(b, '\\');
		buf_char(b, *text);
	}
	buf_char(b, '"');
}

static SUSPENDS bool look_at_some(struct task *t, struct followers *f, const char **ids, const int64_t *after, size_t n,
                                  struct err *err)
{
	struct buf names = buf_in(t->arena), numbers = buf_in(t->arena);
	buf_char(&names, '{');
	buf_char(&numbers, '{');
	for (size_t i = 0; i < n; i++) {
		add_quoted(&names, ids[i]);
		buf_printf(&numbers, "%s%lld", i ? "," : "", (long long)after[i]);
	}
	buf_char(&names, '}');
	buf_char(&numbers, '}');
	struct rows rows;
	if (!db_query(t, &Q_operation_events_of, PARAMS(P_TEXT(names.p), P_TEXT(numbers.p)), &rows, err))
		return false;
	struct news *news = ARENA_NEW(t->arena, struct news);
	for (size_t i = 0; i < rows.n;) {
		const char *id = row_text(&rows, i, 0);
		i = take_news(t->arena, &rows, i, row_int(&rows, i, 5), news);
		bool is_full = news->n == EVENTS_MAX;
		news->has_ended = news->has_ended && !is_full;
		f->must_look |= is_full;
		struct followed *o = *place_of(f, id);
		if (o)
			tell_all(t, f, o, news);
	}
	return true;
}

static SUSPENDS void look(struct task *t, struct followers *f)
{
	struct err err = { 0 };
	size_t n = 0;
	for (const struct followed *o = f->first; o; o = o->next)
		n++;
	const char **ids = arena_array(t->arena, n + 1, sizeof(*ids));
	int64_t *after = arena_array(t->arena, n + 1, sizeof(*after));
	n = 0;
	for (const struct followed *o = f->first; o; o = o->next) {
		ids[n] = arena_strdup(t->arena, o->id); /* the operations may have lost their followers while we wait */
		after[n++] = o->after;
	}
	f->must_look = false;
	bool ok = true;
	for (size_t i = 0; ok && i < n; i += READ_TOGETHER)
		ok = look_at_some(t, f, ids + i, after + i, n - i < READ_TOGETHER ? n - i : READ_TOGETHER, &err);
	if (!ok && !f->in_trouble && !err_is(&err, &E_cancelled))
		log_warn(t, "followers.cannot_look", LOG_ERR(&err)); /* once; it goes on trying */
	f->in_trouble = !ok;
	f->looked_ms = now_ms(f);
}

/* To other processes. When nobody hears it, they look by themselves. */
static SUSPENDS void announce(struct task *t, struct followers *f)
{
	struct err ignored = { 0 };
	f->must_announce = false;
	f->announced_ms = now_ms(f);
	db_write(t, CHANNEL, &Q_operation_events_announce, PARAMS(P_TEXT(f->name)), NULL, &ignored);
}

static void beat(struct followers *f)
{
	uint64_t now = now_ms(f);
	for (unsigned n = 0; n < AT_ONCE && f->silent_first && now >= f->silent_first->heard_ms + BEAT_MS; n++) {
		struct follower *w = f->silent_first;
		unsilence(f, w);
		was_told(f, w);
		http_stream_push(w->conn, STILL_HERE, sizeof(STILL_HERE) - 1);
	}
}

/* ---- the task ---- */

static uint64_t until(uint64_t now, uint64_t then)
{
	return then > now ? then - now : 0;
}

static uint64_t idle_ms(const struct followers *f)
{
	uint64_t now = now_ms(f), ms = TASK_FOREVER, one;
	if (f->must_announce)
		ms = until(now, f->announced_ms + ANNOUNCE_MS);
	if (f->first && (one = until(now, f->looked_ms + (f->must_look ? TOGETHER_MS : LOOK_MS))) < ms)
		ms = one;
	if (f->silent_first && (one = until(now, f->silent_first->heard_ms + BEAT_MS)) < ms)
		ms = one;
	return ms;
}

static SUSPENDS void followers_main(struct task *t, void *arg)
{
	struct followers *f = arg;
	while (!f->is_stopping) {
		struct err err = { 0 };
		uint64_t ms = idle_ms(f);
		if (ms && !task_wait(t, ms, &err) && err_is(&err, &E_cancelled))
			break;
		uint64_t now = now_ms(f);
		if (f->first && now >= f->looked_ms + (f->must_look ? TOGETHER_MS : LOOK_MS))
			look(t, f);
		if (f->must_announce && now >= f->announced_ms + ANNOUNCE_MS)
			announce(t, f);
		beat(f);
		arena_reset(t->arena); /* lives as long as the process */
	}
	f->task = NULL;
	if (f->stopper)
		task_wake(f->stopper);
}

/* Events were committed by this process. */
static void on_events(void *arg)
{
	struct followers *f = arg;
	f->must_look = f->must_announce = true;
	wake(f);
}

static void on_announcement(void *arg, const char *payload)
{
	struct followers *f = arg;
	if (f->is_stopping || (payload && strcmp(payload, f->name) == 0))
		return;
	f->must_look = true;
	wake(f);
}

struct followers *followers_new(struct loop *l)
{
	struct followers *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	f->loop = l;
	unsigned char random[16];
	random_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(f->name + 2 * i, 3, "%02x", random[i]);
	f->task = task_start(l, "followers", followers_main, f);
	db_listen(l->db, CHANNEL, on_announcement, f);
	db_on_events(l->db, on_events, f);
	return f;
}

void followers_stop(struct task *t, struct followers *f)
{
	if (!f)
		return;
	db_on_events(t->loop->db, NULL, NULL);
	f->is_stopping = true;
	f->stopper = t;
	if (f->task)
		task_cancel(f->task); /* it only reads */
	while (f->task)
		task_wait_out(t);
}

void followers_free(struct followers *f)
{
	if (!f)
		return;
	while (f->silent_first) {
		const struct follower *first = f->silent_first;
		leave(f->silent_first);
		assert(f->silent_first != first);
	}
	free(f);
}
