/* A request's head and a chunked body: found at the same place however the bytes arrive, and never read past it. */
#include "fuzz.h"
#include "server/http/head.h"

static const struct head_limits limits = { .head_max = 4096, .target_max = 512, .headers_max = 20 };

/* The same bytes in one piece and byte by byte. */
static enum head_found scan(const char *text, size_t n, struct head_scan *s, size_t *end)
{
	struct err err = { 0 }, slow_err = { 0 };
	*s = (struct head_scan){ 0 };
	enum head_found found = head_scan(s, &limits, text, n, end, &err);
	struct head_scan slow = { 0 };
	enum head_found piecewise = HEAD_MORE;
	size_t slow_end = 0;
	for (size_t have = 1; have <= n && piecewise == HEAD_MORE; have++)
		piecewise = head_scan(&slow, &limits, text, have, &slow_end, &slow_err);
	assert(piecewise == found);
	if (found == HEAD_DONE)
		assert(slow_end == *end && *end <= n && slow.lines == s->lines && slow.begin == s->begin);
	if (found == HEAD_REFUSED) {
		fuzz_refused(&err);
		assert(err.code == slow_err.code);
	}
	return found;
}

static void read_queries(struct request *rq)
{
	struct err err = { 0 };
	const char *name, *value;
	size_t pos = 0;
	while (request_query_next(rq, &pos, &name, &value, &err))
		assert(name && value);
	err = (struct err){ 0 };
	if (!request_query(rq, "limit", &value, &err))
		fuzz_refused(&err);
	err = (struct err){ 0 };
	if (!path_decode(rq->arena, rq->path, strcspn(rq->path, "?"), &value, &err))
		fuzz_refused(&err);
}

static void read_chunks(const char *p, size_t n)
{
	struct chunked whole = { 0 };
	for (size_t at = 0; at < n;) {
		size_t used = 0, data_n = 0;
		const char *data = NULL;
		enum chunked_found found = chunked_read(&whole, p + at, n - at, &used, &data, &data_n);
		assert(used <= n - at);
		if (found == CHUNKED_DATA)
			assert(data >= p + at && data + data_n <= p + at + used);
		if (found == CHUNKED_BAD || found == CHUNKED_END || (found == CHUNKED_MORE && used == 0))
			return;
		at += used;
	}
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n);
	struct head_scan s;
	size_t end = 0;
	if (scan(text, n, &s, &end) == HEAD_DONE) {
		struct request rq = { .arena = a };
		struct head head = { 0 };
		struct err err = { 0 };
		if (head_read(&rq, text + s.begin, end - s.begin, &limits, s.lines, &head, &err)) {
			assert(rq.path[0] == '/' || strcmp(rq.path, "*") == 0);
			assert(rq.headers_n <= limits.headers_max);
			assert(!head.chunked || !head.content_length);
			read_queries(&rq);
		} else {
			fuzz_refused(&err);
		}
		read_chunks(text + end, n - end);
	}
	free(text);
}
