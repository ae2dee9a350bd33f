#include "server/supervisor.h"

#include "core/log.h"
#include "core/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#define WORKER_VARIABLE "LAUNCHPLANE_WORKER_SLOT"
#define BACKLOG         4096
#define WORKERS_MAX     256u
#define FIRST_FREE_FD   10 /* descriptors for workers are kept above, so that placing them at 3, 4, 5 overwrites none */
#define LISTEN_AT       3
#define METRICS_AT      4
#define REPORT_AT       5
#define STEADY_MS       60000 /* a worker that lived so long is forgiven earlier deaths */
#define PAUSE_FIRST_MS  200
#define PAUSE_MAX_MS    10000

/* ---- in a worker ---- */

const struct worker *worker_self(void)
{
	static struct worker self;
	static bool is_known, is_worker;
	if (!is_known) {
		is_known = true;
		const char *text = getenv(WORKER_VARIABLE);
		unsigned long long incarnation = 0;
		is_worker = text && sscanf(text, "%u/%u/%llu", &self.slot, &self.slots, &incarnation) == 3;
		self.incarnation = incarnation;
		self.listen_fd = LISTEN_AT;
		self.metrics_fd = METRICS_AT;
		if (is_worker) {
			fcntl(LISTEN_AT, F_SETFD, FD_CLOEXEC);
			fcntl(METRICS_AT, F_SETFD, FD_CLOEXEC);
			fcntl(REPORT_AT, F_SETFD, FD_CLOEXEC);
		}
		unsetenv(WORKER_VARIABLE);
	}
	return is_worker ? &self : NULL;
}

static void report(char what)
{
	if (worker_self() && write(REPORT_AT, &what, 1) < 0)
		return; /* a full pipe says enough, and without a supervisor the kernel ends us */
}

void worker_report_ready(void)
{
	report('r');
}

void worker_heartbeat(void)
{
	report('h');
}

/* ---- the address ---- */

bool listen_address(const char *text, struct sockaddr_storage *out, socklen_t *n, struct err *err)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	size_t host_n = colon ? (size_t)(colon - text) : 0;
	char *end = NULL;
	long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
	if (!colon || port < 0 || port > 65535 || *end || host_n >= sizeof(host))
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_LISTEN, --listen: must be HOST:PORT, not \"%.80s\"", text);
	bool is_v6 = host_n > 2 && text[0] == '[' && colon[-1] == ']';
	snprintf(host, sizeof(host), "%.*s", (int)(is_v6 ? host_n - 2 : host_n), is_v6 ? text + 1 : text);
	if (!strcmp(host, "localhost"))
		snprintf(host, sizeof(host), "127.0.0.1");
	else if (!strcmp(host, "*") || !host[0])
		snprintf(host, sizeof(host), "0.0.0.0");
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	memset(out, 0, sizeof(*out));
	if (is_v6 && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
		memcpy(out, &v6, sizeof(v6));
		*n = sizeof(v6);
		return true;
	}
	if (!is_v6 && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		memcpy(out, &v4, sizeof(v4));
		*n = sizeof(v4);
		return true;
	}
	return err_set(err, &E_invalid_request,
	               "LAUNCHPLANE_LISTEN, --listen: must name an IPv4 address, [an IPv6 address] or localhost, not "
	               "\"%.80s\"",
	               text);
}

static int bound_socket(const char *listen_on, struct err *err)
{
	struct sockaddr_storage at;
	socklen_t n;
	int one = 1;
	if (!listen_address(listen_on, &at, &n, err))
		return -1;
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		err_set(err, &E_internal_error, "a socket cannot be made: %s", strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, n) != 0) {
		err_set(err, &E_internal_error, "cannot listen on %s: %s", listen_on, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static void socket_url(int fd, char *out, size_t size)
{
	struct sockaddr_storage at = { 0 };
	socklen_t n = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "";
	getsockname(fd, (struct sockaddr *)&at, &n);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at;
	if (at.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out, size, "http://%s:%d", host, ntohs(v4->sin_port));
	} else if (at.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(out, size, "http://[%s]:%d", host, ntohs(v6->sin6_port));
	} else {
		snprintf(out, size, "unix socket");
	}
}

/* ---- the supervisor ---- */

struct slot {
	pid_t pid; /* 0 while there is none */
	uint64_t incarnation;
	int report_fd;
	bool is_ready;
	unsigned deaths; /* in a row */
	uint64_t started_ms, start_at_ms, heard_ms;
	bool has_heartbeat;
};

struct supervisor {
	struct supervisor_options o;
	struct slot slots[WORKERS_MAX];
	uint64_t incarnations;
	int listen_fd, metrics_fd, signal_fd;
	sigset_t old_mask;
	bool said_ready, is_stopping, is_killing;
	int exit_code;
	uint64_t kill_at_ms, ready_by_ms, watchdog_ms, watchdog_at_ms;
};

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A descriptor out of the way of those the workers find at fixed places. */
static int raised(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	close(fd);
	return up;
}

static NORETURN void become_worker(struct supervisor *s, unsigned slot, int report_fd, pid_t parent)
{
	char text[64];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it died before the line above */
	setpgid(0, 0);
	/* It is told to end by these, whatever our own parent thinks of them. */
	signal(SIGTERM, SIG_DFL);
	sigdelset(&s->old_mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	dup2(s->listen_fd, LISTEN_AT);
	dup2(s->metrics_fd, METRICS_AT);
	dup2(report_fd, REPORT_AT);
	close_range(REPORT_AT + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	snprintf(text, sizeof(text), "%u/%u/%llu", slot, s->o.workers, (unsigned long long)s->slots[slot].incarnation);
	setenv(WORKER_VARIABLE, text, 1);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	execv("/proc/self/exe", s->o.argv);
	_exit(127);
}

static void start_worker(struct supervisor *s, unsigned slot)
{
	struct slot *w = &s->slots[slot];
	int fds[2];
	w->start_at_ms = now_ms() + PAUSE_MAX_MS; /* should the rest fail */
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return;
	fds[1] = raised(fds[1]);
	w->incarnation = ++s->incarnations;
	w->is_ready = w->has_heartbeat = false;
	w->started_ms = w->heard_ms = now_ms();
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		become_worker(s, slot, fds[1], parent);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		log_error(NULL, "supervisor.fork_failed", S("cause", strerror(errno)));
		return;
	}
	w->pid = pid;
	w->report_fd = fds[0];
	log_info(NULL, "worker.started", I("slot", slot), I("pid", pid), I("incarnation", w->incarnation));
}

static void signal_workers(struct supervisor *s, int number)
{
	for (unsigned i = 0; i < s->o.workers; i++) {
		if (s->slots[i].pid)
			kill(s->slots[i].pid, number);
	}
}

static void stop(struct supervisor *s, int exit_code)
{
	if (s->is_stopping)
		return;
	s->is_stopping = true;
	s->exit_code = exit_code;
	s->kill_at_ms = now_ms() + s->o.drain_ms;
	sd_notify(0, "STOPPING=1\nSTATUS=draining");
	close(s->listen_fd); /* the workers accept what waits there, then close theirs */
	s->listen_fd = -1;
	signal_workers(s, SIGTERM);
}

static void kill_workers(struct supervisor *s)
{
	s->is_killing = true;
	signal_workers(s, SIGKILL);
}

/* At once after a first death, then with pauses that double while a worker dies soon. */
static uint64_t pause_after(struct slot *w, uint64_t now)
{
	if (now - w->started_ms >= STEADY_MS)
		w->deaths = 0;
	unsigned deaths = w->deaths++;
	if (!deaths)
		return 0;
	uint64_t pause = deaths > 6 ? PAUSE_MAX_MS : (uint64_t)PAUSE_FIRST_MS << (deaths - 1);
	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void reap(struct supervisor *s, unsigned slot)
{
	struct slot *w = &s->slots[slot];
	int status;
	if (!w->pid || waitpid(w->pid, &status, WNOHANG) != w->pid)
		return;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (s->is_stopping)
		log_info(NULL, "worker.ended", I("slot", slot), I("pid", w->pid), I("exit_code", code));
	else
		log_warn(NULL, "worker.died", I("slot", slot), I("pid", w->pid), I("exit_code", code),
		         I("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
		         B("core_dumped", WIFSIGNALED(status) && WCOREDUMP(status)));
	w->pid = 0;
	if (w->report_fd >= 0)
		close(w->report_fd);
	if (s->o.on_worker_death)
		s->o.on_worker_death(s->o.arg, slot, w->incarnation);
	/* Once all have been ready the settings are right: what stops a successor, such as a database that is away, may
	 * pass. */
	if (code == EXIT_CANNOT_START && !s->said_ready)
		stop(s, EXIT_CANNOT_START);
	uint64_t now = now_ms();
	w->start_at_ms = now + pause_after(w, now);
}

static void read_reports(struct supervisor *s, struct slot *w)
{
	char said[64];
	ssize_t n;
	while ((n = read(w->report_fd, said, sizeof(said))) > 0) {
		w->heard_ms = now_ms();
		w->is_ready = w->is_ready || memchr(said, 'r', (size_t)n);
		w->has_heartbeat = w->has_heartbeat || memchr(said, 'h', (size_t)n);
	}
	if (n == 0) { /* it closed its end */
		close(w->report_fd);
		w->report_fd = -1;
	}
	if (s->said_ready || s->is_stopping)
		return;
	for (unsigned i = 0; i < s->o.workers; i++) {
		if (!s->slots[i].is_ready)
			return;
	}
	char url[128];
	s->said_ready = true;
	socket_url(s->listen_fd, url, sizeof(url));
	printf("ready %s\n", url);
	fflush(stdout);
	sd_notifyf(0, "READY=1\nSTATUS=%u workers at %s", s->o.workers, url);
	log_info(NULL, "service.ready", S("url", url), I("workers", s->o.workers));
}

static void on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			log_info(NULL, "supervisor.hangup_ignored");
		} else if (info.ssi_signo != SIGCHLD) {
			log_info(NULL, "supervisor.stopping", I("signal", info.ssi_signo));
			if (s->is_stopping)
				kill_workers(s);
			stop(s, 0);
		}
	}
}

static void on_time(struct supervisor *s, uint64_t now)
{
	bool all_hang = true;
	for (unsigned i = 0; i < s->o.workers; i++) {
		struct slot *w = &s->slots[i];
		if (!w->pid && !s->is_stopping && now >= w->start_at_ms)
			start_worker(s, i);
		bool hangs = w->pid && w->has_heartbeat && now - w->heard_ms >= s->o.hang_ms;
		if (hangs && !s->is_stopping) {
			log_error(NULL, "worker.hangs", I("slot", i), I("pid", w->pid),
			          I("silent_ms", now - w->heard_ms));
			w->has_heartbeat = false; /* once is enough */
			kill(w->pid, SIGKILL);
		}
		all_hang = all_hang && (hangs || !w->pid);
	}
	if (!s->said_ready && !s->is_stopping && now >= s->ready_by_ms) {
		log_error(NULL, "supervisor.not_ready", I("after_ms", s->o.ready_ms));
		stop(s, 1);
	}
	if (s->is_stopping && !s->is_killing && now >= s->kill_at_ms) {
		log_warn(NULL, "supervisor.drain_overdue", I("after_ms", s->o.drain_ms));
		kill_workers(s);
	}
	if (s->watchdog_ms && now >= s->watchdog_at_ms && (!all_hang || s->is_stopping)) {
		s->watchdog_at_ms = now + s->watchdog_ms;
		sd_notify(0, "WATCHDOG=1");
	}
}

static void earlier(uint64_t *at, uint64_t other)
{
	*at = other < *at ? other : *at;
}

static int wait_ms(const struct supervisor *s, uint64_t now)
{
	uint64_t at = now + 1000; /* heartbeats are looked at once a second */
	for (unsigned i = 0; i < s->o.workers && !s->is_stopping; i++) {
		if (!s->slots[i].pid)
			earlier(&at, s->slots[i].start_at_ms);
	}
	if (s->is_stopping && !s->is_killing)
		earlier(&at, s->kill_at_ms);
	if (s->watchdog_ms)
		earlier(&at, s->watchdog_at_ms);
	return at > now ? (int)(at - now) : 0;
}

static bool any_alive(const struct supervisor *s)
{
	for (unsigned i = 0; i < s->o.workers; i++) {
		if (s->slots[i].pid)
			return true;
	}
	return false;
}

static void supervise(struct supervisor *s)
{
	struct pollfd fds[WORKERS_MAX + 1];
	uint64_t now = now_ms();
	for (;;) {
		on_time(s, now);
		if (s->is_stopping && !any_alive(s))
			return;
		unsigned n = 0;
		fds[n++] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
		for (unsigned i = 0; i < s->o.workers; i++)
			fds[n++] =
			        (struct pollfd){ .fd = s->slots[i].pid ? s->slots[i].report_fd : -1, .events = POLLIN };
		poll(fds, n, wait_ms(s, now_ms()));
		on_signals(s);
		for (unsigned i = 0; i < s->o.workers; i++) {
			if (s->slots[i].pid && fds[i + 1].revents)
				read_reports(s, &s->slots[i]);
			reap(s, i);
		}
		now = now_ms();
	}
}

static bool open_all(struct supervisor *s, struct err *err)
{
	bool activated = sd_listen_fds(1) > 0;
	int fd = activated ? SD_LISTEN_FDS_START : bound_socket(s->o.listen, err);
	if (fd < 0)
		return false;
	s->listen_fd = raised(fd);
	if (s->o.before_workers && !s->o.before_workers(s->o.arg, err))
		return false;
	if (!activated && listen(s->listen_fd, BACKLOG) != 0)
		return err_set(err, &E_internal_error, "cannot listen on %s: %s", s->o.listen, strerror(errno));
	int metrics_fd = metrics_region_new(s->o.workers);
	if (metrics_fd < 0)
		return err_set(err, &E_internal_error, "memory for metrics cannot be had: %s", strerror(errno));
	s->metrics_fd = raised(metrics_fd);
	return true;
}

/* Each connection is a descriptor: take as many as the system gives. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void listen_for_signals(struct supervisor *s)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, &s->old_mask);
	signal(SIGPIPE, SIG_IGN);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	uint64_t watchdog_us = 0;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		s->watchdog_ms = watchdog_us / 2000 ? watchdog_us / 2000 : 1;
}

/* The hook may wait for a child with libuv, which learns of its end by SIGCHLD; one that the descriptor took before is
 * raised once more. */
static void hear_of_children(void)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	raise(SIGCHLD);
}

int supervisor_run(const struct supervisor_options *options)
{
	struct err err = { 0 };
	struct supervisor *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->o = *options;
	s->listen_fd = s->metrics_fd = s->signal_fd = -1;
	if (!s->o.workers || s->o.workers > WORKERS_MAX)
		s->o.workers = s->o.workers ? WORKERS_MAX : 1;
	s->o.drain_ms = s->o.drain_ms ? s->o.drain_ms : 30000;
	s->o.ready_ms = s->o.ready_ms ? s->o.ready_ms : 60000;
	s->o.hang_ms = s->o.hang_ms ? s->o.hang_ms : 60000;
	s->exit_code = EXIT_CANNOT_START;
	if (!open_all(s, &err)) {
		log_error(NULL, "supervisor.cannot_start", LOG_ERR(&err));
		if (err.code && err.code->retry)
			s->exit_code = EXIT_FAILURE; /* whoever started it may try again later */
	} else {
		raise_descriptor_limit();
		listen_for_signals(s);
		s->ready_by_ms = now_ms() + s->o.ready_ms;
		supervise(s);
		hear_of_children();
		if (s->o.after_workers)
			s->o.after_workers(s->o.arg);
		log_info(NULL, "supervisor.ended", I("exit_code", s->exit_code));
		/* The signals stay blocked: another SIGTERM, from somebody impatient, must not change how this ends. */
	}
	const int fds[] = { s->listen_fd, s->metrics_fd, s->signal_fd };
	for (size_t i = 0; i < countof(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	int exit_code = s->exit_code;
	free(s);
	return exit_code;
}
