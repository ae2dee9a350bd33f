/* server/auth/static_tokens.h - bearer tokens that stand in the service's settings: an owner's terminals
 * (facts/core.md 2.5).
 *
 * A token proves who holds it, not what they may do: that is still the policy's to say. */
#pragma once

#include "core/settings.h"
#include "server/auth/principal.h"

struct static_tokens {
	struct {
		const char *token, *subject, *label; /* "" when not set */
	} of[PRINCIPAL_KINDS];
};

/* The settings: nine rows, for the service's table. */
extern const struct setting static_token_settings[];

void static_tokens_read(struct arena *a, const struct settings *s, struct static_tokens *out);
/* Whose token it is; false when nobody's. Takes as long for a near miss as for a far one. */
bool static_token_find(const struct static_tokens *t, const char *given, enum principal_kind *out);
