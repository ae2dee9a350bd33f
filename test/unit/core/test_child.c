#include "core/buf.h"
#include "core/child.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* One run of a child, and what came of it. */
struct seen {
	struct child child;
	struct child_end end;
	struct err err;
	bool ran;
	int64_t lines, longest;
	char text[1024];
	int kill_at; /* a signal that we get after the first line; 0: none */
};

static void on_line(void *arg, const char *line)
{
	struct seen *s = arg;
	size_t n = strlen(line), used = strlen(s->text);
	s->lines++;
	s->longest = (int64_t)n > s->longest ? (int64_t)n : s->longest;
	if (used + n + 2 < sizeof(s->text))
		memcpy(stpcpy(s->text + used, line), "|", 2);
	if (s->kill_at && s->lines == 1)
		kill(getpid(), s->kill_at);
}

static SUSPENDS void run_it(struct task *t, void *arg)
{
	struct seen *s = arg;
	s->ran = child_run(t, &s->child, &s->end, &s->err);
}

static const char *const no_env[] = { "PATH=/usr/bin:/bin", NULL };

/* Runs sh -c script to its end. */
static struct seen *shell(struct seen *s, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct loop l;
	s->child.argv = s->child.argv ? s->child.argv : argv;
	s->child.env = s->child.env ? s->child.env : no_env;
	s->child.line = on_line;
	s->child.arg = s;
	assert_true(loop_init(&l, NULL, &s->err));
	task_spawn(&l, "child", run_it, s);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	loop_done(&l);
	return s;
}

static void both_outputs_come_line_by_line(void **state)
{
	(void)state;
	struct seen s = { 0 };
	shell(&s, "echo one; echo two >&2; printf 'three, unended'");
	assert_true(s.ran);
	assert_string_equal(s.text, "one|two|three, unended|");
	assert_int_equal(s.end.exit_code, 0);
}

static void the_exit_code_and_the_signal_are_told(void **state)
{
	(void)state;
	struct seen failed = { 0 }, killed = { 0 };
	shell(&failed, "exit 7");
	assert_int_equal(failed.end.exit_code, 7);
	assert_int_equal(failed.end.signal, 0);
	shell(&killed, "kill -KILL $$");
	assert_int_equal(killed.end.signal, SIGKILL);
	assert_int_equal(killed.end.interrupted_by, 0);
}

static void a_payload_larger_than_a_pipe_arrives_whole_and_nowhere_else(void **state)
{
	(void)state;
	size_t n = 1 << 20;
	char *payload = malloc(n);
	memset(payload, 'x', n);
	struct seen s = { .child = { .payload = payload, .payload_n = n } };
	shell(&s, "wc -c <" CHILD_PAYLOAD_PATH "; tr '\\0' '\\n' </proc/$$/environ | grep -c xxxx; true");
	assert_string_equal(s.text, "1048576|0|");
	free(payload);
}

static void without_a_payload_there_is_no_third_descriptor(void **state)
{
	(void)state;
	struct seen s = { 0 };
	shell(&s, "if [ -e /proc/$$/fd/3 ]; then echo open; else echo closed; fi; cat; echo end of input");
	assert_string_equal(s.text, "closed|end of input|");
}

static void a_child_that_does_not_read_its_payload_harms_nobody(void **state)
{
	(void)state;
	size_t n = 1 << 20;
	char *payload = calloc(1, n);
	struct seen s = { .child = { .payload = payload, .payload_n = n } };
	shell(&s, "exec 3<&-; echo done");
	assert_true(s.ran);
	assert_string_equal(s.text, "done|");
	free(payload);
}

static void the_environment_is_the_given_one(void **state)
{
	(void)state;
	static const char *const env[] = { "PATH=/usr/bin:/bin", "ONLY=this", NULL };
	struct seen s = { .child = { .env = env } };
	setenv("LEAKED", "yes", 1);
	shell(&s, "echo ${ONLY:-nothing} ${LEAKED:-nothing}");
	assert_string_equal(s.text, "this nothing|");
}

static void a_long_line_comes_in_pieces(void **state)
{
	(void)state;
	struct seen s = { 0 };
	shell(&s, "head -c 20000 /dev/zero | tr '\\0' a; echo");
	assert_int_equal(s.lines, 3);
	assert_int_equal(s.longest, 8192);
}

static void what_cannot_be_run_is_named(void **state)
{
	(void)state;
	static const char *const argv[] = { "/nowhere/at-all", NULL };
	struct seen s = { .child = { .argv = argv, .payload = "x", .payload_n = 1 } };
	shell(&s, "");
	assert_false(s.ran);
	assert_non_null(strstr(s.err.message, "/nowhere/at-all"));
}

static void a_signal_to_us_ends_the_whole_group(void **state)
{
	(void)state;
	struct seen s = { .kill_at = SIGTERM };
	shell(&s, "sleep 600 & echo $!; wait");
	assert_int_equal(s.end.interrupted_by, SIGTERM);
	assert_int_equal(s.end.signal, SIGTERM);
	pid_t grandchild = (pid_t)strtol(s.text, NULL, 10);
	for (int i = 0; i < 3000 && kill(grandchild, 0) == 0; i++) /* it may be reaped by others only a moment later */
		poll(NULL, 0, 10);
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)grandchild);
	FILE *f = fopen(path, "re");
	char line[256];
	bool lives = false;
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "State:", 6) == 0)
			lives = !strchr(line, 'Z');
	if (f)
		fclose(f);
	assert_false(lives);
}

static void what_a_grandchild_keeps_open_is_not_waited_for_long(void **state)
{
	(void)state;
	struct seen s = { 0 };
	shell(&s, "sleep 60 & echo $!; exit 4");
	assert_int_equal(s.end.exit_code, 4);
	kill((pid_t)strtol(s.text, NULL, 10), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_outputs_come_line_by_line),
		cmocka_unit_test(the_exit_code_and_the_signal_are_told),
		cmocka_unit_test(a_payload_larger_than_a_pipe_arrives_whole_and_nowhere_else),
		cmocka_unit_test(without_a_payload_there_is_no_third_descriptor),
		cmocka_unit_test(a_child_that_does_not_read_its_payload_harms_nobody),
		cmocka_unit_test(the_environment_is_the_given_one),
		cmocka_unit_test(a_long_line_comes_in_pieces),
		cmocka_unit_test(what_cannot_be_run_is_named),
		cmocka_unit_test(a_signal_to_us_ends_the_whole_group),
		cmocka_unit_test(what_a_grandchild_keeps_open_is_not_waited_for_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
