/* server/cli/client.h - the command line as a client of the service: one request after the other on a loop of its own.
 */
#pragma once

#include "core/http_client.h"
#include "core/json.h"
#include "server/cli/command.h"

extern const struct setting client_settings[];      /* of every command that talks to the service */
extern const struct setting input_settings[];       /* --input-file */
extern const struct setting idempotency_settings[]; /* --idempotency-key */
extern const struct setting mode_settings[];        /* --dry-run, --apply */

struct client {
	struct task *t;
	const char *base;   /* "http://127.0.0.1:8080" */
	const char *token;  /* NULL: none */
	const char *cookie; /* a browser's session, instead of a token: "launchplane_session=..."; NULL: none */
	bool json;          /* print what the service sent */
	uint32_t timeout_ms;
};

struct client_request {
	const char *method, *path; /* path with its query */
	const char *body;          /* NULL: none */
	const char *idempotency_key, *if_none_match;
};

struct client_reply {
	int status;
	const char *text, *etag;
	struct json doc; /* null unless the answer is JSON */
};

/* Runs fn as a task; its exit code is the command's. Settings that are wrong: EXIT_USAGE. */
typedef int (*client_fn)(struct client *c, void *arg);
int client_run(const struct settings *s, client_fn fn, void *arg);

/* False when no answer came. */
SUSPENDS bool client_send(struct client *c, const struct client_request *rq, struct client_reply *out, struct err *err);
/* Says on standard error why the service refused; returns EXIT_FAILED. */
int client_refused(struct client *c, const struct client_reply *reply);
int client_failed(const struct client *c, const struct err *err);

/* Percent-encoded for a path segment or a query value. */
const char *url_escaped(struct arena *a, const char *text);

/* The body that a command's flags and input file make, as JSON text. */
bool api_body(struct arena *a, const struct command *c, const struct settings *s, const char **out, struct err *err);
/* What struct api_call describes. */
int api_run(const struct command *c, struct settings *s, char **argv);

/* Follows an operation until it ends, prints each event once, and outlives restarts of the service. give_up_ms 0:
 * never. 0: it passed, EXIT_FAILED: it did not, or nobody knows. */
SUSPENDS int operation_watch(struct client *c, const char *operation_id, uint64_t give_up_ms);
