/* storage/odoo_override_write.h - changing typed Odoo settings inside a caller's transaction (facts/odoo.md 9.5, 9.6).
 *
 * A change is a function that works on the record as it is under its lock. Routes and the command line share them. */
#pragma once

#include "storage/db.h"
#include "storage/odoo_override.h"
#include "storage/secret_write.h"

/* What an operator writes; each contract below reads its part of it. */
struct override_write {
	int64_t schema_version;
	const char *context, *instance, *key, *addon, *setting, *secret_binding_id, *source_label;
	const struct json *value;
	struct website_bootstrap website_bootstrap;
	int status;
	const char *applied_at, *detail;
};
extern const struct contract override_parameter_write_contract;
extern const struct contract override_setting_write_contract;
extern const struct contract override_website_write_contract;
extern const struct contract override_apply_write_contract;

typedef bool (*override_change_fn)(struct arena *a, const char *now, struct odoo_override *record, const void *wish,
                                   struct err *err);
/* wish: a struct override_write. */
bool override_put_parameter(struct arena *a, const char *now, struct odoo_override *o, const void *wish,
                            struct err *err);
bool override_put_setting(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err);
bool override_put_website(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err);
bool override_mark_apply(struct arena *a, const char *now, struct odoo_override *o, const void *wish, struct err *err);
/* Parts of such changes. New settings have not been applied yet. */
void override_set_parameter(struct arena *a, struct odoo_override *o, const char *key,
                            const struct override_value *value);
struct override_value override_literal(struct arena *a, const struct json *value);
void override_apply_on(struct arena *a, struct odoo_override *o, enum override_phase phase);
void override_reset_apply(struct odoo_override *o);

struct override_target {
	const char *context, *instance, *source_label;
};
/* Reads the record under a lock, lets change work on it, checks the whole and sends it. */
SUSPENDS bool odoo_override_change(struct tx *tx, const struct override_target *target, override_change_fn change,
                                   const void *wish, const char *now, struct odoo_override *record, struct err *err);

/* ---- secrets of settings, under neutral keys (facts/odoo.md 9.3) ---- */

struct override_transport {
	int64_t schema_version;
	const char *mode, *context, *instance, *source_label; /* context "": all; instance "": all of the context */
};
extern const struct contract override_transport_contract;

/* Moves the bindings that settings refer to under the keys the payload names, and the references after them. *out is
 * the report: status, mode, counts, and for each setting kind, key, action, old and new binding id and key. With
 * applies: E_conflict where a binding is missing or one secret is wanted under two keys, and nothing is written. */
SUSPENDS bool odoo_override_migrate_transport(struct tx *tx, const struct override_transport *r, bool applies,
                                              const struct authorship *by, struct json *out, struct err *err);
