/* core/child.h - runs another program as a child process and waits for its end, from a task.
 *
 * The child has a process group of its own and nothing on its standard input. What it prints, on either output, comes
 * back line by line while it runs. A payload reaches it once, through a pipe that is its descriptor 3: not by its
 * arguments, its environment or a file. SIGINT and SIGTERM to us end the whole group: SIGTERM first, SIGKILL ten
 * seconds later. */
#pragma once

#include "core/task.h"

#define CHILD_PAYLOAD_PATH "/dev/fd/3"

struct child {
	const char *const *argv; /* NULL-terminated; argv[0] is looked for in PATH */
	const char *const *env;  /* NULL-terminated, the whole environment */
	const void *payload;     /* NULL: descriptor 3 is closed */
	size_t payload_n;
	void (*line)(void *arg, const char *line); /* without its newline; at most 8 KiB, longer ones in pieces */
	void *arg;
};

struct child_end {
	int64_t exit_code;
	int signal;         /* that ended it, 0: it returned */
	int interrupted_by; /* the signal that we were sent meanwhile, 0: none */
};

/* False when it could not be started, with why. */
SUSPENDS bool child_run(struct task *t, const struct child *c, struct child_end *out, struct err *err);
