/* storage/queries.h - every query of every .sql file here, for the test that prepares them all. */
#pragma once

#include "storage/db.h"

extern const struct query *const all_queries[];
extern const size_t all_queries_n;
