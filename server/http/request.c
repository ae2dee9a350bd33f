#include "server/http/server.h"

#include <string.h>

const char *request_header(const struct request *rq, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < rq->headers_n; i++) {
		if (rq->headers[i].name_n == n && !memcmp(rq->headers[i].name, name, n))
			return rq->headers[i].value;
	}
	return NULL;
}

size_t request_header_count(const struct request *rq, const char *name)
{
	size_t n = strlen(name), count = 0;
	for (size_t i = 0; i < rq->headers_n; i++)
		count += rq->headers[i].name_n == n && !memcmp(rq->headers[i].name, name, n);
	return count;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* No overlong forms, no surrogates, nothing above U+10FFFF: what PostgreSQL takes. */
static bool is_utf8(const unsigned char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = s[i];
		size_t more = c < 0x80                 ? 0
		              : c >= 0xc2 && c <= 0xdf ? 1
		              : c >= 0xe0 && c <= 0xef ? 2
		              : c >= 0xf0 && c <= 0xf4 ? 3
		                                       : 4;
		if (more == 4 || n - i <= more)
			return false;
		for (size_t k = 1; k <= more; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
		}
		if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
		    (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
			return false;
		i += more + 1;
	}
	return true;
}

/* NULL when an escape is broken, stands for NUL, or the result is not UTF-8. */
static char *decode(struct arena *a, const char *s, size_t n, bool plus_is_blank)
{
	char *out = arena_alloc(a, n + 1);
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (c == '%') {
			int high = n - i > 2 ? hex(s[i + 1]) : -1;
			int low = n - i > 2 ? hex(s[i + 2]) : -1;
			if (high < 0 || low < 0)
				return NULL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		out[used++] = c;
	}
	out[used] = '\0';
	return is_utf8((const unsigned char *)out, used) ? out : NULL;
}

bool path_decode(struct arena *a, const char *segment, size_t n, const char **out, struct err *err)
{
	const char *text = decode(a, segment, n, false);
	if (!text)
		return err_set(err, &E_invalid_request, "the path is not valid percent-encoded UTF-8");
	*out = text;
	return true;
}

bool request_query_next(const struct request *rq, size_t *pos, const char **name, const char **value, struct err *err)
{
	const char *p = rq->query + *pos;
	while (*p == '&')
		p++;
	if (!*p) {
		*pos = (size_t)(p - rq->query);
		return false;
	}
	size_t n = strcspn(p, "&");
	*pos = (size_t)(p - rq->query) + n;
	const char *equals = memchr(p, '=', n);
	size_t name_n = equals ? (size_t)(equals - p) : n;
	const char *decoded_name = decode(rq->arena, p, name_n, true);
	if (!decoded_name)
		return err_set(err, &E_invalid_query, "a query parameter's name is not valid percent-encoded UTF-8");
	const char *decoded_value = equals ? decode(rq->arena, equals + 1, n - name_n - 1, true) : "";
	if (!decoded_value) {
		err_set(err, &E_invalid_query, "the query parameter %.64s is not valid percent-encoded UTF-8",
		        decoded_name);
		return false;
	}
	*name = decoded_name;
	*value = decoded_value;
	return true;
}

bool request_query(const struct request *rq, const char *name, const char **out, struct err *err)
{
	const char *found = NULL, *key, *value;
	size_t pos = 0;
	struct err wrong = { 0 };
	while (request_query_next(rq, &pos, &key, &value, &wrong)) {
		if (strcmp(key, name) != 0)
			continue;
		if (found)
			return err_set(err, &E_invalid_query, "the query parameter %s is given twice", name);
		found = value;
	}
	if (wrong.code) {
		*err = wrong;
		return false;
	}
	*out = found;
	return true;
}
