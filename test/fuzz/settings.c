/* A command line: one argument a line. */
#include "core/settings.h"
#include "fuzz.h"

#define ARGS_MAX 64

static const struct setting table[] = {
	{ .flag = "--listen", .fallback = "127.0.0.1:8080", .metavar = "HOST:PORT", .help = "where" },
	{ .flag = "--workers", .metavar = "N", .help = "how many" },
	{ .flag = "--label", .metavar = "TEXT", .help = "several", .flags = SETTING_MANY },
	{ .flag = "--apply", .help = "do it", .flags = SETTING_SWITCH },
	{ 0 },
};
static const struct setting *const tables[] = { table, NULL };

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n), *argv[ARGS_MAX + 1];
	int argc = 0;
	for (char *at = text, *next; at && argc < ARGS_MAX; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		argv[argc++] = at;
	}
	argv[argc] = NULL;
	struct settings s;
	struct err err = { 0 };
	long long workers;
	if (settings_read(a, tables, argc, argv, 4, &s, &err)) {
		assert(setting(&s, "--listen") && s.positionals_n <= 4);
		setting_on(&s, "--apply");
		if (setting(&s, "--workers") && setting_int(&s, "--workers", 1, 64, &workers, &err))
			assert(workers >= 1 && workers <= 64);
	} else {
		fuzz_refused(&err);
	}
	free(text);
}
