/* core/fault.h - named places at which a test may kill or stop the process, or make a wait fail.
 *
 * LAUNCHPLANE_TEST_FAULT="<place>:<n>:kill" kills the process with SIGKILL the n-th time that place is passed;
 * "...:stop" stops it with SIGSTOP, until somebody wakes it; "...:fail" makes it fail with E_internal_error instead.
 * Without the variable a place costs one comparison. The counts are per process, but only one process faults: the first
 * one creates the file that LAUNCHPLANE_TEST_FAULT_DONE names; the others, and those that a supervisor starts later,
 * find it.
 *
 * LAUNCHPLANE_TEST_FAULT_TRACE names a file that gets a line "<process> <place>" for each pass: what a sweep has to go
 * through.
 *
 *     db.wait, db.answer       before a statement is sent; when its result is there: failing loses the result
 *     http.wait, http.answer   the same of a request to a provider
 *     http.effect              before a request that may change something there
 *     commit.before, commit.after   a statement that writes, or a transaction's commit, is sent; was confirmed
 *     task.sleep               a wait for a time
 *     arena.grow               a task's memory grows: failing is running out of memory
 *     memory.take              core allocates outside arenas: failing is getting none
 *     claim.after, phase.<name>   in an operation's life */
#pragma once

#include "core/err.h"

void fault_init(void);
extern bool fault_armed;
bool fault_hit(const char *place, struct err *err);

/* True when the place fails; err may be NULL where only killing makes sense. */
static inline bool fault_at(const char *place, struct err *err)
{
	return fault_armed && fault_hit(place, err);
}
