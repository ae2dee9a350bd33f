/* server/supervisor.h - the parent process: one listening socket, several worker processes, and what keeps them alive.
 *
 * The supervisor binds the socket (or takes it from systemd), starts the workers by executing this same program again
 * with the same arguments, prints "ready http://HOST:PORT" on standard output once all of them are ready, and starts
 * dead ones again: at once the first time, then with growing pauses. A worker finds out what it is through
 * worker_self().
 *
 * Signals to the supervisor: SIGTERM and SIGINT let the workers drain (they get SIGTERM) and end with 0; a second one,
 * or drain_ms, kills them; once they are gone another signal changes nothing. SIGHUP is ignored: settings are read at
 * start. Workers are in process groups of their own,
 * so that a terminal's Ctrl-C reaches only the supervisor, and the kernel kills them when the supervisor dies.
 *
 * systemd: READY, STOPPING, STATUS and WATCHDOG are sent when NOTIFY_SOCKET is there; socket activation takes the first
 * descriptor. The watchdog is fed while at least one worker sends heartbeats. A worker that has sent one and then none
 * for hang_ms is killed.
 *
 * Nothing here suspends: the supervisor has no loop and no tasks; its hooks may block. */
#pragma once

#include "core/err.h"

#include <sys/socket.h>

#define EXIT_CANNOT_START                                                                                              \
	78 /* a worker's exit code: starting it again would not help, so the supervisor ends with it too */

struct supervisor_options {
	const char *listen; /* "127.0.0.1:8080", "[::1]:0", "localhost:8080", "*:8080" */
	unsigned workers;   /* at least 1 */
	char **argv;        /* the program's own, for the workers */
	uint64_t drain_ms;  /* 0: 30 s from SIGTERM to SIGKILL */
	uint64_t ready_ms;  /* 0: 60 s for the workers to be ready at first */
	uint64_t hang_ms;   /* 0: 60 s without a heartbeat */
	/* After the address is bound, before it listens: migrations and the like. False (with err set): the supervisor
	 * ends with EXIT_CANNOT_START and logs err. May be NULL. */
	bool (*before_workers)(void *arg, struct err *err);
	void (*on_worker_death)(void *arg, unsigned slot,
	                        uint64_t incarnation); /* to give up its leases at once; may be NULL */
	void (*after_workers)(void *arg);              /* all are gone; may be NULL */
	void *arg;
};

/* Returns the process's exit code. */
int supervisor_run(const struct supervisor_options *options);

/* Reads "host:port". Names other than localhost are not looked up. */
bool listen_address(const char *text, struct sockaddr_storage *out, socklen_t *n, struct err *err);

/* ---- in a worker ---- */

struct worker {
	unsigned slot, slots; /* slot counts from 0 */
	uint64_t incarnation; /* rises with every start of any worker */
	int listen_fd;        /* to be given to http_server_listen_fd() */
	int metrics_fd;       /* to be given to metrics_open() */
};

/* NULL in a process that no supervisor started. Call it early: it takes the variable out of the environment. */
const struct worker *worker_self(void);
/* The worker answers requests now. */
void worker_report_ready(void);
/* Once a second or so, from the loop: a worker whose loop stands still is killed and started again. */
void worker_heartbeat(void);
