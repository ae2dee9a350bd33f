/* drivers/dokploy/dokploy.h - a client of the Dokploy server's HTTP API: one function a call, plain structs in and out.
 *
 * Every function sends one request, suspends until it is answered, and leaves its results in the task's arena. Nothing
 * is tried again here: whether another try may help is dokploy_may_retry(err), and when it is safe is the caller's to
 * know. Wire shapes: the published request schemas of Dokploy v0.29.4 to v0.30.2 (facts/dokploy.md,
 * dokploy-openapi-subset.json); unknown request members are stripped by the server without a word, so only listed ones
 * are sent.
 *
 * Errors: E_not_found for HTTP 404, E_provider_refused for a refusal that another try will not change,
 * E_upstream_failed or E_timeout for what may pass; err->provider_status holds the HTTP status, 0 when there was none.
 * Texts are redacted and name neither host nor token. */
#pragma once

#include "core/contract.h"
#include "core/task.h"

/* One credential. A task has its own: maybe_done belongs to the call made last. */
struct dokploy {
	const char *host;  /* scheme and authority, as configured */
	const char *token; /* sent as x-api-key */
	bool maybe_done;   /* after a POST failed: the server may have carried it out all the same */
};

/* Whether the failure in err may pass by itself: no HTTP status, 408, 425, 429 or at least 500. */
bool dokploy_may_retry(const struct err *err);
/* Whether the key itself was not accepted, as opposed to a thing it may not see (both are 401). */
bool dokploy_key_refused(const struct err *err);

/* Rows. Strings are never NULL unless said; what the server left out or set to null is "". */

struct dokploy_deployment {
	const char *id, *title, *description;
	const char *status; /* running, done, error, cancelled, ""; trimmed and lower-cased */
	const char *created_at, *started_at, *finished_at, *error_message;
};
struct dokploy_deployments {
	size_t n;
	struct dokploy_deployment *v;
};

struct dokploy_domain {
	const char *id, *host, *path, *internal_path, *service_name, *domain_type, *compose_id, *certificate_type,
	        *cert_resolver;
	int64_t port;       /* 0: none */
	int64_t config_key; /* ascending; -1: none */
	bool https, strip_path;
	bool has_extras; /* members that Launchplane never sets: middlewares, an entrypoint, a guard */
};
struct dokploy_domains {
	size_t n;
	struct dokploy_domain *v;
};

struct dokploy_compose {
	const char *id, *name, *app_name;
	const char *description; /* NULL when it is not a string */
	const char *source_type, *compose_type, *compose_path, *compose_file, *env, *status;
	const char *environment_id, *environment_name, *project_id, *project_name;
	const char *server_id; /* "": Dokploy's own host */
	const char *custom_git_url, *custom_git_branch, *custom_git_ssh_key_id;
	const char *repository, *branch; /* of a source at GitHub */
	bool auto_deploy, randomize, isolated_deployment;
	struct dokploy_domains domains;
	struct dokploy_deployments deployments; /* in no order */
};

enum schedule_type { SCHEDULE_APPLICATION, SCHEDULE_COMPOSE, SCHEDULE_SERVER, SCHEDULE_DOKPLOY_SERVER };
extern const char *const schedule_type_names[];
struct dokploy_schedule {
	const char *id, *name, *app_name, *cron, *shell, *command, *timezone;
	const char *script;                               /* of server and dokploy-server schedules */
	const char *application_id, *server_id, *user_id; /* the owner its type asks for; the others "" */
	int type;
	bool enabled;
	struct dokploy_deployments deployments; /* newest first */
};
struct dokploy_schedules {
	size_t n;
	struct dokploy_schedule *v;
};

struct dokploy_container {
	const char *id, *name, *state, *status;
};
struct dokploy_containers {
	size_t n;
	struct dokploy_container *v;
};
/* What docker inspect says, without environment values: those are never kept. */
struct dokploy_container_config {
	const char *image, *state;
	struct strings env_keys; /* of entries with a value */
	struct text_map labels;
};

struct dokploy_application {
	const char *id, *name, *app_name, *source_type, *docker_image, *username, *registry_url, *env, *status;
	const char *build_args, *build_secrets; /* NULL when null */
	const char *password;                   /* of the registry; never to be shown */
	const char *description;                /* NULL when it is not a string */
	const char *environment_id, *environment_name, *project_id, *project_name, *server_id;
	const char *custom_git_url, *custom_git_branch, *repository, *branch;
	bool create_env_file;
	struct dokploy_domains domains;
	struct dokploy_deployments deployments; /* in no order */
};

struct dokploy_service {
	const char *project_id, *project_name, *environment_id, *environment_name, *service_id, *name, *status;
	bool is_compose;
};
struct dokploy_services {
	size_t n;
	struct dokploy_service *v;
};

/* Compose services. */
SUSPENDS bool dokploy_compose_one(struct task *t, struct dokploy *d, const char *compose_id,
                                  struct dokploy_compose *out, struct err *err);
/* Replaces the whole environment text. Read it back: this answer proves nothing. */
SUSPENDS bool dokploy_compose_set_env(struct task *t, struct dokploy *d, const char *compose_id, const char *env,
                                      struct err *err);
/* Makes the service raw with this compose file; name, environment, description and autoDeploy stay as in live. */
SUSPENDS bool dokploy_compose_set_raw(struct task *t, struct dokploy *d, const struct dokploy_compose *live,
                                      const char *compose_file, struct err *err);
/* Whether set_raw would change nothing: raw, docker-compose.yml, the same file. */
bool dokploy_compose_is_raw(const struct dokploy_compose *live, const char *compose_file);
/* Queues a run and returns at once, without an id: find it by its title. rebuild is Dokploy's redeploy. Not idempotent.
 */
SUSPENDS bool dokploy_compose_deploy(struct task *t, struct dokploy *d, const char *compose_id, const char *title,
                                     const char *description, bool rebuild, struct err *err);
/* The compose file after Dokploy added its labels. Before v0.30 it is what the last run wrote, and may be missing. */
SUSPENDS bool dokploy_compose_converted(struct task *t, struct dokploy *d, const char *compose_id, const char **yaml,
                                        struct err *err);

/* Domains of compose services. */
SUSPENDS bool dokploy_domains_of_compose(struct task *t, struct dokploy *d, const char *compose_id,
                                         struct dokploy_domains *out, struct err *err);
/* wish: host, port, service_name, https, certificate_type, cert_resolver, compose_id (facts/dokploy.md 5.2). out is the
 * row as stored. A second create of one host makes a second row: look first. */
SUSPENDS bool dokploy_domain_create(struct task *t, struct dokploy *d, const struct dokploy_domain *wish,
                                    struct dokploy_domain *out, struct err *err);
SUSPENDS bool dokploy_domain_update(struct task *t, struct dokploy *d, const char *domain_id,
                                    const struct dokploy_domain *wish, struct dokploy_domain *out, struct err *err);
SUSPENDS bool dokploy_domain_delete(struct task *t, struct dokploy *d, const char *domain_id, struct err *err);

/* Runs, newest first. */
SUSPENDS bool dokploy_deployments_of_compose(struct task *t, struct dokploy *d, const char *compose_id,
                                             struct dokploy_deployments *out, struct err *err);
SUSPENDS bool dokploy_deployments_of_schedule(struct task *t, struct dokploy *d, const char *schedule_id,
                                              struct dokploy_deployments *out, struct err *err);
/* The last tail lines (1 to 10000) of a run's log, as they are: redact before showing. */
SUSPENDS bool dokploy_deployment_log(struct task *t, struct dokploy *d, const char *deployment_id, int64_t tail,
                                     const char **text, struct err *err);

/* Schedules. list_id is the id of the application, server or user the type asks for. */
SUSPENDS bool dokploy_schedule_list(struct task *t, struct dokploy *d, const char *list_id, enum schedule_type type,
                                    struct dokploy_schedules *out, struct err *err);
SUSPENDS bool dokploy_schedule_create(struct task *t, struct dokploy *d, const struct dokploy_schedule *wish,
                                      struct err *err);
SUSPENDS bool dokploy_schedule_update(struct task *t, struct dokploy *d, const struct dokploy_schedule *wish,
                                      struct err *err); /* wish->id names it */
/* Answers when the script has ended, or when timeout_ms have passed, which does not stop the script. deployment_id and
 * status are "" where the server does not tell them; a script's failure is an error on 0.29 and a status on 0.30. Not
 * idempotent: after any failure look at the schedule's deployments. */
SUSPENDS bool dokploy_schedule_run(struct task *t, struct dokploy *d, const char *schedule_id, uint32_t timeout_ms,
                                   const char **deployment_id, const char **status, struct err *err);
/* The key's user: the list id of dokploy-server schedules. E_provider_refused when the key resolves to nobody. */
SUSPENDS bool dokploy_session_user(struct task *t, struct dokploy *d, const char **user_id, struct err *err);

/* Containers of a compose project. An unreachable host looks like none. server_id "" for Dokploy's own host. */
SUSPENDS bool dokploy_containers(struct task *t, struct dokploy *d, const char *app_name, const char *server_id,
                                 struct dokploy_containers *out, struct err *err);
/* E_not_found when Dokploy could not inspect it. */
SUSPENDS bool dokploy_container_config(struct task *t, struct dokploy *d, const char *container_id,
                                       const char *server_id, struct dokploy_container_config *out, struct err *err);

/* Applications. */
SUSPENDS bool dokploy_application_one(struct task *t, struct dokploy *d, const char *application_id,
                                      struct dokploy_application *out, struct err *err);
/* Replaces the environment text; build arguments and secrets stay as in live. */
SUSPENDS bool dokploy_application_save_env(struct task *t, struct dokploy *d, const struct dokploy_application *live,
                                           const char *env, struct err *err);
/* As dokploy_compose_deploy. */
SUSPENDS bool dokploy_application_deploy(struct task *t, struct dokploy *d, const char *application_id,
                                         const char *title, const char *description, bool rebuild, struct err *err);

/* The last lines (1 to 10000) of a container's or an application's log; since "all" or 10m, search "" for all lines. As
 * they are: redact before showing. The answer's form differs between releases. */
struct dokploy_log_wish {
	int64_t lines;
	const char *since, *search;
};
SUSPENDS bool dokploy_compose_log(struct task *t, struct dokploy *d, const char *compose_id, const char *container_id,
                                  const struct dokploy_log_wish *wish, struct json *out, struct err *err);
SUSPENDS bool dokploy_application_log(struct task *t, struct dokploy *d, const char *application_id,
                                      const struct dokploy_log_wish *wish, struct json *out, struct err *err);

/* Making projects, environments and services. None of it is idempotent, and names need not be unique: the description
 * can carry a mark to find them by. */
struct dokploy_thing {
	const char *id, *name, *description; /* never NULL */
};
struct dokploy_things {
	size_t n;
	struct dokploy_thing *v;
};
struct dokploy_new_service {
	const char *name, *app_name, *environment_id, *server_id, *description; /* server_id "": Dokploy's own host */
	bool is_compose;
};
SUSPENDS bool dokploy_projects(struct task *t, struct dokploy *d, struct dokploy_things *out, struct err *err);
SUSPENDS bool dokploy_project_create(struct task *t, struct dokploy *d, const char *name, const char *description,
                                     const char **id, struct err *err);
SUSPENDS bool dokploy_environments(struct task *t, struct dokploy *d, const char *project_id,
                                   struct dokploy_things *out, struct err *err);
SUSPENDS bool dokploy_environment_create(struct task *t, struct dokploy *d, const char *project_id, const char *name,
                                         const char *description, const char **id, struct err *err);
/* Ids and names of an environment's services of one kind; descriptions are "". */
SUSPENDS bool dokploy_environment_services(struct task *t, struct dokploy *d, const char *environment_id,
                                           bool is_compose, struct dokploy_things *out, struct err *err);
SUSPENDS bool dokploy_service_create(struct task *t, struct dokploy *d, const struct dokploy_new_service *wish,
                                     const char **id, struct err *err);
/* The row is gone at once; that containers and volumes are is not proved by the answer. E_not_found: it was gone. */
SUSPENDS bool dokploy_compose_delete(struct task *t, struct dokploy *d, const char *compose_id, bool with_volumes,
                                     struct err *err);
/* Where a compose service's file comes from. */
SUSPENDS bool dokploy_compose_set_source(struct task *t, struct dokploy *d, const char *compose_id,
                                         const char *source_type, const char *compose_path, struct err *err);

/* Every service the key may see. */
SUSPENDS bool dokploy_project_all(struct task *t, struct dokploy *d, struct dokploy_services *out, struct err *err);
SUSPENDS bool dokploy_version(struct task *t, struct dokploy *d, const char **version, struct err *err);
