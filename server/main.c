/* The program: finds the command, reads its options, runs it. */
#include "core/hidden.h"
#include "core/log.h"
#include "server/cli/client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How many of the words that a command needs are given by flags instead: product-profiles show --product NAME. */
static size_t given_by_flags(const struct command *c, const struct settings *s)
{
	size_t n = 0;
	for (const struct argument *g = c->call ? c->call->arguments : NULL; g && g->flag; g++)
		n += g->member[0] == '{' && setting(s, g->flag);
	return n;
}

int command_fail(int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("launchplane: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	return code;
}

/* Calls fn for each command of a group, NULL: of all. Returns how many there are. */
static size_t each_command(const char *group, void (*fn)(const struct command *c, void *arg), void *arg)
{
	size_t n = 0;
	for (const struct command *const *table = all_commands; *table; table++)
		for (const struct command *c = *table; c->group; c++)
			if (!group || strcmp(c->group, group) == 0) {
				n++;
				if (fn)
					fn(c, arg);
			}
	return n;
}

static void print_brief(const struct command *c, void *arg)
{
	struct buf *b = arg;
	buf_str(b, "  ");
	command_usage(b, c);
	buf_printf(b, "\n      %s\n", c->help);
}

static void print_overview(struct arena *a, const char *group, FILE *to)
{
	struct buf b = buf_in(a);
	if (group)
		buf_printf(&b, "Usage: launchplane %s COMMAND [OPTION...]\n\n", group);
	else
		buf_str(&b, "Usage: launchplane GROUP COMMAND [OPTION...]\n\n"
		            "Launchplane knows what runs where, changes it safely and proves it afterwards.\n\n");
	each_command(group, print_brief, &b);
	if (!group) {
		buf_str(&b, "\nEvery command that talks to a service also takes:\n\n");
		settings_help(&b, client_settings);
	}
	buf_str(&b, "\nlaunchplane GROUP COMMAND --help shows the options of a command.\n");
	fputs(buf_cstr(&b), to);
}

static void print_help(const struct command *c, struct arena *a)
{
	struct buf b = buf_in(a);
	buf_printf(&b, "Usage: launchplane %s %s%s%s [OPTION...]\n\n%s.\n\n", c->group, c->name,
	           c->positionals ? " " : "", c->positionals ? c->positionals : "", c->help);
	for (const struct setting *const *t = c->options; *t; t++)
		settings_help(&b, *t);
	fputs(buf_cstr(&b), stdout);
}

static const struct command *command_named(const char *group, const char *name)
{
	for (const struct command *const *table = all_commands; *table; table++)
		for (const struct command *c = *table; c->group; c++)
			if (strcmp(c->group, group) == 0 && strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

struct words {
	const char *v[256];
	size_t n;
	bool of_groups;
};

static void add_word(const struct command *c, void *arg)
{
	struct words *w = arg;
	if (w->n < countof(w->v))
		w->v[w->n++] = w->of_groups ? c->group : c->name;
}

static int unknown_command(struct arena *a, const char *group, const char *name)
{
	bool known_group = each_command(group, NULL, NULL) > 0;
	if (known_group && !name) {
		print_overview(a, group, stderr);
		return EXIT_USAGE;
	}
	struct words words = { .of_groups = !known_group };
	each_command(known_group ? group : NULL, add_word, &words);
	const char *close = closest_word(known_group ? name : group, words.v, words.n);
	const char *given = known_group ? arena_printf(a, "%s %s", group, name) : group;
	if (close)
		return command_fail(EXIT_USAGE, "unknown command \"%s\", did you mean \"%s%s%s\"?", given,
		                    known_group ? group : "", known_group ? " " : "", close);
	return command_fail(EXIT_USAGE, "unknown command \"%s\"; launchplane %s--help lists the commands", given,
	                    known_group ? arena_printf(a, "%s ", group) : "");
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int run(struct arena *a, int argc, char **argv)
{
	if (argc < 2) {
		print_overview(a, NULL, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_overview(a, NULL, stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("launchplane " LAUNCHPLANE_VERSION);
		return 0;
	}
	if (argc == 3 && asks_for_help(1, argv + 2) && each_command(argv[1], NULL, NULL)) {
		print_overview(a, argv[1], stdout);
		return 0;
	}
	const struct command *c = argc > 2 ? command_named(argv[1], argv[2]) : NULL;
	if (!c)
		return unknown_command(a, argv[1], argc > 2 ? argv[2] : NULL);
	if (asks_for_help(argc - 3, argv + 3)) {
		print_help(c, a);
		return 0;
	}
	struct settings s;
	struct err err = { 0 };
	if (!settings_read(a, c->options, argc - 3, argv + 3, c->positionals_n, &s, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	s.command = arena_printf(a, "%s %s", c->group, c->name);
	if (s.positionals_n + given_by_flags(c, &s) < c->positionals_n)
		return command_fail(EXIT_USAGE, "%s is missing; launchplane %s %s --help shows the usage",
		                    c->positionals, c->group, c->name);
	return c->run(c, &s, argv);
}

int main(int argc, char **argv)
{
	core_dumps_forbid();
	signal(SIGPIPE, SIG_IGN);
	struct arena *a = arena_new();
	int code = run(a, argc, argv);
	arena_free(a);
	return code;
}
