#include "drivers/odoo/artifact_publish.h"

#include "core/child.h"
#include "core/redact.h"
#include "drivers/odoo/preview.h"
#include "storage/audit.h"
#include "storage/codes.h"
#include "storage/deployment.sql.h"
#include "storage/lane_environment.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANIFEST_MAX (2u << 20)
#define PAYLOAD_KEY  "ODOO_DEVKIT_RUNTIME_ENVIRONMENT_JSON"
#define PAYLOAD_FILE "ODOO_DEVKIT_RUNTIME_ENVIRONMENT_FILE"

extern char **environ;

/* ---- inputs ---- */

static const char *const shown_keys[] = {
	"ODOO_VERSION",
	"ODOO_BASE_RUNTIME_IMAGE",
	"ODOO_BASE_DEVTOOLS_IMAGE",
	"ODOO_ADDON_REPOSITORIES",
	"OPENUPGRADE_ADDON_REPOSITORY",
	"OPENUPGRADELIB_INSTALL_SPEC",
	"ODOO_PYTHON_SYNC_SKIP_ADDONS",
};

static bool check_inputs(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct artifact_inputs *in = record;
	return strcmp(in->instance, "testing") == 0 || strcmp(in->instance, "prod") == 0 ||
	       contract_fail(a, err, path, "instance", "must be testing or prod");
}
static const struct field inputs_fields[] = {
	F_SCHEMA_VERSION(artifact_inputs),
	F_STR(artifact_inputs, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(artifact_inputs, instance, LOWERED, .fallback = "testing", .help = "testing or prod"),
	F_OPT_INT(artifact_inputs, pr_number, 0, .min = 1, .max = INT32_MAX),
	F_STR(artifact_inputs, preview_slug, LOWERED | NO_BLANKS, .max = 100),
	F_STR(artifact_inputs, source_git_ref, TRIMMED | NO_BLANKS, .max = 200),
	F_BOOL(artifact_inputs, isolated, 0, .fallback = "false"),
	F_END,
};
const struct contract artifact_inputs_contract =
        CONTRACT(artifact_inputs, inputs_fields, "An artifact that is to be built", .check = check_inputs);

const char *artifact_image_tag(struct arena *a, const char *context, const char *slug, const char *ref, bool isolated)
{
	return arena_printf(a, "%s%s%s%s%.8s%s-amd64", context, slug[0] ? "-" : "", slug, ref[0] ? "-" : "", ref,
	                    isolated ? "-isolated" : "");
}

bool artifact_inputs_make(struct task *t, const struct artifact_inputs *in, const struct product_profile *profile,
                          struct json *out, struct err *err)
{
	struct arena *a = t->arena;
	const struct place place = { in->context, in->instance };
	struct text_map env;
	struct strings secret_keys;
	struct json environment = json_object();
	const char *slug = in->preview_slug;
	if (in->pr_number.is_set && profile) {
		slug = preview_slug_of(a, profile->preview.slug_template, in->pr_number.value);
		if (in->preview_slug[0] && strcmp(in->preview_slug, slug) != 0)
			return err_field(err, "inputs.preview_slug", "must be %s, the pull request's by the profile",
			                 slug);
	}
	if (!runtime_env_outline(t, &place, NULL, "", &env, &secret_keys, err)) {
		if (err_is(err, &E_runtime_environment_unavailable))
			err->code = &E_driver_route_dependency_not_found;
		return false;
	}
	for (size_t i = 0; i < countof(shown_keys); i++) {
		const char *value = map_get(&env, shown_keys[i]);
		if (!is_blank(value) && !strings_have(&secret_keys, shown_keys[i]))
			json_set_str(a, &environment, shown_keys[i], value);
	}
	*out = json_object();
	json_set_str(a, out, "context", in->context);
	json_set_str(a, out, "instance", in->instance);
	json_set(a, out, "environment", environment);
	json_set_str(a, out, "product", profile ? profile->product : "odoo");
	json_set_str(a, out, "repository", profile ? profile->repository : "");
	json_set_str(a, out, "image_repository", profile ? profile->image.repository : "");
	json_set_str(a, out, "preview_slug", slug);
	json_set_str(a, out, "source_git_ref", in->source_git_ref);
	json_set_str(a, out, "image_tag", artifact_image_tag(a, in->context, slug, in->source_git_ref, in->isolated));
	return true;
}

/* ---- handing in ---- */

static bool check_publish(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct artifact_publish *p = record;
	const char *prefix = arena_printf(a, "artifact-%s-", p->context);
	if (strcmp(p->instance, "testing") != 0 && strcmp(p->instance, "prod") != 0)
		return contract_fail(a, err, path, "instance", "must be testing or prod");
	if (strncmp(p->manifest.artifact_id, prefix, strlen(prefix)) != 0)
		return contract_fail(a, err, path, "manifest.artifact_id", "must start with %s", prefix);
	return true;
}

static const struct field publish_fields[] = {
	F_STR(artifact_publish, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(artifact_publish, instance, LOWERED, .fallback = "testing", .help = "testing or prod"),
	F_OBJECT(artifact_publish, manifest, REQUIRED, &artifact_manifest_contract),
	F_END,
};
const struct contract artifact_publish_contract =
        CONTRACT(artifact_publish, publish_fields, "The manifest of a published artifact", .check = check_publish);

void artifact_publish_store(struct task *t, struct tx *tx, const struct artifact_publish *p)
{
	const struct artifact_manifest *m = &p->manifest;
	const char *payload = contract_text(t->arena, &artifact_manifest_contract, m);
	tx_send(tx, &Q_artifact_manifest_upsert,
	        PARAMS(P_TEXT(m->artifact_id), P_TEXT(m->source_commit), P_TEXT(m->image.repository),
	               P_TEXT(m->image.digest), P_TEXT(payload)));
	audit_record(t, "artifact_id", m->artifact_id);
	audit_detail(t, "instance", p->instance);
	audit_detail(t, "image_digest", m->image.digest);
}

const char *artifact_publish_result(struct arena *a, const struct artifact_publish *p, const char *output_file)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "status", "pass");
	jo_kv(&o, "context", p->context);
	jo_kv(&o, "instance", p->instance);
	jo_kv(&o, "artifact_id", p->manifest.artifact_id);
	jo_kv(&o, "image_repository", p->manifest.image.repository);
	jo_kv(&o, "image_digest", p->manifest.image.digest);
	jo_kv(&o, "source_commit", p->manifest.source_commit);
	jo_kv(&o, "output_file", output_file);
	jo_kv(&o, "error_message", "");
	jo_close(&o, '}');
	return b.p;
}

/* ---- the payload ---- */

struct payload {
	const char *text;
	struct text_map env;
	struct strings secret_keys;
};

/* The lane's environment with its secrets, after the gate. */
static SUSPENDS bool make_payload(struct task *t, const struct artifact_publish_wish *w, struct payload *out,
                                  struct err *err)
{
	const struct place place = { w->context, w->instance };
	struct key_safety_evidence evidence;
	struct json whole = json_object(), environment = json_object();
	arena_wipe_on_reset(t->arena);
	if (!runtime_env_resolve(t, t->loop->keyring, &place, NULL, &out->env, &out->secret_keys, err) ||
	    !key_safety_gate(t, &place, &out->secret_keys, &evidence, err))
		return false;
	for (size_t i = 0; i < out->env.n; i++)
		json_set_str(t->arena, &environment, out->env.v[i].key, out->env.v[i].value);
	json_set_str(t->arena, &whole, "context", w->context);
	json_set_str(t->arena, &whole, "instance", w->instance);
	json_set(t->arena, &whole, "environment", environment);
	out->text = json_text(t->arena, &whole);
	return true;
}

/* ---- what is run ---- */

static void add_option(struct arena *a, struct strings *argv, const char *flag, const char *value)
{
	strings_add(a, argv, flag);
	strings_add(a, argv, value);
}

static bool absolute(struct arena *a, const char *path, const char *what, const char **out, struct err *err)
{
	char real[PATH_MAX];
	if (!realpath(path, real))
		return err_set(err, &E_invalid_request, "%s %s cannot be read: %s", what, path, strerror(errno));
	*out = arena_strdup(a, real);
	return true;
}

/* The devkit's own program, or through uv where it is not installed yet. */
static bool command_line(struct arena *a, const struct artifact_publish_wish *w, const char *output_file,
                         struct strings *argv, struct err *err)
{
	const char *root, *manifest;
	if (!absolute(a, w->devkit_root, "the devkit's directory", &root, err) ||
	    !absolute(a, w->manifest, "the manifest", &manifest, err))
		return false;
	const char *installed = arena_printf(a, "%s/.venv/bin/platform", root);
	if (access(installed, X_OK) == 0) {
		strings_add(a, argv, installed);
	} else {
		strings_add(a, argv, "uv");
		strings_add(a, argv, "run");
		add_option(a, argv, "--project", root);
		strings_add(a, argv, "platform");
	}
	strings_add(a, argv, "runtime");
	strings_add(a, argv, "publish");
	add_option(a, argv, "--manifest", manifest);
	add_option(a, argv, "--instance", w->instance);
	add_option(a, argv, "--image-repository", w->image_repository);
	add_option(a, argv, "--image-tag", w->image_tag);
	add_option(a, argv, "--output-file", output_file);
	for (size_t i = 0; i < w->platforms.n; i++)
		add_option(a, argv, "--platform", w->platforms.v[i]);
	if (w->no_cache)
		strings_add(a, argv, "--no-cache");
	strings_add(a, argv, NULL);
	return true;
}

static bool starts_with_any(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(s, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

/* Ours, without the control plane's own settings and whatever leads to a database: neither that nor the master key is
 * the devkit's business. */
static struct strings environment_of(struct arena *a, const struct artifact_publish_wish *w, const struct payload *p)
{
	static const char *const kept_back[] = { "LAUNCHPLANE_", "ODOO_DEVKIT_RUNTIME_ENVIRONMENT", "PG",
		                                 "DATABASE_URL=" };
	struct strings env = { 0 };
	for (char **e = environ; *e; e++)
		if (!starts_with_any(*e, kept_back, countof(kept_back)))
			strings_add(a, &env, *e);
	strings_add(a, &env,
	            w->payload_in_environment ? arena_printf(a, PAYLOAD_KEY "=%s", p->text)
	                                      : PAYLOAD_FILE "=" CHILD_PAYLOAD_PATH);
	strings_add(a, &env, NULL);
	return env;
}

struct teller {
	struct arena *a;
	const struct payload *payload;
	void (*progress)(const char *line);
};

/* A line of the devkit's, without the values it was given as secrets. */
static void tell(void *arg, const char *line)
{
	const struct teller *t = arg;
	const char *text = line;
	for (size_t i = 0; i < t->payload->secret_keys.n; i++) {
		const char *value = map_get(&t->payload->env, t->payload->secret_keys.v[i]), *at;
		size_t n = value ? strlen(value) : 0;
		while (n >= 4 && (at = strstr(text, value)))
			text = arena_printf(t->a, "%.*s[redacted]%s", (int)(at - text), text, at + n);
	}
	t->progress(redact(t->a, text));
}

/* ---- what comes back ---- */

static bool read_manifest_file(struct arena *a, const struct artifact_publish_wish *w, const char *path,
                               struct artifact_publish *out, struct err *err)
{
	struct artifact_manifest *m = &out->manifest;
	out->context = w->context;
	out->instance = w->instance;
	FILE *f = fopen(path, "re");
	if (!f)
		return err_set(err, &E_invalid_request, "the devkit wrote no manifest to %s", path);
	char *text = arena_alloc(a, MANIFEST_MAX + 1);
	size_t n = fread(text, 1, MANIFEST_MAX, f);
	fclose(f);
	if (!contract_read_text(a, &artifact_manifest_contract, text, n, "the devkit's manifest", m, err))
		return false;
	const char *prefix = arena_printf(a, "artifact-%s-", w->context);
	if (strncmp(m->artifact_id, prefix, strlen(prefix)) != 0)
		return err_set(err, &E_invalid_request,
		               "the devkit made artifact %s, which is not of context %s: its id must start %s",
		               m->artifact_id, w->context, prefix);
	if (strcmp(m->image.repository, w->image_repository) != 0)
		return err_set(err, &E_invalid_request, "the devkit pushed to %s and not to %s", m->image.repository,
		               w->image_repository);
	return true;
}

/* What the entry of the route's request says, this one's says too. */
static SUSPENDS bool store(struct task *t, const struct artifact_publish_wish *w, const struct artifact_publish *p,
                           struct err *err)
{
	struct tx *tx;
	if (t->audit) {
		t->audit->action = "odoo_artifact_publish.write";
		t->audit->product = w->product[0] ? w->product : "odoo";
		t->audit->context = p->context;
	}
	if (!tx_begin(t, &tx, err))
		return false;
	artifact_publish_store(t, tx, p);
	return tx_commit(tx, err);
}

static SUSPENDS bool run_devkit(struct task *t, const struct artifact_publish_wish *w, const char *output_file,
                                int *exit_code, struct err *err)
{
	struct payload payload;
	struct strings argv = { 0 };
	struct child_end end;
	if (!make_payload(t, w, &payload, err) || !command_line(t->arena, w, output_file, &argv, err))
		return false;
	struct strings env = environment_of(t->arena, w, &payload);
	struct teller teller = { t->arena, &payload, w->progress };
	const struct child child = { .argv = argv.v,
		                     .env = env.v,
		                     .payload = w->payload_in_environment ? NULL : payload.text,
		                     .payload_n = strlen(payload.text),
		                     .line = tell,
		                     .arg = &teller };
	if (!child_run(t, &child, &end, err))
		return false;
	*exit_code = end.interrupted_by ? 128 + end.interrupted_by : 1;
	if (end.interrupted_by)
		return err_set(err, &E_cancelled, "interrupted; the devkit was stopped and nothing was stored");
	if (end.signal)
		return err_set(err, &E_invalid_request, "the devkit was ended by signal %d; nothing was stored",
		               end.signal);
	return end.exit_code == 0 ||
	       err_set(err, &E_invalid_request, "the devkit failed with exit code %lld; nothing was stored",
	               (long long)end.exit_code);
}

bool artifact_publish(struct task *t, const struct artifact_publish_wish *w, struct buf *out, int *exit_code,
                      struct err *err)
{
	struct artifact_publish published;
	const char *folder = getenv("TMPDIR"), *output_file = w->output_file;
	char *own = arena_printf(t->arena, "%s/launchplane-publish-XXXXXX", folder && folder[0] ? folder : "/tmp");
	*exit_code = 1;
	if (!output_file[0]) {
		if (!mkdtemp(own))
			return err_set(err, &E_invalid_request, "no temporary directory can be made: %s",
			               strerror(errno));
		output_file = arena_printf(t->arena, "%s/manifest.json", own);
	}
	bool ok = run_devkit(t, w, output_file, exit_code, err) &&
	          read_manifest_file(t->arena, w, output_file, &published, err) && store(t, w, &published, err);
	if (!w->output_file[0]) {
		unlink(output_file);
		rmdir(own);
	}
	if (!ok)
		return false;
	buf_str(out, artifact_publish_result(t->arena, &published, w->output_file));
	*exit_code = 0;
	return true;
}
