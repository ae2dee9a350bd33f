#include "server/cli/client.h"

#include "core/log.h"
#include "core/text.h"
#include "server/auth/sign_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64u << 20)
#define TOKEN_MAX  16384

const struct setting client_settings[] = {
	{ "--service-url", "LAUNCHPLANE_SERVICE_URL", "http://127.0.0.1:8080", "URL", "The service's address", 0 },
	{ NULL, "LAUNCHPLANE_TOKEN", NULL, NULL, "Bearer token that commands send to the service", SETTING_SECRET },
	{ "--token-file", NULL, NULL, "FILE", "File that holds the bearer token; default: LAUNCHPLANE_TOKEN", 0 },
	{ NULL, "LAUNCHPLANE_SESSION_COOKIE", NULL, NULL, "Session cookie of a signed-in browser, instead of a token",
	  SETTING_SECRET },
	{ "--session-cookie-file", NULL, NULL, "FILE",
	  "File that holds the session cookie; default: LAUNCHPLANE_SESSION_COOKIE", 0 },
	{ "--timeout", NULL, "60", "SECONDS", "How long one request may take", 0 },
	{ "--json", NULL, NULL, NULL, "Print the service's answer as it came", SETTING_SWITCH },
	{ 0 },
};

static bool read_secret(struct arena *a, const char *what, const char *path, const char **out, struct err *err)
{
	char *text = arena_alloc(a, TOKEN_MAX + 1);
	FILE *f = fopen(path, "re");
	if (!f)
		return err_set(err, &E_invalid_request, "the %s file %s cannot be read: %s", what, path,
		               strerror(errno));
	text[fread(text, 1, TOKEN_MAX, f)] = '\0';
	fclose(f);
	*out = trimmed(a, text);
	if (!(*out)[0])
		return err_set(err, &E_invalid_request, "the %s file %s is empty", what, path);
	return true;
}

/* What a flag names wins; of the variables, the token. */
static bool read_credential(struct arena *a, const struct settings *s, struct client *c, struct err *err)
{
	const char *token_file = setting(s, "--token-file"), *cookie_file = setting(s, "--session-cookie-file");
	const char *token = setting(s, "LAUNCHPLANE_TOKEN"), *cookie = setting(s, "LAUNCHPLANE_SESSION_COOKIE");
	if (token_file && cookie_file)
		return err_set(err, &E_invalid_request, "--token-file and --session-cookie-file exclude each other");
	if (token_file)
		return read_secret(a, "token", token_file, &c->token, err);
	if (cookie_file && !read_secret(a, "session cookie", cookie_file, &cookie, err))
		return false;
	if (token && !cookie_file) {
		c->token = trimmed(a, token);
		return true;
	}
	if (cookie)
		c->cookie =
		        arena_printf(a, "%s%s", strchr(cookie, '=') ? "" : "launchplane_session=", trimmed(a, cookie));
	return true;
}

static bool client_read(struct arena *a, const struct settings *s, struct client *c, struct err *err)
{
	const char *url = setting(s, "--service-url");
	long long timeout_s;
	if (!setting_int(s, "--timeout", 1, 3600, &timeout_s, err))
		return false;
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_SERVICE_URL must begin with http:// or https://, not be \"%s\"", url);
	size_t n = strlen(url);
	while (n && url[n - 1] == '/')
		n--;
	c->base = arena_strndup(a, url, n);
	c->json = setting_on(s, "--json");
	c->timeout_ms = (uint32_t)(timeout_s * 1000);
	return read_credential(a, s, c, err);
}

struct run {
	const struct settings *settings;
	client_fn fn;
	void *arg;
	int code;
};

static NO_ROLE_CHECK void run_main(struct task *t, void *arg)
{
	struct run *r = arg;
	struct client c = { .t = t };
	struct err err = { 0 };
	t->deadline_ms = TASK_FOREVER; /* each request has its own */
	if (client_read(t->arena, r->settings, &c, &err))
		r->code = r->fn(&c, r->arg);
	else
		r->code = command_fail(EXIT_USAGE, "%s", err.message);
}

int client_run(const struct settings *s, client_fn fn, void *arg)
{
	struct run r = { .settings = s, .fn = fn, .arg = arg, .code = EXIT_FAILED };
	struct loop loop;
	struct err err = { 0 };
	log_set_level(LOG_ERROR);
	if (!loop_init(&loop, NULL, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	struct http_client *http = http_client_new(&loop);
	if (http && task_spawn(&loop, "command", run_main, &r))
		while (loop.tasks_alive)
			uv_run(&loop.uv, UV_RUN_ONCE);
	else
		command_fail(EXIT_FAILED, "the HTTP client cannot be set up");
	if (http)
		http_client_free(http);
	loop_done(&loop);
	if (fflush(stdout) != 0 && r.code == 0)
		return command_fail(EXIT_FAILED, "standard output: %s", strerror(errno));
	return r.code;
}

#define HEADERS_MAX 12

/* What a page of the service would send with a change: the session's token, and where the page comes from. */
static SUSPENDS bool add_browser_headers(struct client *c, struct http_header *headers, size_t *n, struct err *err)
{
	const struct client_request ask = { .method = "GET", .path = "/v1/auth/session" };
	struct client_reply session;
	const char *origin = "";
	if (!client_send(c, &ask, &session, err))
		return false;
	url_origin(c->t->arena, c->base, &origin);
	headers[(*n)++] = (struct http_header){ "Origin", origin };
	headers[(*n)++] = (struct http_header){ "Sec-Fetch-Site", "same-origin" };
	headers[(*n)++] = (struct http_header){ "Sec-Fetch-Mode", "cors" };
	headers[(*n)++] = (struct http_header){ "Sec-Fetch-Dest", "empty" };
	headers[(*n)++] = (struct http_header){ "X-CSRF-Token", json_str(&session.doc, "csrf_token", "none") };
	return true;
}

bool client_send(struct client *c, const struct client_request *rq, struct client_reply *out, struct err *err)
{
	struct http_header headers[HEADERS_MAX];
	size_t n = 0;
	headers[n++] = (struct http_header){ "Accept", "application/json" };
	if (c->cookie)
		headers[n++] = (struct http_header){ "Cookie", c->cookie };
	if (c->cookie && strcmp(rq->method, "GET") != 0 && !add_browser_headers(c, headers, &n, err))
		return false;
	if (c->token)
		headers[n++] =
		        (struct http_header){ "Authorization", arena_printf(c->t->arena, "Bearer %s", c->token) };
	if (rq->body)
		headers[n++] = (struct http_header){ "Content-Type", "application/json" };
	if (rq->idempotency_key)
		headers[n++] = (struct http_header){ "Idempotency-Key", rq->idempotency_key };
	if (rq->if_none_match)
		headers[n++] = (struct http_header){ "If-None-Match", rq->if_none_match };
	const struct http_call call = { .method = rq->method,
		                        .url = arena_printf(c->t->arena, "%s%s", c->base, rq->path),
		                        .headers = headers,
		                        .headers_n = n,
		                        .body = rq->body,
		                        .body_n = rq->body ? strlen(rq->body) : 0,
		                        .timeout_ms = c->timeout_ms,
		                        .max_bytes = ANSWER_MAX,
		                        .what = "the service",
		                        .user_agent = "launchplane-cli" };
	struct http_answer answer;
	if (!http_fetch(c->t, &call, &answer, err))
		return false;
	*out = (struct client_reply){ .status = answer.status,
		                      .text = answer.body,
		                      .etag = http_answer_header(&answer, "ETag") };
	struct err ignored = { 0 };
	if (strncmp(answer.content_type, "application/json", 16) != 0 ||
	    !json_parse(c->t->arena, answer.body, answer.body_n, "the answer", &out->doc, &ignored))
		out->doc = (struct json){ .type = JSON_NULL };
	return true;
}

int client_failed(const struct client *c, const struct err *err)
{
	return command_fail(EXIT_FAILED, "%s: %s%s%s", c->base, err->message, err->cause[0] ? ": " : "", err->cause);
}

int client_refused(struct client *c, const struct client_reply *reply)
{
	const struct json *error = json_get(&reply->doc, "error");
	if (!error)
		return command_fail(EXIT_FAILED,
		                    "%s answered with status %d, which is not this service's way; check the address",
		                    c->base, reply->status);
	if (c->json)
		puts(reply->text);
	const char *path = json_str(error, "path", ""),
	           *active = json_str(json_get(&reply->doc, "operation"), "operation_id", "");
	struct buf b = buf_in(c->t->arena);
	buf_printf(&b, "%s", json_str(error, "message", "no reason given"));
	if (path[0] && !strstr(buf_cstr(&b), path))
		buf_printf(&b, " (at %s)", path);
	if (active[0])
		buf_printf(&b, "; launchplane operations watch %s follows the active one", active);
	if (reply->status == 401 && !c->token && !c->cookie)
		buf_str(&b, "; set LAUNCHPLANE_TOKEN or give --token-file FILE");
	return command_fail(EXIT_FAILED, "%s [%s, trace %s]", buf_cstr(&b), json_str(error, "code", "unknown"),
	                    json_str(&reply->doc, "trace_id", "unknown"));
}
