#include "core/http_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HEADER_BYTES_MAX  65536
#define HEADERS_MAX       200
#define IDLE_REUSE_S      60L
#define IDLE_REUSE_ONCE_S 4L /* below the keep-alive limit of common servers (Node: 5 s): see once_only() */

/* One request and its answer; lives in the task's arena, known to curl only while the task waits. */
struct transfer {
	struct waiter waiter;
	const struct http_call *call;
	struct arena *arena;
	CURL *easy;
	CURLcode result;
	bool is_done, is_too_large, is_repeated;
	unsigned sends;
	size_t max_bytes, header_bytes;
	uint64_t limit_ms; /* by the loop's clock, which a test may move; curl's own timer is the machine's */
	struct buf body;
	struct http_header headers[HEADERS_MAX];
	size_t headers_n;
	char problem[CURL_ERROR_SIZE];
};

static void free_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* ---- what curl calls ---- */

void http_transfer_done(CURL *easy, CURLcode result)
{
	struct transfer *x = NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&x);
	x->result = result;
	x->is_done = true;
	task_wake(x->waiter.task);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	n *= size;
	if (n > x->max_bytes - x->body.n) {
		x->is_too_large = true;
		return 0;
	}
	buf_add(&x->body, p, n);
	return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	n *= size;
	x->header_bytes += n;
	if (x->header_bytes > HEADER_BYTES_MAX) {
		x->is_too_large = true;
		return 0;
	}
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		x->headers_n = 0; /* what came before was an interim answer */
		return n;
	}
	const char *colon = memchr(p, ':', n);
	if (!colon || x->headers_n == HEADERS_MAX)
		return n;
	const char *value = colon + 1, *end = p + n;
	while (value < end && isspace((unsigned char)*value))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	x->headers[x->headers_n++] =
	        (struct http_header){ .name = arena_strndup(x->arena, p, (size_t)(colon - p)),
		                      .value = arena_strndup(x->arena, value, (size_t)(end - value)) };
	return n;
}

/* curl sends a request again by itself when a connection it reused was closed without an answer. Whether the server
 * acted on the first one is unknown then, so what must not happen twice is not sent twice. */
static bool once_only(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PATCH") == 0;
}

static int before_sending(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	(void)remote, (void)local, (void)remote_port, (void)local_port;
	struct transfer *x = arg;
	if (x->sends++ && once_only(x->call->method)) {
		x->is_repeated = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/* ---- the request ---- */

static bool is_header_text(const char *s, bool is_name)
{
	if (is_name && !*s)
		return false;
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if (is_name ? !isalnum(ch) && !strchr("!#$%&'*+-.^_`|~", ch) : (ch < 0x20 && ch != '\t') || ch == 0x7f)
			return false;
	}
	return true;
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (!longer)
		return false;
	*list = longer;
	return true;
}

static bool add_headers(struct task *t, const struct http_call *call, struct curl_slist **list, struct err *err)
{
	bool has_type = false;
	for (size_t i = 0; i < call->headers_n; i++) {
		const struct http_header *h = &call->headers[i];
		if (!is_header_text(h->name, true) || !is_header_text(h->value, false))
			return err_set(err, &E_upstream_failed, "a header for %s has characters no header may have",
			               call->what);
		has_type = has_type || strcasecmp(h->name, "Content-Type") == 0;
		/* "Name;" is curl's way to say a header without a value; "Name:" would leave it out. */
		const char *line = h->value[0] ? arena_printf(t->arena, "%s: %s", h->name, h->value)
		                               : arena_printf(t->arena, "%s;", h->name);
		if (!add_header(list, line))
			return err_set(err, &E_internal_error, "no memory for a request");
	}
	if (t->traceparent[0] && !add_header(list, arena_printf(t->arena, "traceparent: %s", t->traceparent)))
		return err_set(err, &E_internal_error, "no memory for a request");
	if (!add_header(list, "Expect:") || (!has_type && !add_header(list, "Content-Type:")))
		return err_set(err, &E_internal_error, "no memory for a request");
	return true;
}

static void set_method(CURL *e, const struct http_call *call)
{
	bool is_get = strcmp(call->method, "GET") == 0, is_head = strcmp(call->method, "HEAD") == 0;
	bool is_post = strcmp(call->method, "POST") == 0;
	if (is_head) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	if (call->body || is_post) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(call->body ? call->body_n : 0));
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body ? call->body : "");
	}
	if (!is_post && !(is_get && !call->body))
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_options(struct http_client *c, struct transfer *x, const struct target *at, uint64_t left_ms)
{
	CURL *e = x->easy;
	const struct http_call *call = x->call;
	long timeout = left_ms > 0 ? (long)left_ms : 1;
	long connect = (long)(call->connect_timeout_ms ? call->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS);
	x->limit_ms = (uint64_t)timeout;
	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->problem);
	curl_easy_setopt(e, CURLOPT_URL, at->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (c->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect < timeout ? connect : timeout);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, once_only(call->method) ? IDLE_REUSE_ONCE_S : IDLE_REUSE_S);
	curl_easy_setopt(e, CURLOPT_USERAGENT, call->user_agent ? call->user_agent : "launchplane");
	curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)x->max_bytes);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_sending);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
	set_method(e, call);
}

/* ---- the answer ---- */

static const char *in_words(CURLcode result)
{
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return "its TLS certificate is not trusted";
	case CURLE_COULDNT_CONNECT:
		return "no connection";
	case CURLE_GOT_NOTHING:
		return "the connection closed without an answer";
	case CURLE_PARTIAL_FILE:
		return "the answer ended early";
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return "the connection broke";
	default:
		return curl_easy_strerror(result);
	}
}

static bool explain(const struct transfer *x, const struct target *at, struct err *err)
{
	const char *what = x->call->what;
	if (x->is_too_large || x->result == CURLE_FILESIZE_EXCEEDED)
		return err_set(err, &E_upstream_failed, "%s at %s answered with more than %zu bytes", what, at->shown,
		               x->max_bytes);
	if (x->is_repeated)
		return err_set(err, &E_upstream_failed, "%s at %s closed the connection without an answer", what,
		               at->shown);
	if (x->result == CURLE_OPERATION_TIMEDOUT) {
		err_set(err, &E_timeout, "%s at %s did not answer in time", what, at->shown);
	} else {
		err_set(err, &E_upstream_failed, "%s at %s cannot be reached: %s", what, at->shown,
		        in_words(x->result));
	}
	return err_cause(err, "curl %d: %s", (int)x->result,
	                 x->problem[0] ? x->problem : curl_easy_strerror(x->result));
}

static bool is_sent(const struct transfer *x)
{
	long bytes = 0;
	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return x->sends > 1 || bytes > 0;
}

/* Runs one prepared transfer until it is done or interrupted; afterwards curl no longer knows it. */
static SUSPENDS bool run(struct task *t, struct transfer *x, const struct target *at, struct err *err)
{
	struct http_client *c = t->loop->http;
	x->waiter.task = t;
	if (curl_multi_add_handle(c->multi, x->easy) != CURLM_OK)
		return err_set(err, &E_internal_error, "no memory for a request");
	queue_add(&c->in_transfer, &x->waiter);
	bool ok = true;
	uint64_t until = loop_now_ms(t->loop) + x->limit_ms + 50; /* curl's timer comes first, and knows more */
	while (ok && !x->is_done) {
		uint64_t now = loop_now_ms(t->loop);
		ok = !http_is_closing(c, err) && task_wait(t, until > now ? until - now : 0, err);
	}
	queue_remove(&c->in_transfer, &x->waiter);
	curl_multi_remove_handle(c->multi, x->easy);
	if (x->is_done)
		return x->result == CURLE_OK || explain(x, at, err);
	return http_interrupted(x->call, at, err);
}

static CURL *easy_get(struct http_client *c)
{
	return c->idle_n ? c->idle[--c->idle_n] : curl_easy_init();
}

static void easy_put(struct http_client *c, CURL *e)
{
	curl_easy_reset(e);
	if (c->idle_n < HANDLES_POOLED)
		c->idle[c->idle_n++] = e;
	else
		curl_easy_cleanup(e);
}

static void fill_answer(const struct transfer *x, struct http_answer *out)
{
	long status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	out->status = (int)status;
	out->headers_n = x->headers_n;
	out->headers = arena_array(x->arena, x->headers_n, sizeof(*out->headers));
	memcpy(out->headers, x->headers, x->headers_n * sizeof(*out->headers));
	out->body = x->body.p ? x->body.p : "";
	out->body_n = x->body.n;
	const char *type = http_answer_header(out, "Content-Type");
	out->content_type = type ? type : "";
}

bool http_send(struct task *t, const struct http_call *call, const struct target *at, const struct host *h,
               uint64_t until_ms, struct http_answer *out, struct err *err)
{
	struct http_client *c = t->loop->http;
	struct transfer *x = ARENA_NEW(t->arena, struct transfer);
	x->call = call;
	x->arena = t->arena;
	x->max_bytes = call->max_bytes ? call->max_bytes : HTTP_MAX_BYTES;
	x->body = buf_in(t->arena);
	AUTO(free_list) struct curl_slist *headers = NULL;
	AUTO(free_list) struct curl_slist *resolved = NULL;
	if (!add_headers(t, call, &headers, err))
		return false;
	if (!at->is_address) {
		/* The "+" lets curl forget the entry as it would one of its own. */
		const char *entry = arena_printf(t->arena, "+%s:%u:%s", at->host, (unsigned)at->port, h->addresses);
		if (!add_header(&resolved, entry))
			return err_set(err, &E_internal_error, "no memory for a request");
	}
	x->easy = easy_get(c);
	if (!x->easy)
		return err_set(err, &E_internal_error, "no memory for a request");
	set_options(c, x, at, http_left_until(t->loop, until_ms));
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(x->easy, CURLOPT_RESOLVE, resolved);
	bool ok = run(t, x, at, err);
	out->maybe_sent = is_sent(x);
	if (ok)
		fill_answer(x, out);
	easy_put(c, x->easy);
	return ok;
}
