/* server/cli/command.h - the command line is a table: group, name, options, what it does. --help and the reference page
 * are printed from it. A command returns the process's exit code: 0 done, 1 refused or failed, 2 wrong usage.
 *
 * Most commands are one request to the service: their row says which (struct api_call) and api_run() does the rest. */
#pragma once

#include "core/settings.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* How the value of a flag becomes part of a request. */
enum argument_kind {
	ARGUMENT_TEXT,
	ARGUMENT_NUMBER,
	ARGUMENT_TRUE,      /* a switch that sends true */
	ARGUMENT_FALSE,     /* a switch that sends false */
	ARGUMENT_ENV_FILE,  /* a file of KEY=VALUE lines: an object of texts */
	ARGUMENT_LIST,      /* a flag that may be given several times: a list of texts */
	ARGUMENT_JSON,      /* a JSON document */
	ARGUMENT_JSON_FILE, /* a file with a JSON object */
};

struct argument {
	const char *flag;   /* NULL ends the table */
	const char *member; /* query parameter of a GET, else dotted path in the body; a blank separates several;
	                       "{name}": that part of the path */
	enum argument_kind kind;
	bool is_required;
	const char *fallback; /* sent when neither the flag nor the input file has the member; "now": the time */
};

struct column {
	const char *title; /* NULL ends the table */
	const char *path;  /* dotted, in one item of the list */
};

enum {
	API_MODES = 1 << 0,     /* body.mode is what --apply or --dry-run say */
	API_NEEDS_KEY = 1 << 1, /* the route refuses a request without an Idempotency-Key */
	API_DOCUMENT = 1 << 2,  /* the answer is a document for machines: always printed as it came */
	API_TEXT = 1 << 4,      /* member is a text, printed as it is */
	API_POLICY = 1 << 3,    /* a change of the policy: modes likewise, and the product is launchplane */
	API_FLAGS_DO = 1 << 5,  /* the input file may be left out: the flags make the body */
};

struct api_call {
	const char *method, *path; /* as in the route's row; the positionals fill the {parameters} in order */
	const struct argument *arguments;
	const char *member;           /* of the answer, to be shown; NULL: records and result */
	const struct column *columns; /* shows a list as a table */
	const char *input_member;     /* of the body, that the input file becomes; NULL: the input file is the body */
	const char *operation;        /* where an answer names the operation that --watch follows */
	unsigned flags;
	const char *warnings;       /* dotted, in the answer: texts that are shown behind the table */
	const char *verdict;        /* dotted, in the answer: the command fails unless it is "ok" there */
	const char *operation_name; /* sent as body.operation, where one route has several commands */
};

struct command {
	const char *group, *name; /* "storage", "migrate" */
	const char *help;         /* one sentence */
	const char *positionals;  /* "OPERATION_ID", NULL: none */
	size_t positionals_n;
	const struct setting *const *options; /* NULL-terminated list of tables */
	int (*run)(const struct command *c, struct settings *s, char **argv);
	const struct api_call *call; /* NULL: not a client of the service */
};

extern const struct command *const all_commands[]; /* tables, each ended by an empty row; the list ends with NULL */
extern const struct command service_commands[];
extern const struct command storage_commands[];
extern const struct command operation_commands[];
extern const struct command evidence_commands[];
extern const struct command release_commands[];
extern const struct command list_commands[];
extern const struct command product_commands[];
extern const struct command config_commands[];
extern const struct command secret_commands[];
extern const struct command environment_commands[];
extern const struct command target_commands[];
extern const struct command odoo_commands[];
extern const struct command odoo_preview_commands[];
extern const struct command artifact_publish_commands[];
extern const struct command odoo_override_commands[];
extern const struct command policy_commands[];
extern const struct command policy_test_commands[];
extern const struct command sync_policy_commands[];
extern const struct command auth_commands[];
extern const struct command audit_commands[];
extern const struct command docs_commands[];

extern const struct setting policy_file_settings[]; /* --policy-file */

/* Prints "launchplane: <message>" on standard error and returns code. */
int command_fail(int code, const char *fmt, ...) PRINTF(2, 3);
/* "launchplane operations list --product NAME [--context NAME]"; options that many commands share are left out. */
void command_usage(struct buf *b, const struct command *c);
bool command_has_options(const struct command *c, const struct setting *table);
