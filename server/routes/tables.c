#include "server/routes/tables.h"

const struct route *const all_routes[] = {
	service_routes,     evidence_routes,  preview_routes, artifact_routes,    derive_routes,
	profile_routes,     config_routes,    target_routes,  live_target_routes, provider_target_routes,
	odoo_routes,        odoo_lane_routes, odoo_prod_routes, odoo_override_routes, operation_routes, grant_routes,     openapi_routes,
	NULL,
};
