/* What a rehearsal's files say: the artifacts its lanes stand on. Review material: the database alone knows the rest.
 */
#include "server/cli/release_direct.h"

#include "server/cli/client.h"
#include "server/cli/rehearsal.h"
#include "storage/deployment.h"
#include "storage/product_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct protection {
	struct rehearsal files;
	const char *product, *context;
	struct product_profile profile;
	struct json entries, warnings;
	struct strings artifact_ids, images, digests;
};

static void warn(struct protection *p, const char *text)
{
	json_push(p->files.a, &p->warnings, json_of_str(text));
}

static void add_once(struct arena *a, struct strings *list, const char *text)
{
	if (text[0] && !strings_have(list, text))
		strings_add(a, list, text);
}

static bool is_in_scope(const struct protection *p, const char *context)
{
	if (p->context[0] && strcmp(p->context, context) != 0)
		return false;
	for (size_t i = 0; i < p->profile.lanes.n; i++)
		if (strcmp(p->profile.lanes.v[i].context, context) == 0)
			return true;
	return false;
}

static int by_bytes(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static struct json texts(struct arena *a, const struct strings *list)
{
	struct json out = json_array();
	if (list->n)
		qsort((void *)list->v, list->n, sizeof(*list->v), by_bytes);
	for (size_t i = 0; i < list->n; i++)
		json_push(a, &out, json_of_str(list->v[i]));
	return out;
}

/* What keeps an artifact: one lane's inventory or tuple. */
struct keeper {
	const char *context, *instance, *artifact_id, *source_git_ref, *reason, *type, *id, *image, *repository,
	        *digest;
};

static bool add_entry(struct protection *p, const struct keeper *k, struct err *err)
{
	struct arena *a = p->files.a;
	struct artifact_manifest m = { .image = { .repository = k->repository, .digest = k->digest } };
	struct strings images = { 0 };
	bool has_manifest = k->artifact_id[0] && rehearsal_has(&p->files, "artifacts", k->artifact_id);
	if (has_manifest &&
	    !rehearsal_read(&p->files, "artifacts", k->artifact_id, &artifact_manifest_contract, &m, err))
		return false;
	if (k->artifact_id[0] && !has_manifest)
		warn(p, arena_printf(a, "artifact %s (%s %s) has no stored manifest", k->artifact_id, k->type, k->id));
	if (m.image.repository[0] && m.image.digest[0])
		add_once(a, &images, artifact_image_reference(a, &m));
	for (size_t i = 0; i < m.image.tags.n; i++)
		add_once(a, &images, arena_printf(a, "%s:%s", m.image.repository, m.image.tags.v[i]));
	add_once(a, &images, k->image);
	if (!k->artifact_id[0] && !images.n) {
		warn(p, arena_printf(a, "%s %s names neither an artifact nor an image", k->type, k->id));
		return true;
	}
	struct json e = json_object();
	const char *members[][2] = { { "product", p->product },         { "context", k->context },
		                     { "instance", k->instance },       { "environment_kind", "stable" },
		                     { "artifact_id", k->artifact_id }, { "source_git_ref", k->source_git_ref },
		                     { "reason", k->reason },           { "source_record_type", k->type },
		                     { "source_record_id", k->id },     { "image_repository", m.image.repository },
		                     { "image_digest", m.image.digest } };
	json_set(a, &e, "schema_version", json_of_int(1));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		json_set_str(a, &e, members[i][0], members[i][1]);
	json_set(a, &e, "image_references", texts(a, &images));
	json_push(a, &p->entries, e);
	add_once(a, &p->artifact_ids, k->artifact_id);
	add_once(a, &p->digests, m.image.digest);
	for (size_t i = 0; i < images.n; i++)
		add_once(a, &p->images, images.v[i]);
	return true;
}

static bool add_inventory(struct protection *p, const char *name, struct err *err)
{
	struct inventory i;
	if (!rehearsal_read(&p->files, "inventory", name, &inventory_contract, &i, err))
		return false;
	const struct keeper k = { i.context,
		                  i.instance,
		                  i.artifact_identity ? i.artifact_identity->artifact_id : "",
		                  i.source_git_ref,
		                  "stable-inventory",
		                  "environment_inventory",
		                  inventory_record_id(p->files.a, i.context, i.instance),
		                  i.runtime_identity ? i.runtime_identity->image_reference : "",
		                  "",
		                  "" };
	return !is_in_scope(p, i.context) || add_entry(p, &k, err);
}

static bool add_tuple(struct protection *p, const char *name, struct err *err)
{
	struct release_tuple t;
	if (!rehearsal_read(&p->files, "release_tuples", name, &release_tuple_contract, &t, err))
		return false;
	const struct keeper k = { t.context,          t.channel,
		                  t.artifact_id,      t.repo_shas.n ? t.repo_shas.v[0].value : "",
		                  "release-tuple",    "release_tuple",
		                  t.tuple_id,         "",
		                  t.image_repository, t.image_digest };
	return !is_in_scope(p, t.context) || add_entry(p, &k, err);
}

static const char *protection_text(struct protection *p)
{
	struct arena *a = p->files.a;
	struct json doc = json_object();
	json_set(a, &doc, "schema_version", json_of_int(1));
	json_set_str(a, &doc, "product", p->product);
	json_set_str(a, &doc, "context", p->context);
	json_set(a, &doc, "entries", p->entries);
	json_set(a, &doc, "artifact_ids", texts(a, &p->artifact_ids));
	json_set(a, &doc, "image_references", texts(a, &p->images));
	json_set(a, &doc, "image_digests", texts(a, &p->digests));
	json_set(a, &doc, "warnings", p->warnings);
	return json_text(a, &doc);
}

bool protected_rehearse(struct settings *s, const char **text, struct err *err)
{
	const char *context = setting(s, "--context");
	struct protection p = { .files = { s->arena, setting(s, "--state-dir") },
		                .product = setting(s, "--product"),
		                .context = context ? context : "",
		                .entries = json_array(),
		                .warnings = json_array() };
	struct strings lanes, tuples;
	if (!rehearsal_read(&p.files, "product_profiles", p.product, &product_profile_contract, &p.profile, err) ||
	    !rehearsal_names(&p.files, "inventory", &lanes, err) ||
	    !rehearsal_names(&p.files, "release_tuples", &tuples, err))
		return false;
	warn(&p, "a local rehearsal knows neither previews nor what really runs: delete nothing by it");
	for (size_t i = 0; i < lanes.n; i++)
		if (!add_inventory(&p, lanes.v[i], err))
			return false;
	for (size_t i = 0; i < tuples.n; i++)
		if (!add_tuple(&p, tuples.v[i], err))
			return false;
	*text = protection_text(&p);
	return true;
}

/* ---- the catalogue ---- */

static int by_lane(const void *x, const void *y)
{
	const struct release_tuple *p = x, *q = y;
	int order = strcmp(p->context, q->context);
	return order ? order : strcmp(p->channel, q->channel);
}

static int by_key(const void *x, const void *y)
{
	const struct text_pair *p = x, *q = y;
	return strcmp(p->key, q->key);
}

static void toml_text(struct buf *b, const char *s)
{
	json_write_str(b, s, strlen(s)); /* JSON's literals are TOML's basic strings */
}

static void toml_key(struct buf *b, const char *s)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	if (s[0] && !s[strspn(s, bare)])
		buf_printf(b, "%s", s);
	else
		toml_text(b, s);
}

static void toml_header(struct buf *b, const struct release_tuple *t, const char *rest)
{
	buf_printf(b, "\n[contexts.");
	toml_key(b, t->context);
	buf_printf(b, ".channels.");
	toml_key(b, t->channel);
	buf_printf(b, "%s]\n", rest);
}

/* As the service writes it (release_tuple_catalog). */
static void toml_tuple(struct buf *b, const struct release_tuple *t)
{
	toml_header(b, t, "");
	buf_printf(b, "tuple_id = ");
	toml_text(b, t->tuple_id);
	buf_printf(b, "\n");
	toml_header(b, t, ".repo_shas");
	qsort(t->repo_shas.v, t->repo_shas.n, sizeof(*t->repo_shas.v), by_key);
	for (size_t i = 0; i < t->repo_shas.n; i++) {
		toml_text(b, t->repo_shas.v[i].key);
		buf_printf(b, " = ");
		toml_text(b, t->repo_shas.v[i].value);
		buf_printf(b, "\n");
	}
}

static bool catalog(const struct rehearsal *r, const char *context, struct buf *b, struct err *err)
{
	struct strings names;
	if (!rehearsal_names(r, "release_tuples", &names, err))
		return false;
	struct release_tuple *tuples = arena_alloc(r->a, (names.n + 1) * sizeof(*tuples));
	for (size_t i = 0; i < names.n; i++)
		if (!rehearsal_read(r, "release_tuples", names.v[i], &release_tuple_contract, &tuples[i], err))
			return false;
	qsort(tuples, names.n, sizeof(*tuples), by_lane);
	for (size_t i = 1; i < names.n; i++)
		if (by_lane(&tuples[i - 1], &tuples[i]) == 0)
			return err_set(err, &E_invalid_request, "%s/release_tuples has two tuples of %s/%s", r->dir,
			               tuples[i].context, tuples[i].channel);
	buf_printf(b, "schema_version = 1\n");
	for (size_t i = 0; i < names.n; i++)
		if (!context || strcmp(context, tuples[i].context) == 0)
			toml_tuple(b, &tuples[i]);
	return true;
}

int export_catalog_run(const struct command *c, struct settings *s, char **argv)
{
	const struct rehearsal r = { s->arena, setting(s, "--state-dir") };
	struct buf b = buf_in(s->arena);
	struct err err = { 0 };
	if (!r.dir)
		return api_run(c, s, argv);
	fputs("OF FILES: for review; no authority on what is released\n", stderr);
	if (access(r.dir, R_OK | X_OK) != 0)
		return command_fail(EXIT_FAILED, "%s cannot be read", r.dir);
	if (!catalog(&r, setting(s, "--context"), &b, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	fputs(buf_cstr(&b), stdout);
	return 0;
}
