/* launchplane audit ...: read the audit log, take it along, and see whether it is what it was. */
#include "core/seal.h"
#include "server/cli/audit_source.h"
#include "server/service.h"
#include "storage/audit_log.h"
#include "storage/audit_tree.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading, one request each ---- */

static const struct setting scope_settings[] = {
	{ "--product", NULL, NULL, "NAME", "For callers who may read only their product's entries", 0 },
	{ "--context", NULL, NULL, "NAME", "Likewise, of one context", 0 },
	{ 0 },
};
static const struct argument scope_arguments[] = { { "--product", "product" }, { "--context", "context" }, { 0 } };

static const struct setting list_settings[] = {
	{ "--from", NULL, NULL, "POSITION", "First position", 0 },
	{ "--limit", NULL, NULL, "NUMBER", "At most so many, 1 to 500; default 100", 0 },
	{ "--action", NULL, NULL, "NAME", "Only what needed this action", 0 },
	{ "--actor", NULL, NULL, "NAME", "Only what this caller did", 0 },
	{ "--since", NULL, NULL, "TIME", "Not before, like 2026-06-01T10:00:00Z", 0 },
	{ 0 },
};
static const struct argument list_arguments[] = { { "--product", "product" }, { "--context", "context" },
	                                          { "--from", "from" },       { "--limit", "limit" },
	                                          { "--action", "action" },   { "--actor", "actor" },
	                                          { "--since", "since" },     { 0 } };
static const struct column entry_columns[] = {
	{ "POSITION", "position" },  { "AT", "leaf.at" },           { "EVENT", "leaf.event" },
	{ "ACTION", "leaf.action" }, { "PRODUCT", "leaf.product" }, { "CONTEXT", "leaf.context" },
	{ "ACTOR", "leaf.actor" },   { "REASON", "leaf.reason" },   { 0 }
};
static const struct column checkpoint_columns[] = {
	{ "SIZE", "size" }, { "ROOT", "root_hash" }, { "TIME", "time" }, { "KEY", "key_id" }, { 0 }
};
static const struct column key_columns[] = {
	{ "KEY", "key_id" }, { "SOURCE", "source" }, { "CREATED", "created_at" }, { "PUBLIC_KEY", "public_key" }, { 0 }
};
static const struct setting page_settings[] = {
	{ "--after", NULL, NULL, "SIZE", "Only checkpoints of more entries", 0 },
	{ "--limit", NULL, NULL, "NUMBER", "At most so many, 1 to 500; default 100", 0 },
	{ 0 },
};
static const struct argument page_arguments[] = {
	{ "--after", "after" }, { "--limit", "limit" }, { "--product", "product" }, { "--context", "context" }, { 0 }
};
static const struct setting range_settings[] = {
	{ "--from", NULL, NULL, "SIZE", "Size of the older log", 0 },
	{ "--to", NULL, NULL, "SIZE", "Size of the newer one; default: the newest checkpoint's", 0 },
	{ 0 },
};
static const struct argument range_arguments[] = { { "--from", "from", .is_required = true },
	                                           { "--to", "to" },
	                                           { "--product", "product" },
	                                           { "--context", "context" },
	                                           { 0 } };

static const struct setting *const list_options[] = { list_settings, scope_settings, client_settings, NULL };
static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const scope_options[] = { scope_settings, client_settings, NULL };
static const struct setting *const page_options[] = { page_settings, scope_settings, client_settings, NULL };
static const struct setting *const range_options[] = { range_settings, scope_settings, client_settings, NULL };

static const struct api_call list_call = { "GET", "/v1/audit/entries", list_arguments, "entries", entry_columns };
static const struct api_call show_call = { "GET", "/v1/audit/entries/{position}", .member = "entry" };
static const struct api_call checkpoints_call = { "GET", "/v1/audit/checkpoints", page_arguments, "checkpoints",
	                                          checkpoint_columns };
static const struct api_call keys_call = { "GET", "/v1/audit/keys", scope_arguments, "keys", key_columns };
static const struct api_call consistency_call = { "GET", "/v1/audit/proof/consistency", range_arguments,
	                                          .flags = API_DOCUMENT };
static const struct api_call checkpoint_call = { "GET", "/v1/audit/checkpoint", scope_arguments };
static const struct api_call inclusion_call = { "GET", "/v1/audit/proof/inclusion", scope_arguments };

static const char *scope_query(struct arena *a, const struct settings *s)
{
	const char *product = setting(s, "--product"), *context = setting(s, "--context");
	return arena_printf(a, "%s%s%s%s", product ? "&product=" : "", product ? url_escaped(a, product) : "",
	                    context ? "&context=" : "", context ? url_escaped(a, context) : "");
}

/* 0, or the exit code after saying what is wrong. */
static SUSPENDS int get(struct client *c, const char *path, struct client_reply *out)
{
	const struct client_request rq = { .method = "GET", .path = path };
	struct err err = { 0 };
	if (!client_send(c, &rq, out, &err))
		return client_failed(c, &err);
	return out->status == 200 ? 0 : client_refused(c, out);
}

/* Prints the note itself, so that the output can be kept as a file. */
static NO_ROLE_CHECK int checkpoint_main(struct client *c, void *arg)
{
	struct client_reply reply;
	struct arena *a = c->t->arena;
	int code = get(c, arena_printf(a, "/v1/audit/checkpoint?%s", scope_query(a, arg)), &reply);
	if (code == 0)
		fputs(c->json ? reply.text : json_str(json_get(&reply.doc, "checkpoint"), "note", ""), stdout);
	return code;
}

static int run_checkpoint(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	return client_run(s, checkpoint_main, s);
}

/* The entry and its proof in one document. */
static NO_ROLE_CHECK int prove_main(struct client *c, void *arg)
{
	const struct settings *s = arg;
	struct arena *a = c->t->arena;
	struct client_reply entry, proof;
	const char *position = url_escaped(a, s->positionals[0]), *size = setting(s, "--size");
	int code = get(c, arena_printf(a, "/v1/audit/entries/%s", position), &entry);
	if (code == 0)
		code = get(c,
		           arena_printf(a, "/v1/audit/proof/inclusion?position=%s%s%s%s", position,
		                        size ? "&size=" : "", size ? url_escaped(a, size) : "", scope_query(a, s)),
		           &proof);
	if (code)
		return code;
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_key(&o, "entry");
	jo_json(&o, json_get(&entry.doc, "entry"));
	jo_key(&o, "proof");
	jo_json(&o, json_get(&proof.doc, "proof"));
	jo_close(&o, '}');
	puts(b.p);
	return 0;
}

static int run_prove(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	return client_run(s, prove_main, s);
}

static const struct setting prove_settings[] = {
	{ "--size", NULL, NULL, "SIZE", "Of the log the proof is about; default: the newest checkpoint's", 0 },
	{ 0 },
};
static const struct setting *const prove_options[] = { prove_settings, scope_settings, client_settings, NULL };

/* ---- verifying ---- */

static const struct setting file_settings[] = {
	{ "--file", NULL, NULL, "FILE", "What launchplane audit export wrote, - for standard input", 0 },
	{ 0 },
};
static const struct setting verify_settings[] = {
	{ "--checkpoint", NULL, NULL, "FILE", "A checkpoint that was kept: the log must still begin like that", 0 },
	{ "--public-key", NULL, NULL, "KEY", "Key that signs, or a file with it; several times after a rotation",
	  SETTING_MANY },
	{ "--proof", NULL, NULL, "FILE", "Verify only what launchplane audit prove printed", 0 },
	{ 0 },
};
static const struct setting *const verify_options[] = { file_settings,   verify_settings, database_settings,
	                                                client_settings, log_settings,    NULL };

struct verification {
	const struct settings *settings;
	struct audit_wants wants;
	struct audit_report report;
	bool ok;
	struct err err;
};

static bool read_keys(struct arena *a, const char *given, const char **out, struct err *err)
{
	struct buf b = buf_in(a);
	for (const char *p = given; p && *p; p += strspn(p, "\n")) {
		size_t n = strcspn(p, "\n");
		const char *one = arena_strndup(a, p, n);
		p += n;
		if (!strchr(one, '+') && !audit_read_file(a, one, &one, err))
			return false;
		buf_printf(&b, "%s\n", one);
	}
	*out = given ? b.p : NULL;
	return true;
}

static bool read_wants(struct arena *a, const struct settings *s, struct audit_wants *out, struct err *err)
{
	const char *path = setting(s, "--checkpoint"), *text;
	*out = (struct audit_wants){ 0 };
	if (path) {
		if (!audit_read_file(a, path, &text, err))
			return false;
		out->saved = audit_note_in(a, text);
	}
	return read_keys(a, setting(s, "--public-key"), &out->public_keys, err);
}

static int print_report(const struct verification *v, bool as_json)
{
	const struct audit_report *r = &v->report;
	const struct audit_finding *f = &r->finding;
	char root[2 * MERKLE_N + 1];
	hex_write(r->root.b, MERKLE_N, root);
	const char *status = f->is_bad ? "tampered" : r->is_unsigned ? "unsigned" : "ok";
	struct arena *a = arena_new();
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "status", status);
	jo_kv_int(&o, "entries", (int64_t)r->entries);
	jo_kv_int(&o, "checkpoints", (int64_t)r->checkpoints);
	if (f->is_bad) {
		jo_kv_int(&o, "first_bad_position", (int64_t)f->first);
		jo_kv_int(&o, "last_bad_position", (int64_t)f->last);
		jo_kv(&o, "problem", f->what);
	} else {
		jo_kv(&o, "root_hash", root);
	}
	jo_close(&o, '}');
	if (as_json)
		puts(b.p);
	else if (!f->is_bad)
		printf("status       %s\nentries      %llu\ncheckpoints  %llu\nroot_hash    %s\n", status,
		       (unsigned long long)r->entries, (unsigned long long)r->checkpoints, root);
	arena_free(a);
	if (!f->is_bad)
		return 0;
	if (f->last > f->first)
		return command_fail(EXIT_FAILED,
		                    "the audit log was tampered with: from position %llu (up to %llu) on: %s",
		                    (unsigned long long)f->first, (unsigned long long)f->last, f->what);
	return command_fail(EXIT_FAILED, "the audit log was tampered with: at position %llu: %s",
	                    (unsigned long long)f->first, f->what);
}

static SUSPENDS bool verify_database(struct task *t, void *arg, struct err *err)
{
	struct verification *v = arg;
	struct audit_db_source source;
	struct tx *tx;
	t->deadline_ms = TASK_FOREVER;
	if (!tx_begin(t, &tx, err))
		return false;
	audit_db_source(&source, tx);
	bool ok = audit_verify(t, &source.source, &v->wants, &v->report, err);
	tx_rollback(tx);
	return ok;
}

static NO_ROLE_CHECK int verify_elsewhere(struct client *c, void *arg)
{
	struct verification *v = arg;
	const char *path = setting(v->settings, "--file");
	struct err err = { 0 };
	if (path) {
		struct audit_file_source file;
		v->ok = audit_file_source(&file, path, &err);
		if (v->ok) {
			v->ok = audit_verify(c->t, &file.source, &v->wants, &v->report, &err);
			audit_file_done(&file);
		}
	} else {
		struct audit_service_source service;
		audit_service_source(&service, c);
		v->ok = audit_verify(c->t, &service.source, &v->wants, &v->report, &err);
	}
	return v->ok ? 0 : command_fail(EXIT_FAILED, "%s", err.message);
}

/* ---- one proof ---- */

static bool read_hash(const char *hex, struct merkle_hash *out)
{
	return strlen(hex) == (size_t)2 * MERKLE_N && hex_decode(hex, (size_t)2 * MERKLE_N, out->b);
}

static bool read_path(const struct json *proof, struct merkle_path *out)
{
	const struct json *path = json_get(proof, "path");
	if (!path || path->type != JSON_ARRAY || path->n > MERKLE_PATH_MAX)
		return false;
	out->n = path->n;
	for (size_t i = 0; i < path->n; i++)
		if (path->items[i].type != JSON_STRING || !read_hash(path->items[i].string, &out->hash[i]))
			return false;
	return true;
}

static const char *wrong_with_note(struct arena *a, const char *note, const struct audit_wants *w, uint64_t size,
                                   const struct merkle_hash *root)
{
	struct checkpoint p;
	struct err ignored = { 0 };
	if (!note || !checkpoint_parse(a, note, &p, &ignored))
		return "the proof carries no checkpoint";
	if (p.size != size || !merkle_equal(&p.root, root))
		return "the proof does not end at its checkpoint";
	for (const char *k = w->public_keys; k && *k; k += strspn(k, "\n")) {
		struct note_key key;
		size_t n = strcspn(k, "\n");
		if (note_key_parse(arena_strndup(a, k, n), &key, &ignored) && note_is_signed(a, note, &key))
			return NULL;
		k += n;
	}
	return "the checkpoint of the proof is not signed by a given key";
}

static const char *wrong_with_proof(struct arena *a, const struct json *doc, const struct audit_wants *w)
{
	const struct json *entry = json_get(doc, "entry"), *proof = json_get(doc, "proof"),
	                  *leaf = json_get(entry, "leaf");
	struct merkle_path *path = ARENA_NEW(a, struct merkle_path);
	struct merkle_hash root, hash;
	int64_t position = json_int(proof, "position", -1), size = json_int(proof, "size", 0);
	if (!leaf || !proof || position < 0 || position != json_int(entry, "position", -2) ||
	    !read_hash(json_str(proof, "root_hash", ""), &root) || !read_path(proof, path))
		return "this is not what launchplane audit prove prints";
	struct buf b = buf_in(a);
	json_write_canonical(&b, leaf);
	hash = merkle_leaf(b.p, b.n);
	if (!merkle_check_inclusion(&hash, (uint64_t)position, (uint64_t)size, path->hash, path->n, &root))
		return "the proof does not lead from the entry to the root";
	return wrong_with_note(a, json_str(proof, "checkpoint", NULL), w, (uint64_t)size, &root);
}

static int verify_proof(struct arena *a, const char *path, const struct audit_wants *w)
{
	const char *text;
	struct json doc;
	struct err err = { 0 };
	if (!w->public_keys)
		return command_fail(EXIT_USAGE, "--proof needs --public-key: whose signature is it to be?");
	if (!audit_read_file(a, path, &text, &err) || !json_parse(a, text, strlen(text), path, &doc, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	const char *wrong = wrong_with_proof(a, &doc, w);
	if (wrong)
		return command_fail(EXIT_FAILED, "%s", wrong);
	const struct json *proof = json_get(&doc, "proof");
	printf("status    ok\nposition  %lld\nsize      %lld\n", (long long)json_int(proof, "position", 0),
	       (long long)json_int(proof, "size", 0));
	return 0;
}

/* A file, if one is named; the database, if its URL is known; else the service. */
static bool uses_database(const struct settings *s)
{
	return !setting(s, "--file") && setting(s, "--database-url");
}

static int run_verify(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	struct verification v = { .settings = s };
	struct err err = { 0 };
	if (!read_wants(s->arena, s, &v.wants, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	if (setting(s, "--proof"))
		return verify_proof(s->arena, setting(s, "--proof"), &v.wants);
	int code = uses_database(s) ? offline_run(s, verify_database, &v) : client_run(s, verify_elsewhere, &v);
	return code ? code : print_report(&v, setting_on(s, "--json"));
}

/* ---- export ---- */

static const struct setting export_settings[] = {
	{ "--output", NULL, "-", "FILE", "Where to write, - for standard output", 0 },
	{ 0 },
};
static const struct setting *const export_options[] = { export_settings, database_settings, client_settings,
	                                                log_settings, NULL };

static SUSPENDS bool export_database(struct task *t, void *arg, struct err *err)
{
	struct audit_db_source source;
	struct tx *tx;
	t->deadline_ms = TASK_FOREVER;
	if (!tx_begin(t, &tx, err))
		return false;
	audit_db_source(&source, tx);
	bool ok = audit_export(t, &source.source, arg, err);
	tx_rollback(tx);
	return ok;
}

static NO_ROLE_CHECK int export_service(struct client *c, void *arg)
{
	struct audit_service_source source;
	struct err err = { 0 };
	audit_service_source(&source, c);
	return audit_export(c->t, &source.source, arg, &err) ? 0 : command_fail(EXIT_FAILED, "%s", err.message);
}

static int run_export(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	const char *path = setting(s, "--output");
	FILE *to = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (!to)
		return command_fail(EXIT_FAILED, "%s cannot be written: %s", path, strerror(errno));
	int code =
	        setting(s, "--database-url") ? offline_run(s, export_database, to) : client_run(s, export_service, to);
	if (to != stdout && fclose(to) != 0 && code == 0)
		code = command_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
	return code;
}

/* ---- a new key ---- */

static const struct setting key_settings[] = {
	{ NULL, MASTER_KEY_SETTING, NULL, NULL, "Seals managed secrets", SETTING_SECRET },
	{ 0 },
};
static const struct setting *const rotate_options[] = { key_settings, database_settings, log_settings, NULL };

static SUSPENDS bool rotate(struct task *t, void *arg, struct err *err)
{
	const char *public_key;
	if (!audit_key_rotate(t, arg, &public_key, err))
		return false;
	printf("public_key  %s\n", public_key);
	return true;
}

static int run_rotate(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	const char *key;
	struct keyring ring;
	struct err err = { 0 };
	if (!setting_required(s, MASTER_KEY_SETTING, &key, &err) || !keyring_init(&ring, key, NULL, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	int code = offline_run(s, rotate, &ring);
	keyring_done(&ring);
	return code;
}

const struct command audit_commands[] = {
	{ "audit", "list", "Entries of the audit log, oldest first", NULL, 0, list_options, api_run, &list_call },
	{ "audit", "show", "One entry of the audit log", "POSITION", 1, show_options, api_run, &show_call },
	{ "audit", "checkpoint", "The newest signed checkpoint, to be kept as a file", NULL, 0, scope_options,
	  run_checkpoint, &checkpoint_call },
	{ "audit", "checkpoints", "Signed checkpoints, oldest first", NULL, 0, page_options, api_run,
	  &checkpoints_call },
	{ "audit", "keys", "The public keys that sign checkpoints", NULL, 0, scope_options, api_run, &keys_call },
	{ "audit", "prove", "That an entry is in the log: a document that audit verify --proof checks", "POSITION", 1,
	  prove_options, run_prove, &inclusion_call },
	{ "audit", "prove-consistency", "That the log of one size begins like that of another", NULL, 0, range_options,
	  api_run, &consistency_call },
	{ "audit", "verify",
	  "Compute the whole log again, from the database, the service or a file; exits with 1 at the first bad place",
	  NULL, 0, verify_options, run_verify, NULL },
	{ "audit", "export", "Write the whole log as JSON lines, from the database or the service", NULL, 0,
	  export_options, run_export, NULL },
	{ "audit", "rotate-key", "Make a new key that signs from now on, straight in the database", NULL, 0,
	  rotate_options, run_rotate, NULL },
	{ 0 },
};
