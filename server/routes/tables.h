/* server/routes/tables.h - the route tables, one file of handlers each. */
#pragma once

#include "server/routes/route.h"

extern const struct route service_routes[];
extern const struct route evidence_routes[];
extern const struct route artifact_routes[];
extern const struct route derive_routes[];
extern const struct route release_routes[];
extern const struct route preview_routes[];
extern const struct route preview_record_routes[];
extern const struct route list_routes[];
extern const struct route product_routes[];
extern const struct route view_routes[];
extern const struct route profile_routes[];
extern const struct route config_routes[];
extern const struct route target_routes[];
extern const struct route live_runtime_routes[];
extern const struct route secret_routes[];
extern const struct route live_target_routes[];
extern const struct route provider_target_routes[];
extern const struct route context_move_routes[];
extern const struct route odoo_routes[];
extern const struct route odoo_artifact_routes[];
extern const struct route odoo_preview_routes[];
extern const struct route odoo_lane_routes[];
extern const struct route odoo_prod_routes[];
extern const struct route odoo_override_routes[];
extern const struct route odoo_worker_routes[];
extern const struct route operation_routes[];
extern const struct route grant_routes[];
extern const struct route auth_routes[];
extern const struct route agent_routes[];
extern const struct route audit_routes[];
extern const struct route onboarding_routes[];
extern const struct route openapi_routes[];
extern const struct route trial_routes[]; /* in builds with -Dtrial_kind=true */

/* The whole OpenAPI document. */
void openapi_write(struct buf *b);
