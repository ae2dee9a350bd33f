/* core/settings.h - settings and command-line options, read from tables.
 *
 * A setting has a flag, an environment variable, or both; the flag wins. --help, the reference page and the start-up
 * checks come from the table. An unknown flag or a missing value is an error that names it; nothing is guessed. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum {
	SETTING_SECRET = 1 << 0, /* environment only, never shown */
	SETTING_SWITCH = 1 << 1, /* present or not, takes no value */
	SETTING_MANY = 1 << 2,   /* may be given several times; values are joined with a line feed */
	SETTING_TEST = 1 << 3,   /* for tests only, left out of --help */
};

struct setting {
	const char *flag;     /* "--listen", NULL: environment only */
	const char *env;      /* NULL: flag only */
	const char *fallback; /* NULL: none */
	const char *metavar;  /* "HOST:PORT" */
	const char *help;
	unsigned flags;
};

struct settings {
	struct arena *arena;
	const struct setting *const *tables; /* NULL-terminated list of tables, each ended by an empty row */
	const char **values;                 /* in the order of the tables' rows */
	const char **positionals;
	const char *command; /* the words that named it: "authz-policies import-toml" */
	size_t positionals_n;
};

/* argv without the program and command words. At most max_positionals words without a flag are accepted. */
bool settings_read(struct arena *a, const struct setting *const *tables, int argc, char *const *argv,
                   size_t max_positionals, struct settings *out, struct err *err);
/* By flag ("--listen") or variable; NULL when not given and without default. Asserts that the setting exists. */
const char *setting(const struct settings *s, const char *name);
bool setting_on(const struct settings *s, const char *name);
/* Fails with what to do when the setting has no value. */
bool setting_required(const struct settings *s, const char *name, const char **out, struct err *err);
/* Overwrites the setting's variable in the environment of this process, where it would stand as long as it runs; the
 * setting is blank afterwards. */
void setting_forget(const struct settings *s, const char *name);
/* A whole number from min to max. */
bool setting_int(const struct settings *s, const char *name, long long min, long long max, long long *out,
                 struct err *err);
void settings_help(struct buf *b, const struct setting *table);
/* The closest known word, or NULL: for "did you mean". */
const char *closest_word(const char *word, const char *const *known, size_t n);
