#include "drivers/dokploy/dokploy.h"

#include "core/http_client.h"
#include "core/redact.h"
#include "drivers/dokploy/dokploy_internal.h"
#include "storage/codes.h"

#include <assert.h>

#define CALL_TIMEOUT_MS 60000
#define BODY_SHOWN      240 /* bytes of an error answer that a message carries */

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
	bool is_denied = answer->status == 401 || answer->status == 403;
	err_set(err, code, "Dokploy %s %s failed (%d): %s; %s, then try again", method, procedure, answer->status,
	        shown(t->arena, d, answer), is_denied ? "look at what DOKPLOY_TOKEN may do there" : "look at Dokploy");
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
			err_set(err, err->code,
			        "Dokploy %s %s failed (no answer): %.240s; look at Dokploy, then try again", method,
			        procedure, why);
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

bool dokploy_get_by(struct task *t, struct dokploy *d, const char *procedure, const char *name, const char *value,
                    struct json *out, struct err *err)
{
	return dokploy_get(t, d, procedure, &(const struct dokploy_param){ name, value }, 1, out, err);
}

bool dokploy_post(struct task *t, struct dokploy *d, const char *procedure, const struct json *body, struct json *out,
                  struct err *err)
{
	return call(t, d, procedure, NULL, 0, body, CALL_TIMEOUT_MS, out, err);
}

bool dokploy_post_within(struct task *t, struct dokploy *d, const char *procedure, const struct json *body,
                         uint32_t timeout_ms, struct json *out, struct err *err)
{
	return call(t, d, procedure, NULL, 0, body, timeout_ms, out, err);
}

bool dokploy_get_text(struct task *t, struct dokploy *d, const char *procedure, const struct dokploy_param *params,
                      size_t n, const char **text, struct err *err)
{
	struct json answer;
	if (!dokploy_get(t, d, procedure, params, n, &answer, err))
		return false;
	if (answer.type == JSON_STRING)
		*text = answer.string;
	else if (answer.type == JSON_OBJECT && (answer.n == 0 || (answer.n == 1 && json_get(&answer, "raw"))))
		*text = dokploy_text(&answer, "raw");
	else
		return dokploy_strange(err, procedure, "text");
	return true;
}

bool dokploy_strange(struct err *err, const char *procedure, const char *wanted)
{
	return err_set(err, &E_provider_refused, "Dokploy's answer to %s is not %s; look at Dokploy, then try again",
	               procedure, wanted);
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

const char *dokploy_text(const struct json *row, const char *name)
{
	return json_str(row, name, "");
}

const char *dokploy_status(struct arena *a, const struct json *row, const char *name)
{
	return lowered(a, trimmed(a, dokploy_text(row, name)));
}

static void read_domain(const struct json *row, struct dokploy_domain *out)
{
	const struct json *middlewares = json_get(row, "middlewares");
	*out = (struct dokploy_domain){
		.id = dokploy_text(row, "domainId"),
		.host = dokploy_text(row, "host"),
		.path = dokploy_text(row, "path"),
		.internal_path = dokploy_text(row, "internalPath"),
		.service_name = dokploy_text(row, "serviceName"),
		.domain_type = dokploy_text(row, "domainType"),
		.compose_id = dokploy_text(row, "composeId"),
		.certificate_type = dokploy_text(row, "certificateType"),
		.cert_resolver = dokploy_text(row, "customCertResolver"),
		.port = json_int(row, "port", 0),
		.https = json_bool(row, "https", false),
		.strip_path = json_bool(row, "stripPath", false),
		.config_key = json_int(row, "uniqueConfigKey", -1),
		.has_extras = (middlewares && middlewares->type == JSON_ARRAY && middlewares->n) ||
		              dokploy_text(row, "customEntrypoint")[0] || json_bool(row, "forwardAuthEnabled", false),
	};
}

void dokploy_read_domains(struct arena *a, const struct json *j, struct dokploy_domains *out)
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
	if (!dokploy_get_by(t, d, "compose.one", "composeId", compose_id, &row, err))
		return false;
	if (!dokploy_text(&row, "composeId")[0])
		return dokploy_strange(err, "compose.one", "a compose service");
	const struct json *environment = json_get(&row, "environment");
	*out = (struct dokploy_compose){
		.id = dokploy_text(&row, "composeId"),
		.name = dokploy_text(&row, "name"),
		.app_name = dokploy_text(&row, "appName"),
		.description = json_str(&row, "description", NULL),
		.source_type = dokploy_text(&row, "sourceType"),
		.compose_type = dokploy_text(&row, "composeType"),
		.compose_path = dokploy_text(&row, "composePath"),
		.compose_file = dokploy_text(&row, "composeFile"),
		.env = dokploy_text(&row, "env"),
		.status = dokploy_status(t->arena, &row, "composeStatus"),
		.environment_id = dokploy_text(&row, "environmentId"),
		.environment_name = dokploy_text(environment, "name"),
		.project_id = dokploy_text(json_get(environment, "project"), "projectId"),
		.project_name = dokploy_text(json_get(environment, "project"), "name"),
		.server_id = dokploy_text(&row, "serverId"),
		.custom_git_url = dokploy_text(&row, "customGitUrl"),
		.custom_git_branch = dokploy_text(&row, "customGitBranch"),
		.repository = dokploy_text(&row, "repository"),
		.branch = dokploy_text(&row, "branch"),
		.custom_git_ssh_key_id = dokploy_text(&row, "customGitSSHKeyId"),
		.auto_deploy = json_bool(&row, "autoDeploy", false),
		.randomize = json_bool(&row, "randomize", false),
		.isolated_deployment = json_bool(&row, "isolatedDeployment", false),
	};
	dokploy_read_domains(t->arena, json_get(&row, "domains"), &out->domains);
	dokploy_read_deployments(t->arena, json_get(&row, "deployments"), &out->deployments);
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

bool dokploy_compose_converted(struct task *t, struct dokploy *d, const char *compose_id, const char **yaml,
                               struct err *err)
{
	return dokploy_get_text(t, d, "compose.getConvertedCompose",
	                        &(const struct dokploy_param){ "composeId", compose_id }, 1, yaml, err);
}

/* ---- domains ---- */

bool dokploy_domains_of_compose(struct task *t, struct dokploy *d, const char *compose_id, struct dokploy_domains *out,
                                struct err *err)
{
	struct json rows;
	if (!dokploy_get_by(t, d, "domain.byComposeId", "composeId", compose_id, &rows, err))
		return false;
	if (rows.type != JSON_ARRAY)
		return dokploy_strange(err, "domain.byComposeId", "a list");
	dokploy_read_domains(t->arena, &rows, out);
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
	json_set_str(a, &body, "customCertResolver",
	             wish->cert_resolver && wish->cert_resolver[0] ? wish->cert_resolver : NULL);
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
	if (!dokploy_text(&row, "domainId")[0]) {
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

/* ---- version ---- */

bool dokploy_version(struct task *t, struct dokploy *d, const char **version, struct err *err)
{
	return dokploy_get_text(t, d, "settings.getDokployVersion", NULL, 0, version, err);
}
