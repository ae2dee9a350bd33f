#include "../tiny_server.h"
#include "drivers/dokploy/dokploy.h"
#include "storage/codes.h"

#include "core/http_client.h"

#include "support.h"

static struct loop l;
static struct tiny server;
static const char *status_line, *answer_text; /* what the server says */
static bool hangs_up;
static char asked[65536]; /* METHOD path body of the last request */

static void behave(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");
	snprintf(asked, sizeof(asked), "%s %s %s%s", method, path, body ? body + 4 : "",
	         strstr(text, "x-api-key: tok-123\r\n") ? "" : " (no key)");
	if (hangs_up)
		tiny_close(conn);
	else
		tiny_send(conn, status_line, "Content-Type: application/json\r\n", answer_text);
}

static int set_up(void **state)
{
	make_arena(state);
	assert_true(loop_init(&l, NULL, &err));
	server = (struct tiny){ .answer = behave };
	tiny_start(&server, &l);
	hangs_up = false;
	return http_client_new(&l) ? 0 : -1;
}

static int tear_down(void **state)
{
	http_client_free(l.http);
	tiny_stop(&server);
	loop_done(&l);
	return drop_arena(state);
}

/* One call and what came of it, in short words. */
typedef bool (*call_fn)(struct task *t, struct dokploy *d, struct buf *said, struct err *e);

struct story {
	call_fn fn;
	struct dokploy d;
	bool ok, is_finished, maybe_done;
	struct err err;
	char said[2000];
};

static SUSPENDS void tell(struct task *t, void *arg)
{
	struct story *s = arg;
	struct buf said = buf_in(t->arena);
	s->d = (struct dokploy){ .host = arena_printf(t->arena, "http://127.0.0.1:%d/", server.port),
		                 .token = "tok-123" };
	s->ok = s->fn(t, &s->d, &said, &s->err);
	s->maybe_done = s->d.maybe_done;
	snprintf(s->said, sizeof(s->said), "%s", buf_cstr(&said));
	s->is_finished = true;
}

static void play(struct story *s)
{
	asked[0] = '\0';
	task_spawn(&l, "tells", tell, s);
	while (!s->is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
}

static SUSPENDS bool compose_one(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_compose c;
	if (!dokploy_compose_one(t, d, "c/1", &c, e))
		return false;
	buf_printf(said, "%s %s %s %s %s %s %s|%s auto=%d domains=%zu:%s:%lld deployments=%zu:%s:%s", c.id, c.name,
	           c.app_name, c.description ? c.description : "(null)", c.source_type, c.project_name, c.server_id,
	           c.env, c.auto_deploy, c.domains.n, c.domains.v[0].host, (long long)c.domains.v[0].port,
	           c.deployments.n, c.deployments.v[0].id, c.deployments.v[0].status);
	return true;
}

static SUSPENDS bool set_env(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	return dokploy_compose_set_env(t, d, "c1", "A=1\nB=\"2\"", e);
}

static SUSPENDS bool set_raw(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const struct dokploy_compose live = { .id = "c1",
		                              .name = "shop",
		                              .environment_id = "e1",
		                              .auto_deploy = true,
		                              .source_type = "raw",
		                              .compose_path = "docker-compose.yml",
		                              .compose_file = "x" };
	buf_printf(said, "%d%d", dokploy_compose_is_raw(&live, "x"), dokploy_compose_is_raw(&live, "y"));
	return dokploy_compose_set_raw(t, d, &live, "services: {}\n", e);
}

static SUSPENDS bool deploy(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	return dokploy_compose_deploy(t, d, "c1", "deployment-1", "why", false, e);
}

static SUSPENDS bool redeploy(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	return dokploy_compose_deploy(t, d, "c1", "deployment-1", "why", true, e);
}

static SUSPENDS bool converted(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const char *yaml;
	if (!dokploy_compose_converted(t, d, "c1", &yaml, e))
		return false;
	buf_str(said, yaml);
	return true;
}

static SUSPENDS bool domains(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_domains list;
	if (!dokploy_domains_of_compose(t, d, "c1", &list, e))
		return false;
	for (size_t i = 0; i < list.n; i++)
		buf_printf(said, "%s:%s:%s:%lld ", list.v[i].id, list.v[i].host, list.v[i].service_name,
		           (long long)list.v[i].port);
	return true;
}

static const struct dokploy_domain wish = { .host = "shop.example.com",
	                                    .port = 8069,
	                                    .service_name = "web",
	                                    .https = true,
	                                    .certificate_type = "none",
	                                    .compose_id = "c1" };

static SUSPENDS bool domain_create(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_domain row;
	if (!dokploy_domain_create(t, d, &wish, &row, e))
		return false;
	buf_str(said, row.id);
	return true;
}

static SUSPENDS bool domain_update(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_domain row;
	if (!dokploy_domain_update(t, d, "d1", &wish, &row, e))
		return false;
	buf_str(said, row.id);
	return true;
}

static SUSPENDS bool domain_delete(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	return dokploy_domain_delete(t, d, "d1", e);
}

static SUSPENDS bool runs(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_deployments list;
	if (!dokploy_deployments_of_compose(t, d, "c1", &list, e))
		return false;
	for (size_t i = 0; i < list.n; i++)
		buf_printf(said, "%s:%s:%s ", list.v[i].id, list.v[i].title, list.v[i].status);
	return true;
}

static SUSPENDS bool schedule_runs(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_deployments list;
	if (!dokploy_deployments_of_schedule(t, d, "s1", &list, e))
		return false;
	buf_printf(said, "%zu", list.n);
	return true;
}

static SUSPENDS bool run_log(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const char *text;
	if (!dokploy_deployment_log(t, d, "r1", 500, &text, e))
		return false;
	buf_str(said, text);
	return true;
}

static SUSPENDS bool schedules(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_schedules list;
	if (!dokploy_schedule_list(t, d, "u1", SCHEDULE_DOKPLOY_SERVER, &list, e))
		return false;
	for (size_t i = 0; i < list.n; i++)
		buf_printf(said, "%s:%s:%d:%zu ", list.v[i].id, list.v[i].app_name, list.v[i].type,
		           list.v[i].deployments.n);
	return true;
}

static struct dokploy_schedule script = { .id = "s1",
	                                  .name = "work",
	                                  .app_name = "platform-a",
	                                  .cron = "0 0 31 2 *",
	                                  .shell = "bash",
	                                  .command = "label",
	                                  .timezone = "UTC",
	                                  .script = "exit 0",
	                                  .application_id = "",
	                                  .server_id = "",
	                                  .user_id = "u1",
	                                  .type = SCHEDULE_DOKPLOY_SERVER };

static SUSPENDS bool schedule_create(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	return dokploy_schedule_create(t, d, &script, e);
}

static SUSPENDS bool schedule_update(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	(void)said;
	struct dokploy_schedule s = script;
	s.type = SCHEDULE_SERVER;
	s.server_id = "srv";
	s.user_id = "";
	return dokploy_schedule_update(t, d, &s, e);
}

static SUSPENDS bool schedule_run(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const char *id, *status;
	if (!dokploy_schedule_run(t, d, "s1", 5000, &id, &status, e))
		return false;
	buf_printf(said, "%s:%s", id, status);
	return true;
}

static SUSPENDS bool session(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const char *user;
	if (!dokploy_session_user(t, d, &user, e))
		return false;
	buf_str(said, user);
	return true;
}

static SUSPENDS bool containers(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_containers list;
	if (!dokploy_containers(t, d, "shop-abc", "srv", &list, e))
		return false;
	for (size_t i = 0; i < list.n; i++)
		buf_printf(said, "%s:%s:%s ", list.v[i].id, list.v[i].name, list.v[i].state);
	return true;
}

static SUSPENDS bool container_config(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_container_config c;
	if (!dokploy_container_config(t, d, "k1", "", &c, e))
		return false;
	buf_printf(said, "%s %s %s %s", c.image, c.state, text_of_list(&c.env_keys), map_get(&c.labels, "one"));
	return true;
}

static SUSPENDS bool application(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_application app;
	if (!dokploy_application_one(t, d, "a1", &app, e))
		return false;
	buf_printf(said, "%s %s %d ", app.docker_image, app.build_args ? app.build_args : "(null)",
	           app.create_env_file);
	return dokploy_application_save_env(t, d, &app, "X=1", e);
}

static SUSPENDS bool projects(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	struct dokploy_services list;
	if (!dokploy_project_all(t, d, &list, e))
		return false;
	for (size_t i = 0; i < list.n; i++)
		buf_printf(said, "%s/%s/%s:%d ", list.v[i].project_name, list.v[i].environment_name, list.v[i].name,
		           list.v[i].is_compose);
	return true;
}

static SUSPENDS bool version(struct task *t, struct dokploy *d, struct buf *said, struct err *e)
{
	const char *v;
	if (!dokploy_version(t, d, &v, e))
		return false;
	buf_str(said, v);
	return true;
}

static void every_call_asks_exactly_and_reads_real_members(void **state)
{
	(void)state;
	static const char row[] =
	        "[{\"deploymentId\":\"r1\",\"title\":\"one\",\"status\":\" Done "
	        "\",\"logPath\":\"\",\"createdAt\":\"t\"},"
	        "{\"deploymentId\":\"r2\",\"title\":\"two\",\"status\":null,\"logPath\":\"\",\"createdAt\":\"t\"}]";
	static const struct {
		call_fn fn;
		const char *asked, *answer, *said;
	} cases[] = {
		{ compose_one, "GET /api/compose.one?composeId=c%2F1 ",
		  "{\"composeId\":\"c/"
		  "1\",\"name\":\"shop\",\"appName\":\"shop-abc\",\"description\":null,\"sourceType\":\"raw\",\"env\":"
		  "\"A=1\","
		  "\"serverId\":null,\"autoDeploy\":true,\"environment\":{\"name\":\"prod\",\"project\":{\"name\":"
		  "\"P\"}},"
		  "\"domains\":[{\"domainId\":\"d1\",\"host\":\"h\",\"port\":8069}],"
		  "\"deployments\":[{\"deploymentId\":\"r1\",\"status\":\"running\"},{\"title\":\"no id\"}]}",
		  "c/1 shop shop-abc (null) raw P |A=1 auto=1 domains=1:h:8069 deployments=1:r1:running" },
		{ set_env, "POST /api/compose.update {\"composeId\":\"c1\",\"env\":\"A=1\\nB=\\\"2\\\"\"}", "{}", "" },
		{ set_raw,
		  "POST /api/compose.update "
		  "{\"composeId\":\"c1\",\"name\":\"shop\",\"environmentId\":\"e1\",\"sourceType\":\"raw\","
		  "\"composePath\":\"docker-compose.yml\",\"autoDeploy\":true,\"composeFile\":\"services: {}\\n\"}",
		  "{}", "10" },
		{ deploy,
		  "POST /api/compose.deploy {\"composeId\":\"c1\",\"title\":\"deployment-1\",\"description\":\"why\"}",
		  "true", "" },
		{ redeploy,
		  "POST /api/compose.redeploy "
		  "{\"composeId\":\"c1\",\"title\":\"deployment-1\",\"description\":\"why\"}",
		  "", "" },
		{ converted, "GET /api/compose.getConvertedCompose?composeId=c1 ", "\"services:\\n  web: {}\\n\"",
		  "services:\n  web: {}\n" },
		{ converted, "GET /api/compose.getConvertedCompose?composeId=c1 ", "services: plain",
		  "services: plain" },
		{ domains, "GET /api/domain.byComposeId?composeId=c1 ",
		  "[{\"domainId\":\"d1\",\"host\":\"a.example\",\"serviceName\":\"web\",\"port\":null}]",
		  "d1:a.example:web:0 " },
		{ domain_create,
		  "POST /api/domain.create "
		  "{\"host\":\"shop.example.com\",\"path\":\"/\",\"internalPath\":\"/\",\"port\":8069,\"https\":true,"
		  "\"certificateType\":\"none\",\"customCertResolver\":null,\"serviceName\":\"web\",\"domainType\":"
		  "\"compose\","
		  "\"stripPath\":false,\"composeId\":\"c1\",\"applicationId\":null,\"previewDeploymentId\":null}",
		  "{\"domainId\":\"d9\"}", "d9" },
		{ domain_update,
		  "POST /api/domain.update "
		  "{\"host\":\"shop.example.com\",\"path\":\"/\",\"internalPath\":\"/\",\"port\":8069,\"https\":true,"
		  "\"certificateType\":\"none\",\"customCertResolver\":null,\"serviceName\":\"web\",\"domainType\":"
		  "\"compose\","
		  "\"stripPath\":false,\"domainId\":\"d1\"}",
		  "{\"domainId\":\"d1\"}", "d1" },
		{ domain_delete, "POST /api/domain.delete {\"domainId\":\"d1\"}", "{}", "" },
		{ runs, "GET /api/deployment.allByCompose?composeId=c1 ", row, "r1:one:done r2:two: " },
		{ schedule_runs, "GET /api/deployment.allByType?id=s1&type=schedule ", row, "2" },
		{ run_log, "GET /api/deployment.readLogs?deploymentId=r1&tail=500 ", "\"a=true\\n\"", "a=true\n" },
		{ run_log, "GET /api/deployment.readLogs?deploymentId=r1&tail=500 ", "", "" },
		{ schedules, "GET /api/schedule.list?id=u1&scheduleType=dokploy-server ",
		  "[{\"scheduleId\":\"s1\",\"appName\":\"platform-a\",\"scheduleType\":\"dokploy-server\","
		  "\"deployments\":[{\"deploymentId\":\"r\"}]}]",
		  "s1:platform-a:3:1 " },
		{ schedule_create,
		  "POST /api/schedule.create {\"name\":\"work\",\"cronExpression\":\"0 0 31 2 "
		  "*\",\"appName\":\"platform-a\",\"shellType\":\"bash\","
		  "\"scheduleType\":\"dokploy-server\",\"command\":\"label\",\"script\":\"exit "
		  "0\",\"serverId\":null,\"userId\":\"u1\","
		  "\"enabled\":false,\"timezone\":\"UTC\"}",
		  "{}", "" },
		{ schedule_update,
		  "POST /api/schedule.update {\"name\":\"work\",\"cronExpression\":\"0 0 31 2 "
		  "*\",\"appName\":\"platform-a\",\"shellType\":\"bash\","
		  "\"scheduleType\":\"server\",\"command\":\"label\",\"script\":\"exit 0\",\"serverId\":\"srv\","
		  "\"enabled\":false,\"timezone\":\"UTC\",\"scheduleId\":\"s1\"}",
		  "{}", "" },
		{ schedule_run, "POST /api/schedule.runManually {\"scheduleId\":\"s1\"}", "true", ":" },
		{ schedule_run, "POST /api/schedule.runManually {\"scheduleId\":\"s1\"}",
		  "{\"deploymentId\":\"r7\",\"status\":\"error\"}", "r7:error" },
		{ session, "GET /api/user.session ", "{\"user\":{\"id\":\"u1\"},\"session\":{}}", "u1" },
		{ containers,
		  "GET /api/docker.getContainersByAppNameMatch?appName=shop-abc&appType=docker-compose&serverId=srv ",
		  "[{\"containerId\":\"k1\",\"name\":\"shop-abc-web-1\",\"state\":\"running\"}]",
		  "k1:shop-abc-web-1:running " },
		{ container_config, "GET /api/docker.getConfig?containerId=k1 ",
		  "{\"Config\":{\"Image\":\"i@sha256:1\",\"Env\":[\"A=secret\",\"B=\",\"C=1=2\"],\"Labels\":{\"one\":"
		  "\"1\"}},"
		  "\"State\":{\"Status\":\"running\"}}",
		  "i@sha256:1 running A,C 1" },
		{ application,
		  "POST /api/application.saveEnvironment "
		  "{\"applicationId\":\"a1\",\"env\":\"X=1\",\"buildArgs\":\"\",\"buildSecrets\":\"S=1\","
		  "\"createEnvFile\":true}",
		  "{\"applicationId\":\"a1\",\"dockerImage\":\"img\",\"buildArgs\":null,\"buildSecrets\":\"S=1\"}",
		  "img (null) 1 " },
		{ projects, "GET /api/project.all ",
		  "[{\"name\":\"P\",\"environments\":[{\"name\":\"production\",\"compose\":[{\"composeId\":\"c1\","
		  "\"name\":\"shop\"}],"
		  "\"applications\":[{\"applicationId\":\"a1\",\"name\":\"site\"}]}]}]",
		  "P/production/shop:1 P/production/site:0 " },
		{ version, "GET /api/settings.getDokployVersion ", "\"v0.29.8\"", "v0.29.8" },
	};
	status_line = "200 OK";
	for (size_t i = 0; i < countof(cases); i++) {
		struct story s = { .fn = cases[i].fn };
		answer_text = cases[i].answer;
		play(&s);
		if (!s.ok)
			fail_msg("%s: %s", cases[i].asked, s.err.message);
		assert_string_equal(asked, cases[i].asked);
		assert_string_equal(s.said, cases[i].said);
		assert_false(s.maybe_done);
	}
}

static void a_refusal_says_whether_another_try_helps(void **state)
{
	(void)state;
	static const struct {
		const char *line, *body;
		int status;
		const struct error_code *code;
		bool retry, maybe_done, key_refused;
	} cases[] = {
		{ "400 Bad Request", "{\"message\":\"no\",\"code\":\"BAD_REQUEST\"}", 400, &E_provider_refused, false,
		  false, false },
		{ "401 Unauthorized", "{\"message\":\"Unauthorized\"}", 401, &E_provider_refused, false, false, true },
		{ "401 Unauthorized", "{\"message\":\"x\",\"code\":\"UNAUTHORIZED\"}", 401, &E_provider_refused, false,
		  false, false },
		{ "404 Not Found", "{\"message\":\"x\",\"code\":\"NOT_FOUND\"}", 404, &E_not_found, false, false,
		  false },
		{ "408 Request Timeout", "", 408, &E_upstream_failed, true, true, false },
		{ "425 Too Early", "", 425, &E_upstream_failed, true, false, false },
		{ "429 Too Many Requests", "", 429, &E_upstream_failed, true, false, false },
		{ "500 Internal Server Error", "boom", 500, &E_upstream_failed, true, true, false },
		{ "302 Found", "", 302, &E_provider_refused, false, false, false },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct story s = { .fn = deploy };
		status_line = cases[i].line;
		answer_text = cases[i].body;
		play(&s);
		assert_false(s.ok);
		assert_int_equal(s.err.provider_status, cases[i].status);
		assert_ptr_equal(s.err.code, cases[i].code);
		assert_int_equal(dokploy_may_retry(&s.err), cases[i].retry);
		assert_int_equal(s.maybe_done, cases[i].maybe_done);
		assert_int_equal(dokploy_key_refused(&s.err), cases[i].key_refused);
	}
	assert_string_equal(
	        asked,
	        "POST /api/compose.deploy {\"composeId\":\"c1\",\"title\":\"deployment-1\",\"description\":\"why\"}");
}

static void a_failure_shows_the_answer_redacted_and_cut(void **state)
{
	(void)state;
	char *body = arena_printf(a, "{\"message\":\"tok-123 said\\nPASSWORD=hunter2 and %0300d end\"}", 7);
	struct story s = { .fn = version };
	status_line = "500 Internal Server Error";
	answer_text = body;
	play(&s);
	assert_false(s.ok);
	assert_non_null(strstr(s.err.message, "Dokploy GET settings.getDokployVersion failed (500): "));
	assert_null(strstr(s.err.message, "tok-123"));
	assert_null(strstr(s.err.message, "hunter2"));
	assert_null(strstr(s.err.message, "127.0.0.1"));
	assert_null(strstr(s.err.message, "end"));
	assert_false(s.maybe_done);
}

static void a_cut_connection_leaves_a_mutation_in_doubt(void **state)
{
	(void)state;
	hangs_up = true;
	struct story s = { .fn = deploy };
	play(&s);
	assert_false(s.ok);
	assert_int_equal(s.err.provider_status, 0);
	assert_true(dokploy_may_retry(&s.err));
	assert_true(s.maybe_done);
	assert_null(strstr(s.err.message, "tok-123"));
	struct story q = { .fn = version };
	play(&q);
	assert_false(q.ok);
	assert_false(q.maybe_done);
}

static void a_strange_answer_is_no_success(void **state)
{
	(void)state;
	static const struct {
		call_fn fn;
		const char *answer;
	} cases[] = {
		{ compose_one, "{}" },      { compose_one, "null" },
		{ compose_one, "<html>" },  { domains, "{\"data\":[]}" },
		{ domain_create, "{}" },    { session, "null" },
		{ runs, "true" },           { schedules, "\"x\"" },
		{ container_config, "{}" }, { application, "[]" },
		{ projects, "{}" },         { version, "[1]" },
	};
	status_line = "200 OK";
	for (size_t i = 0; i < countof(cases); i++) {
		struct story s = { .fn = cases[i].fn };
		answer_text = cases[i].answer;
		play(&s);
		assert_false(s.ok);
		assert_false(dokploy_may_retry(&s.err));
		assert_int_equal(s.maybe_done, cases[i].fn == domain_create);
	}
}

#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(every_call_asks_exactly_and_reads_real_members),
		STORY(a_refusal_says_whether_another_try_helps),
		STORY(a_failure_shows_the_answer_redacted_and_cut),
		STORY(a_cut_connection_leaves_a_mutation_in_doubt),
		STORY(a_strange_answer_is_no_success),
	};
	return cmocka_run_group_tests_name("dokploy", tests, NULL, NULL);
}
