/* storage/secret_write.h - writing managed secrets inside a caller's transaction (facts/config-health.md 4.4).
 *
 * A write is planned first, so that several secrets are all judged before the first is written. */
#pragma once

#include "core/seal.h"
#include "storage/db.h"
#include "storage/secret.h"

struct secret_wish {
	struct place place;
	const char *integration, *name, *binding_key, *value, *description;
};

/* Who changes records, when and why. */
struct authorship {
	const char *actor, *now, *source_label, *reason;
};

enum secret_action { SECRET_CREATED, SECRET_ROTATED, SECRET_UNCHANGED };
extern const char *const secret_action_names[];

struct secret_plan {
	enum secret_action action;
	const char *secret_id, *binding_id;
	const char *version_id;      /* of the stored value, "" for none */
	bool compared;               /* the stored value was opened */
	struct managed_secret known; /* unless it is created */
};

/* Secrets of one place are written in turn: a lock until the transaction ends. Before any plan that is applied. */
SUSPENDS bool config_place_lock(struct tx *tx, const struct place *place, struct err *err);
/* Reads what is stored. E_conflict when the id belongs to a secret of another name or place. path names the wish in
 * errors. */
SUSPENDS bool secret_plan_make(struct tx *tx, const struct keyring *keyring, const struct secret_wish *wish,
                               const char *path, struct secret_plan *out, struct err *err);
/* Seals and sends secret, version, binding and audit event. *version_id: the new one, "" when the value is unchanged.
 */
bool secret_plan_send(struct tx *tx, const struct keyring *keyring, const struct secret_wish *wish,
                      const struct secret_plan *plan, const struct authorship *by, const char **version_id,
                      struct err *err);
void secret_audit_send(struct tx *tx, const char *secret_id, const char *event_type, const struct authorship *by,
                       const struct text_map *metadata);
void secret_binding_send(struct tx *tx, const struct secret_binding *b);
/* Lets a secret appear under another key: the old binding is disabled, the new one configured, an event says so.
 * *changed: false when it is there already. E_conflict for a secret without a configured binding. */
SUSPENDS bool secret_relabel(struct tx *tx, const char *secret_id, const char *binding_key, const struct authorship *by,
                             bool *changed, const char **binding_id, struct err *err);
/* Disables secret and bindings. *changed: false when it is disabled already. */
SUSPENDS bool secret_disable(struct tx *tx, const char *secret_id, const struct authorship *by, bool *changed,
                             struct err *err);
/* Notes that the plans' stored values were opened to be compared, whatever became of the transaction. */
SUSPENDS bool secret_plans_note(struct task *t, const struct secret_plan *plans, const struct secret_wish *wishes,
                                size_t n, const struct authorship *by, struct err *err);
