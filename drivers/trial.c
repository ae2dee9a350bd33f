#include "drivers/trial.h"

#include <time.h>

struct trial_state {
	int64_t began_us; /* the first phase's start, by the machine's clock */
	int64_t steps;
};

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(trial_request),
	F_STR(trial_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(trial_request, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(trial_request, instance, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_END,
};
const struct contract trial_request_contract =
        CONTRACT(trial_request, request_fields, "An operation that does nothing");

static const struct field state_fields[] = {
	F_INT(trial_state, began_us, 0),
	F_INT(trial_state, steps, 0),
	F_END,
};
static const struct contract state_contract = CONTRACT(trial_state, state_fields, "How far the trial has come");

static enum phase_outcome first(struct task *t, struct operation *op, struct err *err)
{
	(void)t;
	(void)err;
	struct trial_state *s = op->state;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	s->began_us = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
	s->steps = 1;
	return PHASE_DONE;
}

static enum phase_outcome further(struct task *t, struct operation *op, struct err *err)
{
	(void)t;
	(void)err;
	struct trial_state *s = op->state;
	s->steps++;
	return PHASE_DONE;
}

/* clang-format off */
static const struct phase phases[] = {
	/* name      shown as        function tries backoff_ms */
	{ "first",   "apply",        first,   3, 1000, .cancel = CANCEL_ANY, .help = "note when it began" },
	{ "second",  "apply",        further, 3, 1000, .cancel = CANCEL_ANY, .help = "count" },
	{ "third",   "verification", further, 3, 1000, .cancel = CANCEL_ANY, .help = "count" },
	{ 0 },
};
/* clang-format on */

const struct op_kind trial_kind = {
	.name = "trial",
	.id_prefix = "trial",
	.help = "Does nothing, in three durable phases",
	.request = &trial_request_contract,
	.state = &state_contract,
	.phases = phases,
};
