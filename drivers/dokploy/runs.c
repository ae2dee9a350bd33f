/* Runs of deploys and of schedules, and the schedules themselves (facts/dokploy.md 6, 7). */
#include "drivers/dokploy/dokploy_internal.h"

#include <assert.h>

const char *const schedule_type_names[] = { "application", "compose", "server", "dokploy-server", NULL };

/* ---- deployments ---- */

void dokploy_read_deployments(struct arena *a, const struct json *j, struct dokploy_deployments *out)
{
	uint32_t n = j && j->type == JSON_ARRAY ? j->n : 0;
	*out = (struct dokploy_deployments){ .v = arena_array(a, n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < n; i++) {
		const struct json *row = &j->items[i];
		if (!dokploy_text(row, "deploymentId")[0])
			continue;
		out->v[out->n++] = (struct dokploy_deployment){
			.id = dokploy_text(row, "deploymentId"),
			.title = dokploy_text(row, "title"),
			.description = dokploy_text(row, "description"),
			.status = dokploy_status(a, row, "status"),
			.created_at = dokploy_text(row, "createdAt"),
			.started_at = dokploy_text(row, "startedAt"),
			.finished_at = dokploy_text(row, "finishedAt"),
			.error_message = dokploy_text(row, "errorMessage"),
		};
	}
}

static SUSPENDS bool list_deployments(struct task *t, struct dokploy *d, const char *procedure,
                                      const struct dokploy_param *params, size_t n, struct dokploy_deployments *out,
                                      struct err *err)
{
	struct json rows;
	if (!dokploy_get(t, d, procedure, params, n, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, procedure, "a list");
	dokploy_read_deployments(t->arena, &rows, out);
	return true;
}

bool dokploy_deployments_of_compose(struct task *t, struct dokploy *d, const char *compose_id,
                                    struct dokploy_deployments *out, struct err *err)
{
	return list_deployments(t, d, "deployment.allByCompose",
	                        &(const struct dokploy_param){ "composeId", compose_id }, 1, out, err);
}

bool dokploy_deployments_of_schedule(struct task *t, struct dokploy *d, const char *schedule_id,
                                     struct dokploy_deployments *out, struct err *err)
{
	const struct dokploy_param params[] = { { "id", schedule_id }, { "type", "schedule" } };
	return list_deployments(t, d, "deployment.allByType", params, 2, out, err);
}

bool dokploy_deployment_log(struct task *t, struct dokploy *d, const char *deployment_id, int64_t tail,
                            const char **text, struct err *err)
{
	assert(tail >= 1 && tail <= 10000);
	const struct dokploy_param params[] = {
		{ "deploymentId", deployment_id },
		{ "tail", arena_printf(t->arena, "%lld", (long long)tail) },
	};
	return dokploy_get_text(t, d, "deployment.readLogs", params, 2, text, err);
}

/* ---- schedules ---- */

static void read_schedule(struct arena *a, const struct json *row, struct dokploy_schedule *out)
{
	*out = (struct dokploy_schedule){
		.id = dokploy_text(row, "scheduleId"),
		.name = dokploy_text(row, "name"),
		.app_name = dokploy_text(row, "appName"),
		.cron = dokploy_text(row, "cronExpression"),
		.shell = dokploy_text(row, "shellType"),
		.command = dokploy_text(row, "command"),
		.timezone = dokploy_text(row, "timezone"),
		.script = dokploy_text(row, "script"),
		.application_id = dokploy_text(row, "applicationId"),
		.server_id = dokploy_text(row, "serverId"),
		.user_id = dokploy_text(row, "userId"),
		.enabled = json_bool(row, "enabled", false),
	};
	for (int i = 0; schedule_type_names[i]; i++)
		if (strcmp(schedule_type_names[i], dokploy_text(row, "scheduleType")) == 0)
			out->type = i;
	dokploy_read_deployments(a, json_get(row, "deployments"), &out->deployments);
}

bool dokploy_schedule_list(struct task *t, struct dokploy *d, const char *list_id, enum schedule_type type,
                           struct dokploy_schedules *out, struct err *err)
{
	const struct dokploy_param params[] = { { "id", list_id }, { "scheduleType", schedule_type_names[type] } };
	struct json rows;
	if (!dokploy_get(t, d, "schedule.list", params, 2, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "schedule.list", "a list");
	*out = (struct dokploy_schedules){ .v = arena_array(t->arena, rows.n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < rows.n; i++)
		read_schedule(t->arena, &rows.items[i], &out->v[out->n++]);
	return true;
}

static void set_unless_blank(struct arena *a, struct json *body, const char *name, const char *value)
{
	if (value && value[0])
		json_set_str(a, body, name, value);
}

/* facts/dokploy.md 7.3. userId is known up to v0.29.4 and stripped without harm by later servers. */
static struct json schedule_body(struct arena *a, const struct dokploy_schedule *wish)
{
	struct json body = json_object();
	json_set_str(a, &body, "name", wish->name);
	json_set_str(a, &body, "cronExpression", wish->cron);
	set_unless_blank(a, &body, "appName", wish->app_name);
	json_set_str(a, &body, "shellType", wish->shell);
	json_set_str(a, &body, "scheduleType", schedule_type_names[wish->type]);
	json_set_str(a, &body, "command", wish->command);
	set_unless_blank(a, &body, "script", wish->script);
	set_unless_blank(a, &body, "applicationId", wish->application_id);
	json_set_str(a, &body, "serverId", wish->server_id && wish->server_id[0] ? wish->server_id : NULL);
	set_unless_blank(a, &body, "userId", wish->user_id);
	json_set(a, &body, "enabled", json_of_bool(wish->enabled));
	json_set_str(a, &body, "timezone", wish->timezone);
	return body;
}

bool dokploy_schedule_create(struct task *t, struct dokploy *d, const struct dokploy_schedule *wish, struct err *err)
{
	struct json body = schedule_body(t->arena, wish), ignored;
	return dokploy_post(t, d, "schedule.create", &body, &ignored, err);
}

bool dokploy_schedule_update(struct task *t, struct dokploy *d, const struct dokploy_schedule *wish, struct err *err)
{
	struct json body = schedule_body(t->arena, wish), ignored;
	json_set_str(t->arena, &body, "scheduleId", wish->id);
	return dokploy_post(t, d, "schedule.update", &body, &ignored, err);
}

bool dokploy_schedule_run(struct task *t, struct dokploy *d, const char *schedule_id, uint32_t timeout_ms,
                          const char **deployment_id, const char **status, struct err *err)
{
	struct json body = json_object(), row;
	json_set_str(t->arena, &body, "scheduleId", schedule_id);
	if (!dokploy_post_within(t, d, "schedule.runManually", &body, timeout_ms, &row, err))
		return false;
	*deployment_id = dokploy_text(&row, "deploymentId");
	*status = dokploy_status(t->arena, &row, "status");
	return true;
}

bool dokploy_session_user(struct task *t, struct dokploy *d, const char **user_id, struct err *err)
{
	struct json session;
	if (!dokploy_get(t, d, "user.session", NULL, 0, &session, err))
		return false;
	const char *id = dokploy_text(json_get(&session, "user"), "id");
	if (!id[0])
		return dokploy_strange(err, "user.session", "a session: the key belongs to no user or organisation");
	*user_id = id;
	return true;
}
