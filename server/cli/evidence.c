/* launchplane deployments ..., launchplane inventory ...: what was deployed, and what runs now. */
#include "server/cli/client.h"

static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const write_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct api_call deployment_show = { "GET", "/v1/deployments/{record_id}", .member = "record" };
static const struct api_call deployment_write = { "POST", "/v1/evidence/deployments", 0 };
static const struct api_call inventory_show = { "GET", "/v1/inventory/{context}/{instance}", .member = "record" };

const struct command evidence_commands[] = {
	{ "deployments", "show", "One deployment", "RECORD_ID", 1, show_options, api_run, &deployment_show },
	{ "deployments", "write", "Hand in a deployment made elsewhere; refreshes the lane's inventory", NULL, 0,
	  write_options, api_run, &deployment_write },
	{ "inventory", "show", "What runs in a lane now", "CONTEXT INSTANCE", 2, show_options, api_run,
	  &inventory_show },
	{ 0 },
};
