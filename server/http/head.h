/* server/http/head.h - a request's head and the framing of its body, as plain functions over bytes (fuzzed and unit
 * tested).
 *
 * head_scan() finds the end of a head that may arrive in pieces and refuses, before llhttp sees it, every octet two
 * parsers could disagree about: bare CR or LF, control characters, folded lines. head_read() then lets llhttp parse the
 * whole head and checks what RFC 9112 asks of a server. chunked_read() decodes a chunked body in place. */
#pragma once

#include "server/http/server.h"

struct head_limits {
	size_t head_max, target_max;
	unsigned headers_max;
};

struct head_scan {
	uint32_t at, begin; /* bytes looked at; where the request line starts, behind empty lines */
	uint16_t lines;     /* headers seen */
	uint8_t state;
};

enum head_found { HEAD_MORE, HEAD_DONE, HEAD_REFUSED };

/* p holds all n bytes since the last request, also those scanned before. HEAD_DONE: *end is behind the empty line. */
enum head_found head_scan(struct head_scan *s, const struct head_limits *limits, const char *p, size_t n, size_t *end,
                          struct err *err);
/* True when bytes of a request line have come, not only the empty lines allowed before one. */
bool head_has_begun(const struct head_scan *s);

struct head {
	uint64_t content_length;
	bool chunked, expect_continue;
};

/* Parses a complete head of n bytes, begun at the request line, with as many headers as head_scan() counted. p is
 * changed: rq's strings point into it. rq->arena must be set. */
bool head_read(struct request *rq, char *p, size_t n, const struct head_limits *limits, unsigned headers,
               struct head *out, struct err *err);

struct chunked {
	uint64_t left;  /* of this chunk's data */
	uint32_t extra; /* framing bytes since the last data, bounded */
	uint8_t state, digits;
};

enum chunked_found { CHUNKED_MORE, CHUNKED_DATA, CHUNKED_END, CHUNKED_BAD };

/* Takes from p as far as the next piece of data or the end; *used counts the bytes taken, *data and *data_n is the
 * piece. */
enum chunked_found chunked_read(struct chunked *c, const char *p, size_t n, size_t *used, const char **data,
                                size_t *data_n);
