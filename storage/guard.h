/* storage/guard.h - the twelve guards against losing work (docs/guards.md).
 *
 * GUARD(F4) is true. Only in a build made with -Dguard_off=F4 it is false, which shows that the guard's test would
 * notice if it were gone: `./ci/run guards`. In a query the line that ends with `-- guard F4: OTHER TEXT` becomes OTHER
 * TEXT. */
#pragma once

#include "guard_off.h" /* made by meson: GUARD_OFF */

enum guard { NONE, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12 };

#define GUARD(name) (GUARD_OFF != (name))
