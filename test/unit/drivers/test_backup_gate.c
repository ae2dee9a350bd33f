#include "drivers/odoo/backup_gate.h"

#include "support.h"

static struct text_map runtime_of(const char *database, const char *root, const char *filestore)
{
	struct text_map env = { 0 };
	map_set(a, &env, "ODOO_DB_NAME", database);
	map_set(a, &env, "ODOO_BACKUP_ROOT", root);
	map_set(a, &env, "ODOO_FILESTORE_PATH", filestore);
	return env;
}

static void the_script_is_as_agreed(void **state)
{
	(void)state;
	struct text_map env = runtime_of("shop_prod", "/volumes/data/backups/launchplane/", ""), paths;
	const char *script;
	assert_true(backup_gate_paths(a, &env, "gate-1", &paths, &err));
	assert_true(backup_gate_script(a, "shop-prod-abc123", "gate-1", &paths, &script, &err));
	assert_golden("backup_gate.sh", script);
	assert_string_equal(map_get(&paths, "filestore_path"), "/volumes/data/filestore");
	assert_string_equal(map_get(&paths, "backup_dir"), "/volumes/data/backups/launchplane/shop_prod/gate-1");
}

static void unsafe_places_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *database, *root, *filestore, *told;
	} cases[] = {
		{ "", "/volumes/b", "", "ODOO_DB_NAME" },
		{ "db", "", "", "ODOO_BACKUP_ROOT" },
		{ "", "", "", "ODOO_DB_NAME and ODOO_BACKUP_ROOT" },
		{ "../db", "/volumes/b", "", "plain name" },
		{ "db", "volumes/b", "", "absolute" },
		{ "db", "/volumes/../b", "", "absolute" },
		{ "db", "/volumes/a b", "", "absolute" },
		{ "db", "/volumes/b", "/data/$(id)", "absolute" },
		{ "db", "/srv/b", "", "below /volumes" },
		{ "db", "/volumesb", "", "below /volumes" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct text_map env = runtime_of(cases[i].database, cases[i].root, cases[i].filestore), paths;
		memset(&err, 0, sizeof(err));
		assert_false(backup_gate_paths(a, &env, "gate-1", &paths, &err));
		if (!strstr(err.message, cases[i].told))
			fail_msg("%zu: %s", i, err.message);
	}
}

static void a_strange_project_is_refused(void **state)
{
	(void)state;
	struct text_map env = runtime_of("db", "/volumes/b", ""), paths;
	const char *script;
	assert_true(backup_gate_paths(a, &env, "gate-1", &paths, &err));
	assert_false(backup_gate_script(a, "a b", "gate-1", &paths, &script, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_script_is_as_agreed),
		TEST(unsafe_places_are_refused),
		TEST(a_strange_project_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
