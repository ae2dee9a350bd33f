/* drivers/odoo/override_payload.h - the typed settings of a lane as the Odoo image gets them (facts/odoo.md 9.3, 9.4).
 *
 * One environment variable holds base64 of compact JSON with sorted members. A secret is not in it: the payload names a
 * neutral environment key, ODOO_OVERRIDE_SECRET__*, that the script runner already has. Evidence names no values. A
 * restore carries the website too: what it puts in the database's place is set up before readiness looks. Pure.
 */
#pragma once

#include "storage/odoo_override.h"

#define OVERRIDE_PAYLOAD_KEY     "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"
#define OVERRIDES_REQUIRED_KEY   "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED"
#define WEBSITE_REQUIRED_KEY     "LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED"
#define OVERRIDE_PAYLOAD_VERSION 1

enum workflow_intent { INTENT_DEPLOY, INTENT_RESTORE, INTENT_BOOTSTRAP };
extern const char *const workflow_intent_names[];

struct override_payload {
	bool is_rendered;            /* false: the record does not apply, or nothing of it is left */
	const char *base64, *sha256; /* of the JSON; "" when not rendered */
	int64_t config_parameters, addon_settings;
	bool has_website_bootstrap;
	struct text_map env;        /* the payload and the flags, as they go into the target's environment */
	struct strings secret_keys; /* the ODOO_OVERRIDE_SECRET__* keys the payload refers to */
	struct text_map evidence;   /* workflow_intent, payload_sha256, counts, presence of members */
};

/* Whether the record applies to this intent: a restore takes records for restore or deploy, the others those for
 * deploy. */
bool override_applies(const struct odoo_override *o, enum workflow_intent intent);

/* o may be NULL. protected_shops are the target's protected Shopify keys. Fails, naming no value, when a shop is
 * protected or looks like production, or when a key cannot be made into an environment name. */
bool override_payload_build(struct arena *a, const struct odoo_override *o, enum workflow_intent intent,
                            const struct strings *protected_shops, struct override_payload *out, struct err *err);

/* The same for a record that applies (NULL: none does): the caller has looked at its apply_on. */
bool override_payload_of(struct arena *a, const struct odoo_override *o, enum workflow_intent intent,
                         const struct strings *protected_shops, struct override_payload *out, struct err *err);
