/* core/fiber.h - stacks to switch between. Only core/task.c uses this; everything else speaks of tasks.
 *
 * A fiber has a stack of 256 KiB (1 MiB under ASan), of which only touched pages cost memory, with 64 KiB of guard
 * below it. One thread runs all fibers. fiber_resume() runs a fiber until it suspends or its function returns; it must
 * be called from the main stack. A fiber whose function returned may be started again with fiber_start(). */
#pragma once

#include "core/base.h"

struct fiber;

struct fiber *fiber_new(void); /* NULL when no stack can be mapped */
void fiber_free(struct fiber *f);
void fiber_start(struct fiber *f, void (*fn)(void *), void *arg); /* prepares; the next resume enters fn */
bool fiber_resume(struct fiber *f);                               /* true when fn has returned */
void fiber_suspend(struct fiber *f);                              /* from inside f */
size_t fiber_stack_used(const struct fiber *f);                   /* bytes ever touched, counted in pages */
