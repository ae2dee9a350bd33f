/* Following an operation. Polling with an ETag, not the event stream: an operation outlives connections, restarts and
 * proxies, and so must its watcher; each poll has the whole history, so nothing is missed or shown twice. */
#include "server/cli/client.h"
#include "server/cli/print.h"

#include <stdio.h>
#include <string.h>

#define POLL_MS      1000
#define POLL_MOST_MS 15000

struct watch {
	struct client *client;
	const char *path;
	int64_t shown; /* seq of the last event printed */
	char etag[128];
	bool is_away; /* the service did not answer the last time */
};

static void show_event(struct watch *w, const struct json *event)
{
	struct buf b = buf_in(w->client->t->arena);
	if (w->client->json) {
		json_write(&b, event);
	} else {
		const struct json *detail = json_get(event, "detail");
		const char *at = json_str(event, "at", "");
		/* The time of day of "2026-06-01T10:00:00Z". */
		buf_printf(&b, "%.8s  %-28s %-16s ", strlen(at) > 11 ? at + 11 : at, json_str(event, "phase", ""),
		           json_str(event, "event", ""));
		if (detail && !(detail->type == JSON_OBJECT && detail->n == 0))
			print_value(&b, detail);
		while (b.n && b.p[b.n - 1] == ' ')
			b.p[--b.n] = '\0';
	}
	puts(buf_cstr(&b));
}

static bool has_ended(const char *status)
{
	return strcmp(status, "pass") == 0 || strcmp(status, "fail") == 0 || strcmp(status, "cancelled") == 0;
}

static int show_end(const struct client *c, const struct json *operation)
{
	const char *status = json_str(operation, "status", ""), *message = json_str(operation, "error_message", "");
	const char *record = json_str(operation, "deployment_record_id", "");
	struct buf b = buf_in(c->t->arena);
	if (c->json)
		json_write(&b, operation);
	else
		buf_printf(&b, "%s  %s%s%s%s%s", status, json_str(operation, "operation_id", ""), record[0] ? "  " : "",
		           record, message[0] ? "  " : "", message);
	puts(buf_cstr(&b));
	return strcmp(status, "pass") == 0 ? 0 : EXIT_FAILED;
}

/* Worth another look: nobody there, or a service that starts, stops or is busy. */
static bool is_passing(int status)
{
	return status == 429 || status == 408 || (status >= 500 && status <= 504);
}

static void note_away(struct watch *w, const char *why)
{
	if (!w->is_away)
		fprintf(stderr, "launchplane: %s; trying again, the operation goes on\n", why);
	w->is_away = true;
}

/* One look. True: it ended, or cannot be watched any further, and *code is set. */
static SUSPENDS bool look(struct watch *w, int *code)
{
	struct client *c = w->client;
	struct client_reply reply;
	struct err err = { 0 };
	const struct client_request rq = { .method = "GET",
		                           .path = w->path,
		                           .if_none_match = w->etag[0] ? w->etag : NULL };
	if (!client_send(c, &rq, &reply, &err)) {
		note_away(w, err.message);
		return false;
	}
	if (is_passing(reply.status)) {
		note_away(w, arena_printf(c->t->arena, "the service answers with %d", reply.status));
		return false;
	}
	if (w->is_away)
		fputs("launchplane: the service is back\n", stderr);
	w->is_away = false;
	if (reply.status == 304)
		return false;
	if (reply.status != 200) {
		*code = client_refused(c, &reply);
		return true;
	}
	snprintf(w->etag, sizeof(w->etag), "%s", reply.etag ? reply.etag : "");
	const struct json *operation = json_get(&reply.doc, "operation");
	const struct json *events = operation ? json_get(operation, "events") : NULL;
	for (size_t i = 0; events && events->type == JSON_ARRAY && i < events->n; i++)
		if (json_int(&events->items[i], "seq", 0) > w->shown) {
			w->shown = json_int(&events->items[i], "seq", 0);
			show_event(w, &events->items[i]);
		}
	fflush(stdout);
	if (!operation || !has_ended(json_str(operation, "status", "")))
		return false;
	*code = show_end(c, operation);
	return true;
}

int operation_watch(struct client *c, const char *operation_id, uint64_t give_up_ms)
{
	struct arena *keep = c->t->arena, *scratch = arena_new();
	struct watch w = { .client = c,
		           .path = arena_printf(keep, "/v1/operations/%s", url_escaped(keep, operation_id)) };
	uint64_t began = loop_now_ms(c->t->loop), wait_ms = POLL_MS;
	int code = EXIT_FAILED;
	bool over;
	struct err err = { 0 };
	for (;;) {
		/* A watch may last for hours: each look's memory goes with it. */
		c->t->arena = scratch;
		over = look(&w, &code);
		c->t->arena = keep;
		arena_reset(scratch);
		if (over)
			break;
		if (give_up_ms && loop_now_ms(c->t->loop) - began >= give_up_ms) {
			code = command_fail(EXIT_FAILED, "%s has not ended yet; it goes on without its watcher",
			                    operation_id);
			break;
		}
		wait_ms = !w.is_away ? POLL_MS : wait_ms * 2 < POLL_MOST_MS ? wait_ms * 2 : POLL_MOST_MS;
		if (!task_sleep(c->t, wait_ms, &err)) {
			code = client_failed(c, &err);
			break;
		}
	}
	arena_free(scratch);
	return code;
}
