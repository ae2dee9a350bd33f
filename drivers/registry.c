#include "drivers/registry.h"

#include "drivers/dokploy/target_setup.h"
#include "drivers/live_runtime/live_runtime.h"
#include "drivers/odoo/backup_gate.h"
#include "drivers/odoo/bootstrap.h"
#include "drivers/odoo/post_deploy.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/promotion.h"
#include "drivers/odoo/replacement.h"
#include "drivers/release/release.h"
#include "drivers/secrets/rekey.h"
#include "drivers/target_backfill.h"
#ifdef TRIAL_KIND
#include "drivers/trial.h"
#endif

const struct op_kind *const all_op_kinds[] = {
	&odoo_replacement_kind,
	&odoo_bootstrap_kind,
	&odoo_post_deploy_kind,
	&odoo_backup_gate_kind,
	&odoo_promotion_kind,
	&odoo_rollback_kind,
	&ship_kind,
	&promote_kind,
	&target_setup_kind,
	&target_backfill_kind,
	&live_runtime_kind,
	&rekey_kind,
	&odoo_preview_refresh_kind,
	&odoo_preview_destroy_kind,
#ifdef TRIAL_KIND
	&trial_kind,
#endif
	NULL,
};
