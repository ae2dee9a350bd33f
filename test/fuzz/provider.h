/* test/fuzz/provider.h - a real client asks a server that answers with the input. The second byte of the input is the
 * status; the rest is the answer, or several with a form feed between them: the first to the first request, the last to
 * all further ones. */
#pragma once

#include "../unit/tiny_server.h"
#include "core/http_client.h"
#include "core/task.h"
#include "fuzz.h"

/* Calls the client; call is the input's first byte. */
static SUSPENDS void fuzz_ask(struct task *t, const char *url, unsigned call);

static struct {
	struct loop loop;
	struct tiny server;
	bool is_running;
	char *answers; /* what is left of them */
	const char *status;
	unsigned call;
} provider;

static inline void provider_answers(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method, (void)path, (void)text;
	char *next = strchr(provider.answers, '\f');
	if (next)
		*next = '\0';
	tiny_send(conn, provider.status, "Content-Type: application/json\r\n", provider.answers);
	if (next)
		provider.answers = next + 1;
}

static SUSPENDS void provider_main(struct task *t, void *arg)
{
	(void)arg;
	fuzz_ask(t, arena_printf(t->arena, "http://127.0.0.1:%d", provider.server.port), provider.call);
	loop_stop(t->loop);
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	(void)a;
	static const char *const statuses[] = { "200 OK",
		                                "200 OK",
		                                "200 OK",
		                                "404 Not Found",
		                                "400 Bad Request",
		                                "401 Unauthorized",
		                                "500 Internal Server Error" };
	if (n < 2 || n > 60000)
		return;
	if (!provider.is_running) {
		struct err err = { 0 };
		provider.is_running = loop_init(&provider.loop, NULL, &err) && http_client_new(&provider.loop);
		assert(provider.is_running);
		provider.server.answer = provider_answers;
		tiny_start(&provider.server, &provider.loop);
	}
	char *text = fuzz_text(data + 2, n - 2);
	provider.answers = text;
	provider.call = data[0];
	provider.status = statuses[data[1] % countof(statuses)];
	task_spawn(&provider.loop, "fuzz", provider_main, NULL);
	loop_run(&provider.loop);
	free(text);
}
