#include "../tiny_server.h"
#include "core/http_client.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

static struct loop l;
static struct tiny server, other;
static int busy, most_busy;

static void behave(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method;
	char where[200];
	if (strcmp(path, "/echo") == 0 || strncmp(path, "/echo?", 6) == 0) {
		tiny_send(conn, "200 OK", "Content-Type: text/plain\r\nX-One:  a b \r\nX-Empty:\r\n", text);
	} else if (strcmp(path, "/teapot") == 0) {
		tiny_send(conn, "418 No", "", "short and stout");
	} else if (strcmp(path, "/hang") == 0) {
		busy++;
		most_busy = busy > most_busy ? busy : most_busy;
	} else if (strcmp(path, "/slow") == 0) {
		tiny_later(conn, 20, "late");
	} else if (strcmp(path, "/close") == 0) {
		tiny_close(conn);
	} else if (strcmp(path, "/half") == 0) {
		tiny_raw(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44);
		tiny_close(conn);
	} else if (strcmp(path, "/announced") == 0) {
		tiny_raw(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 41);
	} else if (strcmp(path, "/stream") == 0) {
		tiny_raw(conn, "HTTP/1.1 200 OK\r\n\r\n0123456789abcdefghij", 39);
		tiny_close(conn);
	} else if (strcmp(path, "/garbage") == 0) {
		tiny_raw(conn, "SSH-2.0-nothing\r\n\r\n", 19);
		tiny_close(conn);
	} else if (strcmp(path, "/interim") == 0) {
		const char *s =
		        "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 204 No Content\r\nX-Late: 2\r\n\r\n";
		tiny_raw(conn, s, strlen(s));
	} else if (strcmp(path, "/moved") == 0) {
		tiny_send(conn, "302 Found", "Location: /echo\r\n", "");
	} else if (strcmp(path, "/round") == 0) {
		tiny_send(conn, "302 Found", "Location: /round\r\n", "");
	} else if (strcmp(path, "/file") == 0) {
		tiny_send(conn, "302 Found", "Location: file:///etc/passwd\r\n", "");
	} else if (strcmp(path, "/away") == 0) {
		snprintf(where, sizeof(where), "Location: http://127.0.0.1:%d/echo\r\n", other.port);
		tiny_send(conn, "307 Temporary Redirect", where, "");
	} else if (strcmp(path, "/second-closes") == 0) {
		if (conn->requests == 1)
			tiny_send(conn, "200 OK", "", "first");
		else
			tiny_close(conn);
	}
}

static int set_up(void **state)
{
	(void)state;
	struct err err = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	server = other = (struct tiny){ .answer = behave };
	busy = most_busy = 0;
	tiny_start(&server, &l);
	tiny_start(&other, &l);
	return http_client_new(&l) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	http_client_free(l.http);
	assert_null(l.http);
	tiny_stop(&server);
	tiny_stop(&other);
	loop_done(&l);
	return 0;
}

/* A call, and what came of it copied out of the task's arena. */
struct story {
	struct http_call call;
	const char *path, *host;
	int port;
	bool ok, is_finished;
	uint64_t deadline_ms;
	int64_t effects_ms; /* the right to effects ends in so many; 0: never */
	int status;
	size_t body_n;
	char body[4096], type[64], one[64];
	bool maybe_sent, has_early;
	struct err err;
};

static SUSPENDS void tell(struct task *t, void *arg)
{
	struct story *s = arg;
	struct http_answer answer;
	if (!s->call.url)
		s->call.url = arena_printf(t->arena, "http://%s:%d%s", s->host ? s->host : "127.0.0.1",
		                           s->port ? s->port : server.port, s->path);
	if (!s->call.what)
		s->call.what = "Dokploy";
	if (s->deadline_ms)
		task_set_deadline(t, s->deadline_ms);
	if (s->effects_ms)
		t->effects_until_ms = (uint64_t)((int64_t)loop_exact_ms(t->loop) + s->effects_ms);
	s->ok = http_fetch(t, &s->call, &answer, &s->err);
	s->maybe_sent = answer.maybe_sent;
	s->status = answer.status;
	s->body_n = answer.body_n;
	snprintf(s->body, sizeof(s->body), "%s", answer.body);
	snprintf(s->type, sizeof(s->type), "%s", answer.content_type);
	const char *one = http_answer_header(&answer, "x-one");
	snprintf(s->one, sizeof(s->one), "%s", one ? one : "(none)");
	s->has_early = http_answer_header(&answer, "X-Early") != NULL;
	s->is_finished = true;
}

static void play(struct story *s)
{
	task_spawn(&l, "tells", tell, s);
	while (!s->is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
}

static void an_answer_has_status_headers_and_body(void **state)
{
	(void)state;
	const struct http_header headers[] = { { "Authorization", "Bearer abc" }, { "X-Empty", "" } };
	struct story s = { .path = "/echo?q=1",
		           .call = { .headers = headers, .headers_n = 2, .user_agent = "launchplane/1" } };
	play(&s);
	assert_true(s.ok);
	assert_int_equal(s.status, 200);
	assert_string_equal(s.type, "text/plain");
	assert_string_equal(s.one, "a b");
	assert_int_equal(s.body_n, strlen(s.body));
	assert_non_null(strstr(s.body, "GET /echo?q=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.body, "Authorization: Bearer abc\r\n"));
	assert_non_null(strstr(s.body, "X-Empty:\r\n"));
	assert_non_null(strstr(s.body, "User-Agent: launchplane/1\r\n"));
	assert_true(s.maybe_sent);
}

static void any_status_is_an_answer(void **state)
{
	(void)state;
	struct story s = { .path = "/teapot" };
	play(&s);
	assert_true(s.ok);
	assert_int_equal(s.status, 418);
	assert_string_equal(s.body, "short and stout");
	assert_string_equal(s.type, "");
	assert_string_equal(s.one, "(none)");
}

static void headers_of_an_interim_answer_are_not_the_answers(void **state)
{
	(void)state;
	struct story s = { .path = "/interim" };
	play(&s);
	assert_true(s.ok);
	assert_int_equal(s.status, 204);
	assert_false(s.has_early);
	assert_int_equal(s.body_n, 0);
}

static void methods_and_bodies_arrive_as_given(void **state)
{
	(void)state;
	const struct http_header json = { "Content-Type", "application/json" };
	static const struct {
		const char *method, *body, *expected;
	} cases[] = {
		{ "POST", "{\"a\":1}", "POST /echo HTTP/1.1" }, { "POST", NULL, "POST /echo HTTP/1.1" },
		{ "PUT", "{}", "PUT /echo HTTP/1.1" },          { "PATCH", "{}", "PATCH /echo HTTP/1.1" },
		{ "DELETE", NULL, "DELETE /echo HTTP/1.1" },    { "DELETE", "{}", "DELETE /echo HTTP/1.1" },
		{ "GET", NULL, "GET /echo HTTP/1.1" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct story s = { .path = "/echo",
			           .call = { .method = cases[i].method,
			                     .body = cases[i].body,
			                     .body_n = cases[i].body ? strlen(cases[i].body) : 0,
			                     .headers = &json,
			                     .headers_n = cases[i].body ? 1 : 0 } };
		play(&s);
		assert_true(s.ok);
		assert_non_null(strstr(s.body, cases[i].expected));
		assert_null(strstr(s.body, "Expect:"));
		assert_null(strstr(s.body, "form-urlencoded"));
		if (cases[i].body) {
			assert_non_null(strstr(s.body, "Content-Type: application/json\r\n"));
			assert_string_equal(strstr(s.body, "\r\n\r\n") + 4, cases[i].body);
		}
	}
	assert_int_equal(server.connections, 1); /* all on one kept-alive connection */
}

static void a_large_body_is_sent_whole(void **state)
{
	(void)state;
	static char body[40000];
	memset(body, 'x', sizeof(body));
	struct story s = { .path = "/echo", .call = { .method = "POST", .body = body, .body_n = sizeof(body) } };
	play(&s);
	assert_true(s.ok);
	assert_true(s.body_n > sizeof(body));
}

static void head_has_headers_and_no_body(void **state)
{
	(void)state;
	struct story s = { .path = "/announced", .call = { .method = "HEAD" } };
	play(&s);
	assert_true(s.ok);
	assert_int_equal(s.status, 200);
	assert_int_equal(s.body_n, 0);
}

static void a_refused_connection_was_not_sent_to(void **state)
{
	(void)state;
	int closed_port = other.port;
	tiny_stop(&other);
	uv_run(&l.uv, UV_RUN_NOWAIT);
	struct story s = { .path = "/x?token=abc", .port = closed_port, .call = { .method = "POST", .what = "Mail" } };
	play(&s);
	assert_false(s.ok);
	assert_ptr_equal(s.err.code, &E_upstream_failed);
	assert_int_equal(s.err.provider_status, 0);
	assert_false(s.maybe_sent);
	char expected[100];
	snprintf(expected, sizeof(expected), "Mail at 127.0.0.1:%d cannot be reached: no connection", closed_port);
	assert_string_equal(s.err.message, expected);
	assert_null(strstr(s.err.cause, "token"));
}

static void an_unanswered_request_may_have_been_seen(void **state)
{
	(void)state;
	struct story s = { .path = "/close", .call = { .method = "POST", .body = "x", .body_n = 1 } };
	play(&s);
	assert_false(s.ok);
	assert_ptr_equal(s.err.code, &E_upstream_failed);
	assert_true(s.maybe_sent);
	assert_int_equal(server.requests, 1);
}

static void a_broken_answer_is_a_failure(void **state)
{
	(void)state;
	static const char *const paths[] = { "/half", "/garbage" };
	for (size_t i = 0; i < countof(paths); i++) {
		struct story s = { .path = paths[i] };
		play(&s);
		assert_false(s.ok);
		assert_ptr_equal(s.err.code, &E_upstream_failed);
		assert_true(s.maybe_sent);
	}
}

static void an_answer_beyond_the_limit_is_refused(void **state)
{
	(void)state;
	struct story announced = { .path = "/announced", .call = { .max_bytes = 4999 } };
	play(&announced);
	assert_false(announced.ok);
	assert_non_null(strstr(announced.err.message, "answered with more than 4999 bytes"));
	struct story streamed = { .path = "/stream", .call = { .max_bytes = 19 } };
	play(&streamed);
	assert_false(streamed.ok);
	assert_non_null(strstr(streamed.err.message, "answered with more than 19 bytes"));
	struct story fits = { .path = "/stream", .call = { .max_bytes = 20 } };
	play(&fits);
	assert_true(fits.ok);
	assert_string_equal(fits.body, "0123456789abcdefghij");
}

static void a_silent_provider_is_given_up(void **state)
{
	(void)state;
	struct story s = { .path = "/hang?secret=1", .call = { .timeout_ms = 30 } };
	s.path = "/hang";
	play(&s);
	assert_false(s.ok);
	assert_ptr_equal(s.err.code, &E_timeout);
	assert_true(s.maybe_sent);
	assert_non_null(strstr(s.err.message, "Dokploy at 127.0.0.1"));
}

static void the_deadline_of_the_task_ends_the_call(void **state)
{
	(void)state;
	struct story s = { .path = "/hang", .deadline_ms = 20 };
	play(&s);
	assert_false(s.ok);
	assert_ptr_equal(s.err.code, &E_timeout);
}

static void cancelling_the_task_ends_the_call(void **state)
{
	(void)state;
	struct story s = { .path = "/hang" };
	struct task *t = task_spawn(&l, "tells", tell, &s);
	while (!busy)
		uv_run(&l.uv, UV_RUN_ONCE);
	task_cancel(t);
	while (!s.is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_false(s.ok);
	assert_ptr_equal(s.err.code, &E_cancelled);
	assert_true(s.maybe_sent);
}

static void closing_the_client_ends_all_calls(void **state)
{
	(void)state;
	static struct story s[HTTP_CALLS_PER_HOST + 4];
	memset(s, 0, sizeof(s));
	for (size_t i = 0; i < countof(s); i++) {
		s[i].path = "/hang";
		task_spawn(&l, "tells", tell, &s[i]);
	}
	while (busy < HTTP_CALLS_PER_HOST)
		uv_run(&l.uv, UV_RUN_ONCE);
	http_client_free(l.http);
	for (size_t i = 0; i < countof(s); i++) {
		assert_true(s[i].is_finished);
		assert_ptr_equal(s[i].err.code, &E_cancelled);
		assert_int_equal(s[i].maybe_sent, i < HTTP_CALLS_PER_HOST);
	}
	assert_non_null(http_client_new(&l));
}

static void one_host_gets_a_limited_number_of_calls_at_once(void **state)
{
	(void)state;
	static struct story s[HTTP_CALLS_PER_HOST * 3];
	memset(s, 0, sizeof(s));
	struct task *tasks[countof(s)];
	for (size_t i = 0; i < countof(s); i++) {
		s[i].path = "/hang";
		tasks[i] = task_spawn(&l, "tells", tell, &s[i]);
	}
	while (busy < HTTP_CALLS_PER_HOST)
		uv_run(&l.uv, UV_RUN_ONCE);
	/* Another host is not held up by it. */
	struct story elsewhere = { .path = "/echo", .port = other.port };
	play(&elsewhere);
	assert_true(elsewhere.ok);
	assert_int_equal(busy, HTTP_CALLS_PER_HOST);
	/* One that waits leaves the queue; one that runs makes room for the next. */
	task_cancel(tasks[HTTP_CALLS_PER_HOST]);
	task_cancel(tasks[0]);
	while (busy < HTTP_CALLS_PER_HOST + 1)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_true(s[0].maybe_sent);
	assert_true(s[HTTP_CALLS_PER_HOST].is_finished);
	assert_false(s[HTTP_CALLS_PER_HOST].maybe_sent);
	for (size_t i = 1; i < countof(s); i++)
		if (!s[i].is_finished)
			task_cancel(tasks[i]);
	for (size_t i = 0; i < countof(s); i++)
		while (!s[i].is_finished)
			uv_run(&l.uv, UV_RUN_ONCE);
	struct story after = { .path = "/echo" };
	play(&after);
	assert_true(after.ok);
}

static void waiting_for_a_place_counts_against_the_timeout(void **state)
{
	(void)state;
	static struct story s[HTTP_CALLS_PER_HOST];
	memset(s, 0, sizeof(s));
	struct task *tasks[countof(s)];
	for (size_t i = 0; i < countof(s); i++) {
		s[i].path = "/hang";
		tasks[i] = task_spawn(&l, "tells", tell, &s[i]);
	}
	while (busy < HTTP_CALLS_PER_HOST)
		uv_run(&l.uv, UV_RUN_ONCE);
	struct story late = { .path = "/echo", .call = { .timeout_ms = 20 } };
	play(&late);
	assert_ptr_equal(late.err.code, &E_timeout);
	assert_false(late.maybe_sent);
	for (size_t i = 0; i < countof(s); i++)
		task_cancel(tasks[i]);
}

static void redirects_are_followed_when_asked(void **state)
{
	(void)state;
	struct story plain = { .path = "/moved" };
	play(&plain);
	assert_int_equal(plain.status, 302);
	struct story followed = { .path = "/moved", .call = { .follow_redirects = true } };
	play(&followed);
	assert_int_equal(followed.status, 200);
	assert_non_null(strstr(followed.body, "GET /echo"));
	struct story posted = { .path = "/moved", .call = { .method = "POST", .follow_redirects = true } };
	play(&posted);
	assert_int_equal(posted.status, 302);
	struct story endless = { .path = "/round", .call = { .follow_redirects = true } };
	play(&endless);
	assert_false(endless.ok);
	assert_non_null(strstr(endless.err.message, "redirects more than 5 times"));
	struct story file = { .path = "/file", .call = { .follow_redirects = true } };
	play(&file);
	assert_false(file.ok);
	assert_non_null(strstr(file.err.message, "redirects to where we do not follow"));
}

static void credentials_stay_with_their_origin(void **state)
{
	(void)state;
	const struct http_header headers[] = { { "Authorization", "Bearer abc" }, { "X-Api-Key", "def" } };
	struct story here = { .path = "/moved",
		              .call = { .headers = headers, .headers_n = 2, .follow_redirects = true } };
	play(&here);
	assert_non_null(strstr(here.body, "X-Api-Key: def"));
	struct story away = { .path = "/away",
		              .call = { .headers = headers, .headers_n = 2, .follow_redirects = true } };
	play(&away);
	assert_int_equal(away.status, 200);
	assert_int_equal(other.requests, 1);
	assert_null(strstr(away.body, "abc"));
	assert_null(strstr(away.body, "def"));
}

static void a_mutation_is_not_sent_twice_on_a_dead_connection(void **state)
{
	(void)state;
	struct story first = { .path = "/second-closes", .call = { .method = "POST", .body = "1", .body_n = 1 } };
	play(&first);
	assert_true(first.ok);
	struct story second = { .path = "/second-closes", .call = { .method = "POST", .body = "2", .body_n = 1 } };
	play(&second);
	assert_false(second.ok);
	assert_ptr_equal(second.err.code, &E_upstream_failed);
	assert_true(second.maybe_sent);
	assert_int_equal(server.requests, 2);
	/* A read may be repeated, and is. */
	struct story third = { .path = "/second-closes" };
	play(&third);
	assert_true(third.ok);
	struct story fourth = { .path = "/second-closes" };
	play(&fourth);
	assert_true(fourth.ok);
	assert_int_equal(server.requests, 5);
}

static void what_may_change_something_is_not_sent_when_the_right_to_it_is_over(void **state)
{
	(void)state;
	struct story late = { .path = "/echo",
		              .effects_ms = -1,
		              .call = { .method = "POST", .body = "1", .body_n = 1 } };
	play(&late);
	assert_false(late.ok);
	assert_ptr_equal(late.err.code, &E_cancelled);
	assert_false(late.maybe_sent);
	assert_int_equal(server.requests, 0);
	struct story read = { .path = "/echo", .effects_ms = -1 };
	play(&read);
	assert_true(read.ok);
	struct story in_time = { .path = "/echo", .effects_ms = 60000, .call = { .method = "POST" } };
	play(&in_time);
	assert_true(in_time.ok);
}

static void names_are_resolved(void **state)
{
	(void)state;
	struct story s = { .path = "/echo", .host = "localhost" };
	play(&s);
	assert_true(s.ok);
	struct story again = { .path = "/echo", .host = "LOCALHOST" };
	play(&again);
	assert_true(again.ok);
	struct story nowhere = { .path = "/echo", .host = "no-such-host.invalid", .call = { .timeout_ms = 20000 } };
	play(&nowhere);
	assert_false(nowhere.ok);
	assert_false(nowhere.maybe_sent);
	assert_non_null(strstr(nowhere.err.message, "no-such-host.invalid"));
}

static void a_lookup_can_be_abandoned(void **state)
{
	(void)state;
	static struct story s[3];
	memset(s, 0, sizeof(s));
	struct task *tasks[3];
	for (size_t i = 0; i < 3; i++) {
		s[i].path = "/echo";
		s[i].host = "another.invalid";
		tasks[i] = task_spawn(&l, "tells", tell, &s[i]);
	}
	uv_run(&l.uv, UV_RUN_NOWAIT);
	task_cancel(tasks[1]);
	while (!s[1].is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	http_client_free(l.http);
	for (size_t i = 0; i < 3; i++) {
		assert_true(s[i].is_finished);
		assert_false(s[i].ok);
	}
	assert_non_null(http_client_new(&l));
}

static void an_address_that_is_no_web_address_is_refused(void **state)
{
	(void)state;
	static const char *const urls[] = { "",
		                            "file:///etc/passwd",
		                            "ftp://h/",
		                            "http://",
		                            "h/path",
		                            "http://u:p@h.invalid",
		                            "http://h:99999/x",
		                            "http://h h/",
		                            "gopher://h/",
		                            "http://h\r\nX: y/" };
	for (size_t i = 0; i < countof(urls); i++) {
		struct story s = { .call = { .url = urls[i] } };
		play(&s);
		assert_false(s.ok);
		assert_string_equal(s.err.message, "the address of Dokploy is not a plain http or https URL");
		assert_false(s.maybe_sent);
	}
}

static void a_header_cannot_smuggle_another(void **state)
{
	(void)state;
	static const struct http_header bad[] = {
		{ "X", "a\r\nY: b" }, { "X", "a\nb" }, { "X\r\n", "a" }, { "X Y", "a" }, { "", "a" }, { "X:", "a" },
	};
	for (size_t i = 0; i < countof(bad); i++) {
		struct story s = { .path = "/echo", .call = { .headers = &bad[i], .headers_n = 1 } };
		play(&s);
		assert_false(s.ok);
		assert_false(s.maybe_sent);
	}
	assert_int_equal(server.requests, 0);
}

static bool always_fails(void *arg, const struct http_call *call, struct err *err)
{
	(void)arg;
	return err_set(err, &E_upstream_failed, "%s is out by order of the test", call->what);
}

static void a_test_can_make_calls_fail(void **state)
{
	(void)state;
	http_client_set_fault(l.http, always_fails, NULL);
	struct story s = { .path = "/echo" };
	play(&s);
	assert_false(s.ok);
	assert_string_equal(s.err.message, "Dokploy is out by order of the test");
}

static int open_descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void nothing_stays_open_behind_a_freed_client(void **state)
{
	(void)state;
	http_client_free(l.http);
	int before = open_descriptors();
	assert_non_null(http_client_new(&l));
	static const char *const paths[] = { "/echo", "/close", "/half", "/hang", "/slow", "/echo" };
	for (size_t round = 0; round < 20; round++) {
		for (size_t i = 0; i < countof(paths); i++) {
			struct story s = { .path = paths[i], .call = { .timeout_ms = 25 } };
			play(&s);
		}
	}
	http_client_free(l.http);
	while (server.conns)
		uv_run(&l.uv, UV_RUN_ONCE); /* it sees our side close */
	assert_int_equal(open_descriptors(), before);
	assert_non_null(http_client_new(&l));
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the service does: a peer that left is an error of the write */
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(an_answer_has_status_headers_and_body),
		T(any_status_is_an_answer),
		T(headers_of_an_interim_answer_are_not_the_answers),
		T(methods_and_bodies_arrive_as_given),
		T(a_large_body_is_sent_whole),
		T(head_has_headers_and_no_body),
		T(a_refused_connection_was_not_sent_to),
		T(an_unanswered_request_may_have_been_seen),
		T(a_broken_answer_is_a_failure),
		T(an_answer_beyond_the_limit_is_refused),
		T(a_silent_provider_is_given_up),
		T(the_deadline_of_the_task_ends_the_call),
		T(cancelling_the_task_ends_the_call),
		T(closing_the_client_ends_all_calls),
		T(one_host_gets_a_limited_number_of_calls_at_once),
		T(waiting_for_a_place_counts_against_the_timeout),
		T(redirects_are_followed_when_asked),
		T(credentials_stay_with_their_origin),
		T(a_mutation_is_not_sent_twice_on_a_dead_connection),
		T(what_may_change_something_is_not_sent_when_the_right_to_it_is_over),
		T(names_are_resolved),
		T(a_lookup_can_be_abandoned),
		T(an_address_that_is_no_web_address_is_refused),
		T(a_header_cannot_smuggle_another),
		T(a_test_can_make_calls_fail),
		T(nothing_stays_open_behind_a_freed_client),
	};
	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
