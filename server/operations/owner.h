/* server/operations/owner.h - who holds a lease, in a form that tells later whether that process still lives.
 *
 * "<host>/<boot and pid namespace>/<supervisor pid>.<its start time>/<slot>.<incarnation>". A worker that starts
 * releases the leases of processes on this host that are certainly dead: the same supervisor's earlier incarnations of
 * its slot, and workers of supervisors that are gone. Leases of other hosts end by time. */
#pragma once

#include "core/task.h"

char *lease_owner_make(struct arena *a, unsigned slot, uint64_t incarnation);
SUSPENDS void lease_owners_release_dead(struct task *t, const char *own);
