/* drivers/secrets/rekey.h - seals every stored secret version anew under the current master key.
 *
 * How a master key is replaced while services run, without a read that fails: (1) start every process with the new key
 * among the previous ones, so that each can open what it seals; (2) start them with the new key as the current one and
 * the old one among the previous; (3) rekey; (4) start them without the old key. Secrets of an earlier Launchplane
 * (Fernet tokens) come to today's form the same way.
 *
 * Versions are done in batches; a batch and the place reached are one commit, so a kill costs at most one batch's work.
 * A version that nothing here opens stays as it is, is named, and fails the operation once all others are done. */
#pragma once

#include "storage/operation.h"

struct rekey_request { /* POST /v1/secrets/rekey */
	int64_t schema_version;
	const char *product, *reason, *key_id; /* key_id: of the current key where it was asked for */
};
extern const struct contract rekey_request_contract;
extern const struct op_kind rekey_kind;
