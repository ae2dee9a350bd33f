#include "server/routes/tables.h"

const struct route *const all_routes[] = {
	service_routes,      evidence_routes, profile_routes,     config_routes,          target_routes,
	live_runtime_routes, secret_routes,   odoo_routes,        operation_routes,       grant_routes,
	onboarding_routes,   openapi_routes,  live_target_routes, provider_target_routes, NULL,
};
