/* server/operations/followers.h - who listens to the events of an operation while it runs.
 *
 * One task for each process reads what is new for all of them with one statement and hands it on; a follower costs its
 * connection and a few words. The task looks when this process has committed events, when another process says that it
 * has (channel launchplane_operation_events), when somebody joins, and every two seconds in case a word was lost. A
 * follower that has not taken the chunk before is sent away with a time to come back: it then asks for what is behind
 * its last event. */
#pragma once

#include "core/task.h"
#include "server/http/server.h"

struct followers;

struct followers *followers_new(struct loop *l);
/* Ends the task. The streams end with the server (http_server_drain(), http_server_free()): free it after that. */
SUSPENDS OUTSIDE_TX void followers_stop(struct task *t, struct followers *f);
void followers_free(struct followers *f);

/* rq's stream has begun and carries the operation's events up to last: from now on it gets what comes after. The last
 * thing that handle() does. */
void followers_join(struct followers *f, const char *operation_id, int64_t last, struct request *rq);
