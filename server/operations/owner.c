#include "server/operations/owner.h"

#include "core/log.h"
#include "storage/db.h"
#include "storage/operation.sql.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_small(const char *path, char *out, size_t n)
{
	out[0] = '\0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t got = read(fd, out, n - 1);
	close(fd);
	out[got > 0 ? got : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* Field 22 of /proc/<pid>/stat, counted behind the command's closing parenthesis; 0 when there is no such process. */
static unsigned long long start_time(long pid)
{
	char path[48], stat[1024];
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	read_small(path, stat, sizeof(stat));
	const char *p = strrchr(stat, ')');
	if (!p || p[1] == '\0' || p[2] == 'Z')
		return 0;
	p++;
	for (int field = 2; field < 21 && p; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

char *lease_owner_make(struct arena *a, unsigned slot, uint64_t incarnation)
{
	char host[256], boot[64], ns[64];
	if (gethostname(host, sizeof(host)) != 0)
		snprintf(host, sizeof(host), "unknown");
	host[sizeof(host) - 1] = '\0';
	read_small("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);
	ns[n > 0 ? n : 0] = '\0';
	char digits[32] = "";
	for (const char *p = ns; *p; p++)
		if (isdigit((unsigned char)*p))
			strncat(digits, (char[]){ *p, '\0' }, sizeof(digits) - strlen(digits) - 1);
	long supervisor = getppid();
	return arena_printf(a, "%s/%.8s-%s/%ld.%llu/%u.%llu", host, boot, digits, supervisor, start_time(supervisor),
	                    slot, (unsigned long long)incarnation);
}

/* The length of the "<host>/<boot and namespace>/" that an owner begins with. */
static size_t machine_n(const char *owner)
{
	const char *slash = strchr(owner, '/');
	slash = slash ? strchr(slash + 1, '/') : NULL;
	return slash ? (size_t)(slash - owner) + 1 : 0;
}

static bool is_dead(const char *owner, const char *own)
{
	size_t n = machine_n(own);
	long pid, own_pid;
	unsigned long long started, own_started, incarnation, own_incarnation;
	unsigned slot, own_slot;
	if (strncmp(owner, own, n) != 0 ||
	    sscanf(owner + n, "%ld.%llu/%u.%llu", &pid, &started, &slot, &incarnation) != 4 ||
	    sscanf(own + n, "%ld.%llu/%u.%llu", &own_pid, &own_started, &own_slot, &own_incarnation) != 4)
		return false;
	if (pid == own_pid && started == own_started)
		return slot == own_slot && incarnation < own_incarnation;
	return start_time(pid) != started;
}

void lease_owners_release_dead(struct task *t, const char *own)
{
	struct rows rows, done;
	struct err err = { 0 };
	const char *machine = arena_strndup(t->arena, own, machine_n(own));
	if (!db_query(t, &Q_operation_lease_owners, PARAMS(P_TEXT(machine)), &rows, &err)) {
		log_warn(t, "operations.owners_unknown", LOG_ERR(&err));
		return;
	}
	for (size_t i = 0; i < rows.n; i++) {
		const char *owner = row_text(&rows, i, 0);
		if (!is_dead(owner, own))
			continue;
		if (!db_write(t, owner, &Q_operation_release_owner,
		              PARAMS(P_TEXT(owner), P_INT(loop_clock_offset_ms(t->loop))), &done, &err)) {
			log_warn(t, "operations.release_failed", S("owner", owner), LOG_ERR(&err));
			continue;
		}
		log_info(t, "operations.released", S("owner", owner), I("operations", done.changed));
	}
}
