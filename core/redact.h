/* core/redact.h - takes what looks like a secret out of a provider's text before it is shown, logged or stored.
 *
 * Replaced by [redacted]: the value after a name that speaks of a password, token, secret, key or credential and = or :
 * (quoted or bare, a bare one ends at a blank, comma or semicolon); what follows Bearer; user and password in a URL;
 * private keys in PEM. It prefers to take too much. */
#pragma once

#include "core/arena.h"

char *redact(struct arena *a, const char *text);
char *redact_n(struct arena *a, const char *text, size_t n); /* a NUL ends the text as well */
