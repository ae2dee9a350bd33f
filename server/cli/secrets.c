/* launchplane secrets ...: managed secrets. */
#include "server/cli/client.h"

static const struct setting rekey_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ "--key-id", NULL, NULL, "ID", "Refuse unless the current master key has this id", 0 },
	{ 0 },
};
static const struct argument rekey_arguments[] = {
	{ "--reason", "reason", .is_required = true },
	{ "--key-id", "key_id" },
	{ 0 },
};
static const struct setting *const rekey_options[] = { rekey_settings, idempotency_settings, client_settings, NULL };
static const struct api_call rekey = { "POST", "/v1/secrets/rekey", rekey_arguments, 0 };

const struct command secret_commands[] = {
	{ "secrets", "rekey", "Seal all managed secrets under the current master key, while the service runs", NULL, 0,
	  rekey_options, api_run, &rekey },
	{ 0 },
};
