/* Every contract of requests, records and operations: what is read is written so that it reads the same again. The
 * input's first line names the contract; "*" means each of them, any other text some, so that a new one is fuzzed
 * without a line here. Behind the line stands the document, or "=" and bytes that choose what each member holds. */
#include "core/json.h"
#include "drivers/registry.h"
#include "fuzz.h"
#include "server/routes/route.h"

#define CONTRACTS_MAX 512

static const struct contract *all[CONTRACTS_MAX];
static size_t all_n;

static void add(const struct contract *c)
{
	for (size_t i = 0; i < all_n; i++)
		if (all[i] == c)
			return;
	assert(all_n < CONTRACTS_MAX);
	if (c)
		all[all_n++] = c;
}

static void collect(void)
{
	for (size_t i = 0; all_routes[i]; i++)
		for (const struct route *r = all_routes[i]; r->path; r++) {
			add(r->body);
			add(r->record);
		}
	for (size_t i = 0; all_op_kinds[i]; i++) {
		add(all_op_kinds[i]->request);
		add(all_op_kinds[i]->state);
	}
	assert(all_n > 10);
}

/* ---- a document by choice ---- */

#define DEPTH_MAX 12

struct choices {
	const uint8_t *at, *end;
};

/* 0, the usual, when there are no more. */
static unsigned choice(struct choices *of, unsigned n)
{
	return of->at < of->end && n ? *of->at++ % n : 0;
}

static void compose(struct buf *b, const struct contract *c, struct choices *of, int depth);

static void compose_text(struct buf *b, struct choices *of)
{
	static const char *const texts[] = { "\"shop\"",
		                             "\"\"",
		                             "\" \\u0001\\ud83d\\ude00 \"",
		                             "\"2026-01-01T00:00:00Z\"",
		                             "\"https://shop.example.com/a?b#c\"",
		                             "\"0123456789abcdef0123456789abcdef01234567\"",
		                             ("\"ghcr.io/acme/shop@sha256:"
		                              "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""),
		                             "\"*\"" };
	buf_str(b, texts[choice(of, countof(texts))]);
}

static void compose_usual(struct buf *b, const struct field *f, struct choices *of, int depth)
{
	size_t names_n = 0, n = 1;
	switch (f->kind) {
	case FIELD_INT:
	case FIELD_OPT_INT:
		buf_printf(b, "%lld", (long long[]){ f->min ? f->min : 1, f->min - 1, f->max, 0 }[choice(of, 4)]);
		break;
	case FIELD_BOOL:
		buf_str(b, choice(of, 2) ? "false" : "true");
		break;
	case FIELD_ENUM:
		while (f->names[names_n])
			names_n++;
		buf_printf(b, "\"%s\"", f->names[choice(of, (unsigned)names_n)]);
		break;
	case FIELD_OBJECT:
	case FIELD_OPT_OBJECT:
		compose(b, f->of, of, depth + 1);
		break;
	case FIELD_LIST:
	case FIELD_STRINGS:
		buf_str(b, "[");
		for (n += choice(of, 3); n; n--) {
			if (f->kind == FIELD_LIST)
				compose(b, f->of, of, depth + 1);
			else
				compose_text(b, of);
			buf_str(b, n > 1 ? "," : "");
		}
		buf_str(b, "]");
		break;
	case FIELD_MAP:
		buf_str(b, "{\"A_KEY\":");
		compose_text(b, of);
		buf_str(b, "}");
		break;
	case FIELD_JSON:
		buf_str(b, "{\"a\":[1,null,\"x\"]}");
		break;
	default:
		compose_text(b, of);
	}
}

/* Each member as it is documented (one that need not be there is left out), as its kind has it, null, of another kind,
 * or not there. */
static void compose(struct buf *b, const struct contract *c, struct choices *of, int depth)
{
	const char *comma = "";
	buf_str(b, "{");
	for (const struct field *f = c->fields; f->kind != FIELD_END && depth < DEPTH_MAX; f++) {
		unsigned how = choice(of, 16);
		if (how == 15 || (how == 0 && !f->example && !(f->flags & REQUIRED)))
			continue;
		buf_printf(b, "%s\"%s\":", comma, f->name);
		comma = ",";
		if (how == 14)
			buf_str(b, "null");
		else if (how == 13)
			buf_str(b, "[{\"a\":-1.5e300}]");
		else if (f->example && how < 8)
			buf_str(b, f->example);
		else
			compose_usual(b, f, of, depth);
	}
	buf_str(b, "}");
}

/* ---- reading and writing ---- */

/* Contracts with members that are read and never written cannot be read back from what was written. */
static bool is_written_whole(const struct contract *c)
{
	for (const struct field *f = c->fields; f->kind != FIELD_END; f++)
		if (f->flags & SECRET || (f->of && !is_written_whole(f->of)))
			return false;
	return true;
}

static const struct contract *choose(const char *name, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < all_n; i++)
		if (strlen(all[i]->name) == n && memcmp(all[i]->name, name, n) == 0)
			return all[i];
	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)name[i];
	return all[sum % all_n];
}

static void read_and_write(struct arena *a, const struct contract *c, const char *text, size_t n)
{
	void *first = arena_alloc(a, c->size), *second = arena_alloc(a, c->size);
	struct err err = { 0 };
	if (!contract_read_text(a, c, text, n, "body", first, &err)) {
		fuzz_refused(&err);
		return;
	}
	const char *written = contract_text(a, c, first);
	if (!is_written_whole(c))
		return;
	assert(contract_read_text(a, c, written, strlen(written), "written", second, &err));
	assert(strcmp(contract_text(a, c, second), written) == 0);
}

static void one(struct arena *a, const struct contract *c, const uint8_t *data, size_t n)
{
	if (n == 0 || data[0] != '=') {
		char *text = fuzz_text(data, n);
		read_and_write(a, c, text, n);
		free(text);
		return;
	}
	struct choices of = { data + 1, data + n };
	struct buf document = buf_in(a);
	compose(&document, c, &of, 0);
	read_and_write(a, c, document.p, document.n);
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	if (!all_n)
		collect();
	const uint8_t *line = memchr(data, '\n', n);
	if (!line)
		return;
	const char *name = (const char *)data;
	size_t name_n = (size_t)(line - data), body_n = n - name_n - 1;
	if (name_n != 1 || name[0] != '*') {
		one(a, choose(name, name_n), line + 1, body_n);
		return;
	}
	for (size_t i = 0; i < all_n; i++)
		one(a, all[i], line + 1, body_n);
}
