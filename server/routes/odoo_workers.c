/* What the engine does for Odoo's durable operations, and taking up what dead workers left (facts/odoo.md 6.6). */
#include "server/operations/runner.h"
#include "server/routes/tables.h"
#include "storage/odoo_workers.sql.h"

#include <stdlib.h>

#define RECENT_MOST    100
#define RECENT_DEFAULT 10

static SUSPENDS bool workers_status(struct call *c, struct err *err)
{
	const char *text;
	struct rows rows;
	int64_t recent = RECENT_DEFAULT;
	if (!request_query(c->rq, "recent_terminal_limit", &text, err))
		return false;
	if (!is_blank(text)) {
		size_t n = strlen(text);
		recent = n <= 3 && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
		if (recent < 0 || recent > RECENT_MOST)
			return err_set(err, &E_invalid_query,
			               "recent_terminal_limit must be a whole number from 0 to %d", RECENT_MOST);
	}
	if (!db_query(c->t, &Q_odoo_workers_status, PARAMS(P_INT(recent), P_INT(loop_clock_offset_ms(c->t->loop))),
	              &rows, err))
		return false;
	return call_answer_member(c, "workers", row_text(&rows, 0, 0));
}

struct reconcile_request {
	int64_t schema_version, max_attempts;
};
static const struct field reconcile_fields[] = {
	F_SCHEMA_VERSION(reconcile_request),
	F_INT(reconcile_request, max_attempts, 0, .min = 1, .max = 100, .fallback = "3",
	      .help = "An operation that so many workers in a row lost fails, for an operator to look at"),
	F_END,
};
static const struct contract reconcile_contract =
        CONTRACT(reconcile_request, reconcile_fields, "Takes up operations whose worker is gone");

static SUSPENDS bool workers_reconcile(struct call *c, struct err *err)
{
	const struct reconcile_request *body = c->body;
	struct rows rows;
	struct json document, told = json_object();
	if (!db_write(c->t, "odoo-workers", &Q_odoo_workers_reconcile,
	              PARAMS(P_INT(body->max_attempts), P_INT(loop_clock_offset_ms(c->t->loop)), P_AUDIT(c->t)), &rows,
	              err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	if (!json_parse(c->arena, text, strlen(text), "what was reconciled", &document, err))
		return false;
	for (uint32_t i = 0; i < document.n; i++)
		if (strncmp(document.members[i].key, "reconciled_", 11) == 0)
			json_set(c->arena, &told, document.members[i].key, document.members[i].value);
	runner_kick(c->app->runner);
	return call_answer_members(c, json_text(c->arena, &told));
}

const struct route odoo_worker_routes[] = {
	{ HTTP_GET, "/v1/service/odoo-workers/status",
	  "Odoo replacements and bootstraps: how many, who works on which, how the latest ended", workers_status,
	  .callers = CALLERS_READ, .action = "launchplane_service.read", .product = "=launchplane",
	  .context = "=launchplane" },
	{ HTTP_POST, "/v1/service/odoo-workers/reconcile",
	  "Take up Odoo operations whose worker is gone; fail those that workers keep losing", workers_reconcile,
	  .callers = CALLERS_WRITE, .action = "launchplane_service.reconcile_odoo_workers", .product = "=launchplane",
	  .context = "=launchplane", .body = &reconcile_contract, .success = 200 },
	{ 0 },
};
