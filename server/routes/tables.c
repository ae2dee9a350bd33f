#include "server/routes/tables.h"

const struct route *const all_routes[] = {
	service_routes,      evidence_routes,        profile_routes,       config_routes,  target_routes,
	odoo_routes,         operation_routes,       grant_routes,         audit_routes,   openapi_routes,
	live_target_routes,  provider_target_routes, context_move_routes,  preview_routes, artifact_routes,
	derive_routes,       release_routes,         list_routes,          product_routes, view_routes,
	live_runtime_routes, secret_routes,          onboarding_routes,    auth_routes,    agent_routes,
	odoo_lane_routes,    odoo_prod_routes,       odoo_override_routes, NULL,
};
