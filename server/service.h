/* server/service.h - the service process: its settings, the supervisor's work around the workers, and a worker's life.
 */
#pragma once

#include "core/settings.h"

extern const struct setting service_settings[];
/* Of what opens or seals managed secrets. */
extern const struct setting master_key_settings[];
/* Settings that every command with a database or the service itself understands. */
extern const struct setting database_settings[];
extern const struct setting log_settings[];

/* launchplane service serve: runs until SIGTERM. Returns the exit code. */
int service_run(struct settings *s, char **argv);

/* Runs fn as a task on a loop of its own with a database pool, for commands; the exit code is 0 when fn succeeded. */
struct task;
struct err;
typedef bool (*offline_fn)(struct task *t, void *arg, struct err *err);
int offline_run(struct settings *s, offline_fn fn, void *arg);
