/* core/http_internal.h - what the parts of the HTTP client share: http_client.c (curl on the loop, fetches),
 * http_host.c (a limit of calls for each host, and its addresses), http_transfer.c (one request and its answer). */
#pragma once

#include "core/buf.h"
#include "core/http_client.h"

#include <curl/curl.h>

#define HANDLES_POOLED 16

/* A task waiting in a queue of a host; lives on the waiter's stack. */
struct waiter {
	struct task *task;
	struct waiter *prev, *next;
	bool granted;
};

struct queue {
	struct waiter *first, *last;
};

struct lookup;

struct host {
	struct host *next;
	char *name;
	uint16_t port;
	unsigned users; /* fetches that hold a pointer to this */
	unsigned busy;  /* of HTTP_CALLS_PER_HOST */
	struct queue for_place, for_address;
	struct lookup *lookup; /* running now */
	char *addresses;       /* "10.0.0.1,[fd00::1]"; NULL: not known */
	uint64_t resolved_ms;
	char problem[120];
};

struct http_client {
	struct loop *loop;
	CURLM *multi;
	uv_timer_t timer;
	size_t open_handles; /* of libuv */
	size_t fetches;      /* tasks inside http_fetch */
	bool is_closing;
	struct queue in_transfer;
	struct host *hosts;
	size_t hosts_n;
	CURL *idle[HANDLES_POOLED];
	size_t idle_n;
	char *ca_file;
	bool (*fault)(void *arg, const struct http_call *call, struct err *err);
	void *fault_arg;
};

/* Where a request goes, taken apart. */
struct target {
	const char *url, *scheme, *host; /* host as in a URL: IPv6 in brackets */
	const char *shown;               /* for messages */
	uint16_t port;
	bool is_address;
};

/* ---- http_host.c ---- */

void queue_add(struct queue *q, struct waiter *w);
void queue_remove(struct queue *q, struct waiter *w);
void queue_wake_all(const struct queue *q);

/* The host's entry, made when it is new; it stays while users is above zero, which this raised. */
struct host *host_hold(struct http_client *c, const char *name, uint16_t port);
/* Frees it; a lookup still under way ends by itself. */
void host_free(struct host *h);
/* Waits for one of HTTP_CALLS_PER_HOST; host_leave() gives it to the next. */
SUSPENDS bool host_enter(struct task *t, struct host *h, uint64_t until_ms, struct err *err);
void host_leave(struct host *h);
/* Makes h->addresses known. Tasks that ask for one host together share one lookup: libuv's threads are few. */
SUSPENDS bool host_resolve(struct task *t, struct host *h, const struct http_call *call, const struct target *at,
                           uint64_t until_ms, struct err *err);

/* ---- http_transfer.c ---- */

/* Sends the request once to a resolved host. Fails with E_upstream_failed, E_timeout, E_cancelled; out->maybe_sent is
 * set in any case. */
SUSPENDS bool http_send(struct task *t, const struct http_call *call, const struct target *at, const struct host *h,
                        uint64_t until_ms, struct http_answer *out, struct err *err);
/* Curl says that the transfer of this handle has ended. */
void http_transfer_done(CURL *easy, CURLcode result);

/* ---- http_client.c ---- */

uint64_t http_left_until(const struct loop *l, uint64_t until_ms);
/* Says what went wrong in terms of the call: where, and whether the caller, the clock or the provider ended it. */
bool http_interrupted(const struct http_call *call, const struct target *at, struct err *err);
bool http_is_closing(const struct http_client *c, struct err *err);
