/* A release rehearsed on files: the conditions that need no provider, and the records it would leave. */
#include "server/cli/rehearsal.h"

#include "server/cli/client.h"
#include "server/cli/rehearsal_lane.h"
#include "server/cli/release_direct.h"
#include "storage/codes.h"
#include "storage/deployment.h"
#include "storage/product_profile.h"
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

/* The names in a directory that end so, without that end; none where there is no directory. */
static bool names_in(const struct rehearsal *r, const char *path, const char *suffix, struct strings *out,
                     struct err *err)
{
	*out = (struct strings){ 0 };
	DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ||
		       err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(errno));
	errno = 0;
	for (const struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name), end = strlen(suffix);
		if (is_file_name(e->d_name) && n > end && strcmp(e->d_name + n - end, suffix) == 0)
			strings_add(r->a, out, arena_printf(r->a, "%.*s", (int)(n - end), e->d_name));
	}
	int failed = errno;
	closedir(d);
	if (failed)
		return err_set(err, &E_invalid_request, "%s cannot be read: %s", path, strerror(failed));
	if (out->n)
		qsort((void *)out->v, out->n, sizeof(*out->v), by_bytes);
	return true;
}

bool rehearsal_names(const struct rehearsal *r, const char *family, struct strings *out, struct err *err)
{
	return names_in(r, arena_printf(r->a, "%s/%s", r->dir, family), SUFFIX, out, err);
}

bool rehearsal_families(const struct rehearsal *r, const char *suffix, struct strings *out, struct err *err)
{
	if (!names_in(r, r->dir, suffix, out, err))
		return false;
	for (size_t i = 0; i < out->n; i++)
		out->v[i] = arena_printf(r->a, "%s%s", out->v[i], suffix);
	return true;
}

bool rehearsal_write(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                     const void *record, struct err *err)
{
	const char *path;
	if (!file_path(r, family, name, &path, err))
		return false;
	mkdir(arena_printf(r->a, "%s/%s", r->dir, family), 0777); /* may be there */
	const char *part = arena_printf(r->a, "%s/%s/.%s.%ld", r->dir, family, name, (long)getpid());
	FILE *f = fopen(part, "we");
	bool ok = f && fprintf(f, "%s\n", contract_text(r->a, c, record)) > 0;
	ok = f && fclose(f) == 0 && ok;
	if (!ok || rename(part, path) != 0)
		return err_set(err, &E_invalid_request, "%s cannot be written: %s", path, strerror(errno));
	return true;
}

static bool write_record(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                         const void *record, struct err *err)
{
	if (!rehearsal_write(r, family, name, c, record, err))
		return false;
	printf("%s/%s/%s.json\n", r->dir, family, name);
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

/* A replacement's request leaves to the records which lane it is about, and maybe which artifact. */
static bool resolve(const struct rehearsal *r, struct replacement_request *q, struct err *err)
{
	struct product_profile profile;
	struct inventory inventory;
	size_t lanes;
	if (q->data_source_mode != DATA_EXISTING)
		return err_set(err, &E_invalid_request,
		               "data_source_mode: files have no data that a rehearsal could rebuild");
	if (!rehearsal_read(r, "product_profiles", q->product, &product_profile_contract, &profile, err))
		return false;
	const struct lane *lane = product_profile_lane(&profile, q->instance, &lanes);
	if (strcmp(profile.driver_id, "odoo") != 0 || lanes != 1)
		return err_set(err, &E_invalid_request,
		               "product %.100s is none of the odoo driver with exactly one lane %.60s", q->product,
		               q->instance);
	q->context = lane->context;
	const char *name = arena_printf(r->a, "%s-%s", q->context, q->instance);
	bool known = rehearsal_has(r, "inventory", name);
	if (known && !rehearsal_read(r, "inventory", name, &inventory_contract, &inventory, err))
		return false;
	const char *runs = known && inventory.artifact_identity ? inventory.artifact_identity->artifact_id : "";
	if (q->expected_current_artifact_id[0] && strcmp(q->expected_current_artifact_id, runs) != 0)
		return err_set(err, &E_invalid_request, "expected_current_artifact_id: the inventory says \"%.200s\"",
		               runs);
	replacement_artifact(q, known ? &inventory : NULL, &q->artifact_id, &q->source_git_ref);
	return q->artifact_id[0] ||
	       err_set(err, &E_invalid_request, "artifact_id: the lane has no inventory, so say which artifact");
}

static bool rehearse(const struct rehearsal *r, const struct replacement_request *q, struct rehearsed_operation *op,
                     struct err *err)
{
	const char *now = now_text(r->a), *lane = arena_printf(r->a, "%s-%s", q->context, q->instance);
	struct artifact_manifest manifest;
	struct release_tuple tuple, source;
	struct deployment d;
	struct inventory inventory;
	bool promotes = !is_blank(q->from_instance);
	if (!rehearsal_read(r, "artifacts", q->artifact_id, &artifact_manifest_contract, &manifest, err))
		return false;
	if (q->source_git_ref[0] && strcmp(q->source_git_ref, manifest.source_commit) != 0)
		return err_set(err, &E_invalid_request, "source_git_ref: artifact %s was built from another commit",
		               q->artifact_id);
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
	if (!rehearsal_holds(r, op))
		return err_set(err, &E_operation_active, "lane %s was taken over: nothing was written", lane);
	op->deployment_record_id = d.record_id;
	return write_record(r, "deployments", d.record_id, &deployment_contract, &d, err) &&
	       write_record(r, "inventory", lane, &inventory_contract, &inventory, err) &&
	       write_record(r, "release_tuples", lane, &release_tuple_contract, &tuple, err);
}

static bool rehearse_in_lane(const struct rehearsal *r, const struct op_kind *kind, const struct json *body,
                             const struct replacement_request *q, int64_t settle_ms, struct err *err)
{
	struct rehearsed_operation op;
	struct err unwritten = { 0 };
	if (!rehearsal_claim(r, kind, q->product, q->context, q->instance, body, settle_ms, &op, err))
		return false;
	bool ok = rehearse(r, q, &op, err);
	if (!rehearsal_end(r, kind, &op, ok ? NULL : err, &unwritten) && ok) {
		*err = unwritten;
		return false;
	}
	return ok;
}

static bool read_settle(const struct settings *s, int64_t *ms, struct err *err)
{
	const char *text = setting(s, "--settle-seconds");
	size_t n = strlen(text);
	if (n == 0 || n > 3 || strspn(text, "0123456789") != n)
		return err_field(err, "--settle-seconds", "must be a whole number from 0 to 999");
	*ms = strtoll(text, NULL, 10) * 1000;
	return true;
}

int release_rehearse(const struct command *c, struct settings *s, const struct op_kind *kind)
{
	struct rehearsal r = { .a = s->arena };
	struct replacement_request request;
	struct err err = { 0 };
	struct json sent;
	const char *body;
	int64_t settle_ms;
	fputs("LOCAL REHEARSAL: nothing is deployed; no file it writes says what runs anywhere\n", stderr);
	if (!setting_required(s, "--state-dir", &r.dir, &err) || !read_settle(s, &settle_ms, &err) ||
	    !api_body(s->arena, c, s, &body, &err) ||
	    !json_parse(s->arena, body, strlen(body), "the request", &sent, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	bool is_replacement = kind == &odoo_replacement_kind;
	const struct json *inner = is_replacement ? json_get(&sent, "replacement") : &sent;
	if (!contract_read(s->arena, kind->request, inner, "", &request, &err) ||
	    (is_replacement && !resolve(&r, &request, &err)) ||
	    !rehearse_in_lane(&r, kind, inner, &request, settle_ms, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	return 0;
}
