/* launchplane odoo-artifacts publish: builds an artifact with the devkit, from a trusted shell (facts/odoo.md 14.4). */
#include "drivers/odoo/artifact_publish.h"

#include "drivers/odoo/replacement_facts.h"
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/service.h"
#include "storage/codes.h"

#include <stdio.h>

static const struct setting publish_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context; the artifact must be of it", 0 },
	{ "--instance", NULL, "testing", "NAME", "testing or prod", 0 },
	{ "--manifest", NULL, NULL, "FILE", "The workspace's manifest, for the devkit", 0 },
	{ "--devkit-root", NULL, NULL, "DIRECTORY", "The devkit's checkout", 0 },
	{ "--image-repository", NULL, NULL, "NAME", "Where to push; default: of the product's profile", 0 },
	{ "--image-tag", NULL, NULL, "TAG", "Default: from context, pull request and commit", 0 },
	{ "--product", NULL, NULL, "NAME", "Whose profile gives what is not said", 0 },
	{ "--pr-number", NULL, NULL, "N", "The pull request the artifact is for", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "What is built, for the tag", 0 },
	{ "--platform", NULL, NULL, "NAME", "As linux/amd64; may be given several times", SETTING_MANY },
	{ "--output-file", NULL, NULL, "FILE", "Keeps the artifact's manifest there", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Build everything anew", SETTING_SWITCH },
	{ "--payload-in-environment", NULL, NULL, NULL,
	  "Hand the runtime payload over in the devkit's environment, for a devkit that cannot read it from a pipe",
	  SETTING_SWITCH },
	{ 0 },
};

struct publishing {
	const struct settings *s;
	struct artifact_publish_wish wish;
	int code;
};

static void say(const char *line)
{
	fprintf(stderr, "%s\n", line);
}

static const char *given(const struct settings *s, const char *flag)
{
	const char *value = setting(s, flag);
	return value ? trimmed(s->arena, value) : "";
}

/* What was not said comes from the product's profile. */
static SUSPENDS bool derive(struct direct *d, struct artifact_publish_wish *w, struct err *err)
{
	struct product_profile profile;
	struct artifact_inputs in = { .context = w->context,
		                      .instance = w->instance,
		                      .preview_slug = "",
		                      .source_git_ref = given(d->s, "--source-git-ref") };
	struct json inputs;
	bool found;
	long long number = 0;
	if (w->image_repository[0] && w->image_tag[0])
		return true;
	if (!given(d->s, "--product")[0])
		return err_field(err, "--product", "is required, or both --image-repository and --image-tag");
	if (!w->image_tag[0] && !in.source_git_ref[0])
		return err_field(err, "--source-git-ref", "is required to make a tag, or --image-tag");
	if (given(d->s, "--pr-number")[0] && !setting_int(d->s, "--pr-number", 1, INT32_MAX, &number, err))
		return false;
	in.pr_number = (struct opt_int){ number > 0, number };
	if (!read_profile(d->t, given(d->s, "--product"), &profile, &found, err))
		return false;
	if (!found || strcmp(profile.driver_id, "odoo") != 0 ||
	    !product_profile_lane_in(&profile, w->context, w->instance))
		return err_set(err, &E_product_driver_mismatch,
		               "product %s has no profile with driver odoo and lane %s/%s", given(d->s, "--product"),
		               w->context, w->instance);
	if (!artifact_inputs_make(d->t, &in, &profile, &inputs, err))
		return false;
	if (!w->image_repository[0])
		w->image_repository = json_str(&inputs, "image_repository", "");
	if (!w->image_tag[0])
		w->image_tag = json_str(&inputs, "image_tag", "");
	return w->image_repository[0] || err_field(err, "--image-repository", "is required: the profile names none");
}

static int exit_code; /* of the one command that this process is */

static SUSPENDS bool publish(struct direct *d, struct buf *out, struct err *err)
{
	static const char *const required[] = { "--context", "--manifest", "--devkit-root" };
	for (size_t i = 0; i < countof(required); i++)
		if (!given(d->s, required[i])[0])
			return err_field(err, required[i], "is required");
	struct artifact_publish_wish w = { .context = lowered(d->t->arena, given(d->s, "--context")),
		                           .instance = lowered(d->t->arena, given(d->s, "--instance")),
		                           .product = given(d->s, "--product"),
		                           .manifest = given(d->s, "--manifest"),
		                           .devkit_root = given(d->s, "--devkit-root"),
		                           .image_repository = given(d->s, "--image-repository"),
		                           .image_tag = given(d->s, "--image-tag"),
		                           .platforms = direct_list(d->t->arena, setting(d->s, "--platform")),
		                           .output_file = given(d->s, "--output-file"),
		                           .no_cache = setting_on(d->s, "--no-cache"),
		                           .payload_in_environment = setting_on(d->s, "--payload-in-environment"),
		                           .progress = say };
	if (strcmp(w.instance, "testing") != 0 && strcmp(w.instance, "prod") != 0)
		return err_field(err, "--instance", "must be testing or prod");
	return derive(d, &w, err) && artifact_publish(d->t, &w, out, &exit_code, err);
}

static int publish_run(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	exit_code = 1;
	int failed = direct_run(s, c, NULL, publish);
	return failed ? (exit_code ? exit_code : failed) : 0;
}

static const struct setting *const publish_options[] = { publish_settings,  actor_settings, master_key_settings,
	                                                 database_settings, log_settings,   NULL };

static const struct setting inputs_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile, or odoo", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "testing (the default) or prod", 0 },
	{ "--pr-number", NULL, NULL, "N", "The pull request the artifact is for", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "What is to be built", 0 },
	{ "--isolated", NULL, NULL, NULL, "Of an isolated preview", SETTING_SWITCH },
	{ 0 },
};
static const struct argument inputs_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "inputs.context", .is_required = true },
	{ "--instance", "inputs.instance" },
	{ "--pr-number", "inputs.pr_number", ARGUMENT_NUMBER },
	{ "--source-git-ref", "inputs.source_git_ref" },
	{ "--isolated", "inputs.isolated", ARGUMENT_TRUE },
	{ 0 },
};
static const struct setting *const inputs_options[] = { inputs_settings, idempotency_settings, client_settings, NULL };
static const struct api_call inputs = { "POST", "/v1/drivers/odoo/artifact-publish-inputs", inputs_arguments, 0 };

const struct command artifact_publish_commands[] = {
	{ "odoo-artifacts", "inputs", "What building an artifact needs: image repository, tag, build settings", NULL, 0,
	  inputs_options, api_run, &inputs },
	{ "odoo-artifacts", "publish", "Build an artifact with the devkit and store its manifest", NULL, 0,
	  publish_options, publish_run, NULL },
	{ 0 },
};
