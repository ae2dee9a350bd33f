/* drivers/odoo/template.h - fills the @name@ places of a text that ci/embed put into the program.
 *
 * A template and its values belong together, so a place without a value, or a value without a place, is our own bug and
 * is asserted. A value stands as it is: quoting is the caller's, for only it knows whether the place is YAML or shell.
 */
#pragma once

#include "core/buf.h"

struct template_value {
	const char *name, *text;
};

/* The filled text, in a. A value of several lines is put where its place stands. */
char *template_fill(struct arena *a, const char *text, const struct template_value *values, size_t n);
