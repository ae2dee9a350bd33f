/* Dokploy's answers: a real client asks a server that answers with the input. The first byte chooses the call, the
 * second the status. */
#include "drivers/dokploy/dokploy.h"
#include "../unit/tiny_server.h"
#include "core/http_client.h"
#include "fuzz.h"

static struct loop loop;
static bool is_running;
static struct tiny server;
static const char *answer;
static const char *status;
static unsigned call;

static void answers(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method, (void)path, (void)text;
	tiny_send(conn, status, "Content-Type: application/json\r\n", answer);
}

static SUSPENDS void ask(struct task *t, void *arg)
{
	(void)arg;
	struct dokploy d = { .host = arena_printf(t->arena, "http://127.0.0.1:%d", server.port), .token = "token" };
	struct err err = { 0 };
	struct dokploy_compose compose;
	struct dokploy_application application;
	struct dokploy_domains domains;
	struct dokploy_deployments deployments;
	struct dokploy_schedules schedules;
	struct dokploy_containers containers;
	struct dokploy_container_config config;
	struct dokploy_services services;
	const char *text, *other;
	bool ok;
	switch (call % 12) {
	case 0:
		ok = dokploy_compose_one(t, &d, "c1", &compose, &err);
		break;
	case 1:
		ok = dokploy_domains_of_compose(t, &d, "c1", &domains, &err);
		break;
	case 2:
		ok = dokploy_deployments_of_compose(t, &d, "c1", &deployments, &err);
		break;
	case 3:
		ok = dokploy_schedule_list(t, &d, "s1", SCHEDULE_SERVER, &schedules, &err);
		break;
	case 4:
		ok = dokploy_containers(t, &d, "app", "", &containers, &err);
		break;
	case 5:
		ok = dokploy_container_config(t, &d, "k1", "", &config, &err);
		break;
	case 6:
		ok = dokploy_application_one(t, &d, "a1", &application, &err);
		break;
	case 7:
		ok = dokploy_project_all(t, &d, &services, &err);
		break;
	case 8:
		ok = dokploy_version(t, &d, &text, &err);
		break;
	case 9:
		ok = dokploy_session_user(t, &d, &text, &err);
		break;
	case 10:
		ok = dokploy_schedule_run(t, &d, "s1", 1000, &text, &other, &err);
		break;
	default:
		ok = dokploy_deployment_log(t, &d, "d1", 100, &text, &err);
	}
	if (!ok)
		fuzz_refused(&err);
	loop_stop(t->loop);
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	(void)a;
	static const char *const statuses[] = { "200 OK",
		                                "200 OK",
		                                "200 OK",
		                                "404 Not Found",
		                                "400 Bad Request",
		                                "401 Unauthorized",
		                                "500 Internal Server Error" };
	if (n < 2 || n > 60000)
		return;
	if (!is_running) {
		struct err err = { 0 };
		is_running = loop_init(&loop, NULL, &err) && http_client_new(&loop);
		assert(is_running);
		server.answer = answers;
		tiny_start(&server, &loop);
	}
	char *text = fuzz_text(data + 2, n - 2);
	answer = text;
	call = data[0];
	status = statuses[data[1] % countof(statuses)];
	task_spawn(&loop, "fuzz", ask, NULL);
	loop_run(&loop);
	free(text);
}
