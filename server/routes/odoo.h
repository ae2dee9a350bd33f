/* server/routes/odoo.h - what the Odoo driver's route files share (facts/odoo.md 1.2). */
#pragma once

#include "drivers/odoo/replacement.h"
#include "server/routes/route.h"

/* Step 2: the product has a profile of the Odoo driver, else E_product_driver_mismatch. */
SUSPENDS bool odoo_profile(struct call *c, const char *product, struct product_profile *out, struct err *err);

/* Whom a request on a lane is about. */
struct odoo_lane {
	const char *product; /* whose profile has the lane; the literal "odoo" when nobody's has */
	bool has_profile;
	struct product_profile profile;
	const struct lane *lane;
};
/* Steps 2 to 4: the product owns the lane, and the caller may do the route's action there. The literal product "odoo"
 * stands for whatever product owns the lane, so that an operation reserves the lane under its one name. */
SUSPENDS bool odoo_lane_of(struct call *c, const char *product, const char *context, const char *instance,
                           bool needs_profile, struct odoo_lane *out, struct err *err);

/* Submits, and answers with the operation at once (facts/odoo.md 6.2). id_record names it in the answer's records. */
SUSPENDS bool odoo_submit(struct call *c, const struct op_kind *kind, const char *product, const char *context,
                          const char *instance, const char *request, const char *id_record, struct err *err);
/* Polls an operation of this kind (6.3). */
SUSPENDS bool odoo_operation(struct call *c, const struct op_kind *kind, struct err *err);
