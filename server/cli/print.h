/* server/cli/print.h - JSON documents for people: aligned "name value" lines, and tables. What control characters the
 * service's data may hold never reaches the terminal. */
#pragma once

#include "core/json.h"
#include "server/cli/command.h"

/* One line for each member that says something, inner members by their dotted path. */
void print_fields(struct buf *b, const struct json *object);
void print_table(struct buf *b, const struct json *list, const struct column *columns);
/* One line for each text of the list; nothing without one. */
void print_warnings(struct buf *b, const struct json *list);
/* A scalar or a list of scalars as one line of text. */
void print_value(struct buf *b, const struct json *j);
