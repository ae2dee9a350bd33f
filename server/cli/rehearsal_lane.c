#include "server/cli/rehearsal_lane.h"

#include "core/digest.h"
#include "storage/codes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 10
#define LEASE_S       300
#define ID_MAX        700

static const struct field operation_fields[] = {
	F_SCHEMA_VERSION(rehearsed_operation),
	F_STR(rehearsed_operation, operation_id, REQUIRED | NON_BLANK),
	F_STR(rehearsed_operation, product, REQUIRED),
	F_STR(rehearsed_operation, context, REQUIRED),
	F_STR(rehearsed_operation, instance, REQUIRED),
	F_JSON(rehearsed_operation, request, 0),
	F_STR(rehearsed_operation, status, REQUIRED),
	F_STR(rehearsed_operation, phase, REQUIRED),
	F_STR(rehearsed_operation, deployment_record_id, 0),
	F_STR(rehearsed_operation, created_at, REQUIRED),
	F_STR(rehearsed_operation, updated_at, REQUIRED),
	F_STR(rehearsed_operation, started_at, 0),
	F_STR(rehearsed_operation, finished_at, 0),
	F_STR(rehearsed_operation, lease_owner, 0),
	F_STR(rehearsed_operation, lease_expires_at, 0),
	F_STR(rehearsed_operation, error_message, 0),
	F_END,
};
const struct contract rehearsed_operation_contract =
        CONTRACT(rehearsed_operation, operation_fields, "A rehearsal's operation");

/* ---- the reservation's file ---- */

static const char *reservations(const struct rehearsal *r)
{
	return arena_printf(r->a, "%s/lane_reservations", r->dir);
}

static const char *reservation(const struct rehearsal *r, const char *context, const char *instance)
{
	return arena_printf(r->a, "%s/%s-%s", reservations(r), context, instance);
}

static bool cannot(struct err *err, const char *path, const char *what)
{
	return err_set(err, &E_invalid_request, "%s cannot be %s: %s", path, what, strerror(errno));
}

/* What stands in the file and which file that is. */
struct seen {
	bool is_there;
	char owner[ID_MAX]; /* "": not written yet */
	dev_t device;
	ino_t inode;
};

static bool look(const char *path, struct seen *out, struct err *err)
{
	*out = (struct seen){ 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || cannot(err, path, "read");
	struct stat st;
	ssize_t n = fstat(fd, &st) == 0 ? read(fd, out->owner, sizeof(out->owner) - 1) : -1;
	close(fd);
	if (n < 0)
		return cannot(err, path, "read");
	out->is_there = true;
	out->device = st.st_dev;
	out->inode = st.st_ino;
	/* The line feed is the last thing its owner writes: before it, the id may be half there. */
	char *end = strchr(out->owner, '\n');
	if (end)
		*end = '\0';
	else
		out->owner[0] = '\0';
	return true;
}

/* Takes away the file that was seen, and no other that has come into its place meanwhile. */
static bool take_away(const struct rehearsal *r, const char *path, const struct seen *seen, struct err *err)
{
	const char *lock = arena_printf(r->a, "%s/.lock", reservations(r));
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		cannot(err, lock, "locked");
		if (fd >= 0)
			close(fd);
		return false;
	}
	struct seen now;
	bool ok = look(path, &now, err);
	if (ok && now.is_there && now.device == seen->device && now.inode == seen->inode &&
	    strcmp(now.owner, seen->owner) == 0)
		ok = unlink(path) == 0 || errno == ENOENT || cannot(err, path, "removed");
	close(fd);
	return ok;
}

/* Creates the file with the id in it; *taken: it was there before. */
static bool reserve(const char *path, const char *id, bool *taken, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	*taken = fd < 0 && errno == EEXIST;
	if (*taken)
		return true;
	if (fd < 0)
		return cannot(err, path, "written");
	bool ok = dprintf(fd, "%s\n", id) > 0 && fsync(fd) == 0;
	if (!ok)
		cannot(err, path, "written");
	close(fd);
	return ok;
}

/* ---- the owner's record ---- */

static const char *family(const struct rehearsal *r, const struct op_kind *kind)
{
	return arena_printf(r->a, "%s_operations", kind->name);
}

static const char *time_text(struct arena *a, time_t when)
{
	struct tm tm;
	char text[32];
	gmtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

/* The families are told apart by the ids' beginnings, but nobody has to know which there are. */
static bool find_record(const struct rehearsal *r, const char *id, struct rehearsed_operation *out, bool *found,
                        struct err *err)
{
	struct strings families;
	*found = false;
	if (!rehearsal_families(r, "_operations", &families, err))
		return false;
	for (size_t i = 0; i < families.n && !*found; i++) {
		*found = rehearsal_has(r, families.v[i], id);
		if (*found && !rehearsal_read(r, families.v[i], id, &rehearsed_operation_contract, out, err))
			return false;
	}
	return true;
}

static bool is_active(const struct rehearsal *r, const struct rehearsed_operation *op)
{
	bool runs = strcmp(op->status, "pending") == 0 || strcmp(op->status, "running") == 0;
	return runs && strcmp(op->lease_expires_at, time_text(r->a, time(NULL))) > 0;
}

/* ---- waiting ---- */

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
	const struct timespec wait = { .tv_nsec = ms * 1000000 };
	nanosleep(&wait, NULL);
}

enum settled { SETTLED_FREE, SETTLED_ABANDONED, SETTLED_ACTIVE };

/* Looks at the reservation until it says whose it is, then for that operation; *seen is the last look. */
static bool settle(const struct rehearsal *r, const char *path, int64_t settle_ms, struct seen *seen,
                   struct rehearsed_operation *owner, enum settled *out, struct err *err)
{
	bool has_waited = false, has_owner = false, found = false;
	for (int64_t end = now_ms() + settle_ms;; pause_ms(LOOK_AGAIN_MS)) {
		if (!look(path, seen, err))
			return false;
		*out = SETTLED_FREE;
		if (!seen->is_there)
			return true;
		if (seen->owner[0] && !has_owner) {
			has_owner = true;
			end = now_ms() + settle_ms;
		}
		if (has_owner && !find_record(r, seen->owner, owner, &found, err))
			return false;
		*out = found && is_active(r, owner) ? SETTLED_ACTIVE : SETTLED_ABANDONED;
		if (found || now_ms() >= end)
			return true;
		if (!has_waited)
			fprintf(stderr, "%s is reserved: waiting up to %lld s for its owner\n", path,
			        (long long)(settle_ms / 1000));
		has_waited = true;
	}
}

/* ---- */

bool rehearsal_claim(const struct rehearsal *r, const struct op_kind *kind, const char *product, const char *context,
                     const char *instance, const struct json *request, int64_t settle_ms,
                     struct rehearsed_operation *out, struct err *err)
{
	const char *now = time_text(r->a, time(NULL)), *path = reservation(r, context, instance);
	if (strchr(context, '/') || strchr(instance, '/'))
		return err_set(err, &E_invalid_request, "%s/%s cannot be the name of a file", context, instance);
	*out = (struct rehearsed_operation){
		.schema_version = 1,
		.operation_id = arena_printf(r->a, "%s-%s-%s-%s-%s", kind->id_prefix, context, instance,
		                             utc_compact(r->a, now), random_hex(r->a, 8)),
		.product = product,
		.context = context,
		.instance = instance,
		.request = request,
		.status = "running",
		.phase = "running",
		.deployment_record_id = "",
		.created_at = now,
		.updated_at = now,
		.started_at = now,
		.finished_at = "",
		.lease_owner = arena_printf(r->a, "rehearsal/%ld", (long)getpid()),
		.lease_expires_at = time_text(r->a, time(NULL) + LEASE_S),
		.error_message = "",
	};
	if (strlen(out->operation_id) + 2 > ID_MAX)
		return err_set(err, &E_invalid_request, "The names of product and lane are too long");
	mkdir(reservations(r), 0777); /* may be there */
	for (;;) {
		bool taken;
		struct seen seen;
		struct rehearsed_operation owner;
		enum settled how;
		if (!reserve(path, out->operation_id, &taken, err))
			return false;
		if (!taken)
			return rehearsal_write(r, family(r, kind), out->operation_id, &rehearsed_operation_contract,
			                       out, err);
		if (!settle(r, path, settle_ms, &seen, &owner, &how, err))
			return false;
		if (how == SETTLED_ACTIVE)
			return err_set(err, &E_operation_active, "lane %s/%s is being worked on by %.200s", context,
			               instance, owner.operation_id);
		if (how == SETTLED_ABANDONED && !take_away(r, path, &seen, err))
			return false;
	}
}

bool rehearsal_holds(const struct rehearsal *r, const struct rehearsed_operation *op)
{
	struct seen seen;
	struct err ignored = { 0 };
	return look(reservation(r, op->context, op->instance), &seen, &ignored) &&
	       strcmp(seen.owner, op->operation_id) == 0;
}

bool rehearsal_end(const struct rehearsal *r, const struct op_kind *kind, struct rehearsed_operation *op,
                   const struct err *failure, struct err *err)
{
	const char *path = reservation(r, op->context, op->instance);
	struct seen seen;
	op->status = failure ? "fail" : "pass";
	op->phase = failure ? "failed" : "completed";
	op->finished_at = op->updated_at = time_text(r->a, time(NULL));
	op->lease_owner = op->lease_expires_at = "";
	op->error_message = failure ? failure->message : "";
	if (!rehearsal_write(r, family(r, kind), op->operation_id, &rehearsed_operation_contract, op, err) ||
	    !look(path, &seen, err))
		return false;
	return !seen.is_there || strcmp(seen.owner, op->operation_id) != 0 || take_away(r, path, &seen, err);
}
