/* drivers/registry.h - every operation kind there is. A new kind is one row here and one file in its driver. */
#pragma once

#include "storage/operation.h"

extern const struct op_kind *const all_op_kinds[]; /* ends with NULL */
