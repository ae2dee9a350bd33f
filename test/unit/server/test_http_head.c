#include "server/http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits limits = { .head_max = 32768, .target_max = 8192, .headers_max = 100 };

static int set_up(void **state)
{
	*state = arena_new();
	return 0;
}

static int tear_down(void **state)
{
	arena_free(*state);
	return 0;
}

static void query_parameters_are_decoded_and_duplicates_refused(void **state)
{
	struct request rq = { .arena = *state, .query = "a=1&&b=x%20y+z&c&d=%C3%A9&e=1&e=2&%61b=3" };
	struct err err = { 0 };
	const char *v = "untouched";
	assert_true(request_query(&rq, "a", &v, &err));
	assert_string_equal(v, "1");
	assert_true(request_query(&rq, "b", &v, &err));
	assert_string_equal(v, "x y z");
	assert_true(request_query(&rq, "c", &v, &err));
	assert_string_equal(v, "");
	assert_true(request_query(&rq, "d", &v, &err));
	assert_string_equal(v, "\xc3\xa9");
	assert_true(request_query(&rq, "ab", &v, &err));
	assert_string_equal(v, "3");
	assert_true(request_query(&rq, "absent", &v, &err));
	assert_null(v);
	assert_false(request_query(&rq, "e", &v, &err));
	assert_ptr_equal(err.code, &E_invalid_query);
	static const char *const broken[] = { "a=%", "a=%1",        "a=%g0",    "a=%00",         "a=%ff",
		                              "%=1", "a=%ed%a0%80", "a=%c0%80", "a=%f4%90%80%80" };
	for (size_t i = 0; i < countof(broken); i++) {
		rq.query = broken[i];
		err = (struct err){ 0 };
		assert_false(request_query(&rq, "a", &v, &err));
		assert_ptr_equal(err.code, &E_invalid_query);
	}
}

static void path_segments_are_decoded_without_plus(void **state)
{
	struct err err = { 0 };
	const char *v;
	assert_true(path_decode(*state, "a%2Fb+c%7e", 10, &v, &err));
	assert_string_equal(v, "a/b+c~");
	assert_false(path_decode(*state, "a%00", 4, &v, &err));
	assert_false(path_decode(*state, "a%2", 3, &v, &err));
	assert_false(path_decode(*state, "%2Fx", 2, &v, &err)); /* the escape may not reach beyond the segment */
	assert_ptr_equal(err.code, &E_invalid_request);
}

static enum head_found scan(const char *text, size_t n, struct head_scan *s, size_t *end, struct err *err)
{
	*s = (struct head_scan){ 0 };
	return head_scan(s, &limits, text, n, end, err);
}

static void a_head_is_found_wherever_it_is_cut(void **state)
{
	(void)state;
	static const char text[] = "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nA: \t\r\n\r\nrest";
	size_t whole = strlen(text) - 4;
	struct head_scan s;
	struct err err = { 0 };
	size_t end;
	for (size_t cut = 0; cut < whole; cut++) {
		assert_int_equal(scan(text, cut, &s, &end, &err), HEAD_MORE);
		assert_int_equal(head_has_begun(&s), cut > 4);
		assert_int_equal(head_scan(&s, &limits, text, strlen(text), &end, &err), HEAD_DONE);
		assert_int_equal(end, whole);
		assert_int_equal(s.begin, 4);
		assert_int_equal(s.lines, 2);
	}
	assert_int_equal(scan("\r\n\r\n\r\n\r\n\r\n", 10, &s, &end, &err), HEAD_REFUSED);
}

static bool parse(struct arena *a, const char *text, struct request *rq, struct head *head, struct err *err)
{
	struct head_scan s;
	size_t end, n = strlen(text);
	if (scan(text, n, &s, &end, err) != HEAD_DONE || end != n)
		return false;
	*rq = (struct request){ .arena = a };
	return head_read(rq, arena_strndup(a, text, n), n, &limits, s.lines, head, err);
}

static void a_head_becomes_a_request(void **state)
{
	struct request rq;
	struct head head;
	struct err err = { 0 };
	assert_true(parse(*state,
	                  "HEAD http://h:1/p%20q?x=1?2 HTTP/1.1\r\nHOST: h\r\nX-A:  b \r\nX-A: "
	                  "c\r\nEmpty:\r\nContent-Length: 007\r\nExpect: 100-Continue\r\n\r\n",
	                  &rq, &head, &err));
	assert_int_equal(rq.method, HTTP_GET);
	assert_true(rq.head_only);
	assert_string_equal(rq.method_name, "HEAD");
	assert_string_equal(rq.target, "http://h:1/p%20q?x=1?2");
	assert_string_equal(rq.path, "/p%20q");
	assert_string_equal(rq.query, "x=1?2");
	assert_string_equal(request_header(&rq, "x-a"), "b");
	assert_int_equal(request_header_count(&rq, "x-a"), 2);
	assert_string_equal(request_header(&rq, "empty"), "");
	assert_null(request_header(&rq, "x"));
	assert_true(head.expect_continue && head.content_length == 7 && !head.chunked && rq.keep_alive);
	assert_true(parse(*state, "GET http://h?q HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\nUpgrade: h2c\r\n\r\n",
	                  &rq, &head, &err));
	assert_string_equal(rq.path, "/");
	assert_string_equal(rq.query, "q");
	assert_false(rq.keep_alive);
	assert_true(parse(*state,
	                  "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
	                  "websocket\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
	                  &rq, &head, &err));
	assert_true(head.chunked);
}

static void a_long_token_arrives_whole(void **state)
{
	static const char *const names[] = { "Authorization", "AUTHORIZATION", "X-Other" };
	static const char *const lower[] = { "authorization", "authorization", "x-other" };
	for (size_t length = 0; length < 700; length += 7)
		for (size_t blanks = 0; blanks < 300; blanks += 99)
			for (size_t i = 0; i < countof(names); i++) {
				struct request rq;
				struct head head;
				struct err err = { 0 };
				char token[701];
				for (size_t k = 0; k < length; k++)
					token[k] = (char)('a' + k % 26);
				token[length] = '\0';
				assert_true(parse(*state,
				                  arena_printf(*state,
				                               "GET / HTTP/1.1\r\nHost: h\r\n%s:%*s%s \r\nAccept: x\r\n"
				                               "\r\n",
				                               names[i], (int)blanks, "", token),
				                  &rq, &head, &err));
				assert_string_equal(request_header(&rq, lower[i]), token);
				assert_string_equal(request_header(&rq, "accept"), "x");
				assert_int_equal(rq.headers_n, 3);
				arena_reset(*state);
			}
}

/* Decodes text in pieces of size, into out. */
static bool decode(const char *text, size_t size, char *out, size_t *rest)
{
	struct chunked c = { 0 };
	size_t n = strlen(text), out_n = 0;
	for (size_t from = 0; from < n; from += size) {
		size_t piece = n - from < size ? n - from : size;
		for (size_t at = 0; at < piece;) {
			const char *data = NULL;
			size_t used, data_n = 0;
			enum chunked_found found =
			        chunked_read(&c, text + from + at, piece - at, &used, &data, &data_n);
			at += used;
			if (found == CHUNKED_BAD)
				return false;
			memcpy(out + out_n, data ? data : "", data_n);
			out_n += data_n;
			if (found == CHUNKED_END) {
				out[out_n] = '\0';
				*rest = n - from - at;
				return true;
			}
		}
	}
	return false;
}

static void chunks_are_decoded_wherever_they_are_cut(void **state)
{
	(void)state;
	static const char text[] = "3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n00\r\nTrailer: t\r\n\r\nGET";
	char out[64];
	size_t rest;
	for (size_t size = 1; size <= sizeof(text); size++) {
		assert_true(decode(text, size, out, &rest));
		assert_string_equal(out, "abc0123456789");
		if (size == sizeof(text))
			assert_int_equal(rest, 3);
	}
	assert_false(decode("3\r\nabc", 64, out, &rest));
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Whatever comes: no crash, no answer that depends on where the bytes were cut, and what is accepted is framed in one
 * way only. */
static void damaged_heads_are_refused_or_unambiguous(void **state)
{
	static const char *const seeds[] = {
		"GET /a?b=c HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST http://h/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"PUT / HTTP/1.1\r\nhost:x\r\ncontent-length: 1\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n",
	};
	static const char interesting[] = "\r\n\t :,;/\0\x0b\x7f\xff"
	                                  "0195aAzZ-";
	uint64_t seed = 42;
	size_t accepted = 0;
	for (int round = 0; round < 200000; round++) {
		char text[512];
		size_t n = strlen(seeds[round % countof(seeds)]);
		memcpy(text, seeds[round % countof(seeds)], n);
		for (uint32_t k = next_random(&seed) % 4; k; k--) {
			size_t at = next_random(&seed) % n;
			switch (next_random(&seed) % 3) {
			case 0:
				text[at] = interesting[next_random(&seed) % (sizeof(interesting) - 1)];
				break;
			case 1:
				memmove(text + at, text + at + 1, --n - at);
				break;
			default:
				memmove(text + at + 1, text + at, n++ - at);
				text[at] = interesting[next_random(&seed) % (sizeof(interesting) - 1)];
			}
		}
		struct head_scan s, pieces = { 0 };
		struct err err = { 0 }, err_pieces = { 0 };
		size_t end = 0, end_pieces = 0;
		enum head_found found = scan(text, n, &s, &end, &err), found_pieces = HEAD_MORE;
		for (size_t cut = 0; cut <= n && found_pieces == HEAD_MORE; cut++)
			found_pieces = head_scan(&pieces, &limits, text, cut, &end_pieces, &err_pieces);
		assert_int_equal(found, found_pieces);
		if (found != HEAD_DONE)
			continue;
		assert_int_equal(end, end_pieces);
		struct request rq = { .arena = *state };
		struct head head;
		char *copy = arena_strndup(*state, text + s.begin, end - s.begin);
		if (head_read(&rq, copy, end - s.begin, &limits, s.lines, &head, &err)) {
			accepted++;
			size_t lengths = request_header_count(&rq, "content-length"),
			       codings = request_header_count(&rq, "transfer-encoding");
			assert_true(lengths + codings <= 1);
			assert_int_equal(head.chunked, codings);
			assert_true(rq.path[0] == '/' && rq.headers_n == s.lines);
			assert_true(rq.http_minor == 0 || request_header_count(&rq, "host") == 1);
		} else {
			assert_non_null(err.code);
		}
		arena_reset(*state);
	}
	assert_true(accepted > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(query_parameters_are_decoded_and_duplicates_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(path_segments_are_decoded_without_plus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_head_is_found_wherever_it_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_head_becomes_a_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_token_arrives_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_heads_are_refused_or_unambiguous, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chunks_are_decoded_wherever_they_are_cut, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
