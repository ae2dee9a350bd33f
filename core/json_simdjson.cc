#include "core/json_simdjson.h"

#include <cstdio>
#include <cstring>
#include <simdjson.h>

extern "C" {
#define _Alignas alignas
#include "core/arena.h"
#include "core/json.h"
}

using simdjson::dom::element;
using simdjson::dom::element_type;

namespace
{

struct failure {
	char *why;
	size_t why_n;
};

bool fail(const failure &f, const char *text)
{
	snprintf(f.why, f.why_n, "%s", text);
	return false;
}

const char *copy(arena *a, std::string_view s)
{
	return arena_strndup(a, s.data(), s.size());
}

/* Objects are small: comparing all pairs costs less than sorting until about 32 members. */
const char *duplicate(const json &j)
{
	for (uint32_t i = 1; i < j.n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (j.members[i].key[0] == j.members[k].key[0] && strcmp(j.members[i].key, j.members[k].key) == 0)
				return j.members[i].key;
	return nullptr;
}

bool convert(arena *a, element e, json *out, const failure &f)
{
	switch (e.type()) {
	case element_type::NULL_VALUE:
		out->type = JSON_NULL;
		return true;
	case element_type::BOOL:
		out->type = JSON_BOOL;
		out->boolean = e.get_bool().value_unsafe();
		return true;
	case element_type::INT64:
		out->type = JSON_INT;
		out->integer = e.get_int64().value_unsafe();
		return true;
	case element_type::UINT64:
		return fail(f, "has a whole number beyond 64 bits");
	case element_type::DOUBLE:
		out->type = JSON_REAL;
		out->real = e.get_double().value_unsafe();
		return true;
	case element_type::STRING: {
		std::string_view s = e.get_string().value_unsafe();
		if (memchr(s.data(), 0, s.size()))
			return fail(f, "has a NUL character in a string");
		out->type = JSON_STRING;
		out->n = (uint32_t)s.size();
		out->string = copy(a, s);
		return true;
	}
	case element_type::ARRAY: {
		simdjson::dom::array array = e.get_array().value_unsafe();
		uint32_t n = 0;
		for (element child : array) {
			(void)child;
			n++;
		}
		/* A power of two, as json_push() expects. */
		uint32_t room = 1;
		while (room < n)
			room *= 2;
		out->type = JSON_ARRAY;
		out->items = (json *)arena_array(a, room, sizeof(json));
		for (element child : array)
			if (!convert(a, child, &out->items[out->n++], f))
				return false;
		return true;
	}
	case element_type::OBJECT: {
		simdjson::dom::object object = e.get_object().value_unsafe();
		uint32_t n = 0;
		for (auto member : object) {
			(void)member;
			n++;
		}
		if (n > 4096)
			return fail(f, "has an object with more than 4096 members");
		uint32_t room = 1;
		while (room < n)
			room *= 2;
		out->type = JSON_OBJECT;
		out->members = (json_member *)arena_array(a, room, sizeof(json_member));
		for (auto member : object) {
			if (memchr(member.key.data(), 0, member.key.size()))
				return fail(f, "has a NUL character in a member name");
			json_member *m = &out->members[out->n++];
			m->key = copy(a, member.key);
			if (!convert(a, member.value, &m->value, f))
				return false;
		}
		if (const char *key = duplicate(*out))
			return snprintf(f.why, f.why_n, "names the member \"%.60s\" twice", key), false;
		return true;
	}
	}
	return fail(f, "has a value of an unknown type");
}

/* Room that n bytes of JSON may take in the parser, as it is allotted by simdjson. */
struct wiper {
	simdjson::dom::parser &parser;
	size_t n;
	~wiper()
	{
		if (n && parser.doc.string_buf)
			explicit_bzero(parser.doc.string_buf.get(), 5 * n / 3 + simdjson::SIMDJSON_PADDING);
	}
};

} // namespace

extern "C" bool json_simdjson_parse(arena *a, const char *text, size_t n, json *out, char *why, size_t why_n)
{
	/* One parser a thread: its buffers grow to the largest document seen and are used again. */
	thread_local simdjson::dom::parser parser;
	const failure f = { why, why_n };
	if (n == 0)
		return fail(f, "is empty");
	if (parser.max_depth() != JSON_DEPTH_MAX || parser.capacity() < n) {
		if (parser.allocate(n < 65536 ? 65536 : n, JSON_DEPTH_MAX))
			return fail(f, "is too large");
	}
	element root;
	/* A document with secrets leaves nothing in the parser's own buffers: its text is parsed where the arena wipes it,
	 * and its strings are overwritten. */
	const wiper wipes = { parser, arena_wipes(a) ? n : 0 };
	const char *own = text;
	if (wipes.n) {
		char *padded = (char *)arena_alloc(a, n + simdjson::SIMDJSON_PADDING);
		memcpy(padded, text, n);
		own = padded;
	}
	simdjson::error_code code = parser.parse(own, n, wipes.n == 0).get(root);
	if (code == simdjson::DEPTH_ERROR)
		return fail(f, "is nested too deeply (32 levels are allowed)");
	if (code == simdjson::UTF8_ERROR)
		return fail(f, "is not valid UTF-8");
	if (code == simdjson::NUMBER_ERROR)
		return fail(f, "has a number that is malformed or too large");
	if (code)
		return fail(f, "is not valid JSON");
	*out = json();
	return convert(a, root, out, f);
}
