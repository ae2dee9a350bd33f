/* Managed secrets as a whole. */
#include "core/seal.h"
#include "drivers/secrets/rekey.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

static SUSPENDS bool secrets_rekey(struct call *c, struct err *err)
{
	struct rekey_request r = *(const struct rekey_request *)c->body;
	const struct keyring *ring = c->t->loop->keyring;
	if (!ring)
		return err_set(err, &E_secret_configuration_required,
		               "secrets cannot be sealed: the service has no " MASTER_KEY_SETTING);
	if (r.key_id[0] && strcmp(r.key_id, ring->current.id) != 0)
		return err_field(err, "key_id", "is not the current master key's, which is %s", ring->current.id);
	r.key_id = ring->current.id;
	struct op_submission s = call_submission(c);
	s.kind = &rekey_kind;
	s.product = "launchplane";
	s.context = "launchplane";
	s.instance = "secrets";
	s.request = contract_text(c->arena, &rekey_request_contract, &r);
	s.holds_lane = true; /* one at a time */
	return call_operate(c, &s, err);
}

const struct route secret_routes[] = {
	{ HTTP_POST, "/v1/secrets/rekey", "Seal all managed secrets under the current master key", secrets_rekey,
	  .callers = CALLERS_WRITE_HUMAN, .action = "secret.rekey", .product = "=launchplane",
	  .context = "=launchplane", .body = &rekey_request_contract, .idempotency = IDEMPOTENCY_OWN },
	{ 0 },
};
