/* launchplane service sync-bootstrap-policy: the policy that seeds an empty database, in the environment of the
 * service's own deploy target. It is for a service that is not there yet, or that lets nobody in, so it asks Dokploy
 * itself; the credentials are the managed secrets in the database. */
#include "core/digest.h"
#include "core/seal.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/env_text.h"
#include "server/auth/policy_store.h"
#include "server/cli/command.h"
#include "server/service.h"

#include <stdio.h>

#define SELECTOR "LAUNCHPLANE_POLICY_B64"
static const char *const other_selectors[] = { "LAUNCHPLANE_POLICY_TOML", "LAUNCHPLANE_POLICY_FILE" };

static const struct setting sync_settings[] = {
	{ "--target-type", NULL, NULL, "TYPE", "compose or application", 0 },
	{ "--target-id", NULL, NULL, "ID", "Dokploy's id of the service's own target", 0 },
	{ "--apply", NULL, NULL, NULL, "Do it; without this nothing is written", SETTING_SWITCH },
	{ NULL, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY", NULL, NULL, "Seals managed secrets", SETTING_SECRET },
	{ 0 },
};
static const struct setting *const sync_options[] = { sync_settings, policy_file_settings, database_settings,
	                                              log_settings, NULL };

struct sync {
	bool is_compose, applies;
	const char *target_id, *policy_b64, *policy_sha256;
	const struct keyring *keyring;
};

/* What is read of the target: name and environment; application is for writing it back. */
struct live {
	const char *name, *env;
	struct dokploy_application application;
};

static SUSPENDS bool read_target(struct task *t, struct dokploy *d, const struct sync *s, struct live *out,
                                 struct err *err)
{
	if (s->is_compose) {
		struct dokploy_compose compose;
		if (!dokploy_compose_one(t, d, s->target_id, &compose, err))
			return false;
		*out = (struct live){ .name = compose.name, .env = compose.env };
		return true;
	}
	if (!dokploy_application_one(t, d, s->target_id, &out->application, err))
		return false;
	out->name = out->application.name;
	out->env = out->application.env;
	return true;
}

static SUSPENDS bool write_target(struct task *t, struct dokploy *d, const struct sync *s, const struct live *live,
                                  const char *env, struct err *err)
{
	return s->is_compose ? dokploy_compose_set_env(t, d, s->target_id, env, err)
	                     : dokploy_application_save_env(t, d, &live->application, env, err);
}

/* A policy in somebody else's environment would do nothing but harm. */
static bool is_own_target(const struct text_map *env)
{
	static const char *const marks[] = { "LAUNCHPLANE_DATABASE_URL", "LAUNCHPLANE_SERVICE_AUDIENCE", SELECTOR,
		                             "LAUNCHPLANE_POLICY_TOML", "LAUNCHPLANE_POLICY_FILE" };
	for (size_t i = 0; i < countof(marks); i++)
		if (map_get(env, marks[i]))
			return true;
	return false;
}

static SUSPENDS bool write_and_read_back(struct task *t, struct dokploy *d, const struct sync *s,
                                         const struct live *live, const struct text_map *wanted, struct err *err)
{
	struct live again;
	struct text_map kept;
	if (!write_target(t, d, s, live, env_text_write(t->arena, wanted), err) || !read_target(t, d, s, &again, err))
		return false;
	env_text_parse(t->arena, again.env, &kept);
	return map_equal(wanted, &kept) ||
	       err_set(err, &E_upstream_failed,
	               "Dokploy did not keep the environment as it was written; look at the target and apply again");
}

/* Names and digests, never a value. */
static void report(const struct sync *s, const struct live *live, const struct text_map *before, bool changed)
{
	const char *old = map_get(before, SELECTOR);
	printf("target         %s %s (%s)\nmode           %s\nchanged        %s\npolicy_sha256  %s\n%s  %s\n",
	       s->is_compose ? "compose" : "application", s->target_id, live->name, s->applies ? "apply" : "dry_run",
	       changed ? "true" : "false", s->policy_sha256, SELECTOR,
	       !old                              ? "added"
	       : strcmp(old, s->policy_b64) == 0 ? "unchanged"
	                                         : "replaced");
	for (size_t i = 0; i < countof(other_selectors); i++)
		if (map_get(before, other_selectors[i]))
			printf("%s  removed\n", other_selectors[i]);
	if (changed)
		puts(s->applies ? "The target's next deploy starts the service with it."
		                : "Nothing is written: --apply does it.");
}

static SUSPENDS bool sync_target(struct task *t, void *arg, struct err *err)
{
	const struct sync *s = arg;
	struct dokploy d;
	struct live live;
	struct text_map before, wanted;
	t->loop->keyring = s->keyring;
	if (!dokploy_open(t, &d, err) || !read_target(t, &d, s, &live, err))
		return false;
	env_text_parse(t->arena, live.env, &before);
	env_text_parse(t->arena, live.env, &wanted);
	if (!is_own_target(&before))
		return err_set(
		        err, &E_invalid_request,
		        "%s %s (%s) is no target of Launchplane's own: its environment has none of the service's "
		        "settings",
		        s->is_compose ? "compose" : "application", s->target_id, live.name);
	map_set(t->arena, &wanted, SELECTOR, s->policy_b64);
	for (size_t i = 0; i < countof(other_selectors); i++)
		env_remove(&wanted, other_selectors[i]);
	bool changed = !map_equal(&before, &wanted);
	if (changed && s->applies && !write_and_read_back(t, &d, s, &live, &wanted, err))
		return false;
	report(s, &live, &before, changed);
	return true;
}

/* The policy as the setting takes it; checked as a service would when it starts. */
static bool read_policy(struct settings *s, struct sync *out, struct err *err)
{
	const char *path, *text;
	size_t n;
	if (!setting_required(s, "--policy-file", &path, err) || !policy_file_read(s->arena, path, &text, &n, err))
		return false;
	struct policy *p = policy_of_text(text, n, path, err);
	if (!p)
		return false;
	bool has_administrator = policy_has_administrator(p);
	policy_free(p);
	if (!has_administrator)
		return err_set(err, &E_invalid_request,
		               "no rule of %s lets anybody change the policy: give authz_policy_grant.write on "
		               "launchplane/launchplane to somebody",
		               path);
	out->policy_b64 = base64_encode(s->arena, text, n);
	out->policy_sha256 = sha256_text(s->arena, text, n);
	return true;
}

static bool read_request(struct settings *s, struct sync *out, const char **key, struct err *err)
{
	const char *type;
	if (!setting_required(s, "--target-type", &type, err) ||
	    !setting_required(s, "--target-id", &out->target_id, err))
		return false;
	out->is_compose = strcmp(type, "compose") == 0;
	if (!out->is_compose && strcmp(type, "application") != 0)
		return err_field(err, "--target-type", "must be compose or application");
	out->applies = setting_on(s, "--apply");
	return read_policy(s, out, err) && setting_required(s, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY", key, err);
}

static int run_sync(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	struct sync request = { 0 };
	struct err err = { 0 };
	struct keyring ring;
	const char *key;
	if (!read_request(s, &request, &key, &err) || !keyring_init(&ring, key, NULL, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	request.keyring = &ring;
	int code = offline_run(s, sync_target, &request);
	keyring_done(&ring);
	return code;
}

const struct command sync_policy_commands[] = {
	{ "service", "sync-bootstrap-policy",
	  "Put a policy file into the environment of the service's own deploy target", NULL, 0, sync_options, run_sync,
	  NULL },
	{ 0 },
};
