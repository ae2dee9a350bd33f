#include "server/http/head.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define EMPTY_LINES_MAX    4     /* before a request line, RFC 9112 2.2 */
#define METHOD_AND_VERSION 64    /* room beside the target in a request line */
#define SKIP_FROM          256   /* a line as long as this has a middle */
#define CHUNK_FRAMING_MAX  16384 /* of extensions or trailers between two pieces of data */

/* ---- finding the end of a head ---- */

enum { START, START_CR, FIRST_LINE, LINE_BEGIN, LINE, LINE_CR, END_CR };

static inline bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* Whether one of eight octets is a control character. */
static inline bool has_control(const char *p)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	uint64_t del = w ^ 0x7f * ones;
	return (((w - 0x20 * ones) & ~w) | ((del - ones) & ~del)) & high;
}

static enum head_found refuse_octet(char c, struct err *err)
{
	if (c == '\n' || c == '\r')
		err_set(err, &E_invalid_request, "lines of the request head must end with CR LF");
	else
		err_set(err, &E_invalid_request, "the request head has a control character");
	return HEAD_REFUSED;
}

bool head_has_begun(const struct head_scan *s)
{
	return s->state > START_CR;
}

enum head_found head_scan(struct head_scan *s, const struct head_limits *limits, const char *p, size_t n, size_t *end,
                          struct err *err)
{
	size_t i = s->at;
	while (i < n) {
		switch (s->state) {
		case START:
			s->begin = (uint32_t)i;
			if (p[i] == '\r') {
				if (i >= (size_t)2 * EMPTY_LINES_MAX)
					return refuse_octet(p[i], err);
				i++;
				s->state = START_CR;
				break;
			}
			s->state = FIRST_LINE;
			break;
		case FIRST_LINE:
			while (i < n && !is_control((unsigned char)p[i]))
				i++;
			if (i - s->begin > limits->target_max + METHOD_AND_VERSION) {
				err_set(err, &E_uri_too_long, "the request target may have at most %zu bytes",
				        limits->target_max);
				return HEAD_REFUSED;
			}
			if (i == n)
				break;
			if (p[i] != '\r')
				return refuse_octet(p[i], err);
			i++;
			s->state = LINE_CR;
			break;
		case LINE_BEGIN:
			if (p[i] == '\r') {
				i++;
				s->state = END_CR;
				break;
			}
			if (p[i] == ' ' || p[i] == '\t') {
				err_set(err, &E_invalid_request, "folded header lines are not accepted");
				return HEAD_REFUSED;
			}
			if (++s->lines > limits->headers_max) {
				err_set(err, &E_request_header_fields_too_large,
				        "a request may have at most %u headers", limits->headers_max);
				return HEAD_REFUSED;
			}
			s->state = LINE;
			break;
		case LINE:
			while (n - i >= 8 && !has_control(p + i))
				i += 8;
			while (i < n && (!is_control((unsigned char)p[i]) || p[i] == '\t'))
				i++;
			if (i == n)
				break;
			if (p[i] != '\r')
				return refuse_octet(p[i], err);
			i++;
			s->state = LINE_CR;
			break;
		default: /* START_CR, LINE_CR, END_CR */
			if (p[i] != '\n')
				return refuse_octet('\r', err);
			i++;
			if (s->state == END_CR && i - s->begin <= limits->head_max) {
				*end = i;
				s->at = (uint32_t)i;
				return HEAD_DONE;
			}
			s->state = s->state == START_CR ? START : LINE_BEGIN;
			break;
		}
		if (i - s->begin > limits->head_max) {
			err_set(err, &E_request_header_fields_too_large,
			        "the request line and headers may have at most %zu bytes", limits->head_max);
			return HEAD_REFUSED;
		}
	}
	s->at = (uint32_t)i;
	return HEAD_MORE;
}

/* ---- reading it ---- */

struct reader {
	struct request *rq;
	struct request_header *headers;
	size_t n, max;
	char *target;
	size_t target_n;
	const char *gap, *behind; /* what llhttp is not shown */
	bool complete;
};

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	struct reader *r = parser->data;
	if (r->target_n && r->target + r->target_n != at)
		return -1;
	if (!r->target_n)
		r->target = (char *)at;
	r->target_n += n;
	return 0;
}

/* llhttp may hand out one name or value in adjoining pieces. An empty value has no piece at all. */
static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
	struct reader *r = parser->data;
	struct request_header *last = r->n ? &r->headers[r->n - 1] : NULL;
	if (last && !last->value && last->name + last->name_n == at) {
		last->name_n += (uint32_t)n;
		return 0;
	}
	if (r->n == r->max)
		return -1;
	assert(r->headers);
	r->headers[r->n++] = (struct request_header){ .name = at, .name_n = (uint32_t)n };
	return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
	struct reader *r = parser->data;
	if (!r->n)
		return -1;
	struct request_header *last = &r->headers[r->n - 1];
	if (!last->value) {
		last->value = at;
		last->value_n = (uint32_t)n;
		return 0;
	}
	const char *end = last->value + last->value_n;
	if (end != at && !(end == r->gap && at == r->behind))
		return -1;
	last->value_n = (uint32_t)(at + n - last->value);
	return 0;
}

/* Only the head is llhttp's: framing and body are read below, so it stops here. */
static int on_headers_complete(llhttp_t *parser)
{
	struct reader *r = parser->data;
	r->complete = true;
	r->rq->method = (llhttp_method_t)parser->method;
	r->rq->keep_alive = llhttp_should_keep_alive(parser);
	return HPE_PAUSED;
}

/* The middle of a long Authorization line, from *gap to *behind: head_scan() has seen that it is the value of a header,
 * which is all that llhttp could say after looking at each byte again, and tokens are most of a head. */
static bool find_gap(const char *p, size_t n, const char **gap, const char **behind)
{
	static const char name[] = "authorization:";
	const char *end = p + n, *next;
	for (; (next = memchr(p, '\n', (size_t)(end - p))); p = next + 1) {
		if (next - p < SKIP_FROM || strncasecmp(p, name, sizeof(name) - 1) != 0)
			continue;
		*gap = p + SKIP_FROM / 4;
		*behind = next - SKIP_FROM / 4;
		return true;
	}
	return false;
}

static llhttp_errno_t execute(llhttp_t *parser, const char *p, size_t n)
{
	struct reader *r = parser->data;
	const char *gap, *behind, *end = p + n;
	if (!find_gap(p, n, &gap, &behind))
		return llhttp_execute(parser, p, n);
	llhttp_errno_t rc = llhttp_execute(parser, p, (size_t)(gap - p));
	if (rc != HPE_OK)
		return rc;
	if (!r->n || !r->headers[r->n - 1].value) /* blanks so far */
		return llhttp_execute(parser, gap, (size_t)(end - gap));
	r->gap = gap;
	r->behind = behind;
	return llhttp_execute(parser, behind, (size_t)(end - behind));
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
};

static bool bad(struct err *err, const char *why)
{
	return err_set(err, &E_invalid_request, "%s", why);
}

static bool is_in(const char *set, char c)
{
	return c && strchr(set, c);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool host_is_sane(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && !is_in("-._~!$&'()*+,;=:[]%", s[i]))
			return false;
	}
	return true;
}

/* Origin form, or absolute form whose authority is dropped. */
static bool read_target(struct request *rq, char *p, size_t n, const struct head_limits *limits, struct err *err)
{
	if (n > limits->target_max)
		return err_set(err, &E_uri_too_long, "the request target may have at most %zu bytes",
		               limits->target_max);
	for (size_t i = 0; i < n; i++) {
		if (p[i] < 0x21 || p[i] > 0x7e || is_in("\"#<>\\^`{|}", p[i]))
			return bad(err, "the request target has a character that must be percent-encoded");
	}
	rq->target = arena_strndup(rq->arena, p, n);
	char *path = p;
	if (p[0] != '/') {
		size_t scheme = n > 7 && !strncasecmp(p, "http://", 7)    ? 7
		                : n > 8 && !strncasecmp(p, "https://", 8) ? 8
		                                                          : 0;
		if (!scheme)
			return bad(err, "the request target must be a path or an http URL");
		path = p + scheme;
		while (*path && *path != '/' && *path != '?')
			path++;
		size_t authority = (size_t)(path - p) - scheme;
		if (!authority || !host_is_sane(p + scheme, authority))
			return bad(err, "the request target names no valid host");
	}
	char *query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	rq->path = *path ? path : "/";
	rq->query = query ? query : "";
	return true;
}

/* Lower-cases names, cuts blanks behind values, ends both. False when a name is not a token. */
static bool finish_headers(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct request_header *h = &r->headers[i];
		char *name = (char *)h->name;
		if (!h->name_n || name[h->name_n] != ':')
			return false;
		for (size_t k = 0; k < h->name_n; k++) {
			if (name[k] >= 'A' && name[k] <= 'Z')
				name[k] = (char)(name[k] + 'a' - 'A');
			else if (!is_alnum(name[k]) && !is_in("!#$%&'*+-.^_`|~", name[k]))
				return false;
		}
		name[h->name_n] = '\0';
		while (h->value_n && (h->value[h->value_n - 1] == ' ' || h->value[h->value_n - 1] == '\t'))
			h->value_n--;
		if (h->value_n)
			((char *)h->value)[h->value_n] = '\0'; /* a blank or the CR */
		else
			h->value = ""; /* llhttp may point at the next line */
	}
	return r->n == r->max; /* llhttp saw the lines that head_scan() saw */
}

static bool read_length(const char *s, uint64_t *out)
{
	uint64_t v = 0;
	size_t n = strlen(s);
	if (!n || n > 18)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return true;
}

static bool check_framing(const struct request *rq, struct head *out, struct err *err)
{
	size_t lengths = request_header_count(rq, "content-length");
	size_t codings = request_header_count(rq, "transfer-encoding");
	if (lengths && codings)
		return bad(err, "a request may not have both Content-Length and Transfer-Encoding");
	if (lengths > 1)
		return bad(err, "a request may have only one Content-Length");
	if (lengths && !read_length(request_header(rq, "content-length"), &out->content_length))
		return bad(err, "Content-Length must be a decimal number");
	if (codings > 1)
		return bad(err, "a request may have only one Transfer-Encoding");
	if (codings) {
		if (rq->http_minor == 0)
			return bad(err, "HTTP/1.0 has no Transfer-Encoding");
		if (strcasecmp(request_header(rq, "transfer-encoding"), "chunked") != 0)
			return err_set(err, &E_not_implemented, "the only Transfer-Encoding understood is chunked");
		out->chunked = true;
	}
	const char *expect = request_header(rq, "expect");
	if (expect && rq->http_minor > 0) {
		if (request_header_count(rq, "expect") > 1 || strcasecmp(expect, "100-continue") != 0)
			return err_set(err, &E_expectation_failed, "only Expect: 100-continue is understood");
		out->expect_continue = true;
	}
	return true;
}

static bool check_host(const struct request *rq, struct err *err)
{
	size_t n = request_header_count(rq, "host");
	if (n > 1)
		return bad(err, "a request may have only one Host header");
	if (!n)
		return rq->http_minor == 0 || bad(err, "an HTTP/1.1 request must have a Host header");
	const char *host = request_header(rq, "host");
	return host_is_sane(host, strlen(host)) || bad(err, "the Host header is not a host name");
}

bool head_read(struct request *rq, char *p, size_t n, const struct head_limits *limits, unsigned headers,
               struct head *out, struct err *err)
{
	struct reader r = { .rq = rq, .max = headers };
	*out = (struct head){ 0 };
	if (n >= 4 && !memcmp(p, "PRI ", 4))
		return err_set(err, &E_http_version_not_supported, "this is an HTTP/1.1 server, HTTP/2 is not spoken");
	r.headers = arena_array(rq->arena, headers, sizeof(*r.headers));
	llhttp_t parser;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &r;
	llhttp_errno_t rc = execute(&parser, p, n);
	if (rc == HPE_INVALID_VERSION)
		return err_set(err, &E_http_version_not_supported, "only HTTP/1.1 and HTTP/1.0 are spoken");
	if (rc == HPE_INVALID_METHOD)
		return bad(err, "the request method is not known");
	if (rc != HPE_PAUSED || !r.complete) {
		const char *reason = llhttp_get_error_reason(&parser);
		return err_set(err, &E_invalid_request, "the request head is malformed: %s",
		               reason && *reason ? reason : llhttp_errno_name(rc));
	}
	if (parser.http_major != 1 || parser.http_minor > 1)
		return err_set(err, &E_http_version_not_supported, "only HTTP/1.1 and HTTP/1.0 are spoken");
	rq->http_minor = parser.http_minor;
	rq->method_name = llhttp_method_name(rq->method);
	if (rq->method == HTTP_HEAD) {
		rq->method = HTTP_GET;
		rq->head_only = true;
	}
	if (!r.target_n)
		return bad(err, "the request line has no target");
	const char *version = r.target + r.target_n + 1;
	if (r.target != p + strlen(llhttp_method_name((llhttp_method_t)parser.method)) + 1 || p + n - version < 10 ||
	    version[8] != '\r' || memcmp(version, "HTTP/1.", 7) != 0)
		return bad(err, "the request line must be a method, a target and a version with one blank between");
	r.target[r.target_n] = '\0'; /* the blank before the version */
	if (!finish_headers(&r))
		return bad(err, "a header line must be a name, a colon and a value");
	rq->headers = r.headers;
	rq->headers_n = r.n;
	return read_target(rq, r.target, r.target_n, limits, err) && check_host(rq, err) && check_framing(rq, out, err);
}

/* ---- chunked bodies ---- */

enum { SIZE, SIZE_LF, EXTENSION, DATA, DATA_CR, DATA_LF, TRAILER_BEGIN, TRAILER, TRAILER_LF, LAST_LF, FINISHED };

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

static bool chunked_step(struct chunked *c, char ch)
{
	int digit;
	switch (c->state) {
	case SIZE:
		digit = hex_digit(ch);
		if (digit >= 0) {
			c->left = c->left << 4 | (uint64_t)digit;
			return ++c->digits <= 8;
		}
		if (!c->digits)
			return false;
		c->state = ch == '\r' ? SIZE_LF : EXTENSION;
		return ch == '\r' || ch == ';';
	case EXTENSION:
		if (ch == '\r')
			c->state = SIZE_LF;
		return ch == '\r' || ch == '\t' || !is_control((unsigned char)ch);
	case SIZE_LF:
		c->state = c->left ? DATA : TRAILER_BEGIN;
		return ch == '\n';
	case DATA_CR:
		c->state = DATA_LF;
		return ch == '\r';
	case DATA_LF:
		c->state = SIZE;
		c->left = c->digits = 0;
		return ch == '\n';
	case TRAILER_BEGIN:
		c->state = ch == '\r' ? LAST_LF : TRAILER;
		return ch == '\r' || (ch != ' ' && !is_control((unsigned char)ch));
	case TRAILER:
		if (ch == '\r')
			c->state = TRAILER_LF;
		return ch == '\r' || ch == '\t' || !is_control((unsigned char)ch);
	case TRAILER_LF:
		c->state = TRAILER_BEGIN;
		return ch == '\n';
	case LAST_LF:
		c->state = FINISHED;
		return ch == '\n';
	default:
		return false;
	}
}

enum chunked_found chunked_read(struct chunked *c, const char *p, size_t n, size_t *used, const char **data,
                                size_t *data_n)
{
	*used = 0;
	while (*used < n) {
		if (c->state == DATA) {
			size_t left = n - *used;
			*data = p + *used;
			*data_n = left < c->left ? left : (size_t)c->left;
			*used += *data_n;
			c->left -= *data_n;
			c->extra = 0;
			if (!c->left)
				c->state = DATA_CR;
			return CHUNKED_DATA;
		}
		if (!chunked_step(c, p[(*used)++]) || ++c->extra > CHUNK_FRAMING_MAX)
			return CHUNKED_BAD;
		if (c->state == FINISHED)
			return CHUNKED_END;
	}
	return CHUNKED_MORE;
}
