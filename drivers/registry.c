#include "drivers/registry.h"

#include "drivers/odoo/replacement.h"

const struct op_kind *const all_op_kinds[] = {
	&odoo_replacement_kind,
	NULL,
};
