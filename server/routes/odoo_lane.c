/* The Odoo driver's work on one lane: stable bootstrap and post-deploy (facts/odoo.md 7, 8). */
#include "drivers/odoo/bootstrap.h"
#include "drivers/odoo/post_deploy.h"
#include "server/routes/odoo.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

/* ---- stable bootstrap ---- */

struct bootstrap_body {
	int64_t schema_version;
	const char *product;
	struct bootstrap_request bootstrap;
};

static bool same_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct bootstrap_body *b = record;
	return strcmp(b->product, b->bootstrap.product) == 0 ||
	       contract_fail(a, err, path, "bootstrap.product", "must equal product");
}

static const struct field bootstrap_body_fields[] = {
	F_SCHEMA_VERSION(bootstrap_body),
	F_STR(bootstrap_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(bootstrap_body, bootstrap, REQUIRED, &bootstrap_request_contract),
	F_END,
};
static const struct contract bootstrap_body_contract =
        CONTRACT(bootstrap_body, bootstrap_body_fields, "A lane to be built anew", .check = same_product);

static SUSPENDS bool bootstrap_route(struct call *c, struct err *err)
{
	const struct bootstrap_body *body = c->body;
	const struct bootstrap_request *r = &body->bootstrap;
	struct odoo_lane lane;
	return odoo_lane_of(c, body->product, r->context, r->instance, true, &lane, err) &&
	       odoo_submit(c, &odoo_bootstrap_kind, lane.product, r->context, r->instance,
	                   contract_text(c->arena, &bootstrap_request_contract, r),
	                   "odoo_stable_bootstrap_operation_id", err);
}

static SUSPENDS bool bootstrap_operation_route(struct call *c, struct err *err)
{
	return odoo_operation(c, &odoo_bootstrap_kind, err);
}

/* ---- post-deploy ---- */

struct post_deploy_body {
	int64_t schema_version;
	const char *product;
	struct post_deploy_request post_deploy;
};

static const struct field post_deploy_body_fields[] = {
	F_SCHEMA_VERSION(post_deploy_body),
	F_STR(post_deploy_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "The product, or odoo for whichever owns the lane"),
	F_OBJECT(post_deploy_body, post_deploy, REQUIRED, &post_deploy_request_contract),
	F_END,
};
static const struct contract post_deploy_body_contract =
        CONTRACT(post_deploy_body, post_deploy_body_fields, "A lane to be brought up to its records");

static SUSPENDS bool post_deploy_route(struct call *c, struct err *err)
{
	const struct post_deploy_body *body = c->body;
	const struct post_deploy_request *r = &body->post_deploy;
	struct odoo_lane lane;
	if (!odoo_lane_of(c, body->product, r->context, r->instance, false, &lane, err))
		return false;
	struct op_submission s = call_submission(c);
	s.kind = &odoo_post_deploy_kind;
	s.product = lane.product;
	s.context = r->context;
	s.instance = r->instance;
	s.request = contract_text(c->arena, &post_deploy_request_contract, r);
	s.holds_lane = true;
	return call_operate(c, &s, err);
}

const struct route odoo_lane_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/stable-bootstrap", "Submit the bootstrap of an intentionally empty lane",
	  bootstrap_route, .callers = CALLERS_WRITE, .action = "odoo_stable_bootstrap.execute",
	  .product = "body:product", .context = "handler", .body = &bootstrap_body_contract,
	  .idempotency = IDEMPOTENCY_OWN_REQUIRED },
	{ HTTP_GET, "/v1/drivers/odoo/stable-bootstrap/operations/{operation_id}", "Poll a bootstrap",
	  bootstrap_operation_route, .callers = CALLERS_READ, .action = "odoo_stable_bootstrap.execute",
	  .product = "handler", .context = "handler" },
	{ HTTP_POST, "/v1/drivers/odoo/post-deploy",
	  "Apply a lane's typed settings and run its data workflow in maintenance mode", post_deploy_route,
	  .callers = CALLERS_WRITE, .action = "odoo_post_deploy.execute", .product = "body:product",
	  .context = "handler", .body = &post_deploy_body_contract, .idempotency = IDEMPOTENCY_OWN },
	{ 0 },
};
