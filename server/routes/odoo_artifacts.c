/* What building an Odoo artifact needs (facts/odoo.md 14.2). */
#include "drivers/odoo/artifact_publish.h"
#include "drivers/odoo/replacement_facts.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

struct artifact_inputs_body {
	int64_t schema_version;
	const char *product;
	struct artifact_inputs inputs;
};
static const struct field body_fields[] = {
	F_SCHEMA_VERSION(artifact_inputs_body),
	F_STR(artifact_inputs_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "The product, or odoo"),
	F_OBJECT(artifact_inputs_body, inputs, REQUIRED, &artifact_inputs_contract),
	F_END,
};
static const struct contract body_contract = CONTRACT(artifact_inputs_body, body_fields, "An artifact to be built");

static SUSPENDS bool artifact_inputs_route(struct call *c, struct err *err)
{
	const struct artifact_inputs_body *body = c->body;
	const struct artifact_inputs *in = &body->inputs;
	bool needs_profile = in->pr_number.is_set || in->preview_slug[0] || in->source_git_ref[0];
	bool has_profile = strcmp(body->product, "odoo") != 0, found = false;
	struct product_profile profile;
	struct json result, records = json_object();
	if (!has_profile && needs_profile)
		return err_field(err, "product",
		                 "must be a product with a profile when pr_number, preview_slug or "
		                 "source_git_ref is given");
	if (has_profile && !read_profile(c->t, body->product, &profile, &found, err))
		return false;
	if (has_profile && (!found || strcmp(profile.driver_id, "odoo") != 0 ||
	                    !product_profile_lane_in(&profile, in->context, in->instance)))
		return err_set(err, &E_product_driver_mismatch,
		               "product %s has no profile with driver odoo and lane %s in context %s", body->product,
		               in->instance, in->context);
	if (!artifact_inputs_make(c->t, in, has_profile ? &profile : NULL, &result, err))
		return false;
	for (uint32_t i = 0; i < result.n; i++) { /* the whole result; records are texts */
		const struct json *value = &result.members[i].value;
		json_set_str(c->arena, &records, result.members[i].key,
		             value->type == JSON_STRING ? json_str(&result, result.members[i].key, "")
		                                        : json_text(c->arena, value));
	}
	const char *text = json_text(c->arena, &result);
	if (c->idempotency_key) {
		struct tx *tx;
		if (!tx_begin(c->t, &tx, err))
			return false;
		call_store_answer(c, tx, &records, text);
		if (!tx_commit(tx, err))
			return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	}
	return call_accept(c, &records, text);
}

const struct route odoo_artifact_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/artifact-publish-inputs",
	  "What building an artifact needs: image repository, tag, build settings", artifact_inputs_route,
	  .callers = CALLERS_WRITE, .action = "odoo_artifact_publish_inputs.read", .product = "body:product",
	  .context = "body:inputs.context", .body = &body_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
