/* What the drivers' tests share: one arena a test, golden files, short ways to lists. */
#pragma once

#include "core/contract.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct arena *a;
static struct err err;

static inline int make_arena(void **state)
{
	(void)state;
	a = arena_new();
	memset(&err, 0, sizeof(err));
	return 0;
}

static inline int drop_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_arena, drop_arena)

static inline struct strings list_of(const char *comma_separated)
{
	struct strings list = { 0 };
	while (*comma_separated) {
		size_t n = strcspn(comma_separated, ",");
		strings_add(a, &list, arena_strndup(a, comma_separated, n));
		comma_separated += n + (comma_separated[n] == ',');
	}
	return list;
}

static inline const char *text_of_list(const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", list->v[i]);
	return buf_cstr(&b);
}

static inline const struct json *json_of(const char *text)
{
	struct json *j = ARENA_NEW(a, struct json);
	if (!json_parse(a, text, strlen(text), "test", j, &err))
		fail_msg("%s", err.message);
	return j;
}

static inline char *file_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	struct buf b = buf_in(a);
	char chunk[4096];
	for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;)
		buf_add(&b, chunk, (size_t)n);
	close(fd);
	return arena_strdup(a, buf_cstr(&b));
}

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Compares with test/golden/<name>; GOLDEN_UPDATE=1 in the environment writes the file instead. */
static inline void assert_golden(const char *name, const char *text)
{
	const char *path = arena_printf(a, "%s/%s", GOLDEN_DIR, name);
	if (getenv("GOLDEN_UPDATE")) {
		write_file(path, text, 0644);
		return;
	}
	const char *golden = file_text(path);
	if (!golden)
		fail_msg("no golden file %s", name);
	assert_string_equal(text, golden);
}
