/* A release rehearsed on files: the conditions that need no provider, and the records it would leave. */
#include "server/cli/rehearsal.h"

#include "server/cli/client.h"
#include "server/cli/release_direct.h"
#include "storage/deployment.h"
#include "storage/promotion.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (2u << 20)

#define SUFFIX ".json"

static bool is_file_name(const char *s)
{
	return s[0] && s[0] != '.' && !strchr(s, '/');
}

/* DIR/<family>/<name>.json */
static bool file_path(const struct rehearsal *r, const char *family, const char *name, const char **out,
                      struct err *err)
{
	if (!is_file_name(name))
		return err_set(err, &E_invalid_request, "%s cannot be the name of a file", name);
	*out = arena_printf(r->a, "%s/%s/%s.json", r->dir, family, name);
	return true;
}

bool rehearsal_read(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                    void *out, struct err *err)
{
	const char *path;
	if (!file_path(r, family, name, &path, err))
		return false;
	FILE *f = fopen(path, "re");
	if (!f)
		return err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(errno));
	char *text = arena_alloc(r->a, FILE_MAX + 1);
	size_t n = fread(text, 1, FILE_MAX + 1, f);
	fclose(f);
	if (n > FILE_MAX)
		return err_set(err, &E_invalid_request, "%s is larger than %u bytes", path, FILE_MAX);
	return contract_read_text(r->a, c, text, n, path, out, err) ||
	       err_set(err, &E_invalid_request, "%s: %s", path, arena_strdup(r->a, err->message));
}

bool rehearsal_has(const struct rehearsal *r, const char *family, const char *name)
{
	struct err ignored = { 0 };
	const char *path;
	return file_path(r, family, name, &path, &ignored) && access(path, F_OK) == 0;
}

static int by_bytes(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

bool rehearsal_names(const struct rehearsal *r, const char *family, struct strings *out, struct err *err)
{
	const char *path = arena_printf(r->a, "%s/%s", r->dir, family);
	*out = (struct strings){ 0 };
	DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ||
		       err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(errno));
	errno = 0;
	for (const struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		if (is_file_name(e->d_name) && n > strlen(SUFFIX) &&
		    strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) == 0)
			strings_add(r->a, out, arena_printf(r->a, "%.*s", (int)(n - strlen(SUFFIX)), e->d_name));
	}
	int failed = errno;
	closedir(d);
	if (failed)
		return err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(failed));
	if (out->n)
		qsort((void *)out->v, out->n, sizeof(*out->v), by_bytes);
	return true;
}

static bool write_record(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                         const void *record, struct err *err)
{
	const char *path;
	if (!file_path(r, family, name, &path, err))
		return false;
	mkdir(arena_printf(r->a, "%s/%s", r->dir, family), 0777); /* may be there */
	FILE *f = fopen(path, "we");
	bool ok = f && fprintf(f, "%s\n", contract_text(r->a, c, record)) > 0;
	ok = f && fclose(f) == 0 && ok;
	if (!ok)
		return err_set(err, &E_invalid_request, "%s cannot be written: %s", path, strerror(errno));
	printf("%s\n", path);
	return true;
}

static const char *now_text(struct arena *a)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];
	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

static void make_deployment(struct arena *a, const struct replacement_request *q, const char *now, const char *commit,
                            struct deployment *d)
{
	contract_defaults(a, &deployment_contract, d);
	d->record_id = arena_printf(a, "deployment-%s-%s-%s", utc_compact(a, now), q->context, q->instance);
	d->context = q->context;
	d->instance = q->instance;
	d->source_git_ref = commit;
	d->artifact_identity = ARENA_NEW(a, struct artifact_reference);
	*d->artifact_identity = (struct artifact_reference){ q->artifact_id, 1 };
	contract_defaults(a, &deploy_evidence_contract, &d->deploy);
	d->deploy.target_name = "local-rehearsal";
	d->deploy.deploy_mode = d->deploy.provider_deploy_mode = "local-rehearsal";
	d->deploy.target_category = d->deploy.provider_target_type = "compose";
	d->deploy.status = RELEASE_SKIPPED;
	d->deploy.started_at = d->deploy.finished_at = now;
}

/* Conditions of a promotion that files can prove. */
static bool check_promotion(const struct rehearsal *r, const struct replacement_request *q,
                            struct release_tuple *source, struct err *err)
{
	struct backup_gate gate;
	const char *lane = arena_printf(r->a, "%s-%s", q->context, q->from_instance);
	if (!rehearsal_read(r, "release_tuples", lane, &release_tuple_contract, source, err) ||
	    !rehearsal_read(r, "backup_gates", q->backup_record_id, &backup_gate_contract, &gate, err))
		return false;
	if (strcmp(source->artifact_id, q->artifact_id) != 0)
		return err_set(err, &E_invalid_request, "lane %s stands on artifact %s, not on %s", q->from_instance,
		               source->artifact_id, q->artifact_id);
	if (gate.status != RELEASE_PASS || strcmp(gate.instance, q->instance) != 0 ||
	    strcmp(gate.context, q->context) != 0)
		return err_set(err, &E_invalid_request, "backup gate %s is no passing gate of lane %s", gate.record_id,
		               q->instance);
	return true;
}

static bool rehearse(const struct rehearsal *r, const struct replacement_request *q, struct err *err)
{
	const char *now = now_text(r->a), *lane = arena_printf(r->a, "%s-%s", q->context, q->instance);
	struct artifact_manifest manifest;
	struct release_tuple tuple, source;
	struct deployment d;
	struct inventory inventory;
	bool promotes = q->from_instance[0];
	if (!rehearsal_read(r, "artifacts", q->artifact_id, &artifact_manifest_contract, &manifest, err))
		return false;
	make_deployment(r->a, q, now, manifest.source_commit, &d);
	if (!release_tuple_mint(r->a, &manifest, q->context, q->instance, d.record_id, now, &tuple, err) ||
	    (promotes && !check_promotion(r, q, &source, err)))
		return false;
	inventory_from_deployment(&d, now, NULL, &inventory);
	if (promotes) {
		inventory.promotion_record_id = arena_printf(r->a, "promotion-%s-%s-%s-to-%s", utc_compact(r->a, now),
		                                             q->context, q->from_instance, q->instance);
		inventory.promoted_from_instance = q->from_instance;
		release_tuple_promote(r->a, &source, q->instance, d.record_id, inventory.promotion_record_id, now,
		                      &tuple);
	}
	return write_record(r, "deployments", d.record_id, &deployment_contract, &d, err) &&
	       write_record(r, "inventory", lane, &inventory_contract, &inventory, err) &&
	       write_record(r, "release_tuples", lane, &release_tuple_contract, &tuple, err);
}

int release_rehearse(const struct command *c, struct settings *s, const struct op_kind *kind)
{
	struct rehearsal r = { .a = s->arena };
	struct replacement_request request;
	struct err err = { 0 };
	const char *body;
	fputs("LOCAL REHEARSAL: nothing is deployed; no file it writes says what runs anywhere\n", stderr);
	if (!setting_required(s, "--state-dir", &r.dir, &err) || !api_body(s->arena, c, s, &body, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	if (!contract_read_text(s->arena, kind->request, body, strlen(body), "the request", &request, &err) ||
	    !rehearse(&r, &request, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	return 0;
}
