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
	struct dokploy_domain domain;
	struct dokploy_deployments deployments;
	struct dokploy_schedules schedules;
	struct dokploy_containers containers;
	struct dokploy_container_config config;
	struct dokploy_services services;
	struct dokploy_things things;
	struct json log;
	const struct dokploy_log_wish lines = { .lines = 100, .since = "all", .search = "" };
	const struct dokploy_domain route = { .host = "shop.example.com",
		                              .service_name = "web",
		                              .certificate_type = "letsencrypt",
		                              .cert_resolver = "",
		                              .compose_id = "c1",
		                              .port = 8069,
		                              .https = true };
	const struct dokploy_new_service wish = { .name = "shop",
		                                  .app_name = "shop",
		                                  .environment_id = "e1",
		                                  .server_id = "",
		                                  .description = "",
		                                  .is_compose = true };
	const char *text, *other;
	bool holds_list = strchr(provider.answers, '[') != NULL;
	bool ok;
	switch (call % 24) {
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
	case 11:
		ok = dokploy_deployment_log(t, &d, "d1", 100, &text, &err);
		break;
	case 12:
		ok = dokploy_deployments_of_schedule(t, &d, "s1", &deployments, &err);
		break;
	case 13:
		ok = dokploy_compose_converted(t, &d, "c1", &text, &err);
		break;
	case 14:
		ok = dokploy_domain_create(t, &d, &route, &domain, &err);
		break;
	case 15:
		ok = dokploy_domain_update(t, &d, "d1", &route, &domain, &err);
		break;
	case 16:
		ok = dokploy_projects(t, &d, &things, &err);
		break;
	case 17:
		ok = dokploy_environments(t, &d, "p1", &things, &err);
		break;
	case 18:
		ok = dokploy_environment_services(t, &d, "e1", true, &things, &err);
		assert(!ok || holds_list); /* none is no environment */
		break;
	case 19:
		ok = dokploy_service_create(t, &d, &wish, &text, &err);
		break;
	case 20:
		ok = dokploy_project_create(t, &d, "shop", "", &text, &err);
		break;
	case 21:
		ok = dokploy_environment_create(t, &d, "p1", "prod", "", &text, &err);
		break;
	case 22:
		ok = dokploy_compose_log(t, &d, "c1", "k1", &lines, &log, &err);
		break;
	default:
		ok = dokploy_compose_deploy(t, &d, "c1", "title", "", false, &err);
	}
	if (!ok)
		fuzz_refused(&err);
}
