/* What a target setup asks for, what it would do, and what came of it. */
#include "drivers/dokploy/target_setup.h"

#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "storage/codes.h"
#include "storage/config.sql.h"

const char *const setup_operation_names[] = {
	"adopt", "create-application", "create-compose", "reconcile-compose-domain", "prune-compose-domain", NULL
};

static bool creates(const struct target_setup *r)
{
	return r->operation == SETUP_CREATE_APPLICATION || r->operation == SETUP_CREATE_COMPOSE;
}

static bool is_tracked(const struct target_setup *r)
{
	return r->operation == SETUP_RECONCILE || r->operation == SETUP_PRUNE;
}

static bool check_members(struct arena *a, const struct target_setup *b, const char *path, struct err *err)
{
	const char *operation = setup_operation_names[b->operation];
	bool routes = b->operation == SETUP_CREATE_COMPOSE || b->operation == SETUP_RECONCILE;
	if (b->operation == SETUP_ADOPT && is_blank(b->target_id))
		return contract_fail(a, err, path, "target_id", "is required to adopt a target");
	if (creates(b) && !is_blank(b->target_id))
		return contract_fail(a, err, path, "target_id", "is the provider's to give: leave it out for %s",
		                     operation);
	if (creates(b) && is_blank(b->target_name))
		return contract_fail(a, err, path, "target_name", "is required for %s", operation);
	if (b->operation == SETUP_CREATE_COMPOSE && is_blank(b->server_id))
		return contract_fail(a, err, path, "server_id", "is required for create-compose");
	if (creates(b) &&
	    b->target_type != (b->operation == SETUP_CREATE_COMPOSE ? TARGET_COMPOSE : TARGET_APPLICATION))
		return contract_fail(a, err, path, "target_type", "must be %s for %s",
		                     b->operation == SETUP_CREATE_COMPOSE ? "compose" : "application", operation);
	if (is_tracked(b) && b->target_type != TARGET_COMPOSE)
		return contract_fail(a, err, path, "target_type", "must be compose for %s", operation);
	if (is_tracked(b) && b->domains.n == 0)
		return contract_fail(a, err, path, "domains", "names no host; %s needs at least one", operation);
	if (b->operation == SETUP_RECONCILE && !b->runtime_port.is_set)
		return contract_fail(a, err, path, "runtime_port", "is required for reconcile-compose-domain");
	if (b->runtime_port.is_set && !routes)
		return contract_fail(a, err, path, "runtime_port",
		                     "is for create-compose and reconcile-compose-domain");
	if (b->runtime_port.is_set && b->domains.n == 0)
		return contract_fail(a, err, path, "runtime_port", "needs domains to route");
	return true;
}

static bool check_setup(struct arena *a, void *record, const char *path, struct err *err)
{
	struct target_setup *b = record;
	if (strcmp(b->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product", "must be launchplane");
	if (strcmp(b->mode, "dry-run") != 0 && strcmp(b->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (b->healthcheck_path[0] && b->healthcheck_path[0] != '/')
		return contract_fail(a, err, path, "healthcheck_path", "must start with /");
	return check_members(a, b, path, err);
}

static const struct field setup_fields[] = {
	F_SCHEMA_VERSION(target_setup),
	F_STR(target_setup, mode, 0, .fallback = "dry-run", .help = "dry-run or apply"),
	F_ENUM(target_setup, operation, REQUIRED, .names = setup_operation_names,
	       .help = "adopt records a target that exists; create-... make one; reconcile-compose-domain routes the "
	               "domains of a tracked compose target, prune-compose-domain removes their routes"),
	F_STR(target_setup, product, REQUIRED | TRIMMED | NON_BLANK, .help = "launchplane"),
	F_STR(target_setup, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(target_setup, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_ENUM(target_setup, target_type, 0, .names = target_type_names, .fallback = "compose"),
	F_STR(target_setup, target_id, TRIMMED | NO_BLANKS, .max = 200, .help = "adopt: the provider's id"),
	F_STR(target_setup, target_name, TRIMMED, .max = 200, .help = "Default: the name at the provider"),
	F_STR(target_setup, project_id, TRIMMED | NO_BLANKS, .max = 200,
	      .help = "create-...: an existing project; without it and environment_id one is made"),
	F_STR(target_setup, project_name, TRIMMED, .max = 200,
	      .help = "Default: the project at the provider; of a new project the context"),
	F_STR(target_setup, project_description, TRIMMED, .max = 500),
	F_STR(target_setup, environment_id, TRIMMED | NO_BLANKS, .max = 200,
	      .help = "create-...: an existing environment; without it one is made"),
	F_STR(target_setup, environment_name, TRIMMED, .max = 200, .help = "Default: the instance"),
	F_STR(target_setup, environment_description, TRIMMED, .max = 500),
	F_STR(target_setup, server_id, TRIMMED | NO_BLANKS, .max = 200, .help = "create-...: the host to run on"),
	F_STR(target_setup, app_name, TRIMMED | NO_BLANKS, .max = 63, .help = "create-...: default the target name"),
	F_STR(target_setup, description, TRIMMED, .max = 500),
	F_STR(target_setup, source_git_ref, TRIMMED, .fallback = "origin/main"),
	F_STR(target_setup, source_type, TRIMMED, .help = "Default: as at the provider; of a new compose target raw"),
	F_STR(target_setup, compose_path, TRIMMED,
	      .help = "Default: as at the provider; of a new compose target docker-compose.yml"),
	F_STR(target_setup, healthcheck_path, TRIMMED, .help = "Default: /web/health for compose targets"),
	F_STRINGS(target_setup, domains, LOWERED | NON_BLANK | UNIQUE, .max = 100,
	          .help = "Default: those at the provider"),
	F_OPT_INT(target_setup, runtime_port, 0, .min = 1, .max = 65535, .help = "Where service web listens"),
	F_OPT_INT(target_setup, deploy_timeout_seconds, 0, .min = 1, .max = 86400),
	F_OPT_OBJECT(target_setup, expected_current_provider_target, 0, &deployed_target_contract,
	             .help = "What is recorded now: refused unless it is, and only what is named so is replaced"),
	F_STR(target_setup, confirmation, TRIMMED, .help = "For apply: " TARGET_SETUP_CONFIRMATION),
	F_STR(target_setup, reason, TRIMMED, .max = 1000, .help = "For apply: why"),
	F_STR(target_setup, source_label, TRIMMED, .fallback = "service:dokploy-target-setup"),
	F_PLAN_DIGEST(target_setup),
	F_END,
};
const struct contract target_setup_contract = CONTRACT(
        target_setup, setup_fields, "Records, makes or routes a Dokploy target of a lane", .check = check_setup);

static const struct field route_fields[] = {
	F_STR(setup_route, host, 0),
	F_STR(setup_route, domain_id, 0),
	F_STR(setup_route, action, 0),
	F_END,
};
static const struct contract route_contract = CONTRACT(setup_route, route_fields, "A host and its route");

static const struct field state_fields[] = {
	F_STR(target_setup_state, target_id, 0),
	F_STR(target_setup_state, target_name, 0),
	F_STR(target_setup_state, project_name, 0),
	F_STR(target_setup_state, source_type, 0),
	F_STR(target_setup_state, compose_path, 0),
	F_STR(target_setup_state, healthcheck_path, 0),
	F_STR(target_setup_state, app_name, 0),
	F_STR(target_setup_state, server_id, 0),
	F_STR(target_setup_state, project_id, 0),
	F_STR(target_setup_state, environment_id, 0),
	F_STRINGS(target_setup_state, domains, 0),
	F_STRINGS(target_setup_state, missing_domains, 0),
	F_STRINGS(target_setup_state, warnings, 0),
	F_LIST(target_setup_state, routes, 0, &route_contract),
	F_INT(target_setup_state, looked_since_ms, 0),
	F_INT(target_setup_state, create_requests, 0),
	F_BOOL(target_setup_state, create_unanswered, 0),
	F_DOMAIN_WATCH(target_setup_state, domain),
	F_STR(target_setup_state, digest, 0),
	F_JSON(target_setup_state, plan, 0),
	F_END,
};
const struct contract target_setup_state_contract =
        CONTRACT(target_setup_state, state_fields, "What the phases of a target setup hand on");

bool target_setup_error(struct err *err)
{
	if (err->code == &E_not_found || err->code == &E_provider_refused || err->code == &E_provider_target_conflict)
		err->code = &E_invalid_dokploy_target_setup;
	return false;
}

/* ---- preparing ---- */

static const char *or_else(const char *given, const char *fallback)
{
	return given[0] ? given : fallback;
}

static void take_domains(struct arena *a, const struct target_setup *r, const struct dokploy_domains *live,
                         struct target_setup_state *s)
{
	s->domains = r->domains;
	for (size_t i = 0; r->domains.n == 0 && i < live->n; i++) {
		const char *host = lowered(a, trimmed(a, live->v[i].host));
		if (host[0] && !strings_have(&s->domains, host))
			strings_add(a, &s->domains, host);
	}
	if (s->domains.n == 0)
		strings_add(a, &s->warnings, "the target has no domain, neither in the request nor at the provider");
}

/* What the provider says about the target; what the request says wins. */
static SUSPENDS bool prepare_adopt(struct task *t, const struct target_setup *r, struct target_setup_state *s,
                                   struct err *err)
{
	struct dokploy d;
	struct dokploy_compose compose;
	struct dokploy_application application;
	if (!dokploy_open(t, &d, err))
		return false;
	s->target_id = r->target_id;
	if (r->target_type == TARGET_COMPOSE) {
		if (!dokploy_compose_one(t, &d, r->target_id, &compose, err))
			return false;
		s->target_name = or_else(r->target_name, compose.name);
		s->project_name = or_else(r->project_name, compose.project_name);
		s->source_type = or_else(r->source_type, compose.source_type);
		s->compose_path = or_else(r->compose_path, compose.compose_path);
		s->healthcheck_path = or_else(r->healthcheck_path, "/web/health");
		s->app_name = compose.app_name;
		s->server_id = compose.server_id;
		take_domains(t->arena, r, &compose.domains, s);
		return true;
	}
	if (!dokploy_application_one(t, &d, r->target_id, &application, err))
		return false;
	s->target_name = or_else(r->target_name, application.name);
	s->project_name = or_else(r->project_name, application.project_name);
	s->source_type = or_else(r->source_type, application.source_type);
	s->healthcheck_path = r->healthcheck_path;
	s->app_name = application.app_name;
	s->server_id = application.server_id;
	take_domains(t->arena, r, &application.domains, s);
	return true;
}

static void prepare_create(const struct target_setup *r, struct target_setup_state *s)
{
	bool compose = r->operation == SETUP_CREATE_COMPOSE;
	s->target_name = r->target_name;
	s->project_id = r->project_id;
	s->environment_id = r->environment_id;
	s->project_name = or_else(r->project_name, r->project_id[0] || r->environment_id[0] ? "" : r->context);
	s->source_type = or_else(r->source_type, compose ? "raw" : "docker");
	s->compose_path = compose ? or_else(r->compose_path, "docker-compose.yml") : "";
	s->healthcheck_path = or_else(r->healthcheck_path, compose ? "/web/health" : "");
	s->app_name = or_else(r->app_name, r->target_name);
	s->server_id = r->server_id;
	s->domains = r->domains;
}

/* The exact route of a host that pruning takes away (dokploy.md 5.2, step 6). */
static bool may_prune(const struct dokploy_domain *row, const char *compose_id)
{
	return (!row->compose_id[0] || strcmp(row->compose_id, compose_id) == 0) &&
	       (!row->domain_type[0] || strcmp(row->domain_type, "compose") == 0) &&
	       (!row->service_name[0] || strcmp(row->service_name, "web") == 0) &&
	       (!row->path[0] || strcmp(row->path, "/") == 0) &&
	       (!row->internal_path[0] || strcmp(row->internal_path, "/") == 0);
}

static SUSPENDS bool prepare_prune(struct task *t, const struct target_setup *r, struct target_setup_state *s,
                                   struct err *err)
{
	struct dokploy d;
	struct dokploy_domains live;
	if (!dokploy_open(t, &d, err) || !dokploy_domains_of_compose(t, &d, s->target_id, &live, err))
		return false;
	s->routes.v = arena_array(t->arena, live.n + 1, sizeof(*s->routes.v));
	s->routes.n = 0;
	for (size_t i = 0; i < r->domains.n; i++) {
		bool found = false;
		for (size_t k = 0; k < live.n; k++) {
			const char *host = lowered(t->arena, trimmed(t->arena, live.v[k].host));
			if (strcmp(host, r->domains.v[i]) != 0 || !may_prune(&live.v[k], s->target_id))
				continue;
			found = true;
			s->routes.v[s->routes.n++] = (struct setup_route){ host, live.v[k].id, "matched" };
		}
		if (!found)
			strings_add(t->arena, &s->missing_domains, r->domains.v[i]);
	}
	return true;
}

static SUSPENDS bool prepare_tracked(struct task *t, const struct target_setup *r, struct target_setup_state *s,
                                     struct err *err)
{
	struct target_setup_records records;
	if (!target_setup_records(t, r, s, &records, err))
		return false;
	if (records.target.target_type != TARGET_COMPOSE)
		return err_set(err, &E_invalid_dokploy_target_setup, "the tracked target of %s/%s is no compose target",
		               r->context, r->instance);
	if (r->target_id[0] && strcmp(r->target_id, records.id.target_id) != 0)
		return err_set(err, &E_invalid_dokploy_target_setup,
		               "target_id: another target is tracked for %s/%s; leave it out", r->context, r->instance);
	s->target_id = records.id.target_id;
	s->target_name = records.target.target_name;
	s->project_name = records.target.project_name;
	s->source_type = records.target.source_type;
	s->compose_path = records.target.compose_path;
	s->healthcheck_path = records.target.healthcheck_path;
	s->domains = r->domains;
	if (r->operation == SETUP_PRUNE)
		return prepare_prune(t, r, s, err);
	s->routes.v = arena_array(t->arena, r->domains.n + 1, sizeof(*s->routes.v));
	s->routes.n = 0;
	return true;
}

static SUSPENDS bool refuse_historical(struct task *t, const struct target_setup *r, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_historical_context_owner, PARAMS(P_TEXT(r->context)), &rows, err))
		return false;
	return rows.n == 0 ||
	       err_set(err, &E_invalid_dokploy_target_setup,
	               "context: %s is a historical context of product %s; targets belong to current ones", r->context,
	               row_text(&rows, 0, 0));
}

bool target_setup_prepare(struct task *t, const struct target_setup *r, struct target_setup_state *s,
                          struct target_setup_records *records, struct err *err)
{
	contract_defaults(t->arena, &target_setup_state_contract, s);
	if (!refuse_historical(t, r, err))
		return false;
	if (creates(r))
		prepare_create(r, s);
	else if (is_tracked(r) ? !prepare_tracked(t, r, s, err) : !prepare_adopt(t, r, s, err))
		return target_setup_error(err);
	return target_setup_records(t, r, s, records, err) || target_setup_error(err);
}

/* ---- records ---- */

static void fill_target(struct task *t, const struct target_setup *r, const struct target_setup_state *s,
                        struct dokploy_target *out)
{
	out->context = r->context;
	out->instance = r->instance;
	out->project_name = s->project_name;
	out->target_type = r->target_type;
	out->target_name = s->target_name;
	out->source_git_ref = r->source_git_ref;
	out->source_type = s->source_type;
	out->compose_path = s->compose_path;
	out->deploy_timeout_seconds = r->deploy_timeout_seconds;
	out->healthcheck_enabled = true;
	out->healthcheck_path = s->healthcheck_path;
	out->domains = s->domains;
	out->updated_at = utc_now(t);
	out->source_label = r->source_label;
}

/* Reconciling adds what is routed, pruning takes away what was asked for and is no longer there. */
static void edit_domains(struct task *t, const struct target_setup *r, const struct target_setup_state *s,
                         struct dokploy_target *target)
{
	struct strings kept = { 0 };
	for (size_t i = 0; i < target->domains.n; i++)
		if (r->operation == SETUP_RECONCILE || !strings_have(&s->domains, target->domains.v[i]))
			strings_add(t->arena, &kept, target->domains.v[i]);
	for (size_t i = 0; r->operation == SETUP_RECONCILE && i < s->domains.n; i++)
		if (!strings_have(&kept, s->domains.v[i]))
			strings_add(t->arena, &kept, s->domains.v[i]);
	target->domains = kept;
}

/* The guarded write's own question: may the lane's rows become these? */
static SUSPENDS bool ask_guard(struct task *t, const struct target_setup *r, struct target_setup_records *out,
                               struct err *err)
{
	bool whole = !is_tracked(r);
	const char *row;
	const struct dokploy_target_id unknown = { r->context, r->instance, "(new)", "", "" };
	const struct target_change change = { .context = r->context,
		                              .instance = r->instance,
		                              .target = whole ? &out->target : NULL,
		                              .id = !whole        ? NULL
		                                    : out->has_id ? &out->id
		                                                  : &unknown,
		                              .expected = r->expected_current_provider_target };
	if (!target_check(t, &change, &row, err))
		return false;
	out->provider_row = out->has_id ? row : NULL;
	return true;
}

bool target_setup_records(struct task *t, const struct target_setup *r, const struct target_setup_state *s,
                          struct target_setup_records *out, struct err *err)
{
	struct rows rows;
	*out = (struct target_setup_records){ 0 };
	contract_defaults(t->arena, &dokploy_target_contract, &out->target);
	if (!db_query(t, &Q_target_read, PARAMS(P_TEXT(r->context), P_TEXT(r->instance)), &rows, err))
		return false;
	const char *target = row_text(&rows, 0, 0), *id = row_text(&rows, 0, 1);
	/* What a request cannot say about a target is kept. */
	if (target && !contract_read_text(t->arena, &dokploy_target_contract, target, strlen(target),
	                                  "the stored target record", &out->target, err))
		return false;
	if (id && !contract_read_text(t->arena, &dokploy_target_id_contract, id, strlen(id), "the stored target id",
	                              &out->id, err))
		return false;
	if (is_tracked(r)) {
		if (!target || !id)
			return err_set(err, &E_invalid_dokploy_target_setup, "%s/%s has no tracked %s; adopt one first",
			               r->context, r->instance, target ? "target id" : "target");
		out->has_id = true;
		edit_domains(t, r, s, &out->target);
	} else {
		fill_target(t, r, s, &out->target);
		out->has_id = s->target_id[0] != '\0';
		out->id = (struct dokploy_target_id){ r->context, r->instance, s->target_id, utc_now(t),
			                              r->source_label };
	}
	return ask_guard(t, r, out, err);
}

/* ---- showing ---- */

static struct json strings_json(struct arena *a, const struct strings *list)
{
	struct json j = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_push(a, &j, json_of_str(list->v[i]));
	return j;
}

/* The record with its environment replaced by key names, and no user in a URL. */
static struct json shown_target(struct arena *a, const struct dokploy_target *target)
{
	struct dokploy_target known = *target;
	known.custom_git_url = redact(a, target->custom_git_url);
	struct json j = contract_json(a, &dokploy_target_contract, &known, false), keys = json_array(),
	            shown = json_object();
	for (size_t i = 0; i < target->env.n; i++)
		json_push(a, &keys, json_of_str(target->env.v[i].key));
	for (uint32_t i = 0; i < j.n; i++)
		if (strcmp(j.members[i].key, "env") != 0)
			json_set(a, &shown, j.members[i].key, j.members[i].value);
	json_set(a, &shown, "env_keys", keys);
	json_set(a, &shown, "env_value_count", json_of_int((int64_t)target->env.n));
	return shown;
}

static void add_step(struct arena *a, struct json *list, const char *object, const char *name, const char *id,
                     const char *procedure)
{
	struct json step = json_object();
	json_set_str(a, &step, "object", object);
	json_set_str(a, &step, "name", name);
	json_set_str(a, &step, "action", id[0] ? "use" : "create");
	if (id[0])
		json_set_str(a, &step, "id", id);
	else
		json_set_str(a, &step, "request", procedure);
	json_push(a, list, step);
}

/* What a creation makes, in order. */
static struct json creation_plan(struct arena *a, const struct target_setup *r)
{
	bool compose = r->operation == SETUP_CREATE_COMPOSE;
	struct json steps = json_array();
	if (!r->environment_id[0])
		add_step(a, &steps, "project", or_else(r->project_name, r->context), r->project_id, "project.create");
	add_step(a, &steps, "environment", or_else(r->environment_name, r->instance), r->environment_id,
	         "environment.create");
	add_step(a, &steps, compose ? "compose" : "application", r->target_name, "",
	         compose ? "compose.create" : "application.create");
	if (compose)
		add_step(a, &steps, "compose source", or_else(r->source_type, "raw"), "", "compose.update");
	for (size_t i = 0; r->runtime_port.is_set && i < r->domains.n; i++)
		add_step(a, &steps, "domain", r->domains.v[i], "", "domain.create");
	return steps;
}

static struct json route_ids(struct arena *a, const struct target_setup_state *s, const char *action)
{
	struct json list = json_array();
	for (size_t i = 0; i < s->routes.n; i++)
		if (!action || strcmp(s->routes.v[i].action, action) == 0)
			json_push(a, &list, json_of_str(s->routes.v[i].domain_id));
	return list;
}

struct json target_setup_plan(struct arena *a, const struct target_setup *r, const struct target_setup_state *s,
                              const struct target_setup_records *records)
{
	struct json plan = json_object();
	struct dokploy_target target = records->target;
	target.updated_at = "";
	json_set_str(a, &plan, "operation", setup_operation_names[r->operation]);
	json_set_str(a, &plan, "context", r->context);
	json_set_str(a, &plan, "instance", r->instance);
	json_set(a, &plan, "target_record", shown_target(a, &target));
	json_set_str(a, &plan, "target_id", records->has_id ? records->id.target_id : "");
	json_set(a, &plan, "domains", strings_json(a, &s->domains));
	json_set(a, &plan, "runtime_port", json_of_int(r->runtime_port.is_set ? r->runtime_port.value : 0));
	if (creates(r))
		json_set(a, &plan, "steps", creation_plan(a, r));
	if (r->operation == SETUP_PRUNE)
		json_set(a, &plan, "matched_domain_ids", route_ids(a, s, NULL));
	return plan;
}

static void add_records(struct arena *a, struct json *setup, const struct target_setup_records *records)
{
	struct json row;
	struct err ignored = { 0 };
	json_set(a, setup, "target_record", shown_target(a, &records->target));
	if (records->has_id)
		json_set(a, setup, "target_id_record",
		         contract_json(a, &dokploy_target_id_contract, &records->id, false));
	if (records->provider_row &&
	    json_parse(a, records->provider_row, strlen(records->provider_row), "the provider target", &row, &ignored))
		json_set(a, setup, "provider_target_record", row);
}

static struct json provider_fields(struct arena *a, const struct target_setup_state *s)
{
	struct json fields = json_object();
	const struct {
		const char *name, *value;
	} members[] = { { "target_id", s->target_id },           { "project_id", s->project_id },
		        { "environment_id", s->environment_id }, { "app_name", s->app_name },
		        { "server_id", s->server_id },           { "source_type", s->source_type },
		        { "compose_path", s->compose_path } };
	for (size_t i = 0; i < countof(members); i++)
		if (members[i].value[0])
			json_set_str(a, &fields, members[i].name, members[i].value);
	return fields;
}

struct json target_setup_result(struct arena *a, const struct target_setup *r, const struct target_setup_state *s,
                                const struct target_setup_records *records, bool applied)
{
	struct json o = json_object(), setup = json_object(), routes = json_array();
	bool prune = r->operation == SETUP_PRUNE;
	for (size_t i = 0; i < s->routes.n; i++)
		json_push(a, &routes, contract_json(a, &route_contract, &s->routes.v[i], false));
	json_set_str(a, &o, "mode", r->mode);
	json_set_str(a, &o, "operation", setup_operation_names[r->operation]);
	json_set_str(a, &o, "context", r->context);
	json_set_str(a, &o, "instance", r->instance);
	json_set(a, &o, "applied", json_of_bool(applied));
	json_set(a, &o, "route_domain_ids", prune ? json_array() : route_ids(a, s, NULL));
	json_set(a, &setup, "applied", json_of_bool(applied));
	if (records)
		add_records(a, &setup, records);
	json_set(a, &setup, "provider_fields", provider_fields(a, s));
	if (creates(r))
		json_set(a, &setup, "plan", creation_plan(a, r));
	json_set(a, &setup, "domains", strings_json(a, records ? &records->target.domains : &s->domains));
	if (r->runtime_port.is_set)
		json_set(a, &setup, "runtime_port", json_of_int(r->runtime_port.value));
	json_set(a, &setup, "routes", routes);
	if (prune) {
		json_set(a, &setup, "matched_domain_ids", route_ids(a, s, NULL));
		json_set(a, &setup, "deleted_domain_ids", route_ids(a, s, "deleted"));
		json_set(a, &setup, "missing_domains", strings_json(a, &s->missing_domains));
	}
	json_set(a, &setup, "warnings", strings_json(a, &s->warnings));
	json_set(a, &o, "setup", setup);
	json_set_str(a, &o, "reason", r->reason);
	if (records) {
		struct json plan = target_setup_plan(a, r, s, records);
		json_set_str(a, &o, "plan_digest", s->digest[0] ? s->digest : plan_digest(a, &plan));
	}
	if (s->plan)
		json_set(a, &o, "plan", *s->plan);
	return o;
}
