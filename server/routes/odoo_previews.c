/* Previews of Odoo pull requests: the plan, carrying it out, and what there is (facts/odoo.md 15). */
#include "core/digest.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement_facts.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/odoo_preview.sql.h"

struct preview_inputs_body {
	int64_t schema_version;
	const char *product;
	struct preview_inputs inputs;
};
static bool same_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct preview_inputs_body *b = record;
	return strcmp(b->product, b->inputs.product) == 0 ||
	       contract_fail(a, err, path, "inputs.product", "must equal product");
}
static const struct field inputs_body_fields[] = {
	F_SCHEMA_VERSION(preview_inputs_body),
	F_STR(preview_inputs_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(preview_inputs_body, inputs, REQUIRED, &preview_inputs_contract),
	F_END,
};
static const struct contract inputs_body_contract =
        CONTRACT(preview_inputs_body, inputs_body_fields, "A preview to be planned", .check = same_product);

struct preview_apply_body {
	int64_t schema_version;
	const char *product;
	struct preview_apply apply;
};
static bool plan_of_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct preview_apply_body *b = record;
	return strcmp(b->product, b->apply.dry_run_plan.product) == 0 ||
	       contract_fail(a, err, path, "apply.dry_run_plan.product", "must equal product");
}
static const struct field apply_body_fields[] = {
	F_SCHEMA_VERSION(preview_apply_body),
	F_STR(preview_apply_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(preview_apply_body, apply, REQUIRED, &preview_apply_contract),
	F_END,
};
static const struct contract apply_body_contract =
        CONTRACT(preview_apply_body, apply_body_fields, "A plan to be carried out", .check = plan_of_product);

/* The product with its previews, and the caller's right to their context. */
static SUSPENDS bool allowed_previews(struct call *c, const char *product, struct product_profile *profile,
                                      struct err *err)
{
	bool found;
	if (!read_profile(c->t, product, profile, &found, err))
		return false;
	if (!found || strcmp(profile->driver_id, "odoo") != 0)
		return err_set(err, &E_product_driver_mismatch, "product %s has no profile with driver odoo", product);
	if (!profile->preview.enabled || is_blank(profile->preview.context))
		return err_set(err, &E_product_driver_mismatch,
		               "product %s has no previews: its profile does not enable them", product);
	return call_authorize(c, c->route->action, product, profile->preview.context, err);
}

static SUSPENDS bool preview_inputs_route(struct call *c, struct err *err)
{
	const struct preview_inputs_body *body = c->body;
	struct product_profile profile;
	struct preview_reading r;
	struct preview_intent in;
	struct json runtime, result = json_object();
	if (!allowed_previews(c, body->product, &profile, err) || !preview_read(c->t, &body->inputs, false, &r, err) ||
	    !preview_make(c->arena, &body->inputs, &r, &in, err) ||
	    !json_parse(c->arena, in.runtime_plan, strlen(in.runtime_plan), "the runtime plan", &runtime, err))
		return false;
	json_set_str(c->arena, &result, "status", in.is_ready ? "ready" : "blocked");
	json_set_str(c->arena, &result, "product", body->product);
	json_set_str(c->arena, &result, "context", profile.preview.context);
	json_set_str(c->arena, &result, "template_instance", profile.preview.template_instance);
	json_set_str(c->arena, &result, "operation", preview_operation_names[body->inputs.operation]);
	json_set_str(c->arena, &result, "preview_slug", in.slug);
	json_set_str(c->arena, &result, "preview_url", in.url);
	json_set_str(c->arena, &result, "repository", profile.repository);
	json_set(c->arena, &result, "runtime_plan", runtime);
	json_set(c->arena, &result, "dry_run_plan", contract_json(c->arena, &preview_plan_contract, &in.plan, false));
	json_set_str(c->arena, &result, "source", body->inputs.source);
	json_set_str(c->arena, &result, "error_message", in.blocked_text);
	return call_accept(c, NULL, json_text(c->arena, &result));
}

/* The lane an operation works on: a preview's own, or of a staged one the template's, which nobody else may change
 * meanwhile. */
static bool choose_lane(const struct product_profile *p, const struct preview_plan *plan, struct op_submission *s,
                        struct err *err)
{
	size_t lanes;
	s->context = p->preview.context;
	s->instance = plan->preview_slug;
	if (!preview_is_staged(p))
		return true;
	const struct lane *lane = product_profile_lane(p, p->preview.template_instance, &lanes);
	if (!lane)
		return err_set(err, &E_operation_blocked,
		               "the profile has no lane %s, which its previews are staged on",
		               p->preview.template_instance);
	s->context = lane->context;
	s->instance = lane->instance;
	return true;
}

static SUSPENDS bool preview_apply_route(struct call *c, struct err *err)
{
	const struct preview_apply_body *body = c->body;
	const struct preview_apply *r = &body->apply;
	const struct preview_plan *plan = &r->dry_run_plan;
	bool refreshes = plan->operation == PREVIEW_REFRESH, found;
	struct product_profile profile;
	if (!allowed_previews(c, body->product, &profile, err))
		return false;
	if (strcmp(plan->repository, profile.repository) != 0)
		return err_field(err, "apply.dry_run_plan.repository", "must be the profile's repository %s",
		                 profile.repository);
	if (preview_number_of(profile.preview.slug_template, plan->preview_slug) == 0)
		return err_field(err, "apply.dry_run_plan.preview_slug", "is no slug of the profile's template %s",
		                 profile.preview.slug_template);
	if (refreshes && !r->image_reference[0] && !r->manifest)
		return err_field(err, "apply.image_reference", "or manifest is required for a refresh");
	/* A key means one request, whichever of the two kinds it became. */
	if (!call_operated(c, refreshes ? &odoo_preview_destroy_kind : &odoo_preview_refresh_kind, &found, err) ||
	    found)
		return found;
	struct op_submission s = call_submission(c);
	s.kind = refreshes ? &odoo_preview_refresh_kind : &odoo_preview_destroy_kind;
	s.product = body->product;
	s.request = contract_text(c->arena, &preview_apply_contract, r);
	s.holds_lane = refreshes; /* a destroy is accepted while a refresh is at work, and fences it */
	return choose_lane(&profile, plan, &s, err) && call_operate(c, &s, err);
}

/* ---- inventory ---- */

struct inventory_inputs {
	int64_t schema_version;
	const char *product, *source;
};
struct inventory_body {
	int64_t schema_version;
	const char *product;
	struct inventory_inputs inventory;
};
static bool inventory_of_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct inventory_body *b = record;
	return strcmp(b->product, b->inventory.product) == 0 ||
	       contract_fail(a, err, path, "inventory.product", "must equal product");
}
static const struct field inventory_fields[] = {
	F_SCHEMA_VERSION(inventory_inputs),
	F_STR(inventory_inputs, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(inventory_inputs, source, TRIMMED | NON_BLANK, .max = 200, .fallback = "odoo-preview-inventory",
	      .help = "Who looked, for the scan's record"),
	F_END,
};
static const struct contract inventory_inputs_contract =
        CONTRACT(inventory_inputs, inventory_fields, "Whose previews to look for");
static const struct field inventory_body_fields[] = {
	F_SCHEMA_VERSION(inventory_body),
	F_STR(inventory_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(inventory_body, inventory, REQUIRED, &inventory_inputs_contract),
	F_END,
};
static const struct contract inventory_body_contract =
        CONTRACT(inventory_body, inventory_body_fields, "Whose previews to look for", .check = inventory_of_product);

static SUSPENDS bool preview_inventory_route(struct call *c, struct err *err)
{
	const struct inventory_body *body = c->body;
	struct arena *a = c->arena;
	struct product_profile profile;
	struct preview_inventory found;
	struct preview_inventory_scan scan;
	struct rows rows;
	struct json records = json_object(), result = json_object();
	if (!allowed_previews(c, body->product, &profile, err) || !preview_inventory_read(c->t, &profile, &found, err))
		return false;
	preview_inventory_scan_of(a, &found, profile.preview.context, body->inventory.source, utc_now(c->t),
	                          random_hex(a, 3), &scan);
	json_set_str(a, &records, "preview_inventory_scan_id", scan.scan_id);
	call_audit_records(c, &records);
	if (!db_write(c->t, "preview-inventory", &Q_odoo_preview_scan_write,
	              PARAMS(P_TEXT(scan.scan_id), P_TEXT(scan.context), P_TEXT(scan.scanned_at), P_TEXT(scan.source),
	                     P_TEXT(scan.status), P_INT(scan.preview_count),
	                     P_TEXT(contract_text(a, &preview_inventory_scan_contract, &scan))),
	              &rows, err))
		return false;
	json_set_str(a, &result, "product", body->product);
	json_set_str(a, &result, "context", scan.context);
	json_set_str(a, &result, "source", scan.source);
	json_set_str(a, &result, "app_name_prefix", preview_compose_name(a, body->product, ""));
	json_set(a, &result, "previews", preview_inventory_json(a, &found));
	return call_accept(c, &records, json_text(a, &result));
}

const struct route odoo_preview_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/preview-apply-inputs",
	  "What a preview of a pull request needs, and what would be done for it", preview_inputs_route,
	  .callers = CALLERS_WRITE, .action = "odoo_preview_apply_inputs.read", .product = "body:product",
	  .context = "handler", .body = &inputs_body_contract },
	{ HTTP_POST, "/v1/drivers/odoo/preview-apply", "Make, renew or take down a preview as planned",
	  preview_apply_route, .callers = CALLERS_WRITE, .action = "odoo_preview_apply.execute",
	  .product = "body:product", .context = "handler", .body = &apply_body_contract,
	  .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_POST, "/v1/drivers/odoo/preview-inventory",
	  "Look at the provider which previews a product has, and record it", preview_inventory_route,
	  .callers = CALLERS_WRITE, .action = "odoo_preview_inventory.read", .product = "body:product",
	  .context = "handler", .body = &inventory_body_contract },
	{ 0 },
};
