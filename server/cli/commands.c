#include "server/cli/command.h"

#include "server/cli/client.h"
#include "server/service.h"

#include <string.h>

const struct command *const all_commands[] = {
	service_commands,
	storage_commands,
	operation_commands,
	evidence_commands,
	config_commands,
	odoo_commands,
	odoo_override_commands,
	odoo_worker_commands,
	policy_commands,
	audit_commands,
	docs_commands,
	target_commands,
	release_commands,
	list_commands,
	product_commands,
	environment_commands,
	secret_commands,
	policy_test_commands,
	sync_policy_commands,
	auth_commands,
	odoo_preview_commands,
	artifact_publish_commands,
	NULL,
};

bool command_has_options(const struct command *c, const struct setting *table)
{
	for (const struct setting *const *t = c->options; *t; t++)
		if (*t == table)
			return true;
	return false;
}

static bool is_required(const struct command *c, const struct setting *row)
{
	if (row == input_settings)
		return true;
	for (const struct argument *g = c->call ? c->call->arguments : NULL; g && g->flag; g++)
		if (strcmp(g->flag, row->flag) == 0)
			return g->is_required;
	return false;
}

void command_usage(struct buf *b, const struct command *c)
{
	buf_printf(b, "launchplane %s %s%s%s", c->group, c->name, c->positionals ? " " : "",
	           c->positionals ? c->positionals : "");
	for (const struct setting *const *t = c->options; *t; t++) {
		if (*t == client_settings || *t == log_settings)
			continue;
		for (const struct setting *s = *t; s->flag || s->env; s++) {
			if (!s->flag || (s->flags & SETTING_TEST))
				continue;
			bool required = is_required(c, s);
			buf_printf(b, " %s%s%s%s%s", required ? "" : "[", s->flag, s->metavar ? " " : "",
			           s->metavar ? s->metavar : "", required ? "" : "]");
		}
	}
}
