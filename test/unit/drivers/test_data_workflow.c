#include "drivers/odoo/data_workflow.h"
#include "drivers/odoo/replacement.h"

#include "drivers/odoo/host_run.h"

#include "support.h"

#include <sys/wait.h>

static const struct strings none;

static struct data_workflow usual(enum workflow_mode mode)
{
	struct data_workflow w;
	struct text_map env = { 0 };
	struct override_payload payload = { .secret_keys = list_of("ODOO_OVERRIDE_SECRET__A") };
	map_set(a, &payload.env, OVERRIDE_PAYLOAD_KEY, "e30=");
	map_set(a, &env, "ODOO_DB_NAME", "shop_db");
	map_set(a, &env, "ODOO_UPSTREAM_HOST", "up.example.com");
	map_set(a, &env, "ODOO_UPSTREAM_USER", "o'neill");
	map_set(a, &env, "ODOO_UPSTREAM_DB_NAME", "prod");
	map_set(a, &env, "ODOO_UPSTREAM_DB_USER", "odoo");
	map_set(a, &env, "ODOO_UPSTREAM_FILESTORE_PATH", "/srv/$(touch x)/`id`");
	if (!data_workflow_prepare(a, &env, &payload, mode, "shop-testing-abc123", &none, false, &w, &err))
		fail_msg("%s", err.message);
	return w;
}

static const char *script_of(const struct data_workflow *w)
{
	const char *script;
	if (!data_workflow_script(a, w, &script, &err))
		fail_msg("%s", err.message);
	return script;
}

static void the_script_is_as_agreed(void **state)
{
	(void)state;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	assert_golden("data_workflow_maintenance.sh", script_of(&w));
	w = usual(WORKFLOW_RESTORE);
	w.clears_stale_lock = true;
	w.protected_shop_keys = list_of("Guarded-Shop,other");
	assert_golden("data_workflow_restore.sh", script_of(&w));
	w = usual(WORKFLOW_BOOTSTRAP);
	assert_golden("data_workflow_bootstrap.sh", script_of(&w));
	const char *script;
	assert_true(lane_web_start_script(a, "shop-testing", &script, &err));
	assert_golden("web_start.sh", script);
	assert_false(lane_web_start_script(a, "shop testing", &script, &err));
}

static void what_a_run_needs_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *env, *project, *message;
		enum workflow_mode mode;
	} cases[] = {
		{ "ODOO_DB_NAME", "", "no appName", WORKFLOW_MAINTENANCE },
		{ "", "p", "needs ODOO_DB_NAME", WORKFLOW_MAINTENANCE },
		{ "ODOO_DB_NAME,ODOO_UPSTREAM_HOST,ODOO_UPSTREAM_USER", "p",
		  "lacks: ODOO_UPSTREAM_DB_NAME, ODOO_UPSTREAM_DB_USER, ODOO_UPSTREAM_FILESTORE_PATH",
		  WORKFLOW_RESTORE },
		{ "ODOO_DB_NAME,ODOO_FILESTORE_PATH", "p", "absolute paths", WORKFLOW_MAINTENANCE },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct text_map env = { 0 };
		struct override_payload payload = { 0 };
		struct data_workflow w;
		struct strings keys = list_of(cases[i].env);
		for (size_t k = 0; k < keys.n; k++)
			map_set(a, &env, keys.v[k], "v");
		assert_false(data_workflow_prepare(a, &env, &payload, cases[i].mode, cases[i].project, &none, false, &w,
		                                   &err));
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s", err.message);
	}
	const char *script;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	w.required_keys = list_of("GOOD,BA-D");
	assert_false(data_workflow_script(a, &w, &script, &err));
	w = usual(WORKFLOW_MAINTENANCE);
	w.database = "../etc";
	assert_false(data_workflow_script(a, &w, &script, &err));
	w = usual(WORKFLOW_MAINTENANCE);
	w.compose_project = "a b";
	assert_false(data_workflow_script(a, &w, &script, &err));
}

/* ---- the script, really run, with a docker that only writes down what it is asked ---- */

static const char fake_docker[] =
        "#!/bin/bash\n"
        "printf '%s' \"$1\" >>calls; printf ' <%s>' \"${@:2}\" | tr '\\n' '~' >>calls; echo >>calls\n"
        "case \"$*\" in\n"
        "ps*service=web*) [[ ! -e no_web ]] && printf 'web1\\nweb2\\n' ;;\n"
        "ps*service=database*) echo db1 ;;\n"
        "ps*service=script-runner*) [[ ! -e no_runner ]] && echo run1 ;;\n"
        "inspect*) if [[ -e stopped_${!#} ]]; then echo false; else echo true; fi ;;\n"
        "top*) [[ ! -e still_running ]] || echo 'root python3 /volumes/scripts/run_odoo_data_workflows.py' ;;\n"
        "*run_odoo_data_workflows.py*) echo website_bootstrap_applied=true; [[ ! -e workflow_fails ]] || exit 7; [[ ! "
        "-e killed ]] || kill -TERM $PPID ;;\n"
        "*value=*) [[ ! -e no_${!#} ]] ;;\n"
        "*psql*) cat shop 2>/dev/null || exit 3 ;;\n"
        "start*web1*) [[ ! -e web_stays_down ]] ;;\n"
        "esac\n"
        "exit $?\n";

static char directory[] = "/tmp/launchplane-workflow-XXXXXX";

/* Runs the script in a fresh directory holding the named files; its exit status. calls and output hold what it did. */
static int run(const char *script, const char *files, const char **calls, const char **output)
{
	snprintf(directory, sizeof(directory), "/tmp/launchplane-workflow-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	write_file("docker", fake_docker, 0755);
	write_file("script.sh", arena_printf(a, "echo a line of the provider\n%s", script), 0755);
	struct strings list = list_of(files);
	for (size_t i = 0; i < list.n; i++) {
		const char *content = strchr(list.v[i], ':');
		const char *name = content ? arena_strndup(a, list.v[i], (size_t)(content - list.v[i])) : list.v[i];
		write_file(name, content ? content + 1 : "", 0644);
	}
	pid_t child = fork();
	if (child == 0) {
		int fd = open("output", O_WRONLY | O_CREAT, 0644);
		dup2(fd, 1);
		dup2(fd, 2);
		setenv("PATH", arena_printf(a, "%s:/usr/bin:/bin", directory), 1);
		execl("/bin/bash", "bash", "script.sh", (char *)NULL);
		_exit(99);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	*calls = file_text("calls");
	*output = file_text("output");
	static const char *const made[] = { "docker", "script.sh", "calls", "output" };
	for (size_t i = 0; i < countof(made); i++)
		unlink(made[i]);
	for (size_t i = 0; i < list.n; i++)
		unlink(arena_strndup(a, list.v[i], strcspn(list.v[i], ":")));
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(directory), 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *last_line(const char *text)
{
	size_t n = strlen(text);
	while (n && text[n - 1] == '\n')
		n--;
	while (n && text[n - 1] != '\n')
		n--;
	return trimmed(a, text + n);
}

static void a_run_stops_web_works_and_starts_it_again(void **state)
{
	(void)state;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	const char *calls, *output;
	assert_int_equal(run(script_of(&w), "stopped_db1", &calls, &output), 0);
	assert_golden("data_workflow_calls.txt", calls);
	assert_non_null(strstr(output, "\nwebsite_bootstrap_applied=true\n"));
	assert_non_null(strstr(output, "data workflow ended"));
}

static void every_input_reaches_the_container_as_it_is(void **state)
{
	(void)state;
	struct data_workflow w = usual(WORKFLOW_RESTORE);
	const char *calls, *output;
	assert_int_equal(run(script_of(&w), "", &calls, &output), 0);
	assert_non_null(strstr(calls, " <ODOO_UPSTREAM_USER=o'neill>"));
	assert_non_null(strstr(calls, " <ODOO_UPSTREAM_FILESTORE_PATH=/srv/$(touch x)/`id`>"));
	assert_non_null(strstr(calls, "run_odoo_data_workflows.py>\n")); /* no argument: the restore */
}

static void web_is_started_again_whatever_fails(void **state)
{
	(void)state;
	static const struct {
		const char *files, *output;
		int status;
		bool was_stopped;
	} cases[] = {
		{ "workflow_fails", "", 7, true },
		{ "killed", "", 143, true },
		{ "no_runner", "no container of service script-runner", 1, false },
		{ "no_ODOO_OVERRIDE_SECRET__A", "script-runner lacks the environment key ODOO_OVERRIDE_SECRET__A", 1,
		  false },
		{ "still_running", "is still running", 1, false },
		{ "shop:guarded-shop", "points at a protected shop", 1, true },
		{ "shop:guarded-shop,workflow_fails", "", 7, true },
		{ "", "", 3, true }, /* the database cannot be asked for the shop */
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
		const char *calls, *output;
		w.protected_shop_keys = list_of("Guarded-Shop");
		int status = run(script_of(&w), cases[i].files, &calls, &output);
		if (status != cases[i].status || !strstr(output, cases[i].output))
			fail_msg("%s: %d\n%s\n%s", cases[i].files, status, output, calls);
		assert_string_equal(last_line(calls), "start <web1>");
		assert_int_equal(strstr(calls, "stop <web1>") != NULL, cases[i].was_stopped);
		assert_null(strstr(output, "data workflow ended"));
	}
}

static void a_shop_of_no_concern_passes(void **state)
{
	(void)state;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	const char *calls, *output;
	w.protected_shop_keys = list_of("guarded");
	assert_int_equal(run(script_of(&w), "shop:dev", &calls, &output), 0);
}

static void web_that_stays_down_or_is_missing_is_a_failure(void **state)
{
	(void)state;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	const char *calls, *output;
	assert_int_equal(run(script_of(&w), "web_stays_down", &calls, &output), 1);
	assert_non_null(strstr(output, "web could not be started again"));
	assert_int_equal(run(script_of(&w), "no_web", &calls, &output), 1);
	assert_non_null(strstr(output, "no container of service web"));
	assert_null(strstr(calls, "start <web1>"));
}

static void a_stale_lock_is_cleared_only_when_told(void **state)
{
	(void)state;
	const char *calls, *output;
	struct data_workflow w = usual(WORKFLOW_MAINTENANCE);
	assert_int_equal(run(script_of(&w), "", &calls, &output), 0);
	assert_null(strstr(calls, "<rm>"));
	w.clears_stale_lock = true;
	assert_int_equal(run(script_of(&w), "", &calls, &output), 0);
	assert_non_null(
	        strstr(calls, "exec <--user> <root> <run1> <rm> <-f> <--> </volumes/data/.data_workflow_in_progress>"));
	assert_true(strstr(calls, "<rm>") < strstr(calls, "stop <web1>"));
}

/* ---- schedule, lock, markers ---- */

static void the_schedule_lives_where_the_compose_lives(void **state)
{
	(void)state;
	struct dokploy_compose live = { .server_id = "" };
	struct dokploy_schedule s;
	const char *list_id;
	host_schedule(a, &host_data_workflow, "shop", "testing", &live, "u1", &s, &list_id);
	assert_int_equal(s.type, SCHEDULE_DOKPLOY_SERVER);
	assert_string_equal(list_id, "u1");
	assert_string_equal(s.user_id, "u1");
	assert_string_equal(s.server_id, "");
	assert_string_equal(s.app_name, "platform-shop-testing-data-workflow");
	assert_false(s.enabled);
	live.server_id = "srv";
	host_schedule(a, &host_data_workflow, "shop", "testing", &live, "u1", &s, &list_id);
	assert_int_equal(s.type, SCHEDULE_SERVER);
	assert_string_equal(list_id, "srv");
	assert_string_equal(s.user_id, "");
	struct dokploy_schedule rows[] = {
		{ .id = "x", .name = "platform-data-workflow", .app_name = "platform-shop-prod-data-workflow" },
		{ .id = "y", .name = "platform-data-workflow", .app_name = "platform-shop-testing-data-workflow" },
	};
	const struct dokploy_schedules all = { 2, rows }, first = { 1, rows };
	assert_string_equal(host_schedule_find(&all, &s)->id, "y");
	assert_null(host_schedule_find(&first, &s));
}

static void a_lock_is_stale_after_a_lost_run(void **state)
{
	(void)state;
	static const struct {
		const char *statuses; /* oldest first */
		bool is_stale;
	} cases[] = {
		{ "", false },
		{ "done", false },
		{ "cancelled", true },
		{ "cancelled,done", false },
		{ "done,cancelled", true },
		{ "cancelled,error", true },
		{ "done,error", false },
		{ "cancelled,done,error", false },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct strings list = list_of(cases[i].statuses);
		struct dokploy_deployments runs = { .v = arena_array(a, list.n + 1, sizeof(*runs.v)) };
		for (size_t k = 0; k < list.n; k++)
			runs.v[runs.n++] = (struct dokploy_deployment){
				.id = "r", .status = list.v[k], .created_at = arena_printf(a, "2026-0%zu", k + 1)
			};
		assert_int_equal(data_workflow_lock_is_stale(a, &runs), cases[i].is_stale);
	}
}

static void markers_are_read_with_and_without_a_time(void **state)
{
	(void)state;
	struct text_map out = { 0 };
	data_workflow_markers(a,
	                      "website_bootstrap_applied=false\n"
	                      "2026-06-01T10:00:00.000Z website_bootstrap_applied=true\r\n"
	                      "[10:00:01] website_bootstrap_website_id=12\n"
	                      "website_bootstrap_domain_set=maybe\n"
	                      "somebody said website_bootstrap_logo_present=true\n"
	                      "secret_thing=true\nlog_available=false\nwebsite_bootstrap_homepage_url_set=\n"
	                      "\xff\xfe odoo=\nodoo_instance_overrides_payload_present=true",
	                      &out);
	struct buf b = buf_in(a);
	for (size_t i = 0; i < out.n; i++)
		buf_printf(&b, "%s=%s\n", out.v[i].key, out.v[i].value);
	assert_string_equal(b.p, "post_deploy_readback_log_available=true\n"
	                         "post_deploy_readback_website_bootstrap_applied=true\n"
	                         "post_deploy_readback_website_bootstrap_website_id=12\n"
	                         "post_deploy_readback_odoo_instance_overrides_payload_present=true\n");
	data_workflow_markers(a, NULL, &out);
	assert_string_equal(map_get(&out, "post_deploy_readback_log_available"), "false");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_script_is_as_agreed),
		TEST(what_a_run_needs_is_named),
		TEST(a_run_stops_web_works_and_starts_it_again),
		TEST(every_input_reaches_the_container_as_it_is),
		TEST(web_is_started_again_whatever_fails),
		TEST(a_shop_of_no_concern_passes),
		TEST(web_that_stays_down_or_is_missing_is_a_failure),
		TEST(a_stale_lock_is_cleared_only_when_told),
		TEST(the_schedule_lives_where_the_compose_lives),
		TEST(a_lock_is_stale_after_a_lost_run),
		TEST(markers_are_read_with_and_without_a_time),
	};
	return cmocka_run_group_tests_name("data_workflow", tests, NULL, NULL);
}
