/* Dokploy's answers. The first byte of the input chooses the call. */
#include "drivers/dokploy/dokploy.h"

#include "provider.h"

static SUSPENDS void fuzz_ask(struct task *t, const char *url, unsigned call)
{
	struct dokploy d = { .host = url, .token = "token" };
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
}
