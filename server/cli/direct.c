#include "server/cli/direct.h"

#include "core/digest.h"
#include "server/cli/client.h"
#include "server/service.h"
#include "storage/operation.h"

#include <stdio.h>
#include <stdlib.h>

const struct setting actor_settings[] = {
	{ "--actor", NULL, NULL, "NAME", "Who does this, for the record; default: the shell's user", 0 },
	{ 0 },
};
const struct setting scope_settings[] = {
	{ "--scope", NULL, NULL, "NAME", "global, context or instance", 0 },
	{ "--context", NULL, NULL, "NAME", "The context; not with global", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane; only with instance", 0 },
	{ 0 },
};

struct direct_call {
	const struct settings *s;
	const struct command *command;
	const char *label_flag;
	direct_fn fn;
};

static const char *actor_of(const struct settings *s, bool has_flag)
{
	static const char *const variables[] = { "GITHUB_ACTOR", "USER", "LOGNAME" };
	if (has_flag && !is_blank(setting(s, "--actor")))
		return trimmed(s->arena, setting(s, "--actor"));
	for (size_t i = 0; i < countof(variables); i++)
		if (!is_blank(getenv(variables[i])))
			return arena_strdup(s->arena, getenv(variables[i]));
	return "unknown";
}

static bool read_keyring(const struct direct_call *c, struct keyring *ring, bool *has_ring, struct err *err)
{
	*has_ring = false;
	if (!command_has_options(c->command, master_key_settings))
		return true;
	const char *key = setting(c->s, MASTER_KEY_SETTING), *previous = setting(c->s, PREVIOUS_KEYS_SETTING);
	if (!key && is_blank(previous))
		return true;
	*has_ring = keyring_init(ring, key, previous, err);
	setting_forget(c->s, MASTER_KEY_SETTING);
	setting_forget(c->s, PREVIOUS_KEYS_SETTING);
	return *has_ring;
}

static SUSPENDS bool direct_main(struct task *t, void *arg, struct err *err)
{
	struct direct_call *c = arg;
	struct keyring ring;
	bool has_ring;
	struct buf out = buf_in(t->arena);
	if (!read_keyring(c, &ring, &has_ring, err))
		return false;
	arena_wipe_on_reset(t->arena);
	struct direct d = { .t = t, .s = c->s };
	d.by = (struct authorship){ .actor = actor_of(c->s, command_has_options(c->command, actor_settings)),
		                    .now = utc_now(t),
		                    .source_label = c->label_flag ? setting(c->s, c->label_flag) : "",
		                    .reason = "" };
	if (!d.by.source_label)
		d.by.source_label = "";
	t->actor = d.by.actor;
	t->trace_id = arena_printf(t->arena, "command-%s", random_hex(t->arena, 12));
	t->loop->keyring = has_ring ? &ring : NULL;
	bool ok = c->fn(&d, &out, err);
	t->loop->keyring = NULL;
	if (has_ring)
		keyring_done(&ring);
	if (ok)
		puts(buf_cstr(&out));
	return ok;
}

int direct_run(struct settings *s, const struct command *command, const char *label_flag, direct_fn fn)
{
	struct direct_call c = { s, command, label_flag, fn };
	return offline_run(s, direct_main, &c);
}

bool direct_tx(struct direct *d, direct_tx_fn fn, void *arg, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(d->t, &tx, err))
		return false;
	if (!fn(tx, arg, err)) {
		tx_rollback(tx);
		return false;
	}
	return tx_commit(tx, err);
}

bool direct_place(const struct settings *s, struct place *out, struct err *err)
{
	const char *scope = setting(s, "--scope"), *context = setting(s, "--context"),
	           *instance = setting(s, "--instance");
	out->context = context ? trimmed(s->arena, context) : "";
	out->instance = instance ? trimmed(s->arena, instance) : "";
	if (out->instance[0] && !out->context[0])
		return err_field(err, "--context", "is required when --instance is given");
	if (is_blank(scope))
		return err_field(err, "--scope", "is required: global, context or instance");
	scope = lowered(s->arena, trimmed(s->arena, scope));
	bool fits = strcmp(scope, place_scope(out)) == 0 || strcmp(scope, place_secret_scope(out)) == 0;
	return fits || err_field(err, "--scope",
	                         "%s does not fit: global has neither --context nor --instance, context has --context "
	                         "alone, instance has both",
	                         scope);
}

bool direct_mode(const struct settings *s, bool *applies)
{
	*applies = setting_on(s, "--apply");
	if (*applies != setting_on(s, "--dry-run"))
		return true;
	command_fail(EXIT_USAGE, *applies ? "--apply and --dry-run exclude each other"
	                                  : "say --dry-run to see what would happen, or --apply");
	return false;
}

struct strings direct_list(struct arena *a, const char *joined)
{
	struct strings list = { 0 };
	while (joined && *joined) {
		size_t n = strcspn(joined, "\n");
		strings_add(a, &list, arena_strndup(a, joined, n));
		joined += n + (joined[n] == '\n');
	}
	return list;
}
