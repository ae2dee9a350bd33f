#include "server/auth/toml_shim.h"

#include <cstdio>
#include <cstring>
#include <toml++/toml.h>

extern "C" {
#define _Alignas alignas
#include "core/json.h"
}

namespace
{

struct failure {
	char *why;
	size_t why_n;
};

bool fail(const failure &f, const toml::source_position &at, const char *text)
{
	snprintf(f.why, f.why_n, "%s (line %u, column %u)", text, (unsigned)at.line, (unsigned)at.column);
	return false;
}

json text_of(arena *a, std::string_view s)
{
	return json_of_str(arena_strndup(a, s.data(), s.size()));
}

bool convert(arena *a, const toml::node &node, int depth, json *out, const failure &f)
{
	const toml::source_position at = node.source().begin;
	if (depth > JSON_DEPTH_MAX)
		return fail(f, at, "is nested too deeply");
	*out = json();
	if (const toml::table *table = node.as_table()) {
		*out = json_object();
		for (auto &&[key, value] : *table) {
			json child;
			if (memchr(key.str().data(), 0, key.str().size()))
				return fail(f, at, "has a NUL character in a name");
			if (!convert(a, value, depth + 1, &child, f))
				return false;
			json_set(a, out, arena_strndup(a, key.str().data(), key.str().size()), child);
		}
		return true;
	}
	if (const toml::array *array = node.as_array()) {
		*out = json_array();
		for (const toml::node &value : *array) {
			json child;
			if (!convert(a, value, depth + 1, &child, f))
				return false;
			json_push(a, out, child);
		}
		return true;
	}
	if (const auto *s = node.as_string()) {
		if (memchr(s->get().data(), 0, s->get().size()))
			return fail(f, at, "has a NUL character in a string");
		*out = text_of(a, s->get());
		return true;
	}
	if (const auto *i = node.as_integer()) {
		*out = json_of_int(i->get());
		return true;
	}
	if (const auto *b = node.as_boolean()) {
		*out = json_of_bool(b->get());
		return true;
	}
	if (const auto *d = node.as_floating_point()) {
		out->type = JSON_REAL;
		out->real = d->get();
		return true;
	}
	return fail(f, at, "has a date or time, which nothing here is");
}

} // namespace

extern "C" bool toml_to_json(arena *a, const char *text, size_t n, json *out, char *why, size_t why_n)
{
	const failure f = { why, why_n };
	if (memchr(text, 0, n))
		return snprintf(why, why_n, "has a NUL character"), false;
	try {
		const toml::table table = toml::parse(std::string_view(text, n));
		return convert(a, table, 1, out, f);
	} catch (const toml::parse_error &e) {
		const std::string problem = "is not valid TOML: " + std::string(e.description());
		return fail(f, e.source().begin, problem.c_str());
	} catch (const std::exception &) {
		return snprintf(why, why_n, "cannot be read as TOML"), false;
	}
}
