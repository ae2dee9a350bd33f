/* Drivers, what they show of a context, its recent operations and the status of its secrets (facts/core.md 7.1 to 7.4).
 */
#include "drivers/descriptor.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/operation.h"
#include "storage/view.sql.h"

static bool driver_list(struct call *c, struct err *err)
{
	(void)err;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "drivers");
	jo_open(&o, '[');
	for (const struct driver_descriptor *const *d = all_drivers; *d; d++)
		driver_write(&o, *d);
	jo_close(&o, ']');
	return call_close_ok(c, &o);
}

static bool driver_show(struct call *c, struct err *err)
{
	const struct driver_descriptor *d = driver_find(call_param(c, "driver_id"));
	if (!d)
		return err_set(err, &E_not_found, "there is no driver %s", call_param(c, "driver_id"));
	struct buf b = buf_in(c->arena);
	struct json_out o = { .buf = &b };
	driver_write(&o, d);
	return call_answer_member(c, "driver", buf_cstr(&b));
}

static SUSPENDS bool answer_view(struct call *c, const char *instance, struct err *err)
{
	struct rows rows;
	return db_query(c->t, &Q_driver_view,
	                PARAMS(P_TEXT(call_param(c, "context")), P_TEXT(instance), P_TEXT(utc_now(c->t)),
	                       P_TEXT(driver_catalog())),
	                &rows, err) &&
	       call_answer_member(c, "view", row_text(&rows, 0, 0));
}

static SUSPENDS bool context_view(struct call *c, struct err *err)
{
	return answer_view(c, "", err);
}

static SUSPENDS bool instance_view(struct call *c, struct err *err)
{
	return answer_view(c, call_param(c, "instance"), err);
}

static SUSPENDS bool operations_recent(struct call *c, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_operations_recent, PARAMS(P_TEXT(call_param(c, "context"))), &rows, err))
		return false;
	struct buf b;
	struct json_out o;
	const char *document = row_text(&rows, 0, 0);
	call_open_ok(c, &o, &b);
	jo_kv(&o, "context", call_param(c, "context"));
	jo_kv(&o, "storage_backend", "postgres");
	buf_char(&b, ',');
	buf_add(&b, document + 1, strlen(document) - 2);
	return call_close_ok(c, &o);
}

static SUSPENDS bool list_secrets(struct call *c, const char *instance, struct err *err)
{
	struct rows rows;
	if (!call_query_planned(c, &Q_secret_status_list,
	                        PARAMS(P_TEXT(call_param(c, "context")), P_TEXT(instance), P_NULL), &rows, err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_kv(&o, "context", call_param(c, "context"));
	jo_kv(&o, "instance", instance);
	jo_key(&o, "secrets");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n; i++)
		jo_raw(&o, row_text(&rows, i, 1), strlen(row_text(&rows, i, 1)));
	jo_close(&o, ']');
	return call_close_ok(c, &o);
}

static SUSPENDS bool context_secrets(struct call *c, struct err *err)
{
	return list_secrets(c, "", err);
}

static SUSPENDS bool instance_secrets(struct call *c, struct err *err)
{
	return list_secrets(c, call_param(c, "instance"), err);
}

static SUSPENDS bool secret_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *id = call_param(c, "secret_id");
	if (!call_query_planned(c, &Q_secret_status_list, PARAMS(P_TEXT(""), P_TEXT(""), P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no secret %s", id);
	return call_authorize(c, c->route->action, "launchplane", row_text(&rows, 0, 0), err) &&
	       call_answer_member(c, "secret", row_text(&rows, 0, 1));
}

#define READ(action_, context_)                                                                                        \
	.callers = CALLERS_READ, .action = (action_), .product = "=launchplane", .context = (context_)

const struct route view_routes[] = {
	{ HTTP_GET, "/v1/drivers", "The drivers and what they can do", driver_list,
	  READ("driver.read", "=launchplane") },
	{ HTTP_GET, "/v1/drivers/{driver_id}", "One driver", driver_show, READ("driver.read", "=launchplane") },
	{ HTTP_GET, "/v1/contexts/{context}/driver-view", "What drivers show of a context", context_view,
	  READ("driver.read", "path:context") },
	{ HTTP_GET, "/v1/contexts/{context}/instances/{instance}/driver-view",
	  "What drivers show of a lane, with the summary of its records", instance_view,
	  READ("driver.read", "path:context") },
	{ HTTP_GET, "/v1/contexts/{context}/operations/recent", "What runs in a context and what changed last",
	  operations_recent, READ("operations.read", "path:context") },
	{ HTTP_GET, "/v1/contexts/{context}/secrets", "The secrets of a context, without their values", context_secrets,
	  READ("secret.list", "path:context") },
	{ HTTP_GET, "/v1/contexts/{context}/instances/{instance}/secrets",
	  "The secrets that apply to a lane, without their values", instance_secrets,
	  READ("secret.list", "path:context") },
	{ HTTP_GET, "/v1/secrets/{secret_id}", "One secret, without its value", secret_show,
	  READ("secret.read", "handler") },
	{ 0 },
};
