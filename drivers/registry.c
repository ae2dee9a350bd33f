#include "drivers/registry.h"

#include "drivers/odoo/replacement.h"
#include "drivers/release/release.h"

const struct op_kind *const all_op_kinds[] = {
	&odoo_replacement_kind,
	&ship_kind,
	&promote_kind,
	NULL,
};
