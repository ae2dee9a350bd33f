/* Containers, and services of one image (facts/dokploy.md 4, 8). */
#include "drivers/dokploy/dokploy_internal.h"

#include "storage/codes.h"

/* ---- containers ---- */

bool dokploy_containers(struct task *t, struct dokploy *d, const char *app_name, const char *server_id,
                        struct dokploy_containers *out, struct err *err)
{
	const struct dokploy_param params[] = { { "appName", app_name },
		                                { "appType", "docker-compose" },
		                                { "serverId", server_id } };
	struct json rows;
	if (!dokploy_get(t, d, "docker.getContainersByAppNameMatch", params, server_id[0] ? 3 : 2, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "docker.getContainersByAppNameMatch", "a list");
	*out = (struct dokploy_containers){ .v = arena_array(t->arena, rows.n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < rows.n; i++) {
		const struct json *row = &rows.items[i];
		out->v[out->n++] = (struct dokploy_container){
			.id = dokploy_text(row, "containerId"),
			.name = dokploy_text(row, "name"),
			.state = dokploy_text(row, "state"),
			.status = dokploy_text(row, "status"),
		};
	}
	return true;
}

bool dokploy_container_config(struct task *t, struct dokploy *d, const char *container_id, const char *server_id,
                              struct dokploy_container_config *out, struct err *err)
{
	const struct dokploy_param params[] = { { "containerId", container_id }, { "serverId", server_id } };
	struct json row;
	if (!dokploy_get(t, d, "docker.getConfig", params, server_id[0] ? 2 : 1, &row, err))
		return false;
	const struct json *config = json_get(&row, "Config");
	if (!config)
		return err_set(err, &E_not_found, "Dokploy could not inspect the container");
	*out = (struct dokploy_container_config){
		.image = dokploy_text(config, "Image"),
		.state = dokploy_text(json_get(&row, "State"), "Status"),
	};
	const struct json *env = json_get(config, "Env");
	for (uint32_t i = 0; env && env->type == JSON_ARRAY && i < env->n; i++) {
		const char *entry = env->items[i].type == JSON_STRING ? env->items[i].string : "";
		size_t key = strcspn(entry, "=");
		if (entry[key] && entry[key + 1])
			strings_add(t->arena, &out->env_keys, arena_strndup(t->arena, entry, key));
	}
	const struct json *labels = json_get(config, "Labels");
	for (uint32_t i = 0; labels && labels->type == JSON_OBJECT && i < labels->n; i++)
		if (labels->members[i].value.type == JSON_STRING)
			map_set(t->arena, &out->labels, labels->members[i].key, labels->members[i].value.string);
	return true;
}

/* ---- applications ---- */

bool dokploy_application_one(struct task *t, struct dokploy *d, const char *application_id,
                             struct dokploy_application *out, struct err *err)
{
	struct json row;
	if (!dokploy_get_by(t, d, "application.one", "applicationId", application_id, &row, err))
		return false;
	if (!dokploy_text(&row, "applicationId")[0])
		return dokploy_strange(err, "application.one", "an application");
	const struct json *environment = json_get(&row, "environment");
	*out = (struct dokploy_application){
		.id = dokploy_text(&row, "applicationId"),
		.name = dokploy_text(&row, "name"),
		.description = json_str(&row, "description", NULL),
		.environment_name = dokploy_text(environment, "name"),
		.project_id = dokploy_text(json_get(environment, "project"), "projectId"),
		.project_name = dokploy_text(json_get(environment, "project"), "name"),
		.app_name = dokploy_text(&row, "appName"),
		.source_type = dokploy_text(&row, "sourceType"),
		.docker_image = dokploy_text(&row, "dockerImage"),
		.username = dokploy_text(&row, "username"),
		.registry_url = dokploy_text(&row, "registryUrl"),
		.env = dokploy_text(&row, "env"),
		.status = dokploy_status(t->arena, &row, "applicationStatus"),
		.build_args = json_str(&row, "buildArgs", NULL),
		.build_secrets = json_str(&row, "buildSecrets", NULL),
		.password = dokploy_text(&row, "password"),
		.environment_id = dokploy_text(&row, "environmentId"),
		.server_id = dokploy_text(&row, "serverId"),
		.custom_git_url = dokploy_text(&row, "customGitUrl"),
		.custom_git_branch = dokploy_text(&row, "customGitBranch"),
		.repository = dokploy_text(&row, "repository"),
		.branch = dokploy_text(&row, "branch"),
		.create_env_file = json_bool(&row, "createEnvFile", true),
	};
	dokploy_read_domains(t->arena, json_get(&row, "domains"), &out->domains);
	dokploy_read_deployments(t->arena, json_get(&row, "deployments"), &out->deployments);
	return true;
}

bool dokploy_application_save_env(struct task *t, struct dokploy *d, const struct dokploy_application *live,
                                  const char *env, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "applicationId", live->id);
	json_set_str(t->arena, &body, "env", env);
	/* All five members must be there; what is left out would be refused, what is blank would be lost. */
	json_set_str(t->arena, &body, "buildArgs", live->build_args ? live->build_args : "");
	json_set_str(t->arena, &body, "buildSecrets", live->build_secrets ? live->build_secrets : "");
	json_set(t->arena, &body, "createEnvFile", json_of_bool(live->create_env_file));
	return dokploy_post(t, d, "application.saveEnvironment", &body, &ignored, err);
}

bool dokploy_application_deploy(struct task *t, struct dokploy *d, const char *application_id, const char *title,
                                const char *description, bool rebuild, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "applicationId", application_id);
	json_set_str(t->arena, &body, "title", title);
	json_set_str(t->arena, &body, "description", description);
	return dokploy_post(t, d, rebuild ? "application.redeploy" : "application.deploy", &body, &ignored, err);
}
