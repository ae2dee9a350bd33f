/* core/http_client.h - outgoing HTTP for tasks: libcurl's multi interface on the loop.
 *
 * One client a loop, for the life of the process: it keeps connections alive and trusts the system's certificates. A
 * fetch suspends the calling task; cancelling the task, or its deadline, ends the transfer at once. HTTP/1.1 only,
 * https and http only, certificates always verified, no proxy taken from the environment, names resolved by libuv and
 * never by curl.
 *
 * Any answer, whatever its status, is success. Errors name the provider and its host, never a query, a header or a
 * body. A request is sent at most once: when a kept-alive connection turns out to be dead after something of a POST or
 * PATCH was sent, the fetch fails with maybe_sent instead of sending it again. */
#pragma once

#include "core/task.h"

#define HTTP_MAX_BYTES          (4u << 20)
#define HTTP_TIMEOUT_MS         30000u
#define HTTP_CONNECT_TIMEOUT_MS 10000u
#define HTTP_CALLS_PER_HOST     16

struct http_header {
	const char *name, *value;
};

struct http_call {
	const char *method; /* NULL: GET */
	const char *url;    /* without user and password */
	const struct http_header *headers;
	size_t headers_n;
	const void *body; /* NULL: none */
	size_t body_n;
	uint32_t timeout_ms; /* waiting for a free place, resolving, connecting and answering; 0: HTTP_TIMEOUT_MS */
	uint32_t connect_timeout_ms; /* 0: HTTP_CONNECT_TIMEOUT_MS */
	size_t max_bytes;            /* of the answer's body; 0: HTTP_MAX_BYTES */
	bool follow_redirects;       /* of GET and HEAD, at most 5; to another origin without the caller's headers */
	const char *what;            /* who is called, for messages: "Dokploy" */
	const char *user_agent;      /* NULL: "launchplane" */
};

/* Strings live in the task's arena. */
struct http_answer {
	int status;
	const char *content_type; /* "" when there is none */
	struct http_header *headers;
	size_t headers_n;
	const char *body; /* NUL-terminated behind body_n bytes, never NULL */
	size_t body_n;
	const char *moved_to; /* the host that redirects led to, "" without one; in place after a success */
	bool maybe_sent;      /* the provider may have seen the request; meaningful after a failure, too */
};

struct http_client;

/* Makes the client of a loop and sets l->http. NULL when curl cannot be set up. */
struct http_client *http_client_new(struct loop *l);
/* Fails what is still in flight and turns the loop until its tasks have let go; not from a task, before loop_done(). */
void http_client_free(struct http_client *c);
/* Trusts this file of certificates instead of the system's. */
void http_client_set_ca_file(struct http_client *c, const char *path);
/* A test's way to make calls fail: fn runs before each one; when it returns false the call fails with what it put in
 * err. */
void http_client_set_fault(struct http_client *c, bool (*fn)(void *arg, const struct http_call *call, struct err *err),
                           void *arg);

/* out is written on failure as well, with maybe_sent alone. Fails with E_upstream_failed, E_timeout or E_cancelled. */
SUSPENDS OUTSIDE_TX bool http_fetch(struct task *t, const struct http_call *call, struct http_answer *out,
                                    struct err *err);
/* The first header of that name, in any case; NULL when there is none. */
const char *http_answer_header(const struct http_answer *answer, const char *name);
