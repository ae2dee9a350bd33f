#include "core/contract.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum color { RED, GREEN };
static const char *const color_names[] = { "red", "green", NULL };

struct part {
	const char *name;
	int64_t count;
};
static const struct field part_fields[] = {
	F_STR(part, name, REQUIRED | NON_BLANK, .help = "What it is"),
	F_INT(part, count, 0, .min = 1, .max = 9, .fallback = "2"),
	F_END,
};
static const struct contract part_contract = CONTRACT(part, part_fields, "A part");

struct thing {
	const char *id, *slug;
	int color;
	bool on;
	struct opt_int limit;
	struct part main;
	struct part *spare;
	LIST_OF(struct part) parts;
	struct strings tags;
	struct text_map labels;
	const struct json *extra;
};

static bool check_thing(struct arena *a, void *record, const char *path, struct err *err)
{
	struct thing *t = record;
	if (t->color == GREEN && !t->on)
		return contract_fail(a, err, path, "on", "must be true when color is green");
	return true;
}

static const struct field thing_fields[] = {
	F_STR(thing, id, REQUIRED | NON_BLANK, .max = 10),
	F_STR(thing, slug, LOWERED, .fallback = "none"),
	F_ENUM(thing, color, 0, .names = color_names, .fallback = "red"),
	F_BOOL(thing, on, 0, .fallback = "true"),
	F_OPT_INT(thing, limit, 0, .min = 1),
	F_OBJECT(thing, main, 0, &part_contract),
	F_OPT_OBJECT(thing, spare, 0, &part_contract),
	F_LIST(thing, parts, 0, &part_contract, .max = 2),
	F_STRINGS(thing, tags, NON_BLANK | UNIQUE, .fallback = "a b"),
	F_MAP(thing, labels, 0),
	F_JSON(thing, extra, 0),
	F_END,
};
static const struct contract thing_contract = CONTRACT(thing, thing_fields, "A thing", .check = check_thing);

static struct arena *a;

static int make_arena(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int drop_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static void every_wrong_field_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *body, *field, *message;
	} cases[] = {
		{ "[]", "body", "body: must be an object, not an array" },
		{ "{}", "id", "id: is required" },
		{ "{\"id\":null}", "id", "id: must be a string, not null" },
		{ "{\"id\":\" \\t\"}", "id", "id: must not be blank" },
		{ "{\"id\":\"12345678901\"}", "id", "id: must not be longer than 10 bytes" },
		{ "{\"id\":\"x\",\"colour\":\"red\"}", "colour", "colour: is not a known field here" },
		{ "{\"id\":\"x\",\"color\":\"Red\"}", "color", "color: must be one of red, green" },
		{ "{\"id\":\"x\",\"on\":1}", "on", "on: must be true or false, not a number" },
		{ "{\"id\":\"x\",\"limit\":0}", "limit", "limit: must be at least 1" },
		{ "{\"id\":\"x\",\"limit\":1.5}", "limit", "limit: must be a whole number, not a number" },
		{ "{\"id\":\"x\",\"main\":{\"count\":3}}", "main.name", "main.name: is required" },
		{ "{\"id\":\"x\",\"spare\":[]}", "spare", "spare: must be an object, not an array" },
		{ "{\"id\":\"x\",\"parts\":[{\"name\":\"p\"},{\"name\":\"q\",\"count\":10}]}", "parts[1].count",
		  "parts[1].count: must be from 1 to 9" },
		{ "{\"id\":\"x\",\"parts\":[{\"name\":\"p\"},{\"name\":\"p\"},{\"name\":\"p\"}]}", "parts",
		  "parts: must not have more than 2 entries" },
		{ "{\"id\":\"x\",\"tags\":[\"a\",\"a\"]}", "tags[1]", "tags[1]: is there twice" },
		{ "{\"id\":\"x\",\"labels\":{\"k\":1}}", "labels.k", "labels.k: must be a string, not a number" },
		{ "{\"id\":\"x\",\"labels\":{\" \":\"v\"}}", "labels", "labels: must not have a blank key" },
		{ "{\"id\":\"x\",\"color\":\"green\",\"on\":false}", "on", "on: must be true when color is green" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct thing t;
		struct err err = { 0 };
		assert_false(
		        contract_read_text(a, &thing_contract, cases[i].body, strlen(cases[i].body), "body", &t, &err));
		assert_string_equal(err.field, cases[i].field);
		assert_string_equal(err.message, cases[i].message);
		assert_int_equal(err.code->status, 400);
	}
}

static void absent_members_take_their_defaults_and_are_written_back(void **state)
{
	(void)state;
	struct thing t;
	struct err err = { 0 };
	const char *body = "{\"id\":\"x\",\"slug\":\" AbC \",\"main\":{\"name\":\"m\"},\"extra\":{\"deep\":[1]}}";
	assert_true(contract_read_text(a, &thing_contract, body, strlen(body), "body", &t, &err));
	assert_string_equal(t.slug, "abc");
	assert_string_equal(contract_text(a, &thing_contract, &t),
	                    "{\"id\":\"x\",\"slug\":\"abc\",\"color\":\"red\",\"on\":true,\"limit\":null,"
	                    "\"main\":{\"name\":\"m\",\"count\":2},\"spare\":null,\"parts\":[],\"tags\":[\"a\",\"b\"],"
	                    "\"labels\":{},\"extra\":{\"deep\":[1]}}");
	struct json j = contract_json(a, &thing_contract, &t, true);
	assert_null(json_get(&j, "spare"));
	assert_non_null(json_get(&j, "labels"));
}

static void a_written_record_reads_back_the_same(void **state)
{
	(void)state;
	struct thing t, again;
	struct err err = { 0 };
	const char *body =
	        "{\"id\":\"x\",\"color\":\"green\",\"limit\":7,\"main\":{\"name\":\"m\"},\"spare\":{\"name\":\"s\"},"
	        "\"parts\":[{\"name\":\"p\"}],\"labels\":{\"k\":\"v\"}}";
	assert_true(contract_read_text(a, &thing_contract, body, strlen(body), "body", &t, &err));
	const char *text = contract_text(a, &thing_contract, &t);
	assert_true(contract_read_text(a, &thing_contract, text, strlen(text), "record", &again, &err));
	assert_string_equal(contract_text(a, &thing_contract, &again), text);
}

static void the_schema_is_json_and_names_what_is_required(void **state)
{
	(void)state;
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	struct json schema;
	struct err err = { 0 };
	contract_schema(&o, &thing_contract);
	assert_true(json_parse(a, b.p, b.n, "schema", &schema, &err));
	const struct json *required = json_get(&schema, "required");
	assert_int_equal(required->n, 1);
	assert_string_equal(required->items[0].string, "id");
	assert_string_equal(json_path(&schema, "properties.spare.type")->items[1].string, "null");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_arena, drop_arena)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_wrong_field_is_named),
		TEST(absent_members_take_their_defaults_and_are_written_back),
		TEST(a_written_record_reads_back_the_same),
		TEST(the_schema_is_json_and_names_what_is_required),
	};
	return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
