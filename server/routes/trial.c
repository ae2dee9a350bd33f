/* Only in builds with -Dtrial_kind=true; see drivers/trial.h. */
#include "drivers/trial.h"
#include "server/routes/odoo.h"
#include "server/routes/tables.h"

static SUSPENDS bool trial_submit(struct call *c, struct err *err)
{
	const struct trial_request *r = c->body;
	return odoo_submit(c, &trial_kind, r->product, r->context, r->instance,
	                   contract_text(c->arena, &trial_request_contract, r), "operation_id", err);
}

const struct route trial_routes[] = {
	{ HTTP_POST, "/v1/trials", "An operation that does nothing", trial_submit, .callers = CALLERS_WRITE,
	  .action = "ship.execute", .product = "body:product", .context = "body:context",
	  .body = &trial_request_contract, .idempotency = IDEMPOTENCY_OWN_REQUIRED },
	{ 0 },
};
