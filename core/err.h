/* core/err.h - the one error value.
 *
 * Everything that can fail returns bool and takes struct err *err last. err_set() always returns false, so failing is
 * one line. An error code is a constant object whose name is the code on the wire (facts/core.md 1.5); its status and
 * whether another try can help stand beside it. Floors above add their own codes with the same macro. */
#pragma once

#include "core/base.h"

struct error_code {
	const char *name; /* as sent in error.code */
	int status;       /* HTTP status */
	bool retry;       /* another try later may succeed */
	const char *help; /* for the reference page */
};

/*      wire code, status, worth another try, when */
#define CORE_ERROR_CODES(X)                                                                                            \
	X(invalid_request, 400, false, "The body, a path parameter or a rule about several fields was not met")        \
	X(invalid_query, 400, false, "A query parameter is missing or malformed")                                      \
	X(authentication_required, 401, false, "No credential, or one that is not accepted")                           \
	X(authorization_denied, 403, false, "No policy rule allows this action on this product and context")           \
	X(not_found, 404, false, "No such route or record")                                                            \
	X(method_not_allowed, 405, false, "The path exists with another method; see the Allow header")                 \
	X(request_timeout, 408, true, "The request did not arrive in time")                                            \
	X(conflict, 409, false, "The record is in a state that does not allow this")                                   \
	X(request_entity_too_large, 413, false, "The body is larger than the route accepts")                           \
	X(uri_too_long, 414, false, "The request target is longer than the service accepts")                           \
	X(unsupported_media_type, 415, false, "The body must be sent as application/json")                             \
	X(expectation_failed, 417, false, "Only Expect: 100-continue is understood")                                   \
	X(too_many_requests, 429, true, "Too many requests from this address; try again later")                        \
	X(request_header_fields_too_large, 431, false, "The request line and headers are too large")                   \
	X(cancelled, 499, false, "The caller went away")                                                               \
	X(internal_error, 500, false, "Something unexpected; the log has the details under the trace id")              \
	X(not_implemented, 501, false, "A transfer coding the service does not know")                                  \
	X(upstream_failed, 502, true, "A provider could not be reached or answered with an error")                     \
	X(service_unavailable, 503, true, "The service is starting, stopping or too busy; try again later")            \
	X(secret_configuration_required, 503, false,                                                                   \
	  "No master key is configured, so secrets can be neither written nor read")                                   \
	X(database_unavailable, 503, true, "PostgreSQL cannot be reached right now; try again later")                  \
	X(timeout, 504, true, "The work did not finish in time")                                                       \
	X(http_version_not_supported, 505, false, "Only HTTP/1.1 and HTTP/1.0 are spoken")

#define X(name, status, retry, help) extern const struct error_code E_##name;
CORE_ERROR_CODES(X)
#undef X

struct err {
	const struct error_code *code; /* NULL while nothing went wrong */
	char field[128];               /* path in the caller's input: "steps[2].name" */
	char message[400];             /* one sentence, safe to show a client */
	char cause[400];               /* for the log only: SQLSTATE, curl text, errno */
	char sqlstate[6];              /* PostgreSQL's code, "" when it did not come from there */
	int provider_status;           /* HTTP status of a provider's answer, 0 when there was none */
};

/* Sets code and message; always returns false. */
bool err_set(struct err *err, const struct error_code *code, const char *fmt, ...) PRINTF(3, 4);
/* The same for one field of the caller's input. path is copied. */
bool err_field(struct err *err, const char *path, const char *fmt, ...) PRINTF(3, 4);
/* Adds what only the log may see. Returns false. */
bool err_cause(struct err *err, const char *fmt, ...) PRINTF(2, 3);
#ifdef __clang_analyzer__
/* The analyzer sees one file at a time and would follow paths on which failing succeeds. */
#define err_set(...)   (err_set(__VA_ARGS__), false)
#define err_field(...) (err_field(__VA_ARGS__), false)
#define err_cause(...) (err_cause(__VA_ARGS__), false)
#endif
static inline bool err_is(const struct err *err, const struct error_code *code)
{
	return err->code == code;
}
extern const struct error_code *const core_error_codes[];
extern const size_t core_error_codes_n;
