/* server/auth/glob.h - shell patterns as policies use them.
 *
 * * is any run of characters, also of '/' and '@'; ? is one character; [set] and [!set] one of or none of a set, with
 * ranges. Nothing escapes; a [ that is never closed stands for itself. The whole text must match, case counts.
 * Characters are UTF-8 code points. Takes at most (length of pattern) x (length of text) steps and no memory. */
#pragma once

#include "core/base.h"

bool glob_match(const char *pattern, const char *text);
