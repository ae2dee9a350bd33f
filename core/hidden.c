#include "core/hidden.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

size_t hidden_room(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (n + page - 1) & ~(page - 1);
}

void *hidden_alloc(size_t n)
{
	n = hidden_room(n);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, n, MADV_DONTDUMP);
	return p;
}

void hidden_free(void *p, size_t n)
{
	if (p)
		munmap(p, hidden_room(n)); /* the kernel zeroes pages before it gives them to anybody */
}

static void limit_core(bool as_far_as_allowed)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_CORE, &limit) != 0)
		return;
	limit.rlim_cur = as_far_as_allowed ? limit.rlim_max : 0;
	setrlimit(RLIMIT_CORE, &limit);
}

void core_dumps_forbid(void)
{
	limit_core(false);
	prctl(PR_SET_DUMPABLE, 0); /* also where cores are piped to a program, which the limit does not stop */
}

void core_dumps_allow(void)
{
	limit_core(true);
	prctl(PR_SET_DUMPABLE, 1);
}
