#include "server/cli/audit_source.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#define PAGE     500
#define FILE_MAX (1u << 20)

/* ---- the service ---- */

static SUSPENDS bool ask(struct audit_source *s, const char *path, struct client_reply *out, struct err *err)
{
	struct client *c = ((struct audit_service_source *)s)->client;
	const struct client_request rq = { .method = "GET", .path = path };
	if (!client_send(c, &rq, out, err))
		return false;
	if (out->status == 200)
		return true;
	const struct json *error = json_get(&out->doc, "error");
	return err_set(err, &E_upstream_failed, "the service answered %d: %s", out->status,
	               json_str(error, "message", "no reason given"));
}

static bool read_line(struct task *t, const struct json *entry, struct audit_line *out)
{
	const struct json *leaf = json_get(entry, "leaf");
	struct buf b = buf_in(t->arena);
	int64_t position = json_int(entry, "position", -1);
	if (!leaf || position < 0)
		return false;
	json_write_canonical(&b, leaf);
	*out = (struct audit_line){ .position = (uint64_t)position,
		                    .leaf = b.p,
		                    .hashes = json_str(entry, "hashes", "") };
	return true;
}

static SUSPENDS bool service_entries(struct audit_source *s, struct task *t, uint64_t from, struct audit_line *out,
                                     size_t *n, struct err *err)
{
	struct client_reply reply;
	size_t most = *n;
	if (!ask(s,
	         arena_printf(t->arena, "/v1/audit/entries?from=%llu&limit=%zu", (unsigned long long)from,
	                      most < PAGE ? most : PAGE),
	         &reply, err))
		return false;
	const struct json *list = json_get(&reply.doc, "entries");
	*n = list && list->type == JSON_ARRAY ? list->n : 0;
	for (size_t i = 0; i < *n; i++)
		if (i >= most || !read_line(t, &list->items[i], &out[i]))
			return err_set(err, &E_upstream_failed, "the service answered something that is no entry");
	return true;
}

static SUSPENDS bool service_checkpoints(struct audit_source *s, struct task *t, uint64_t size, const char **notes,
                                         uint64_t *sizes, size_t *n, struct err *err)
{
	struct client_reply reply;
	size_t most = *n;
	if (!ask(s,
	         arena_printf(t->arena, "/v1/audit/checkpoints?after=%llu&limit=%zu", (unsigned long long)size,
	                      most < PAGE ? most : PAGE),
	         &reply, err))
		return false;
	const struct json *list = json_get(&reply.doc, "checkpoints");
	*n = list && list->type == JSON_ARRAY ? list->n : 0;
	if (*n > most)
		return err_set(err, &E_upstream_failed, "the service answered more than it was asked for");
	for (size_t i = 0; i < *n; i++) {
		sizes[i] = (uint64_t)json_int(&list->items[i], "size", 0);
		notes[i] = json_str(&list->items[i], "note", "");
	}
	return true;
}

static bool keys_in(const struct json *doc, const char **out, size_t *n)
{
	const struct json *list = json_get(doc, "keys");
	size_t most = *n;
	*n = 0;
	if (!list || list->type != JSON_ARRAY)
		return false;
	for (size_t i = 0; i < list->n && *n < most; i++)
		out[(*n)++] = json_str(&list->items[i], "public_key", "");
	return true;
}

static SUSPENDS bool service_keys(struct audit_source *s, struct task *t, const char **out, size_t *n, struct err *err)
{
	(void)t;
	struct client_reply reply;
	return ask(s, "/v1/audit/keys", &reply, err) &&
	       (keys_in(&reply.doc, out, n) || err_set(err, &E_upstream_failed, "the service answered no keys"));
}

void audit_service_source(struct audit_service_source *s, struct client *c)
{
	s->source = (struct audit_source){ service_entries, service_checkpoints, service_keys };
	s->client = c;
}

/* ---- a file ---- */

/* Looks at the next line without taking it; NULL at the end. */
static const char *peek(struct audit_file_source *s)
{
	while (!s->has_line) {
		ssize_t n = getline(&s->line, &s->room, s->file);
		if (n < 0)
			return NULL;
		s->line_number++;
		s->has_line = s->line[strspn(s->line, " \t\r\n")] != '\0';
	}
	return s->line;
}

static bool parse_line(struct audit_file_source *s, struct arena *a, struct json *out, struct err *err)
{
	struct err inner = { 0 };
	return json_parse(a, s->line, strlen(s->line), "the line", out, &inner) ||
	       err_set(err, &E_invalid_request, "line %llu of %s is not JSON", s->line_number, s->path);
}

static bool keep_note(struct audit_file_source *s, const char *text, struct err *err)
{
	struct arena *a = arena_new();
	struct checkpoint p = { 0 };
	struct err inner = { 0 };
	if (!checkpoint_parse(a, text, &p, &inner))
		p.size = 0;
	arena_free(a);
	if (p.size == 0)
		return err_set(err, &E_invalid_request, "line %llu of %s holds no checkpoint", s->line_number, s->path);
	if (s->notes_n == s->notes_room) {
		s->notes_room = s->notes_room ? 2 * s->notes_room : 64;
		s->notes = realloc(s->notes, s->notes_room * sizeof(*s->notes));
		if (!s->notes)
			abort();
	}
	s->notes[s->notes_n++] = (struct kept_note){ p.size, strdup(text) };
	return true;
}

/* Entries from the file's place on; the checkpoints between and right behind them are put aside. */
static bool file_entries(struct audit_source *source, struct task *t, uint64_t from, struct audit_line *out, size_t *n,
                         struct err *err)
{
	struct audit_file_source *s = (struct audit_file_source *)source;
	size_t most = *n;
	*n = 0;
	while (peek(s)) {
		struct json line;
		if (!parse_line(s, t->arena, &line, err))
			return false;
		const char *note = json_str(&line, "checkpoint", NULL);
		if (!note && *n == most)
			return true;
		s->has_line = false;
		if (note) {
			if (!keep_note(s, note, err))
				return false;
			continue;
		}
		if (!read_line(t, &line, &out[*n]))
			return err_set(err, &E_invalid_request, "line %llu of %s is neither an entry nor a checkpoint",
			               s->line_number, s->path);
		if (out[*n].position < from + *n)
			return err_set(err, &E_invalid_request,
			               "line %llu of %s: position %llu comes again or too late", s->line_number,
			               s->path, (unsigned long long)out[*n].position);
		++*n;
	}
	return true;
}

static bool file_checkpoints(struct audit_source *source, struct task *t, uint64_t size, const char **notes,
                             uint64_t *sizes, size_t *n, struct err *err)
{
	(void)err;
	struct audit_file_source *s = (struct audit_file_source *)source;
	size_t most = *n, kept = 0;
	*n = 0;
	for (size_t i = 0; i < s->notes_n; i++) {
		if (s->notes[i].size > size && *n < most) {
			sizes[*n] = s->notes[i].size;
			notes[(*n)++] = arena_strdup(t->arena, s->notes[i].text);
		}
		if (s->notes[i].size > size)
			s->notes[kept++] = s->notes[i];
		else
			free(s->notes[i].text);
	}
	s->notes_n = kept;
	return true;
}

static bool file_keys(struct audit_source *source, struct task *t, const char **out, size_t *n, struct err *err)
{
	struct audit_file_source *s = (struct audit_file_source *)source;
	struct json line;
	if (!peek(s))
		return err_set(err, &E_invalid_request, "%s is empty", s->path);
	if (!parse_line(s, t->arena, &line, err))
		return false;
	s->has_line = false;
	return keys_in(&line, out, n) ||
	       err_set(err, &E_invalid_request,
	               "%s is not what launchplane audit export writes: it begins with the keys", s->path);
}

bool audit_file_source(struct audit_file_source *s, const char *path, struct err *err)
{
	*s = (struct audit_file_source){ .source = { file_entries, file_checkpoints, file_keys }, .path = path };
	s->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	return s->file || err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(errno));
}

void audit_file_done(struct audit_file_source *s)
{
	for (size_t i = 0; i < s->notes_n; i++)
		free(s->notes[i].text);
	free(s->notes);
	free(s->line);
	if (s->file && s->file != stdin)
		fclose(s->file);
}

/* ---- writing it ---- */

struct export
{
	struct audit_source *source;
	FILE *to;
	struct arena *page, *notes_page;
	uint64_t at, last_note;
	const char *notes[PAGE];
	uint64_t sizes[PAGE];
	size_t notes_n, notes_at;
};

static SUSPENDS bool export_keys(struct export *x, struct task *t, struct err *err)
{
	const char *keys[AUDIT_KEYS_MAX];
	size_t n = AUDIT_KEYS_MAX;
	if (!x->source->keys(x->source, t, keys, &n, err))
		return false;
	struct buf b = buf_in(t->arena);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_key(&o, "keys");
	jo_open(&o, '[');
	for (size_t i = 0; i < n; i++) {
		jo_open(&o, '{');
		jo_kv(&o, "public_key", keys[i]);
		jo_close(&o, '}');
	}
	jo_close(&o, ']');
	jo_close(&o, '}');
	fprintf(x->to, "%s\n", b.p);
	return true;
}

/* The checkpoints of what has been written so far. */
static SUSPENDS bool export_notes(struct export *x, struct task *t, struct err *err)
{
	for (;;) {
		if (x->notes_at == x->notes_n) {
			struct arena *own = t->arena;
			arena_reset(x->notes_page);
			x->notes_at = 0;
			x->notes_n = PAGE;
			t->arena = x->notes_page;
			bool ok = x->source->checkpoints(x->source, t, x->last_note, x->notes, x->sizes, &x->notes_n,
			                                 err);
			t->arena = own;
			if (!ok)
				return false;
		}
		if (x->notes_at == x->notes_n || x->sizes[x->notes_at] > x->at)
			return true;
		struct buf b = buf_in(t->arena);
		struct json_out o = { .buf = &b };
		jo_open(&o, '{');
		jo_kv(&o, "checkpoint", x->notes[x->notes_at]);
		jo_close(&o, '}');
		fprintf(x->to, "%s\n", b.p);
		x->last_note = x->sizes[x->notes_at++];
	}
}

static SUSPENDS bool export_page(struct export *x, struct task *t, size_t *n, struct err *err)
{
	struct audit_line *lines = arena_array(t->arena, PAGE, sizeof(*lines));
	*n = PAGE;
	if (!x->source->entries(x->source, t, x->at, lines, n, err))
		return false;
	for (size_t i = 0; i < *n; i++) {
		fprintf(x->to, "{\"position\":%llu,\"leaf\":%s,\"hashes\":\"%s\"}\n",
		        (unsigned long long)lines[i].position, lines[i].leaf, lines[i].hashes);
		x->at = lines[i].position + 1;
		bool is_due = x->notes_at == x->notes_n || x->sizes[x->notes_at] <= x->at;
		if ((is_due && i + 1 < *n && x->notes_at < x->notes_n) || i + 1 == *n)
			if (!export_notes(x, t, err))
				return false;
	}
	return true;
}

bool audit_export(struct task *t, struct audit_source *s, FILE *to, struct err *err)
{
	struct export *x = calloc(1, sizeof(*x));
	if (!x)
		abort();
	struct arena *own = t->arena;
	x->source = s;
	x->to = to;
	x->page = arena_new();
	x->notes_page = arena_new();
	bool ok = export_keys(x, t, err) && export_notes(x, t, err);
	for (size_t n = PAGE; ok && n > 0;) {
		arena_reset(x->page);
		t->arena = x->page;
		ok = export_page(x, t, &n, err);
		t->arena = own;
	}
	arena_free(x->page);
	arena_free(x->notes_page);
	free(x);
	if (ok && (fflush(to) != 0 || ferror(to)))
		return err_set(err, &E_invalid_request, "the log cannot be written: %s", strerror(errno));
	return ok;
}

/* ---- small files ---- */

bool audit_read_file(struct arena *a, const char *path, const char **out, struct err *err)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (!f)
		return err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(errno));
	char *text = arena_alloc(a, FILE_MAX + 1);
	size_t n = fread(text, 1, FILE_MAX, f);
	text[n] = '\0';
	if (f != stdin)
		fclose(f);
	*out = text;
	return n < FILE_MAX || err_set(err, &E_invalid_request, "%s is too large", path);
}

const char *audit_note_in(struct arena *a, const char *text)
{
	struct json doc;
	struct err ignored = { 0 };
	if (text[strspn(text, " \t\r\n")] != '{' || !json_parse(a, text, strlen(text), "", &doc, &ignored))
		return text;
	const struct json *checkpoint = json_get(&doc, "checkpoint");
	return json_str(checkpoint && checkpoint->type == JSON_OBJECT ? checkpoint : &doc,
	                checkpoint && checkpoint->type == JSON_STRING ? "checkpoint" : "note", text);
}
