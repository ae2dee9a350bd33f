/* Every request and record contract: what is read is written so that it reads the same again. The input's first line
 * names the contract; one that no contract has chooses any, so that a new one is fuzzed without a line here. */
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
	assert(all_n > 10);
}

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

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	if (!all_n)
		collect();
	const uint8_t *line = memchr(data, '\n', n);
	if (!line)
		return;
	const struct contract *c = choose((const char *)data, (size_t)(line - data));
	size_t body_n = n - (size_t)(line + 1 - data);
	char *text = fuzz_text(line + 1, body_n);
	void *first = arena_alloc(a, c->size), *second = arena_alloc(a, c->size);
	struct err err = { 0 };
	if (!contract_read_text(a, c, text, body_n, "body", first, &err)) {
		fuzz_refused(&err);
	} else {
		const char *written = contract_text(a, c, first);
		if (is_written_whole(c)) {
			assert(contract_read_text(a, c, written, strlen(written), "written", second, &err));
			assert(strcmp(contract_text(a, c, second), written) == 0);
		}
	}
	free(text);
}
