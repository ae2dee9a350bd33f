/* Product profiles (facts/config-health.md 1.7). */
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/product_profile.h"

static SUSPENDS bool profile_write(struct call *c, struct err *err)
{
	const struct product_profile *p = c->body;
	if (!product_profile_check_write(c->arena, p, err))
		return false;
	struct json records = json_object();
	json_set_str(c->arena, &records, "product_profile", p->product);
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	tx_send(tx, &Q_product_profile_upsert,
	        PARAMS(P_TEXT(p->product), P_TEXT(p->display_name), P_TEXT(p->repository), P_TEXT(p->driver_id),
	               P_TEXT(p->updated_at), P_TEXT(contract_text(c->arena, &product_profile_contract, p))));
	call_store_answer(c, tx, &records, NULL);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, NULL);
}

/* A stored payload may be an earlier release's; what is answered has today's shape. */
static bool as_of_today(struct call *c, const char *stored, const char **out, struct err *err)
{
	struct json j;
	struct product_profile p;
	if (!json_parse(c->arena, stored, strlen(stored), "the stored product profile", &j, err))
		return false;
	product_profile_migrate(c->arena, &j);
	if (!contract_read(c->arena, &product_profile_contract, &j, "", &p, err))
		return err_set(err, &E_internal_error, "a stored product profile cannot be read");
	*out = contract_text(c->arena, &product_profile_contract, &p);
	return true;
}

static SUSPENDS bool profile_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *product = call_param(c, "product");
	if (!db_query(c->t, &Q_product_profile_read, PARAMS(P_TEXT(product)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no product profile %s", product);
	const char *profile;
	return call_authorize(c, c->route->action, product, "launchplane", err) &&
	       as_of_today(c, row_text(&rows, 0, 0), &profile, err) && call_answer_member(c, "profile", profile);
}

static SUSPENDS bool profile_list(struct call *c, struct err *err)
{
	struct rows rows;
	const char *driver_id;
	if (!request_query(c->rq, "driver_id", &driver_id, err))
		return false;
	if (is_blank(driver_id))
		driver_id = NULL;
	if (!db_query(c->t, &Q_product_profile_list, PARAMS(P_TEXT(driver_id)), &rows, err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_kv(&o, "driver_id", driver_id ? driver_id : "");
	jo_key(&o, "profiles");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n; i++) {
		const char *profile;
		if (!as_of_today(c, row_text(&rows, i, 0), &profile, err))
			return false;
		jo_raw(&o, profile, strlen(profile));
	}
	jo_close(&o, ']');
	return call_close_ok(c, &o);
}

const struct route profile_routes[] = {
	{ HTTP_POST, "/v1/product-profiles", "Write a product profile", profile_write, .callers = CALLERS_WRITE,
	  .action = "product_profile.write", .product = "body:product", .context = "=launchplane",
	  .body = &product_profile_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_GET, "/v1/product-profiles", "All product profiles", profile_list, .callers = CALLERS_READ,
	  .action = "product_profile.read", .product = "=launchplane", .context = "=launchplane" },
	{ HTTP_GET, "/v1/product-profiles/{product}", "One product profile", profile_show, .callers = CALLERS_READ,
	  .action = "product_profile.read", .product = "handler", .context = "handler",
	  .record = &product_profile_contract, .record_key = "profile" },
	{ 0 },
};
