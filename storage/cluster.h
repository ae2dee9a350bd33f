/* storage/cluster.h - a private PostgreSQL cluster under the state directory, for trying out and development.
 *
 * Made on first use, started as a child process, reached through a unix socket in a directory only we may enter.
 * Whoever is root runs it as the user postgres. When this process is killed the cluster stays up, and the next start
 * adopts it. A lock on the directory keeps two processes from owning one cluster. */
#pragma once

#include "core/task.h"

struct cluster;

/* state_dir is made when missing. Suspends until the cluster accepts connections, at most a minute. */
SUSPENDS bool cluster_start(struct task *t, const char *state_dir, struct cluster **out, struct err *err);
const char *cluster_url(const struct cluster *c); /* lives as long as c */
bool cluster_was_adopted(const struct cluster *c);
/* Shuts it down, disconnecting whoever is connected, waits for its end and frees c. NULL is allowed. */
SUSPENDS void cluster_stop(struct task *t, struct cluster *c);
/* For tests: forgets the cluster as a process does that is killed. The child runs on. */
SUSPENDS void cluster_abandon(struct task *t, struct cluster *c);
