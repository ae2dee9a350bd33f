/* core/base.h - the few macros every file shares. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF(fmt, args)             __attribute__((format(printf, fmt, args)))
#define NORETURN                      __attribute__((noreturn))
#define countof(a)                    (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* AUTO(f) runs f(&variable) when the variable's scope ends, on every path out of it. */
#define AUTO(f) __attribute__((cleanup(f)))

/* SUSPENDS marks a function that may give up the processor, so that other tasks run before it returns. Only a task may
 * call it; clang's thread-safety analysis (the lint build) refuses a call from a loop callback. It is a role, not a
 * lock: nothing exists at run time. IN_TX marks what runs between tx_begin and its end, OUTSIDE_TX what must not. */
#if defined(__clang__)
#define CAPABILITY(name) __attribute__((capability(name)))
#define SUSPENDS         __attribute__((requires_capability(task_role)))
#define OUTSIDE_TX       __attribute__((locks_excluded(tx_role)))
#define TX_BEGINS        __attribute__((try_acquire_capability(true, tx_role)))
#define TX_ENDS          __attribute__((release_capability(tx_role)))
#define NO_ROLE_CHECK    __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define SUSPENDS
#define OUTSIDE_TX
#define TX_BEGINS
#define TX_ENDS
#define NO_ROLE_CHECK
#endif
struct CAPABILITY("role") role {
	char unused;
};
extern struct role task_role;
extern struct role tx_role;
