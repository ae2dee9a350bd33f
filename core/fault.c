#include "core/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fault_armed;

static struct {
	char place[64];
	long left;
	int signal; /* 0: it fails */
	const char *done_file;
	int trace_fd;
} armed = { .trace_fd = -1 };

static void open_trace(void)
{
	const char *path = getenv("LAUNCHPLANE_TEST_FAULT_TRACE");
	if (path && path[0])
		armed.trace_fd = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
	fault_armed = armed.trace_fd >= 0;
}

static void trace(const char *place)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%d %s\n", getpid(), place);
	if (n > 0 && (size_t)n < sizeof(line) && write(armed.trace_fd, line, (size_t)n) != n)
		armed.trace_fd = -1;
}

void fault_init(void)
{
	open_trace();
	const char *spec = getenv("LAUNCHPLANE_TEST_FAULT");
	const char *done = getenv("LAUNCHPLANE_TEST_FAULT_DONE");
	if (!spec || !spec[0] || (done && access(done, F_OK) == 0))
		return;
	const char *colon = strchr(spec, ':');
	if (!colon || (size_t)(colon - spec) >= sizeof(armed.place))
		return;
	memcpy(armed.place, spec, (size_t)(colon - spec));
	char *end;
	armed.left = strtol(colon + 1, &end, 10);
	armed.signal = strcmp(end, ":kill") == 0 ? SIGKILL : strcmp(end, ":stop") == 0 ? SIGSTOP : 0;
	armed.done_file = done;
	fault_armed |= armed.left > 0;
}

bool fault_hit(const char *place, struct err *err)
{
	if (armed.trace_fd >= 0)
		trace(place);
	if (armed.left <= 0 || strcmp(place, armed.place) != 0 || --armed.left > 0)
		return false;
	fault_armed = armed.trace_fd >= 0;
	if (armed.done_file) {
		int fd = open(armed.done_file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			return false; /* another process was first */
		close(fd);
	}
	if (armed.signal) {
		kill(getpid(), armed.signal);
		return false; /* woken */
	}
	return err ? !err_set(err, &E_internal_error, "a fault was injected at %s", place) : true;
}
