/* core/hidden.h - what a crash of the process may show.
 *
 * Plaintext of secrets is only ever in memory, and a core dump is memory in a file. So the program leaves none, unless
 * an operator asks for them; and memory from here is left out of those. Whole pages, zeroed, taken from the kernel and
 * given back to it: not for small or frequent things. */
#pragma once

#include "core/base.h"

void *hidden_alloc(size_t n); /* NULL when there is no memory */
void hidden_free(void *p, size_t n);
/* How much hidden_alloc(n) really gives. */
size_t hidden_room(size_t n);

/* Neither a core file nor a look by another process of the same user; root may still attach. */
void core_dumps_forbid(void);
/* As far as the limits of the process allow. */
void core_dumps_allow(void);
