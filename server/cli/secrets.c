/* launchplane secrets ...: managed secrets (facts/config-health.md 4). Values come from a file or standard input, never
 * from the command line, and nothing shows them. */
#include "core/seal.h"
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/service.h"
#include "storage/codes.h"

#include <stdio.h>

#define VALUE_MAX (256u << 10)

static const struct setting rekey_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ "--key-id", NULL, NULL, "ID", "Refuse unless the current master key has this id", 0 },
	{ 0 },
};
static const struct argument rekey_arguments[] = {
	{ "--reason", "reason", .is_required = true },
	{ "--key-id", "key_id" },
	{ 0 },
};
static const struct setting *const rekey_options[] = { rekey_settings, idempotency_settings, client_settings, NULL };
static const struct api_call rekey = { "POST", "/v1/secrets/rekey", rekey_arguments, 0 };

static const struct setting put_settings[] = {
	{ "--integration", NULL, "runtime_environment", "NAME", "Who uses it", 0 },
	{ "--name", NULL, NULL, "NAME", "The secret's name; default: the binding key", 0 },
	{ "--binding-key", NULL, NULL, "KEY", "The environment key it appears under; default: the name", 0 },
	{ "--description", NULL, "", "TEXT", "What it is for", 0 },
	{ "--value-file", NULL, NULL, "FILE", "Holds the value; - for standard input; one final line feed is cut", 0 },
	{ "--source-label", NULL, "cli:secrets:put", "TEXT", "Where the value comes from, for the record", 0 },
	{ 0 },
};
static const struct setting id_settings[] = {
	{ "--secret-id", NULL, NULL, "ID", "The secret", 0 },
	{ "--source-label", NULL, "cli:secrets", "TEXT", "For the record", 0 },
	{ 0 },
};
static const struct setting relabel_settings[] = {
	{ "--binding-key", NULL, NULL, "KEY", "The environment key it is to appear under", 0 },
	{ 0 },
};
/* ---- put ---- */

static bool read_value(struct arena *a, const char *path, const char **out, struct err *err)
{
	bool from_stdin = strcmp(path, "-") == 0;
	FILE *f = from_stdin ? stdin : fopen(path, "re");
	if (!f)
		return err_field(err, "--value-file", "%s cannot be read: %s", path, strerror(errno));
	struct secret value = secret_room(a, VALUE_MAX + 2);
	size_t n = fread(value.p, 1, VALUE_MAX + 2, f);
	bool failed = ferror(f);
	if (!from_stdin)
		fclose(f);
	if (failed)
		return err_field(err, "--value-file", "%s cannot be read", path);
	if (n && value.p[n - 1] == '\n')
		n--;
	value.p[n] = '\0';
	if (n > VALUE_MAX)
		return err_field(err, "--value-file", "holds more than %u bytes", VALUE_MAX);
	if (memchr(value.p, '\0', n))
		return err_field(err, "--value-file", "holds a NUL byte; a secret is text");
	*out = value.p;
	return !is_blank(value.p) || err_field(err, "--value-file", "holds nothing: a blank secret is not kept");
}

struct put {
	struct direct *d;
	struct secret_wish wish;
	struct secret_plan plan;
	const char *version_id;
};

static SUSPENDS bool put_in(struct tx *tx, void *arg, struct err *err)
{
	struct put *p = arg;
	const struct keyring *ring = p->d->t->loop->keyring;
	return config_place_lock(tx, &p->wish.place, err) && secret_plan_make(tx, ring, &p->wish, "", &p->plan, err) &&
	       secret_plan_send(tx, ring, &p->wish, &p->plan, &p->d->by, &p->version_id, err);
}

static bool read_wish(struct direct *d, struct secret_wish *w, struct err *err)
{
	const char *name = setting(d->s, "--name"), *key = setting(d->s, "--binding-key"),
	           *path = setting(d->s, "--value-file");
	if (is_blank(name) && is_blank(key))
		return err_field(err, "--name", "or --binding-key is required");
	w->name = trimmed(d->t->arena, is_blank(name) ? key : name);
	w->binding_key = trimmed(d->t->arena, is_blank(key) ? name : key);
	w->integration = setting(d->s, "--integration");
	w->description = setting(d->s, "--description");
	if (!is_env_key(w->binding_key))
		return err_field(err, "--binding-key", "must be an environment key");
	if (!path)
		return err_field(err, "--value-file", "is required: the value never stands on the command line");
	return direct_place(d->s, &w->place, err) && read_value(d->t->arena, path, &w->value, err);
}

static SUSPENDS bool put(struct direct *d, struct buf *out, struct err *err)
{
	struct put p = { .d = d };
	if (!d->t->loop->keyring)
		return err_set(err, &E_secret_configuration_required,
		               MASTER_KEY_SETTING " is not set: secrets cannot be sealed");
	if (!read_wish(d, &p.wish, err) || !direct_tx(d, put_in, &p, err) ||
	    !secret_plans_note(d->t, &p.plan, &p.wish, 1, &d->by, err))
		return false;
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "status", "ok");
	jo_kv(&o, "secret_id", p.plan.secret_id);
	jo_kv(&o, "action", secret_action_names[p.plan.action]);
	if (p.version_id[0])
		jo_kv(&o, "version_id", p.version_id);
	jo_close(&o, '}');
	return true;
}

/* ---- relabel, disable ---- */

struct change {
	struct direct *d;
	const char *secret_id, *binding_key, *binding_id;
	bool changed;
};

static bool write_change(const struct change *c, const char *action, struct buf *out)
{
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "status", "ok");
	jo_kv(&o, "secret_id", c->secret_id);
	jo_kv(&o, "action", c->changed ? action : "unchanged");
	if (c->binding_id)
		jo_kv(&o, "binding_id", c->binding_id);
	jo_close(&o, '}');
	return true;
}

static SUSPENDS bool relabel_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	return secret_relabel(tx, c->secret_id, c->binding_key, &c->d->by, &c->changed, &c->binding_id, err);
}

static SUSPENDS bool relabel(struct direct *d, struct buf *out, struct err *err)
{
	struct change c = { .d = d };
	if (!setting_required(d->s, "--secret-id", &c.secret_id, err) ||
	    !setting_required(d->s, "--binding-key", &c.binding_key, err))
		return false;
	if (!is_env_key(c.binding_key))
		return err_field(err, "--binding-key", "must be an environment key");
	return direct_tx(d, relabel_in, &c, err) && write_change(&c, "relabelled", out);
}

static SUSPENDS bool disable_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	return secret_disable(tx, c->secret_id, &c->d->by, &c->changed, err);
}

static SUSPENDS bool disable(struct direct *d, struct buf *out, struct err *err)
{
	struct change c = { .d = d };
	return setting_required(d->s, "--secret-id", &c.secret_id, err) && direct_tx(d, disable_in, &c, err) &&
	       write_change(&c, "disabled", out);
}

/* ---- the commands ---- */

static const struct setting *const put_options[] = {
	scope_settings, put_settings, master_key_settings, actor_settings, database_settings, log_settings, NULL
};
static const struct setting *const relabel_options[] = { id_settings,       relabel_settings, actor_settings,
	                                                 database_settings, log_settings,     NULL };
static const struct setting *const disable_options[] = { id_settings, actor_settings, database_settings, log_settings,
	                                                 NULL };

static int run_put(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", put);
}
static int run_relabel(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", relabel);
}
static int run_disable(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", disable);
}

const struct command secret_commands[] = {
	{ "secrets", "put", "Write a managed secret, straight in the database", NULL, 0, put_options, run_put, NULL },
	{ "secrets", "relabel", "Let a secret appear under another environment key", NULL, 0, relabel_options,
	  run_relabel, NULL },
	{ "secrets", "disable", "Stop using a secret without deleting it", NULL, 0, disable_options, run_disable,
	  NULL },
	{ "secrets", "rekey", "Seal all managed secrets under the current master key, while the service runs", NULL, 0,
	  rekey_options, api_run, &rekey },
	{ 0 },
};
