/* drivers/odoo/replacement_facts.h - reads what a replacement plan is made of: records, and the live target. */
#pragma once

#include "drivers/odoo/replacement_plan.h"
#include "storage/odoo_override.h"

/* What was read, living in the task's arena. */
struct replacement_reading {
	struct replacement_facts facts;
	const struct lane *lane;    /* NULL when the profile has no such lane, or several */
	struct strings secret_keys; /* of the runtime environment: keys whose values are managed secrets */
	struct product_profile profile;
	struct dokploy_target target;
	struct dokploy_target_id target_id;
	struct inventory inventory;
	struct artifact_manifest manifest;
	struct text_map runtime;
	struct dokploy_compose live;
	struct dokploy_domains domains;
	const char *preview_base_url; /* of the profile's previews; "": it has none */
};

/* Fails only when the database fails, or the provider in a way that another try may mend (retryable). What is missing
 * or refused is in the facts. Reads nothing live when the records do not name a compose target. */
SUSPENDS OUTSIDE_TX bool replacement_read(struct task *t, const struct replacement_request *request,
                                          struct replacement_reading *out, struct err *err);
/* The same in two steps: what the records say, and then what the live target says. */
SUSPENDS bool replacement_read_records(struct task *t, const struct replacement_request *request,
                                       struct replacement_reading *out, struct err *err);
SUSPENDS OUTSIDE_TX bool replacement_read_live(struct task *t, struct replacement_reading *r, struct err *err);

/* One record each; *found tells whether it is there. */
SUSPENDS bool read_profile(struct task *t, const char *product, struct product_profile *out, bool *found,
                           struct err *err);
/* The profile of what the request is about; of a lane without one, what the driver assumes: image repository and
 * addresses as of what the inventory says runs there. */
SUSPENDS bool replacement_read_profile(struct task *t, const struct replacement_request *request,
                                       struct product_profile *out, bool *found, struct err *err);
SUSPENDS bool read_target(struct task *t, const struct lane *lane, struct dokploy_target *target, bool *has_target,
                          struct dokploy_target_id *id, bool *has_id, struct err *err);
SUSPENDS bool read_inventory(struct task *t, const struct lane *lane, struct inventory *out, bool *found,
                             struct err *err);
SUSPENDS bool read_manifest(struct task *t, const char *artifact_id, struct artifact_manifest *out, bool *found,
                            struct err *err);
SUSPENDS bool read_override(struct task *t, const struct lane *lane, struct odoo_override *out, bool *found,
                            struct err *err);
