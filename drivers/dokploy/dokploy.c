#include "drivers/dokploy/dokploy.h"

#include "core/http_client.h"
#include "core/redact.h"
#include "drivers/dokploy/dokploy_internal.h"
#include "storage/codes.h"

#include <assert.h>

#define CALL_TIMEOUT_MS 60000
#define BODY_SHOWN      240 /* bytes of an error answer that a message carries */

const char *const schedule_type_names[] = { "application", "compose", "server", "dokploy-server", NULL };

/* ---- one request ---- */

static const char *call_url(struct task *t, const struct dokploy *d, const char *procedure,
                            const struct dokploy_param *params, size_t n)
{
	size_t host = strlen(d->host);
	while (host && d->host[host - 1] == '/')
		host--;
	struct buf b = buf_in(t->arena);
	buf_add(&b, d->host, host);
	buf_printf(&b, "/api/%s", procedure);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%c%s=", i ? '&' : '?', params[i].name);
		buf_escaped(&b, params[i].value);
	}
	return buf_cstr(&b);
}

/* The error answer as a message may show it: redacted, on one line, cut. */
static const char *shown(struct arena *a, const struct dokploy *d, const struct http_answer *answer)
{
	char *text = arena_strndup(a, answer->body, answer->body_n < 4000 ? answer->body_n : 4000);
	size_t token = strlen(d->token);
	for (char *p = token ? strstr(text, d->token) : NULL; p; p = strstr(p, d->token))
		memset(p, '*', token);
	text = redact(a, text);
	size_t n = strlen(text);
	if (n > BODY_SHOWN) {
		n = BODY_SHOWN;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--; /* not into the middle of a character */
		text[n] = '\0';
	}
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	return text;
}

static bool is_passing(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

static bool refused(struct task *t, const struct dokploy *d, const char *method, const char *procedure,
                    const struct http_answer *answer, struct err *err)
{
	const struct error_code *code = answer->status == 404        ? &E_not_found
	                                : is_passing(answer->status) ? &E_upstream_failed
	                                                             : &E_provider_refused;
	err_set(err, code, "Dokploy %s %s failed (%d): %s", method, procedure, answer->status,
	        shown(t->arena, d, answer));
	err->provider_status = answer->status;
	return false;
}

/* An answer that is not JSON is wrapped as {"raw": text}, an empty one is {}. */
static void read_answer(struct task *t, const struct http_answer *answer, struct json *out)
{
	struct err ignored = { 0 };
	*out = json_object();
	if (!answer->body_n || json_parse(t->arena, answer->body, answer->body_n, "answer", out, &ignored))
		return;
	*out = json_object();
	json_set_str(t->arena, out, "raw", answer->body);
}

static SUSPENDS bool call(struct task *t, struct dokploy *d, const char *procedure, const struct dokploy_param *params,
                          size_t n, const struct json *body, uint32_t timeout_ms, struct json *out, struct err *err)
{
	const char *method = body ? "POST" : "GET";
	const char *text = body ? json_text(t->arena, body) : NULL;
	const struct http_header headers[] = {
		{ "x-api-key", d->token },
		{ "Accept", "application/json" },
		{ "Content-Type", "application/json" },
	};
	const struct http_call http = {
		.method = method,
		.url = call_url(t, d, procedure, params, n),
		.headers = headers,
		.headers_n = body ? 3 : 2,
		.body = text,
		.body_n = text ? strlen(text) : 0,
		.timeout_ms = timeout_ms,
		.what = "Dokploy",
	};
	struct http_answer answer;
	d->maybe_done = false;
	if (!http_fetch(t, &http, &answer, err)) {
		d->maybe_done = body && answer.maybe_sent;
		if (!err_is(err, &E_cancelled)) {
			const char *why = arena_strdup(t->arena, err->message);
			const char *cause = arena_strdup(t->arena, err->cause);
			err_set(err, err->code, "Dokploy %s %s failed (no answer): %s", method, procedure, why);
			err_cause(err, "%s", cause);
		}
		return false;
	}
	if (answer.status < 200 || answer.status > 299) {
		d->maybe_done = body && is_passing(answer.status) && answer.status != 425 && answer.status != 429;
		return refused(t, d, method, procedure, &answer, err);
	}
	read_answer(t, &answer, out);
	return true;
}

bool dokploy_get(struct task *t, struct dokploy *d, const char *procedure, const struct dokploy_param *params, size_t n,
                 struct json *out, struct err *err)
{
	return call(t, d, procedure, params, n, NULL, CALL_TIMEOUT_MS, out, err);
}

static SUSPENDS bool get_by(struct task *t, struct dokploy *d, const char *procedure, const char *name,
                            const char *value, struct json *out, struct err *err)
{
	return dokploy_get(t, d, procedure, &(const struct dokploy_param){ name, value }, 1, out, err);
}

bool dokploy_post(struct task *t, struct dokploy *d, const char *procedure, const struct json *body, struct json *out,
                  struct err *err)
{
	return call(t, d, procedure, NULL, 0, body, CALL_TIMEOUT_MS, out, err);
}

bool dokploy_strange(struct err *err, const char *procedure, const char *wanted)
{
	return err_set(err, &E_provider_refused, "Dokploy's answer to %s is not %s", procedure, wanted);
}

bool dokploy_may_retry(const struct err *err)
{
	if (err_is(err, &E_cancelled))
		return false;
	if (err->provider_status)
		return is_passing(err->provider_status);
	return err->code && err->code->retry;
}

bool dokploy_key_refused(const struct err *err)
{
	return err->provider_status == 401 && !strstr(err->message, "\"code\"");
}

/* ---- rows ---- */

/* A member as text: "" for null, absent or another type. */
static const char *text_of(const struct json *row, const char *name)
{
	return json_str(row, name, "");
}

static const char *status_of(struct arena *a, const struct json *row, const char *name)
{
	return lowered(a, trimmed(a, text_of(row, name)));
}

static void read_deployments(struct arena *a, const struct json *j, struct dokploy_deployments *out)
{
	uint32_t n = j && j->type == JSON_ARRAY ? j->n : 0;
	*out = (struct dokploy_deployments){ .v = arena_array(a, n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < n; i++) {
		const struct json *row = &j->items[i];
		if (!text_of(row, "deploymentId")[0])
			continue;
		out->v[out->n++] = (struct dokploy_deployment){
			.id = text_of(row, "deploymentId"),
			.title = text_of(row, "title"),
			.description = text_of(row, "description"),
			.status = status_of(a, row, "status"),
			.created_at = text_of(row, "createdAt"),
			.started_at = text_of(row, "startedAt"),
			.finished_at = text_of(row, "finishedAt"),
			.error_message = text_of(row, "errorMessage"),
		};
	}
}

static void read_domain(const struct json *row, struct dokploy_domain *out)
{
	*out = (struct dokploy_domain){
		.id = text_of(row, "domainId"),
		.host = text_of(row, "host"),
		.path = text_of(row, "path"),
		.internal_path = text_of(row, "internalPath"),
		.service_name = text_of(row, "serviceName"),
		.domain_type = text_of(row, "domainType"),
		.compose_id = text_of(row, "composeId"),
		.certificate_type = text_of(row, "certificateType"),
		.cert_resolver = text_of(row, "customCertResolver"),
		.port = json_int(row, "port", 0),
		.https = json_bool(row, "https", false),
		.strip_path = json_bool(row, "stripPath", false),
		.has_config_key = json_int(row, "uniqueConfigKey", -1) >= 0,
	};
}

static void read_domains(struct arena *a, const struct json *j, struct dokploy_domains *out)
{
	uint32_t n = j && j->type == JSON_ARRAY ? j->n : 0;
	*out = (struct dokploy_domains){ .v = arena_array(a, n + 1, sizeof(*out->v)) };
	for (uint32_t i = 0; i < n; i++)
		read_domain(&j->items[i], &out->v[out->n++]);
}

/* ---- compose ---- */

bool dokploy_compose_one(struct task *t, struct dokploy *d, const char *compose_id, struct dokploy_compose *out,
                         struct err *err)
{
	struct json row;
	if (!get_by(t, d, "compose.one", "composeId", compose_id, &row, err))
		return false;
	if (!text_of(&row, "composeId")[0])
		return dokploy_strange(err, "compose.one", "a compose service");
	const struct json *environment = json_get(&row, "environment");
	*out = (struct dokploy_compose){
		.id = text_of(&row, "composeId"),
		.name = text_of(&row, "name"),
		.app_name = text_of(&row, "appName"),
		.description = json_str(&row, "description", NULL),
		.source_type = text_of(&row, "sourceType"),
		.compose_type = text_of(&row, "composeType"),
		.compose_path = text_of(&row, "composePath"),
		.compose_file = text_of(&row, "composeFile"),
		.env = text_of(&row, "env"),
		.status = status_of(t->arena, &row, "composeStatus"),
		.environment_id = text_of(&row, "environmentId"),
		.environment_name = text_of(environment, "name"),
		.project_id = text_of(json_get(environment, "project"), "projectId"),
		.project_name = text_of(json_get(environment, "project"), "name"),
		.server_id = text_of(&row, "serverId"),
		.custom_git_url = text_of(&row, "customGitUrl"),
		.custom_git_branch = text_of(&row, "customGitBranch"),
		.repository = text_of(&row, "repository"),
		.branch = text_of(&row, "branch"),
		.custom_git_ssh_key_id = text_of(&row, "customGitSSHKeyId"),
		.auto_deploy = json_bool(&row, "autoDeploy", false),
		.randomize = json_bool(&row, "randomize", false),
		.isolated_deployment = json_bool(&row, "isolatedDeployment", false),
	};
	read_domains(t->arena, json_get(&row, "domains"), &out->domains);
	read_deployments(t->arena, json_get(&row, "deployments"), &out->deployments);
	return true;
}

bool dokploy_compose_set_env(struct task *t, struct dokploy *d, const char *compose_id, const char *env,
                             struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "composeId", compose_id);
	json_set_str(t->arena, &body, "env", env);
	return dokploy_post(t, d, "compose.update", &body, &ignored, err);
}

bool dokploy_compose_set_raw(struct task *t, struct dokploy *d, const struct dokploy_compose *live,
                             const char *compose_file, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "composeId", live->id);
	json_set_str(t->arena, &body, "name", live->name);
	json_set_str(t->arena, &body, "environmentId", live->environment_id);
	if (live->description)
		json_set_str(t->arena, &body, "description", live->description);
	json_set_str(t->arena, &body, "sourceType", "raw");
	/* Any other spelling would put .env and the compose file into different folders. */
	json_set_str(t->arena, &body, "composePath", "docker-compose.yml");
	json_set(t->arena, &body, "autoDeploy", json_of_bool(live->auto_deploy));
	json_set_str(t->arena, &body, "composeFile", compose_file);
	return dokploy_post(t, d, "compose.update", &body, &ignored, err);
}

bool dokploy_compose_is_raw(const struct dokploy_compose *live, const char *compose_file)
{
	return strcmp(live->source_type, "raw") == 0 && strcmp(live->compose_path, "docker-compose.yml") == 0 &&
	       strcmp(live->compose_file, compose_file) == 0;
}

bool dokploy_compose_deploy(struct task *t, struct dokploy *d, const char *compose_id, const char *title,
                            const char *description, bool rebuild, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "composeId", compose_id);
	json_set_str(t->arena, &body, "title", title);
	json_set_str(t->arena, &body, "description", description);
	return dokploy_post(t, d, rebuild ? "compose.redeploy" : "compose.deploy", &body, &ignored, err);
}

/* A call whose answer is one JSON string. Text that was not JSON counts, an object does not. */
static SUSPENDS bool get_text(struct task *t, struct dokploy *d, const char *procedure,
                              const struct dokploy_param *params, size_t n, const char **text, struct err *err)
{
	struct json answer;
	if (!dokploy_get(t, d, procedure, params, n, &answer, err))
		return false;
	if (answer.type == JSON_STRING)
		*text = answer.string;
	else if (answer.type == JSON_OBJECT && (answer.n == 0 || (answer.n == 1 && json_get(&answer, "raw"))))
		*text = text_of(&answer, "raw");
	else
		return dokploy_strange(err, procedure, "text");
	return true;
}

bool dokploy_compose_converted(struct task *t, struct dokploy *d, const char *compose_id, const char **yaml,
                               struct err *err)
{
	return get_text(t, d, "compose.getConvertedCompose", &(const struct dokploy_param){ "composeId", compose_id },
	                1, yaml, err);
}

/* ---- domains ---- */

bool dokploy_domains_of_compose(struct task *t, struct dokploy *d, const char *compose_id, struct dokploy_domains *out,
                                struct err *err)
{
	struct json rows;
	if (!get_by(t, d, "domain.byComposeId", "composeId", compose_id, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "domain.byComposeId", "a list");
	read_domains(t->arena, &rows, out);
	return true;
}

/* facts/dokploy.md 5.2, step 3. The server keeps no rules between members, so both types and the port are always sent.
 */
static struct json domain_body(struct arena *a, const struct dokploy_domain *wish)
{
	assert(wish->port > 0 && wish->port <= 65535);
	struct json body = json_object();
	json_set_str(a, &body, "host", wish->host);
	json_set_str(a, &body, "path", "/");
	json_set_str(a, &body, "internalPath", "/");
	json_set(a, &body, "port", json_of_int(wish->port));
	json_set(a, &body, "https", json_of_bool(wish->https));
	json_set_str(a, &body, "certificateType", wish->certificate_type);
	json_set_str(a, &body, "customCertResolver", NULL);
	json_set_str(a, &body, "serviceName", wish->service_name);
	json_set_str(a, &body, "domainType", "compose");
	json_set(a, &body, "stripPath", json_of_bool(false));
	return body;
}

static SUSPENDS bool write_domain(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                                  struct dokploy_domain *out, struct err *err)
{
	struct json row;
	if (!dokploy_post(t, d, procedure, body, &row, err))
		return false;
	if (!text_of(&row, "domainId")[0]) {
		d->maybe_done = true;
		return dokploy_strange(err, procedure, "a domain with an id");
	}
	read_domain(&row, out);
	return true;
}

bool dokploy_domain_create(struct task *t, struct dokploy *d, const struct dokploy_domain *wish,
                           struct dokploy_domain *out, struct err *err)
{
	struct json body = domain_body(t->arena, wish);
	json_set_str(t->arena, &body, "composeId", wish->compose_id);
	json_set_str(t->arena, &body, "applicationId", NULL);
	json_set_str(t->arena, &body, "previewDeploymentId", NULL);
	return write_domain(t, d, "domain.create", &body, out, err);
}

bool dokploy_domain_update(struct task *t, struct dokploy *d, const char *domain_id, const struct dokploy_domain *wish,
                           struct dokploy_domain *out, struct err *err)
{
	struct json body = domain_body(t->arena, wish);
	json_set_str(t->arena, &body, "domainId", domain_id);
	return write_domain(t, d, "domain.update", &body, out, err);
}

bool dokploy_domain_delete(struct task *t, struct dokploy *d, const char *domain_id, struct err *err)
{
	struct json body = json_object(), ignored;
	json_set_str(t->arena, &body, "domainId", domain_id);
	return dokploy_post(t, d, "domain.delete", &body, &ignored, err);
}

/* ---- deployments ---- */

static SUSPENDS bool list_deployments(struct task *t, struct dokploy *d, const char *procedure,
                                      const struct dokploy_param *params, size_t n, struct dokploy_deployments *out,
                                      struct err *err)
{
	struct json rows;
	if (!dokploy_get(t, d, procedure, params, n, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, procedure, "a list");
	read_deployments(t->arena, &rows, out);
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
	return get_text(t, d, "deployment.readLogs", params, 2, text, err);
}

/* ---- schedules ---- */

static void read_schedule(struct arena *a, const struct json *row, struct dokploy_schedule *out)
{
	*out = (struct dokploy_schedule){
		.id = text_of(row, "scheduleId"),
		.name = text_of(row, "name"),
		.app_name = text_of(row, "appName"),
		.cron = text_of(row, "cronExpression"),
		.shell = text_of(row, "shellType"),
		.command = text_of(row, "command"),
		.timezone = text_of(row, "timezone"),
		.script = text_of(row, "script"),
		.application_id = text_of(row, "applicationId"),
		.server_id = text_of(row, "serverId"),
		.user_id = text_of(row, "userId"),
		.enabled = json_bool(row, "enabled", false),
	};
	for (int i = 0; schedule_type_names[i]; i++)
		if (strcmp(schedule_type_names[i], text_of(row, "scheduleType")) == 0)
			out->type = i;
	read_deployments(a, json_get(row, "deployments"), &out->deployments);
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
	if (!call(t, d, "schedule.runManually", NULL, 0, &body, timeout_ms, &row, err))
		return false;
	*deployment_id = text_of(&row, "deploymentId");
	*status = status_of(t->arena, &row, "status");
	return true;
}

bool dokploy_session_user(struct task *t, struct dokploy *d, const char **user_id, struct err *err)
{
	struct json session;
	if (!dokploy_get(t, d, "user.session", NULL, 0, &session, err))
		return false;
	const char *id = text_of(json_get(&session, "user"), "id");
	if (!id[0])
		return dokploy_strange(err, "user.session", "a session: the key belongs to no user or organisation");
	*user_id = id;
	return true;
}

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
			.id = text_of(row, "containerId"),
			.name = text_of(row, "name"),
			.state = text_of(row, "state"),
			.status = text_of(row, "status"),
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
		.image = text_of(config, "Image"),
		.state = text_of(json_get(&row, "State"), "Status"),
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

/* ---- applications, projects, version ---- */

bool dokploy_application_one(struct task *t, struct dokploy *d, const char *application_id,
                             struct dokploy_application *out, struct err *err)
{
	struct json row;
	if (!get_by(t, d, "application.one", "applicationId", application_id, &row, err))
		return false;
	if (!text_of(&row, "applicationId")[0])
		return dokploy_strange(err, "application.one", "an application");
	const struct json *environment = json_get(&row, "environment");
	*out = (struct dokploy_application){
		.id = text_of(&row, "applicationId"),
		.name = text_of(&row, "name"),
		.description = json_str(&row, "description", NULL),
		.environment_name = text_of(environment, "name"),
		.project_id = text_of(json_get(environment, "project"), "projectId"),
		.project_name = text_of(json_get(environment, "project"), "name"),
		.app_name = text_of(&row, "appName"),
		.source_type = text_of(&row, "sourceType"),
		.docker_image = text_of(&row, "dockerImage"),
		.username = text_of(&row, "username"),
		.registry_url = text_of(&row, "registryUrl"),
		.env = text_of(&row, "env"),
		.status = status_of(t->arena, &row, "applicationStatus"),
		.build_args = json_str(&row, "buildArgs", NULL),
		.build_secrets = json_str(&row, "buildSecrets", NULL),
		.password = text_of(&row, "password"),
		.environment_id = text_of(&row, "environmentId"),
		.server_id = text_of(&row, "serverId"),
		.custom_git_url = text_of(&row, "customGitUrl"),
		.custom_git_branch = text_of(&row, "customGitBranch"),
		.repository = text_of(&row, "repository"),
		.branch = text_of(&row, "branch"),
		.create_env_file = json_bool(&row, "createEnvFile", true),
	};
	read_domains(t->arena, json_get(&row, "domains"), &out->domains);
	read_deployments(t->arena, json_get(&row, "deployments"), &out->deployments);
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
			.project_id = text_of(project, "projectId"),
			.project_name = text_of(project, "name"),
			.environment_id = text_of(environment, "environmentId"),
			.environment_name = text_of(environment, "name"),
			.service_id = text_of(&rows->items[i], id_name),
			.name = text_of(&rows->items[i], "name"),
			.status = text_of(&rows->items[i], status_name),
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

bool dokploy_version(struct task *t, struct dokploy *d, const char **version, struct err *err)
{
	return get_text(t, d, "settings.getDokployVersion", NULL, 0, version, err);
}
