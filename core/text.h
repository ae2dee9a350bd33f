/* core/text.h - what the wire contract means by blank, trimmed and lower-cased text. White space is ASCII's. */
#pragma once

#include "core/arena.h"

bool is_blank(const char *s); /* NULL, "" or white space only */
const char *trimmed(struct arena *a, const char *s);
const char *lowered(struct arena *a, const char *s); /* ASCII letters only */
