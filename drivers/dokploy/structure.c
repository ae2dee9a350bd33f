/* Projects, environments, new services, and logs (facts/dokploy.md 2, 3, 4, 8). */
#include "drivers/dokploy/dokploy_internal.h"

#include <assert.h>

static void read_things(struct arena *a, const struct json *rows, const char *id_name, struct dokploy_things *out)
{
	uint32_t n = rows && rows->type == JSON_ARRAY ? rows->n : 0;
	*out = (struct dokploy_things){ .v = arena_array(a, n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < n; i++)
		out->v[out->n++] =
		        (struct dokploy_thing){ .id = dokploy_text(&rows->items[i], id_name),
			                        .name = dokploy_text(&rows->items[i], "name"),
			                        .description = dokploy_text(&rows->items[i], "description") };
}

/* Where an answer to a creation keeps the new row. */
static SUSPENDS bool create(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                            const char *inner, const char *id_name, const char **id, struct err *err)
{
	struct json row;
	if (!dokploy_post(t, d, procedure, body, &row, err))
		return false;
	const struct json *nested = json_get(&row, inner);
	*id = dokploy_text(nested && nested->type == JSON_OBJECT ? nested : &row, id_name);
	if ((*id)[0])
		return true;
	d->maybe_done = true;
	return dokploy_strange(err, procedure, "a row with an id");
}

bool dokploy_projects(struct task *t, struct dokploy *d, struct dokploy_things *out, struct err *err)
{
	struct json rows;
	if (!dokploy_get(t, d, "project.all", NULL, 0, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "project.all", "a list");
	read_things(t->arena, &rows, "projectId", out);
	return true;
}

bool dokploy_project_create(struct task *t, struct dokploy *d, const char *name, const char *description,
                            const char **id, struct err *err)
{
	struct json body = json_object();
	json_set_str(t->arena, &body, "name", name);
	json_set_str(t->arena, &body, "description", description);
	return create(t, d, "project.create", &body, "project", "projectId", id, err);
}

bool dokploy_environments(struct task *t, struct dokploy *d, const char *project_id, struct dokploy_things *out,
                          struct err *err)
{
	struct json rows;
	if (!dokploy_get(t, d, "environment.byProjectId", &(const struct dokploy_param){ "projectId", project_id }, 1,
	                 &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "environment.byProjectId", "a list");
	read_things(t->arena, &rows, "environmentId", out);
	return true;
}

bool dokploy_environment_create(struct task *t, struct dokploy *d, const char *project_id, const char *name,
                                const char *description, const char **id, struct err *err)
{
	struct json body = json_object();
	json_set_str(t->arena, &body, "projectId", project_id);
	json_set_str(t->arena, &body, "name", name);
	json_set_str(t->arena, &body, "description", description);
	return create(t, d, "environment.create", &body, "environment", "environmentId", id, err);
}

bool dokploy_environment_services(struct task *t, struct dokploy *d, const char *environment_id, bool is_compose,
                                  struct dokploy_things *out, struct err *err)
{
	struct json row;
	if (!dokploy_get(t, d, "environment.one", &(const struct dokploy_param){ "environmentId", environment_id }, 1,
	                 &row, err))
		return false;
	const struct json *rows = json_get(&row, is_compose ? "compose" : "applications");
	if (!rows || rows->type != JSON_ARRAY)
		return dokploy_strange(err, "environment.one", "an environment with its services");
	read_things(t->arena, rows, is_compose ? "composeId" : "applicationId", out);
	return true;
}

bool dokploy_service_create(struct task *t, struct dokploy *d, const struct dokploy_new_service *wish, const char **id,
                            struct err *err)
{
	struct json body = json_object();
	json_set_str(t->arena, &body, "name", wish->name);
	json_set_str(t->arena, &body, "appName", wish->app_name);
	json_set_str(t->arena, &body, "environmentId", wish->environment_id);
	json_set_str(t->arena, &body, "description", wish->description);
	json_set_str(t->arena, &body, "serverId", wish->server_id[0] ? wish->server_id : NULL);
	if (!wish->is_compose)
		return create(t, d, "application.create", &body, "application", "applicationId", id, err);
	json_set_str(t->arena, &body, "composeType", "docker-compose");
	return create(t, d, "compose.create", &body, "compose", "composeId", id, err);
}

bool dokploy_compose_delete(struct task *t, struct dokploy *d, const char *compose_id, bool with_volumes,
                            struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "composeId", compose_id);
	json_set(t->arena, &body, "deleteVolumes", json_of_bool(with_volumes));
	return dokploy_post(t, d, "compose.delete", &body, &ignored, err);
}

bool dokploy_compose_set_source(struct task *t, struct dokploy *d, const char *compose_id, const char *source_type,
                                const char *compose_path, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "composeId", compose_id);
	json_set_str(t->arena, &body, "sourceType", source_type);
	json_set_str(t->arena, &body, "composePath", compose_path);
	return dokploy_post(t, d, "compose.update", &body, &ignored, err);
}

/* ---- every service ---- */

static void read_services(struct arena *a, const struct json *project, const struct json *environment, const char *list,
                          const char *id_name, const char *status_name, struct dokploy_services *out)
{
	const struct json *rows = json_get(environment, list);
	uint32_t n = rows && rows->type == JSON_ARRAY ? rows->n : 0;
	if (n == 0)
		return;
	struct dokploy_service *v = arena_array(a, out->n + n, sizeof(*v));
	if (out->n)
		memcpy(v, out->v, out->n * sizeof(*v));
	out->v = v;
	for (uint32_t i = 0; i < n; i++)
		out->v[out->n++] = (struct dokploy_service){
			.project_id = dokploy_text(project, "projectId"),
			.project_name = dokploy_text(project, "name"),
			.environment_id = dokploy_text(environment, "environmentId"),
			.environment_name = dokploy_text(environment, "name"),
			.service_id = dokploy_text(&rows->items[i], id_name),
			.name = dokploy_text(&rows->items[i], "name"),
			.status = dokploy_text(&rows->items[i], status_name),
			.is_compose = strcmp(list, "compose") == 0,
		};
}

bool dokploy_project_all(struct task *t, struct dokploy *d, struct dokploy_services *out, struct err *err)
{
	struct json projects;
	if (!dokploy_get(t, d, "project.all", NULL, 0, &projects, err))
		return false;
	if (projects.type != JSON_ARRAY)
		return dokploy_strange(err, "project.all", "a list");
	*out = (struct dokploy_services){ 0 };
	for (uint32_t i = 0; i < projects.n; i++) {
		const struct json *environments = json_get(&projects.items[i], "environments");
		for (uint32_t k = 0; environments && environments->type == JSON_ARRAY && k < environments->n; k++) {
			const struct json *e = &environments->items[k];
			read_services(t->arena, &projects.items[i], e, "compose", "composeId", "composeStatus", out);
			read_services(t->arena, &projects.items[i], e, "applications", "applicationId",
			              "applicationStatus", out);
		}
	}
	return true;
}

/* ---- logs ---- */

static SUSPENDS bool log_of(struct task *t, struct dokploy *d, const char *procedure, struct dokploy_param *params,
                            size_t n, const struct dokploy_log_wish *wish, struct json *out, struct err *err)
{
	assert(wish->lines >= 1 && wish->lines <= 10000);
	params[n++] = (struct dokploy_param){ "tail", arena_printf(t->arena, "%lld", (long long)wish->lines) };
	params[n++] = (struct dokploy_param){ "since", wish->since };
	if (wish->search[0])
		params[n++] = (struct dokploy_param){ "search", wish->search };
	return dokploy_get(t, d, procedure, params, n, out, err);
}

bool dokploy_compose_log(struct task *t, struct dokploy *d, const char *compose_id, const char *container_id,
                         const struct dokploy_log_wish *wish, struct json *out, struct err *err)
{
	struct dokploy_param params[5] = { { "composeId", compose_id }, { "containerId", container_id } };
	return log_of(t, d, "compose.readLogs", params, 2, wish, out, err);
}

bool dokploy_application_log(struct task *t, struct dokploy *d, const char *application_id,
                             const struct dokploy_log_wish *wish, struct json *out, struct err *err)
{
	struct dokploy_param params[4] = { { "applicationId", application_id } };
	return log_of(t, d, "application.readLogs", params, 1, wish, out, err);
}
