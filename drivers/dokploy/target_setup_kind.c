/* A target setup as an operation: one effect after the other, each found again when a run was interrupted. */
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/domain_route.h"
#include "drivers/dokploy/target_setup.h"
#include "storage/codes.h"
#include "storage/target.sql.h"

#define LOOK_MS         1000
#define CREATE_REQUESTS 3

static enum phase_outcome failed(struct err *err)
{
	target_setup_error(err);
	return PHASE_FAILED;
}

static bool creates(const struct target_setup *r)
{
	return r->operation == SETUP_CREATE_APPLICATION || r->operation == SETUP_CREATE_COMPOSE;
}

/* ---- check ---- */

static SUSPENDS enum phase_outcome setup_check(struct task *t, struct operation *op, struct err *err)
{
	const struct target_setup *r = op->request;
	struct target_setup_state *s = op->state;
	struct target_setup_records records;
	if (!target_setup_prepare(t, r, s, &records, err))
		return failed(err);
	struct json plan = target_setup_plan(t->arena, r, s, &records);
	s->digest = plan_digest(t->arena, &plan);
	if (!plan_check(r->plan_digest, s->digest, err)) {
		struct json *fresh = ARENA_NEW(t->arena, struct json);
		*fresh = plan;
		s->plan = fresh;
		return PHASE_FAILED;
	}
	if (creates(r))
		return PHASE_DONE;
	return operation_goto(op, r->operation == SETUP_ADOPT ? "records" : "domains", 0);
}

/* ---- making things ---- */

/* The last part of an operation's id is its own. */
static const char *mark_of(struct arena *a, const struct operation *op)
{
	const char *dash = strrchr(op->operation_id, '-');
	return arena_printf(a, "launchplane:%s", dash ? dash + 1 : op->operation_id);
}

static const char *marked(struct arena *a, const struct operation *op, const char *description)
{
	return arena_printf(a, "%s%s[%s]", description, description[0] ? " " : "", mark_of(a, op));
}

/* The one thing that carries the operation's mark; *id stays "" when there is none yet. */
static bool find_marked(struct task *t, const struct operation *op, const struct dokploy_things *things,
                        const char **id, struct err *err)
{
	const char *mark = mark_of(t->arena, op);
	*id = "";
	for (size_t i = 0; i < things->n; i++) {
		if (!strstr(things->v[i].description, mark))
			continue;
		if ((*id)[0])
			return err_set(
			        err, &E_operation_reconciliation_required,
			        "Dokploy has two things with this operation's mark, %s and %s; remove one by hand", *id,
			        things->v[i].id);
		*id = things->v[i].id;
	}
	return true;
}

typedef bool (*list_fn)(struct task *t, struct dokploy *d, const struct operation *op, struct dokploy_things *out,
                        struct err *err);
typedef bool (*make_fn)(struct task *t, struct dokploy *d, const struct operation *op, const char **id,
                        struct err *err);

/* What went out unanswered has had the time to show. */
static bool is_settled(struct task *t, struct target_setup_state *s)
{
	int64_t now = loop_wall_ms(t->loop);
	s->looked_since_ms = s->looked_since_ms ? s->looked_since_ms : now;
	return now - s->looked_since_ms >= DOKPLOY_SETTLE_MS;
}

static enum phase_outcome made(struct target_setup_state *s)
{
	s->looked_since_ms = 0;
	s->create_requests = 0;
	s->create_unanswered = false;
	return PHASE_DONE;
}

/* A creation failed. Certainly not carried out: asked again soon. Else the next run looks for it first. */
static enum phase_outcome not_made(struct operation *op, const struct dokploy *d, struct err *err)
{
	struct target_setup_state *s = op->state;
	if (err->code == &E_cancelled)
		return failed(err);
	if (d->maybe_done) {
		s->create_unanswered = true;
		return operation_again(op, LOOK_MS);
	}
	if (!dokploy_may_retry(err) || s->create_requests >= CREATE_REQUESTS)
		return failed(err);
	return s->create_unanswered ? operation_again(op, LOOK_MS)
	                            : operation_goto(op, op->phase->name, 2000u << s->create_requests);
}

/* Makes one thing, once. A later run may come after a request: it looks for the mark, and waits before it believes that
 * there is none. A request that shows later than that is found beside the second one, and a person decides. */
static NO_ROLE_CHECK enum phase_outcome make_once(struct task *t, struct operation *op, list_fn list, make_fn make,
                                                  const char **id, struct err *err)
{
	struct target_setup_state *s = op->state;
	struct dokploy d;
	struct dokploy_things things;
	if ((*id)[0])
		return PHASE_DONE;
	if (!dokploy_open(t, &d, err))
		return failed(err);
	bool was_asked = s->create_unanswered || operation_is_rerun(op);
	if (was_asked) {
		if (!list(t, &d, op, &things, err) || !find_marked(t, op, &things, id, err))
			return failed(err);
		if ((*id)[0])
			return made(s);
		if (!is_settled(t, s))
			return operation_again(op, LOOK_MS);
	}
	s->looked_since_ms = 0;
	if (s->create_requests >= CREATE_REQUESTS) {
		err_set(err, &E_upstream_lost,
		        "Dokploy was asked %lld times and nothing with the mark %s appeared; look there before trying "
		        "again",
		        (long long)s->create_requests, mark_of(t->arena, op));
		return PHASE_FAILED;
	}
	s->create_requests++;
	if (!make(t, &d, op, id, err))
		return not_made(op, &d, err);
	if (was_asked) {
		const char *only;
		if (!list(t, &d, op, &things, err) || !find_marked(t, op, &things, &only, err))
			return failed(err);
	}
	return made(s);
}

static SUSPENDS bool list_projects(struct task *t, struct dokploy *d, const struct operation *op,
                                   struct dokploy_things *out, struct err *err)
{
	(void)op;
	return dokploy_projects(t, d, out, err);
}

static SUSPENDS bool make_project(struct task *t, struct dokploy *d, const struct operation *op, const char **id,
                                  struct err *err)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	return dokploy_project_create(t, d, s->project_name, marked(t->arena, op, r->project_description), id, err);
}

static SUSPENDS enum phase_outcome setup_project(struct task *t, struct operation *op, struct err *err)
{
	struct target_setup_state *s = op->state;
	if (s->environment_id[0])
		return PHASE_DONE;
	return make_once(t, op, list_projects, make_project, &s->project_id, err);
}

static SUSPENDS bool list_environments(struct task *t, struct dokploy *d, const struct operation *op,
                                       struct dokploy_things *out, struct err *err)
{
	const struct target_setup_state *s = op->state;
	return dokploy_environments(t, d, s->project_id, out, err);
}

static SUSPENDS bool make_environment(struct task *t, struct dokploy *d, const struct operation *op, const char **id,
                                      struct err *err)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	const char *name = r->environment_name[0] ? r->environment_name : r->instance;
	return dokploy_environment_create(t, d, s->project_id, name, marked(t->arena, op, r->environment_description),
	                                  id, err);
}

static SUSPENDS enum phase_outcome setup_environment(struct task *t, struct operation *op, struct err *err)
{
	struct target_setup_state *s = op->state;
	return make_once(t, op, list_environments, make_environment, &s->environment_id, err);
}

static SUSPENDS bool description_of(struct task *t, struct dokploy *d, bool is_compose, struct dokploy_thing *thing,
                                    struct err *err)
{
	struct dokploy_compose compose;
	struct dokploy_application application;
	if (is_compose ? !dokploy_compose_one(t, d, thing->id, &compose, err)
	               : !dokploy_application_one(t, d, thing->id, &application, err))
		return false;
	const char *text = is_compose ? compose.description : application.description;
	thing->description = text ? text : "";
	return true;
}

/* Those of the wished name, with their descriptions. */
static SUSPENDS bool list_services(struct task *t, struct dokploy *d, const struct operation *op,
                                   struct dokploy_things *out, struct err *err)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	bool is_compose = r->operation == SETUP_CREATE_COMPOSE;
	if (!dokploy_environment_services(t, d, s->environment_id, is_compose, out, err))
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (strcmp(out->v[i].name, s->target_name) == 0 && !description_of(t, d, is_compose, &out->v[i], err))
			return false;
	return true;
}

static SUSPENDS bool make_service(struct task *t, struct dokploy *d, const struct operation *op, const char **id,
                                  struct err *err)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	const struct dokploy_new_service wish = { .name = s->target_name,
		                                  .app_name = s->app_name,
		                                  .environment_id = s->environment_id,
		                                  .server_id = r->server_id,
		                                  .description = marked(t->arena, op, r->description),
		                                  .is_compose = r->operation == SETUP_CREATE_COMPOSE };
	return dokploy_service_create(t, d, &wish, id, err);
}

static SUSPENDS enum phase_outcome setup_service(struct task *t, struct operation *op, struct err *err)
{
	struct target_setup_state *s = op->state;
	return make_once(t, op, list_services, make_service, &s->target_id, err);
}

/* ---- source ---- */

static SUSPENDS enum phase_outcome setup_source(struct task *t, struct operation *op, struct err *err)
{
	const struct target_setup *r = op->request;
	struct target_setup_state *s = op->state;
	struct dokploy d;
	struct dokploy_compose live;
	struct dokploy_application application;
	if (!dokploy_open(t, &d, err))
		return failed(err);
	if (r->operation == SETUP_CREATE_APPLICATION) {
		if (!dokploy_application_one(t, &d, s->target_id, &application, err))
			return failed(err);
		s->app_name = application.app_name;
		s->server_id = application.server_id;
		s->source_type = r->source_type[0] ? r->source_type : application.source_type;
		s->project_name = s->project_name[0] ? s->project_name : application.project_name;
		return PHASE_DONE;
	}
	if (!dokploy_compose_one(t, &d, s->target_id, &live, err))
		return failed(err);
	bool differs = strcmp(live.source_type, s->source_type) != 0 || strcmp(live.compose_path, s->compose_path) != 0;
	if (differs && (!dokploy_compose_set_source(t, &d, s->target_id, s->source_type, s->compose_path, err) ||
	                !dokploy_compose_one(t, &d, s->target_id, &live, err)))
		return failed(err);
	if (strcmp(live.source_type, s->source_type) != 0 || strcmp(live.compose_path, s->compose_path) != 0) {
		err_set(err, &E_provider_refused, "Dokploy did not keep the source of target %s", s->target_name);
		return failed(err);
	}
	s->app_name = live.app_name;
	s->server_id = live.server_id;
	s->project_id = live.project_id;
	s->project_name = s->project_name[0] ? s->project_name : live.project_name;
	return PHASE_DONE;
}

/* ---- routes ---- */

static void warn_of_rows(struct arena *a, struct target_setup_state *s, const struct domain_route *route)
{
	for (size_t i = 0; i < route->removed.n; i++)
		strings_add(a, &s->warnings,
		            arena_printf(a, "Dokploy had the route of %s twice; row %s was removed", route->host,
		                         route->removed.v[i]));
	if (route->rows > 1)
		strings_add(a, &s->warnings,
		            arena_printf(a, "Dokploy has %zu rows of %s that differ; remove all but one", route->rows,
		                         route->host));
}

static void note_route(struct task *t, struct target_setup_state *s, const struct domain_route *route)
{
	for (size_t i = 0; i < s->routes.n; i++)
		if (strcmp(s->routes.v[i].host, route->host) == 0) {
			s->routes.v[i].domain_id = route->row.id;
			return; /* an interrupted run did it: what it did is what is told */
		}
	struct setup_route *v = arena_array(t->arena, s->routes.n + 1, sizeof(*v));
	if (s->routes.n)
		memcpy(v, s->routes.v, s->routes.n * sizeof(*v));
	v[s->routes.n++] = (struct setup_route){ route->host, route->row.id, route->action };
	s->routes.v = v;
}

static SUSPENDS enum phase_outcome setup_domains(struct task *t, struct operation *op, struct err *err)
{
	const struct target_setup *r = op->request;
	struct target_setup_state *s = op->state;
	if (r->operation == SETUP_PRUNE || !r->runtime_port.is_set)
		return PHASE_DONE;
	const struct domain_order order = { .compose_id = s->target_id,
		                            .hosts = s->domains,
		                            .port = r->runtime_port.value,
		                            .removes_equal_rows = true };
	struct domain_routes routes;
	enum phase_outcome outcome = domain_routes_ensure(t, op, &order, &s->domain, &routes, err);
	for (size_t i = 0; i < routes.n; i++)
		note_route(t, s, &routes.v[i]);
	for (size_t i = 0; outcome == PHASE_DONE && i < routes.n; i++)
		warn_of_rows(t->arena, s, &routes.v[i]);
	return outcome == PHASE_FAILED ? failed(err) : outcome;
}

static SUSPENDS enum phase_outcome setup_prune(struct task *t, struct operation *op, struct err *err)
{
	const struct target_setup *r = op->request;
	struct target_setup_state *s = op->state;
	struct dokploy d;
	if (r->operation != SETUP_PRUNE)
		return PHASE_DONE;
	if (!dokploy_open(t, &d, err))
		return failed(err);
	for (size_t i = 0; i < s->routes.n; i++) {
		if (strcmp(s->routes.v[i].action, "deleted") == 0)
			continue;
		/* A row that is gone is what is wanted. */
		if (!dokploy_domain_delete(t, &d, s->routes.v[i].domain_id, err) && !err_is(err, &E_not_found))
			return failed(err);
		memset(err, 0, sizeof(*err));
		s->routes.v[i].action = "deleted";
	}
	return PHASE_DONE;
}

/* ---- records ---- */

static const char *hosts_json(struct arena *a, const struct strings *hosts)
{
	struct json list = json_array();
	for (size_t i = 0; i < hosts->n; i++)
		json_push(a, &list, json_of_str(hosts->v[i]));
	return json_text(a, &list);
}

static void write_domains(struct task *t, struct operation *op, const struct strings *added,
                          const struct strings *dropped)
{
	operation_write(t, op, &Q_target_domains_write,
	                PARAMS(P_TEXT(op->context), P_TEXT(op->instance), P_TEXT(hosts_json(t->arena, added)),
	                       P_TEXT(hosts_json(t->arena, dropped)), P_TEXT(utc_now(t))));
}

/* The last phase: its checkpoint is the operation's end, so rows and result are one commit. */
static SUSPENDS enum phase_outcome setup_records(struct task *t, struct operation *op, struct err *err)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	static const struct strings none = { 0 };
	struct target_setup_records records;
	if (!target_setup_records(t, r, s, &records, err))
		return failed(err);
	bool whole = r->operation == SETUP_ADOPT || creates(r);
	if (!whole)
		write_domains(t, op, r->operation == SETUP_RECONCILE ? &s->domains : &none,
		              r->operation == SETUP_PRUNE ? &s->domains : &none);
	const struct deployed_target *expected = r->expected_current_provider_target;
	operation_write(
	        t, op, &Q_target_write,
	        PARAMS(P_TEXT(op->context), P_TEXT(op->instance),
	               P_TEXT(whole ? contract_text(t->arena, &dokploy_target_contract, &records.target) : NULL),
	               P_TEXT(whole ? contract_text(t->arena, &dokploy_target_id_contract, &records.id) : NULL),
	               P_TEXT(expected ? contract_text(t->arena, &deployed_target_contract, expected) : NULL)));
	struct json *result = ARENA_NEW(t->arena, struct json);
	*result = target_setup_result(t->arena, r, s, &records, true);
	op->result = result;
	return PHASE_DONE;
}

/* A setup that failed on the way has changed the provider as far as its result says; the tracked record follows. */
static void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	const struct target_setup *r = op->request;
	const struct target_setup_state *s = op->state;
	struct strings done = { 0 }, none = { 0 };
	if (!failure)
		return;
	for (size_t i = 0; i < s->routes.n; i++) {
		const struct setup_route *route = &s->routes.v[i];
		bool changed = r->operation == SETUP_RECONCILE || strcmp(route->action, "deleted") == 0;
		for (size_t k = 0; changed && k < s->routes.n; k++) /* a host with a row left is still routed */
			changed = r->operation == SETUP_RECONCILE || strcmp(s->routes.v[k].host, route->host) != 0 ||
			          strcmp(s->routes.v[k].action, "deleted") == 0;
		if (changed && !strings_have(&done, route->host))
			strings_add(t->arena, &done, route->host);
	}
	if (done.n && (r->operation == SETUP_RECONCILE || r->operation == SETUP_PRUNE))
		write_domains(t, op, r->operation == SETUP_RECONCILE ? &done : &none,
		              r->operation == SETUP_PRUNE ? &done : &none);
	struct json *result = ARENA_NEW(t->arena, struct json);
	*result = target_setup_result(t->arena, r, s, NULL, false);
	op->result = result;
}

/* clang-format off */
static const struct phase phases[] = {
	/* name          shown as   function           tries backoff_ms */
	{ "check",       "plan",    setup_check,       5, 1000, .cancel = CANCEL_ANY,
	  .help = "read records and the live target, refuse what must not happen" },
	{ "project",     "apply",   setup_project,     5, 1000, .cancel = CANCEL_FIRST, .limit_s = 600,
	  .help = "make the project, once" },
	{ "environment", "apply",   setup_environment, 5, 1000, .cancel = CANCEL_FIRST, .limit_s = 600,
	  .help = "make the environment, once" },
	{ "service",     "apply",   setup_service,     5, 1000, .cancel = CANCEL_FIRST, .limit_s = 600,
	  .help = "make the compose service or application, once" },
	{ "source",      "apply",   setup_source,      5, 1000,
	  .help = "set where the compose file comes from, and read it back" },
	{ "domains",     "apply",   setup_domains,     5, 1000, .cancel = CANCEL_FIRST,
	  .help = "route every domain to service web" },
	{ "prune",       "apply",   setup_prune,       5, 1000, .cancel = CANCEL_FIRST,
	  .help = "delete the matched domain rows" },
	{ "records",     "records", setup_records,     5, 1000,
	  .help = "write target, target id and provider target, unless the recorded one is out of date" },
	{ 0 },
};
/* clang-format on */

const struct op_kind target_setup_kind = {
	.name = "dokploy_target_setup",
	.id_prefix = "dokploy-target-setup",
	.help = "Adopts, makes or routes the Dokploy target of a lane, and records it",
	.request = &target_setup_contract,
	.state = &target_setup_state_contract,
	.phases = phases,
	.conclude = conclude,
};
