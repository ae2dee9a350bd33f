#include "drivers/registry.h"

#include "drivers/dokploy/target_setup.h"
#include "drivers/live_runtime/live_runtime.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement.h"
#include "drivers/release/release.h"
#include "drivers/secrets/rekey.h"
#include "drivers/target_backfill.h"

const struct op_kind *const all_op_kinds[] = {
	&odoo_replacement_kind, &ship_kind,         &promote_kind, &target_setup_kind,
	&target_backfill_kind,  &live_runtime_kind, &rekey_kind,   &odoo_preview_refresh_kind,
	&odoo_preview_destroy_kind, NULL,
};
