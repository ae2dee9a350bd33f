/* The product read model: overviews, lanes, their configuration and what happened (facts/core.md 7.2). */
#include "drivers/descriptor.h"
#include "server/auth/policy_grants.h"
#include "server/auth/policy_store.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/operation.h"
#include "storage/product.sql.h"

/* What the caller may do of all that drivers offer; the documents say of each action whether it is theirs. */
static struct param grants(struct call *c)
{
	return P_TEXT(
	        policy_grants(c->arena, policy_store_current(c->app->policy), c->principal, driver_authz_actions()));
}

static bool no_such_product(struct call *c, struct err *err)
{
	return err_set(err, &E_not_found, "there is no product %s", call_param(c, "product"));
}

static SUSPENDS bool product_list(struct call *c, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_product_overview,
	              PARAMS(P_NULL, P_TEXT(utc_now(c->t)), P_TEXT(driver_catalog()), grants(c), P_BOOL(true)), &rows,
	              err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "products");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n; i++)
		jo_raw(&o, row_text(&rows, i, 1), strlen(row_text(&rows, i, 1)));
	jo_close(&o, ']');
	return call_close_ok(c, &o);
}

static SUSPENDS bool read_overview(struct call *c, bool whole, struct rows *rows, struct err *err)
{
	if (!db_query(c->t, &Q_product_overview,
	              PARAMS(P_TEXT(call_param(c, "product")), P_TEXT(utc_now(c->t)), P_TEXT(driver_catalog()),
	                     grants(c), P_BOOL(whole)),
	              rows, err))
		return false;
	return rows->n || no_such_product(c, err);
}

static SUSPENDS bool product_show(struct call *c, struct err *err)
{
	struct rows rows;
	return read_overview(c, true, &rows, err) && call_answer_member(c, "product", row_text(&rows, 0, 1));
}

static SUSPENDS bool environment_list(struct call *c, struct err *err)
{
	struct rows rows;
	return read_overview(c, false, &rows, err) && call_answer_members(c, row_text(&rows, 0, 1));
}

static SUSPENDS bool product_activity(struct call *c, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_product_activity, PARAMS(P_TEXT(call_param(c, "product"))), &rows, err))
		return false;
	if (rows.n == 0)
		return no_such_product(c, err);
	return call_answer_member(c, "activity", row_text(&rows, 0, 0));
}

/* A lane is authorized on its context, which is known once it is read: 404 before 403. */
static SUSPENDS bool answer_lane(struct call *c, const char *member, const struct rows *rows, struct err *err)
{
	if (rows->n == 0)
		return err_set(err, &E_not_found, "there is no environment %s of a product %s",
		               call_param(c, "environment"), call_param(c, "product"));
	return call_authorize(c, c->route->action, call_param(c, "product"), row_text(rows, 0, 0), err) &&
	       call_answer_member(c, member, row_text(rows, 0, 1));
}

static SUSPENDS bool environment_show(struct call *c, struct err *err)
{
	struct rows rows;
	return db_query(c->t, &Q_product_environment,
	                PARAMS(P_TEXT(call_param(c, "product")), P_TEXT(call_param(c, "environment")),
	                       P_TEXT(utc_now(c->t)), P_TEXT(driver_catalog()), grants(c)),
	                &rows, err) &&
	       answer_lane(c, "environment", &rows, err);
}

static SUSPENDS bool config_status(struct call *c, struct err *err)
{
	struct rows rows;
	return db_query(c->t, &Q_product_config_status,
	                PARAMS(P_TEXT(call_param(c, "product")), P_TEXT(call_param(c, "environment")),
	                       P_TEXT(utc_now(c->t)), P_TEXT(driver_catalog())),
	                &rows, err) &&
	       answer_lane(c, "config_status", &rows, err);
}

static SUSPENDS bool lane_read(struct call *c, const struct query *q, const char *member, struct err *err)
{
	struct rows rows;
	return db_query(c->t, q,
	                PARAMS(P_TEXT(call_param(c, "product")), P_TEXT(call_param(c, "environment")),
	                       P_TEXT(utc_now(c->t))),
	                &rows, err) &&
	       answer_lane(c, member, &rows, err);
}

static SUSPENDS bool rollback_target(struct call *c, struct err *err)
{
	return lane_read(c, &Q_lane_rollback_target, "rollback", err);
}

static SUSPENDS bool lane_origin(struct call *c, struct err *err)
{
	return lane_read(c, &Q_lane_origin, "origin", err);
}

static SUSPENDS bool lane_diff(struct call *c, struct err *err)
{
	const char *product = call_param(c, "product"), *from, *to;
	if (!request_query(c->rq, "from", &from, err) || !request_query(c->rq, "to", &to, err))
		return false;
	if (is_blank(from) || is_blank(to))
		return err_set(err, &E_invalid_query, "the query parameters from and to are required");
	struct rows rows;
	if (!db_query(c->t, &Q_lane_diff, PARAMS(P_TEXT(product), P_TEXT(from), P_TEXT(to), P_TEXT(utc_now(c->t))),
	              &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there are no environments %s and %s of a product %s", from, to,
		               product);
	return call_authorize(c, c->route->action, product, row_text(&rows, 0, 0), err) &&
	       call_authorize(c, c->route->action, product, row_text(&rows, 0, 1), err) &&
	       call_answer_member(c, "diff", row_text(&rows, 0, 2));
}

#define PRODUCT_READ .callers = CALLERS_READ, .action = "product_environment.read"
#define OF_PRODUCT   PRODUCT_READ, .product = "path:product", .context = "=launchplane"
#define OF_LANE      PRODUCT_READ, .product = "handler", .context = "handler"

const struct route product_routes[] = {
	{ HTTP_GET, "/v1/products", "All products with their environments", product_list, PRODUCT_READ,
	  .product = "=launchplane", .context = "=launchplane" },
	{ HTTP_GET, "/v1/products/{product}", "One product with its environments", product_show, OF_PRODUCT },
	{ HTTP_GET, "/v1/products/{product}/activity", "The newest 50 events of a product", product_activity,
	  OF_PRODUCT },
	{ HTTP_GET, "/v1/products/{product}/environments", "The environments of a product", environment_list,
	  OF_PRODUCT },
	{ HTTP_GET, "/v1/products/{product}/environments/{environment}", "One environment of a product",
	  environment_show, OF_LANE },
	{ HTTP_GET, "/v1/products/{product}/environments/{environment}/config-status",
	  "Which expected keys and secrets an environment has", config_status, OF_LANE },
	{ HTTP_GET, "/v1/products/{product}/environments/{environment}/origin",
	  "Where what runs in an environment comes from", lane_origin, OF_LANE },
	{ HTTP_GET, "/v1/products/{product}/environments/{environment}/rollback-target",
	  "What a rollback of an environment would deploy", rollback_target, OF_LANE },
	{ HTTP_GET, "/v1/products/{product}/diff", "What differs between two environments of a product", lane_diff,
	  OF_LANE },
	{ 0 },
};
