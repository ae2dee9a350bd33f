/* core/contract.h - one field table says what a document may hold.
 *
 * A contract binds a JSON object to a C struct: it reads (unknown members refused, every error names its path), fills
 * defaults, bounds sizes, writes back, and prints JSON Schema and Markdown. Rules about several fields are its check
 * function. A read struct references strings in the arena; it lives as long as the arena.
 *
 *   struct member          macro                          JSON
 *   const char *           F_STR                          string
 *   int64_t                F_INT                          whole number
 *   struct opt_int         F_OPT_INT                      whole number or null
 *   bool                   F_BOOL                         true, false
 *   int (an enum)          F_ENUM                         one of names[]
 *   struct X               F_OBJECT                       object; absent: its own defaults
 *   struct X *             F_OPT_OBJECT                   object or null; absent: NULL
 *   struct list_of_X       F_LIST (LIST_OF(struct X))     array of objects
 *   struct strings         F_STRINGS                      array of strings
 *   struct text_map        F_MAP                          object with string values
 *   const struct json *    F_JSON                         anything; absent: NULL */
#pragma once

#include "core/json.h"
#include "core/text.h"

struct opt_int {
	bool is_set;
	int64_t value;
};
#define LIST_OF(type)                                                                                                  \
	struct {                                                                                                       \
		size_t n;                                                                                              \
		type *v; /* NOLINT(bugprone-macro-parentheses): a type */                                              \
	}
struct any_list {
	size_t n;
	void *v;
};

enum field_kind {
	FIELD_END,
	FIELD_STR,
	FIELD_INT,
	FIELD_OPT_INT,
	FIELD_BOOL,
	FIELD_ENUM,
	FIELD_OBJECT,
	FIELD_OPT_OBJECT,
	FIELD_LIST,
	FIELD_STRINGS,
	FIELD_MAP,
	FIELD_JSON,
};

enum {
	REQUIRED = 1 << 0,  /* the member must be there */
	NON_BLANK = 1 << 1, /* not empty after trimming */
	TRIMMED = 1 << 2,   /* blanks at both ends removed before storing */
	LOWERED = 1 << 3,   /* and lower-cased (ASCII) */
	UNIQUE = 1 << 4,    /* of F_STRINGS: no value twice */
	SECRET = 1 << 5,    /* never written, logged or shown */
	NO_BLANKS = 1 << 6, /* no white space anywhere */
	RETIRED = 1 << 7,   /* accepted from those who still send it, and not written any more */
};

struct contract;

struct field {
	const char *name;
	enum field_kind kind;
	unsigned flags;
	size_t offset;
	long long min, max;   /* numbers: bounds; strings, lists, maps: least and most length (max 0: the default) */
	const char *fallback; /* default as text; F_STR without one: "" */
	const char *const *names;  /* F_ENUM: values in the order of the C enum, NULL-terminated */
	const struct contract *of; /* F_OBJECT, F_OPT_OBJECT, F_LIST */
	const char *help;          /* for schema and reference */
	const char *example;       /* JSON text for the documented example */
};

struct contract {
	const char *name;
	const char *help;
	size_t size;
	const struct field *fields;
	/* Rules about several fields, after all fields were read. path names the object ("deployment.deploy", "" at the
	 * top); contract_field_path() builds a member's path. May fill derived fields. */
	bool (*check)(struct arena *a, void *record, const char *path, struct err *err);
};

#define FIELD_(kind_, type, member, flags_, ...)                                                                       \
	{                                                                                                              \
		.name = #member, .kind = (kind_), .flags = (flags_), .offset = offsetof(struct type, member),          \
		##__VA_ARGS__                                                                                          \
	}
#define F_STR(type, member, flags, ...)         FIELD_(FIELD_STR, type, member, flags, ##__VA_ARGS__)
#define F_INT(type, member, flags, ...)         FIELD_(FIELD_INT, type, member, flags, ##__VA_ARGS__)
#define F_OPT_INT(type, member, flags, ...)     FIELD_(FIELD_OPT_INT, type, member, flags, ##__VA_ARGS__)
#define F_BOOL(type, member, flags, ...)        FIELD_(FIELD_BOOL, type, member, flags, ##__VA_ARGS__)
#define F_ENUM(type, member, flags, ...)        FIELD_(FIELD_ENUM, type, member, flags, ##__VA_ARGS__)
#define F_OBJECT(type, member, flags, of_, ...) FIELD_(FIELD_OBJECT, type, member, flags, .of = (of_), ##__VA_ARGS__)
#define F_OPT_OBJECT(type, member, flags, of_, ...)                                                                    \
	FIELD_(FIELD_OPT_OBJECT, type, member, flags, .of = (of_), ##__VA_ARGS__)
#define F_LIST(type, member, flags, of_, ...) FIELD_(FIELD_LIST, type, member, flags, .of = (of_), ##__VA_ARGS__)
#define F_STRINGS(type, member, flags, ...)   FIELD_(FIELD_STRINGS, type, member, flags, ##__VA_ARGS__)
#define F_MAP(type, member, flags, ...)       FIELD_(FIELD_MAP, type, member, flags, ##__VA_ARGS__)
#define F_JSON(type, member, flags, ...)      FIELD_(FIELD_JSON, type, member, flags, ##__VA_ARGS__)
#define F_SCHEMA_VERSION(type)                                                                                         \
	F_INT(type, schema_version, 0, .min = 1, .max = INT32_MAX, .fallback = "1", .help = "Version of this shape")
#define F_END                                                                                                          \
	{                                                                                                              \
		0                                                                                                      \
	}
#define CONTRACT(type, fields_, help_, ...)                                                                            \
	{                                                                                                              \
		.name = #type, .help = (help_), .size = sizeof(struct type), .fields = (fields_), ##__VA_ARGS__        \
	}

/* Reads j into out (of c->size bytes). path prefixes the error paths, "" at the top. */
bool contract_read(struct arena *a, const struct contract *c, const struct json *j, const char *path, void *out,
                   struct err *err);
/* The same from text. what names the document ("body"). */
bool contract_read_text(struct arena *a, const struct contract *c, const char *text, size_t n, const char *what,
                        void *out, struct err *err);
/* The struct an empty object gives, without the required members and without the check. */
void contract_defaults(struct arena *a, const struct contract *c, void *out);

/* Writes record with all its members, nulls and defaults present: the stored form, which reads serve untouched. */
void contract_write(struct json_out *o, const struct contract *c, const void *record);
char *contract_text(struct arena *a, const struct contract *c, const void *record);
/* As a tree; with drop_null members whose value is null are left out (canonical forms). */
struct json contract_json(struct arena *a, const struct contract *c, const void *record, bool drop_null);

/* JSON Schema 2020-12 of c, contracts below it inlined. */
void contract_schema(struct json_out *o, const struct contract *c);
/* The least document that schema accepts, from the fields' examples and defaults; rules about several fields are not
 * looked at. */
void contract_example(struct json_out *o, const struct contract *c);
/* A Markdown table, one row a field, objects below it as dotted paths. */
void contract_doc(struct buf *b, const struct contract *c);

/* The values of an enum as people read them: "pending, pass, fail". */
const char *contract_names(struct arena *a, const char *const *names);
/* A string or enum member by dotted path, through objects; NULL when the path is not a string or an object on it is
 * null. */
const char *contract_str(const struct contract *c, const void *record, const char *dotted);

const char *contract_field_path(struct arena *a, const char *path, const char *member);
bool contract_fail(struct arena *a, struct err *err, const char *path, const char *member, const char *fmt, ...)
        PRINTF(5, 6);
#ifdef __clang_analyzer__
#define contract_fail(...) (contract_fail(__VA_ARGS__), false) /* as in core/err.h */
#endif

/* An array member. */
void jo_kv_strings(struct json_out *o, const char *key, const struct strings *list);
