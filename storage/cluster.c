#include "storage/cluster.h"

#include "core/log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE_MAX       1024 /* a path of ours */
#define SOCKET_PATH_MAX 100  /* sockaddr_un holds 107 */
#define START_MS        60000
#define STOP_MS         30000
#define POLL_MS         20
#define SOCKET_NAME     "/.s.PGSQL.5432"

struct child {
	uv_process_t process;
	struct task *task; /* waits for the end or the closing, or NULL */
	bool has_ended, is_closed;
	int64_t status;
};

struct cluster {
	char bin[PLACE_MAX], dir[PLACE_MAX], data[PLACE_MAX], socket_dir[PLACE_MAX];
	char url[PLACE_MAX * 3 + 64];
	bool as_other_user;
	uid_t uid;
	gid_t gid;
	int lock_fd;
	struct child *child; /* NULL: adopted */
	pid_t pid;
};

static bool failed(struct err *err, const char *what, const char *path)
{
	int why = errno;
	return err_set(err, &E_internal_error, "the embedded PostgreSQL cannot be used: %s %s: %s", what, path,
	               strerror(why));
}

static bool put_path(char out[PLACE_MAX], const char *dir, const char *name)
{
	return (size_t)snprintf(out, PLACE_MAX, "%s/%s", dir, name) < PLACE_MAX;
}

/* ---- where things are ---- */

static bool has_binaries(const char *bin)
{
	char path[PLACE_MAX];
	return put_path(path, bin, "postgres") && access(path, X_OK) == 0 && put_path(path, bin, "initdb") &&
	       access(path, X_OK) == 0;
}

static bool find_in_debian(char out[PLACE_MAX])
{
	static const char root[] = "/usr/lib/postgresql";
	int newest = 0;
	DIR *d = opendir(root);
	for (struct dirent *e; d && (e = readdir(d));) {
		char bin[PLACE_MAX];
		int version = atoi(e->d_name);
		if (version > newest &&
		    (size_t)snprintf(bin, sizeof(bin), "%s/%s/bin", root, e->d_name) < sizeof(bin) &&
		    has_binaries(bin)) {
			newest = version;
			memcpy(out, bin, PLACE_MAX);
		}
	}
	if (d)
		closedir(d);
	return newest > 0;
}

static bool find_in_path(struct arena *a, char out[PLACE_MAX])
{
	const char *path = getenv("PATH");
	char *list = arena_strdup(a, path ? path : "");
	for (char *dir; (dir = strsep(&list, ":"));) {
		if (strlen(dir) < PLACE_MAX && has_binaries(dir)) {
			snprintf(out, PLACE_MAX, "%s", dir);
			return true;
		}
	}
	return false;
}

static bool make_dir(const char *path, mode_t mode, struct err *err)
{
	return mkdir(path, mode) == 0 || errno == EEXIST || failed(err, "cannot make", path);
}

/* A directory of ours that nobody else may enter. */
static bool make_private(const struct cluster *c, const char *path, struct err *err)
{
	struct stat st;
	if (!make_dir(path, 0700, err))
		return false;
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return failed(err, "is no directory:", path);
	if (st.st_uid == geteuid() && c->as_other_user && chown(path, c->uid, c->gid) != 0)
		return failed(err, "cannot chown", path);
	if (st.st_uid != geteuid() && st.st_uid != c->uid)
		return err_set(err, &E_internal_error,
		               "the embedded PostgreSQL cannot be used: %s belongs to someone else", path);
	return chmod(path, 0700) == 0 || failed(err, "cannot chmod", path);
}

static bool find_user(struct cluster *c, struct err *err)
{
	c->uid = geteuid();
	c->gid = getegid();
	if (c->uid != 0)
		return true;
	const struct passwd *user = getpwnam("postgres");
	if (!user)
		return err_set(err, &E_internal_error,
		               "PostgreSQL does not run as root and there is no user postgres: start as another user");
	c->as_other_user = true;
	c->uid = user->pw_uid;
	c->gid = user->pw_gid;
	return true;
}

static bool find_socket_dir(struct cluster *c, struct err *err)
{
	if (strlen(c->dir) + sizeof(SOCKET_NAME) <= SOCKET_PATH_MAX) {
		memcpy(c->socket_dir, c->dir, PLACE_MAX);
		return true;
	}
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *p = c->dir; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	const char *run = getenv("XDG_RUNTIME_DIR");
	if (!run || !run[0] || c->as_other_user || strlen(run) > SOCKET_PATH_MAX / 2)
		run = "/tmp";
	snprintf(c->socket_dir, sizeof(c->socket_dir), "%s/launchplane-%016llx", run, (unsigned long long)h);
	return make_private(c, c->socket_dir, err);
}

static bool take_lock(struct cluster *c, struct err *err)
{
	char path[PLACE_MAX];
	if (!put_path(path, c->dir, "lock"))
		return false;
	c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return failed(err, "cannot open", path);
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, &E_conflict,
		               "another process uses the embedded PostgreSQL in %s: stop it, or name another "
		               "state directory",
		               c->dir);
	return true;
}

static bool find_places(struct task *t, struct cluster *c, const char *state_dir, struct err *err)
{
	if (!find_in_debian(c->bin) && !find_in_path(t->arena, c->bin))
		return err_set(err, &E_internal_error,
		               "no PostgreSQL server found in /usr/lib/postgresql or PATH: install the package "
		               "postgresql, or name a "
		               "database with --database-url");
	if (!find_user(c, err) || !make_dir(state_dir, 0755, err))
		return false;
	char *real = realpath(state_dir, NULL);
	if (!real)
		return failed(err, "cannot find", state_dir);
	bool fits = put_path(c->dir, real, "postgres") && put_path(c->data, c->dir, "data");
	free(real);
	if (!fits)
		return err_set(err, &E_internal_error, "the state directory's path is too long");
	return make_private(c, c->dir, err) && find_socket_dir(c, err) && take_lock(c, err);
}

/* ---- child processes ---- */

static void on_ended(uv_process_t *p, int64_t status, int signal)
{
	struct child *child = container_of(p, struct child, process);
	child->has_ended = true;
	child->status = signal ? 128 + signal : status;
	if (child->task)
		task_wake(child->task);
	else
		log_error(NULL, "embedded_postgres.ended", I("status", child->status));
}

static void on_closed(uv_handle_t *h)
{
	struct child *child = container_of(h, struct child, process);
	child->is_closed = true;
	task_wake(child->task);
}

/* args ends with NULL; args[0] is the program's name within bin. Its output goes to the log file. */
static struct child *spawn(struct task *t, const struct cluster *c, const char *bin, const char **args, struct err *err)
{
	char program[PLACE_MAX], log[PLACE_MAX];
	if (!put_path(program, bin, args[0]) || !put_path(log, c->dir, "log")) {
		err_set(err, &E_internal_error, "the state directory's path is too long");
		return NULL;
	}
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		failed(err, "cannot open", log);
		return NULL;
	}
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = fd },
		{ .flags = UV_INHERIT_FD, .data.fd = fd },
	};
	uv_process_options_t o = {
		.exit_cb = on_ended,
		.file = program,
		.args = (char **)args,
		.cwd = c->dir,
		.flags = UV_PROCESS_DETACHED, /* a key press in our terminal is not for it: we stop it when we are done
		                               */
		.stdio_count = 3,
		.stdio = stdio,
		.uid = c->uid,
		.gid = c->gid,
	};
	if (c->as_other_user)
		o.flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
	struct child *child = calloc(1, sizeof(*child));
	int rc = uv_spawn(&t->loop->uv, &child->process, &o);
	close(fd);
	child->task = t;
	if (rc == 0)
		return child;
	err_set(err, &E_internal_error, "%s cannot be started: %s", program, uv_strerror(rc));
	child->has_ended = true;
	child->status = rc;
	return child;
}

static SUSPENDS void child_free(struct task *t, struct child *child)
{
	child->task = t;
	uv_close((uv_handle_t *)&child->process, on_closed);
	while (!child->is_closed)
		task_wait_out(t);
	free(child);
}

static SUSPENDS bool run(struct task *t, const struct cluster *c, const char *bin, const char **args, struct err *err)
{
	struct child *child = spawn(t, c, bin, args, err);
	if (!child)
		return false;
	while (!child->has_ended)
		task_wait_out(t);
	int64_t status = child->status;
	child_free(t, child);
	if (status > 0)
		err_set(err, &E_internal_error, "%s ended with status %lld; %s/log says why", args[0],
		        (long long)status, c->dir);
	return status == 0;
}

/* ---- the cluster ---- */

static SUSPENDS bool make_cluster(struct task *t, const struct cluster *c, struct err *err)
{
	char version[PLACE_MAX], fresh[PLACE_MAX];
	if (!put_path(version, c->data, "PG_VERSION") || !put_path(fresh, c->dir, "data.new"))
		return err_set(err, &E_internal_error, "the state directory's path is too long");
	if (access(version, F_OK) == 0)
		return true;
	/* Made beside its place: one that was interrupted is not taken for a cluster. */
	const char *clean[] = { "rm", "-rf", fresh, NULL };
	const char *initdb[] = { "initdb", "-D", fresh,  "-U",         "launchplane",       "-A",
		                 "trust",  "-E", "UTF8", "--locale=C", "--no-instructions", NULL };
	if (!run(t, c, "/bin", clean, err) || !run(t, c, c->bin, initdb, err))
		return false;
	return rename(fresh, c->data) == 0 || failed(err, "cannot rename", fresh);
}

struct postmaster {
	pid_t pid;
	char data[PLACE_MAX], socket_dir[PLACE_MAX];
	bool is_ready;
};

/* What a running server wrote down: pid, data directory, start time, port, socket directory, address, memory, status.
 */
static bool read_pid_file(const struct cluster *c, struct postmaster *out)
{
	char path[PLACE_MAX], text[PLACE_MAX * 3];
	memset(out, 0, sizeof(*out));
	if (!put_path(path, c->data, "postmaster.pid"))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	char *rest = text;
	for (int i = 1; rest; i++) {
		const char *line = strsep(&rest, "\n");
		if (i == 1)
			out->pid = (pid_t)atol(line);
		else if (i == 2)
			snprintf(out->data, sizeof(out->data), "%.*s", PLACE_MAX - 1, line);
		else if (i == 5)
			snprintf(out->socket_dir, sizeof(out->socket_dir), "%.*s", PLACE_MAX - 1, line);
		else if (i == 8)
			out->is_ready = strncmp(line, "ready", 5) == 0;
	}
	return out->pid > 0;
}

static bool is_postgres(pid_t pid)
{
	char link[64], exe[PLACE_MAX];
	snprintf(link, sizeof(link), "/proc/%ld/exe", (long)pid);
	ssize_t n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	const char *name = strrchr(exe, '/');
	return name && strncmp(name, "/postgres", 9) == 0;
}

static bool adopt(struct cluster *c)
{
	struct postmaster p;
	if (!read_pid_file(c, &p) || kill(p.pid, 0) != 0 || !is_postgres(p.pid) || strcmp(p.data, c->data) != 0)
		return false; /* a left-over file: the server that starts now sees that too */
	c->pid = p.pid;
	memcpy(c->socket_dir, p.socket_dir, PLACE_MAX);
	return true;
}

static bool launch(struct task *t, struct cluster *c, struct err *err)
{
	const char *args[] = { "postgres",
		               "-D",
		               c->data,
		               "-k",
		               c->socket_dir,
		               "-p",
		               "5432",
		               "-c",
		               "listen_addresses=",
		               "-c",
		               "unix_socket_permissions=0700",
		               "-c",
		               "max_connections=200",
		               "-c",
		               "logging_collector=off",
		               "-c",
		               "log_destination=stderr",
		               NULL };
	c->child = spawn(t, c, c->bin, args, err);
	if (!c->child)
		return false;
	c->pid = c->child->process.pid;
	return true;
}

static SUSPENDS bool wait_ready(struct task *t, struct cluster *c, struct err *err)
{
	uint64_t until = uv_hrtime() + (uint64_t)START_MS * 1000000;
	for (;;) {
		struct postmaster p;
		if (c->child && c->child->has_ended)
			return err_set(err, &E_internal_error, "the embedded PostgreSQL did not start; %s/log says why",
			               c->dir);
		if (read_pid_file(c, &p) && p.pid == c->pid && p.is_ready)
			return true;
		if (uv_hrtime() > until)
			return err_set(err, &E_timeout, "the embedded PostgreSQL did not become ready; %s/log says why",
			               c->dir);
		if (!task_sleep(t, POLL_MS, err))
			return false;
	}
}

static void make_url(struct cluster *c)
{
	size_t n = (size_t)snprintf(c->url, sizeof(c->url), "postgresql://launchplane@/postgres?host=");
	for (const char *p = c->socket_dir; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
		             strchr("-_.~", *p);
		n += (size_t)snprintf(c->url + n, sizeof(c->url) - n, plain ? "%c" : "%%%02X", (unsigned char)*p);
	}
}

bool cluster_start(struct task *t, const char *state_dir, struct cluster **out, struct err *err)
{
	struct cluster *c = calloc(1, sizeof(*c));
	c->lock_fd = -1;
	bool ok = find_places(t, c, state_dir, err) && make_cluster(t, c, err) && (adopt(c) || launch(t, c, err)) &&
	          wait_ready(t, c, err);
	if (!ok) {
		cluster_stop(t, c);
		return false;
	}
	if (c->child)
		c->child->task = NULL;
	make_url(c);
	log_warn(t, "embedded_postgres.in_use", S("directory", c->dir), B("adopted", !c->child),
	         S("note", "for trying out and development: no backup, no replica, nobody watches it"));
	*out = c;
	return true;
}

const char *cluster_url(const struct cluster *c)
{
	return c->url;
}

bool cluster_was_adopted(const struct cluster *c)
{
	return !c->child;
}

static bool is_running(const struct cluster *c)
{
	return c->child ? !c->child->has_ended : c->pid && kill(c->pid, 0) == 0 && is_postgres(c->pid);
}

static SUSPENDS void wait_end(struct task *t, const struct cluster *c, uint64_t ms)
{
	struct err ignored = { 0 };
	uint64_t until = uv_hrtime() + ms * 1000000;
	while (is_running(c) && uv_hrtime() < until) {
		if (c->child)
			c->child->task = t;
		if (!task_sleep(t, POLL_MS, &ignored))
			task_breathe(t); /* cancelled or overdue: the server still has to stop */
	}
}

void cluster_stop(struct task *t, struct cluster *c)
{
	if (!c)
		return;
	if (is_running(c)) {
		kill(c->pid, SIGINT); /* fast: sessions are closed, nothing is lost */
		wait_end(t, c, STOP_MS);
	}
	if (is_running(c)) {
		kill(c->pid, SIGQUIT);
		wait_end(t, c, STOP_MS);
	}
	if (c->child)
		child_free(t, c->child);
	if (c->socket_dir[0] && strcmp(c->socket_dir, c->dir) != 0)
		rmdir(c->socket_dir);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	free(c);
}

void cluster_abandon(struct task *t, struct cluster *c)
{
	if (c->child)
		child_free(t, c->child);
	close(c->lock_fd);
	free(c);
}
