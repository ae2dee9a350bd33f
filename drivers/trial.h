/* drivers/trial.h - an operation that does nothing, in three durable phases: what the engine itself costs.
 *
 * Only in builds with -Dtrial_kind=true, for the measurements of test/bench; no build that serves anybody has it. */
#pragma once

#include "storage/operation.h"

struct trial_request { /* POST /v1/trials */
	int64_t schema_version;
	const char *product, *context, *instance;
};
extern const struct contract trial_request_contract;
extern const struct op_kind trial_kind;
