#include "core/fiber.h"

#include "core/memory.h"

#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_SIZE ((size_t)1 << 20)
#else
#define STACK_SIZE ((size_t)256 << 10)
#endif
#define GUARD_SIZE ((size_t)64 << 10)

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) 0u
#define VALGRIND_STACK_DEREGISTER(id)     ((void)(id))
#endif

/* Where to go on. swapcontext() is a system call, because it swaps the signal mask as well, which is the same
 * everywhere here; so only a fiber's first entry goes that way. ASan follows swapcontext() alone. */
struct place {
	ucontext_t context;
#ifndef WITH_ASAN
	jmp_buf jump;
	bool is_reached; /* jump is set */
#endif
};

#ifdef WITH_ASAN
static void go(struct place *from, struct place *to)
{
	swapcontext(&from->context, &to->context);
}
#else
/* Not the fortified longjmp(), which takes a jump to another stack for an error. */
NORETURN void fiber_jump(struct __jmp_buf_tag *to, int value) __asm__("_longjmp");

static __attribute__((noinline)) void go(struct place *from, struct place *to)
{
	from->is_reached = true;
	if (_setjmp(from->jump))
		return;
	if (to->is_reached)
		fiber_jump(to->jump, 1);
	setcontext(&to->context);
	abort();
}
#endif

struct fiber {
	struct place self, caller;
	char *map, *stack; /* guard first, then the stack */
	void (*fn)(void *);
	void *arg;
	bool finished;
	unsigned valgrind_id;
	const void *caller_stack; /* what ASan calls the previous stack */
	size_t caller_stack_size;
	void *fake_stack;
};

static void enter(unsigned high, unsigned low)
{
	struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | (uintptr_t)low);
	for (;;) {
#ifdef WITH_ASAN
		__sanitizer_finish_switch_fiber(NULL, &f->caller_stack, &f->caller_stack_size);
#endif
		f->fn(f->arg);
		f->finished = true;
#ifdef WITH_ASAN
		/* NULL: the fake stack of this run is given back, the next run gets a new one. */
		__sanitizer_start_switch_fiber(NULL, f->caller_stack, f->caller_stack_size);
#endif
		go(&f->self, &f->caller);
	}
}

struct fiber *fiber_new(void)
{
	struct fiber *f = memory_try(sizeof(*f));
	if (!f)
		return NULL;
	f->map = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE,
	              -1, 0);
	if (f->map == MAP_FAILED) {
		free(f);
		return NULL;
	}
	f->stack = f->map + GUARD_SIZE;
	if (mprotect(f->stack, STACK_SIZE, PROT_READ | PROT_WRITE) != 0) {
		munmap(f->map, GUARD_SIZE + STACK_SIZE);
		free(f);
		return NULL;
	}
	f->valgrind_id = VALGRIND_STACK_REGISTER(f->stack, f->stack + STACK_SIZE);
	f->finished = true;
	return f;
}

void fiber_free(struct fiber *f)
{
	if (!f)
		return;
	assert(f->finished);
	VALGRIND_STACK_DEREGISTER(f->valgrind_id);
	munmap(f->map, GUARD_SIZE + STACK_SIZE);
	free(f);
}

void fiber_start(struct fiber *f, void (*fn)(void *), void *arg)
{
	assert(f->finished);
	f->fn = fn;
	f->arg = arg;
	f->finished = false;
#ifdef WITH_ASAN
	ASAN_UNPOISON_MEMORY_REGION(f->stack, STACK_SIZE);
#endif
	if (f->self.context.uc_stack.ss_sp)
		return; /* waits at the end of its last run and loops into this one */
	getcontext(&f->self.context);
	f->self.context.uc_stack.ss_sp = f->stack;
	f->self.context.uc_stack.ss_size = STACK_SIZE;
	f->self.context.uc_link = NULL;
	uintptr_t p = (uintptr_t)f;
	makecontext(&f->self.context, (void (*)(void))enter, 2, (unsigned)(p >> 32), (unsigned)p);
}

bool fiber_resume(struct fiber *f)
{
	assert(!f->finished);
#ifdef WITH_ASAN
	void *fake = NULL;
	__sanitizer_start_switch_fiber(&fake, f->stack, STACK_SIZE);
#endif
	go(&f->caller, &f->self);
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
	return f->finished;
}

void fiber_suspend(struct fiber *f)
{
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(&f->fake_stack, f->caller_stack, f->caller_stack_size);
#endif
	go(&f->self, &f->caller);
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(f->fake_stack, &f->caller_stack, &f->caller_stack_size);
#endif
}

size_t fiber_stack_used(const struct fiber *f)
{
	unsigned char resident[STACK_SIZE / 4096];
	if (mincore(f->stack, STACK_SIZE, resident) != 0)
		return 0;
	size_t page = 0;
	while (page < sizeof(resident) && !(resident[page] & 1))
		page++;
	return STACK_SIZE - page * 4096;
}
