/* What a preview needs, what would be done for it, and what speaks against it (facts/odoo.md 15.1, 15.2, 15.4). */
#include "core/digest.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/domain_route.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/codes.h"
#include "storage/odoo_preview.sql.h"
#include "storage/preview.h"

const char *const preview_operation_names[] = { "refresh", "destroy", NULL };

enum { TRANSPORT_CLONE = 1, TRANSPORT_BOOTSTRAP, TRANSPORT_MIGRATE_SEED };
#define NUMBER_PLACE "{number}"

static const char *const required_keys[] = {
	"ODOO_DB_NAME",    "ODOO_DB_USER",   "ODOO_DB_PASSWORD",     "ODOO_DATA_VOLUME",
	"ODOO_LOG_VOLUME", "ODOO_DB_VOLUME", "ODOO_MASTER_PASSWORD", "ODOO_ADMIN_PASSWORD",
};
static const char *const password_keys[] = { "ODOO_DB_PASSWORD", "ODOO_MASTER_PASSWORD", "ODOO_ADMIN_PASSWORD" };
static const char *const default_passwords[] = { "admin",  "administrator", "changeme", "change-me", "default",
	                                         "master", "odoo",          "password", "postgres",  "secret" };
/* The control plane's own, of no use to a container. */
static const char *const own_keys[] = { "LAUNCHPLANE_PREVIEW_BASE_URL", "DOKPLOY_ENVIRONMENT_ID" };

/* ---- slugs, hosts, images ---- */

const char *preview_slug_of(struct arena *a, const char *template, int64_t pr_number)
{
	const char *place = strstr(template, NUMBER_PLACE);
	if (!place)
		return "";
	return lowered(a, arena_printf(a, "%.*s%lld%s", (int)(place - template), template, (long long)pr_number,
	                               place + strlen(NUMBER_PLACE)));
}

int64_t preview_number_of(const char *template, const char *slug)
{
	const char *place = strstr(template, NUMBER_PLACE);
	size_t before = place ? (size_t)(place - template) : 0;
	if (!place || strncasecmp(slug, template, before) != 0 || slug[before] < '1' || slug[before] > '9')
		return 0;
	char *end;
	long long n = strtoll(slug + before, &end, 10);
	return n <= INT32_MAX && strcasecmp(end, place + strlen(NUMBER_PLACE)) == 0 ? n : 0;
}

bool preview_host_is_of(struct arena *a, const char *template, const char *host)
{
	return preview_number_of(template, arena_strndup(a, host, strcspn(host, "."))) > 0;
}

bool is_immutable_image(const char *reference)
{
	const char *at = strstr(reference, "@sha256:");
	return at && at > reference && strlen(at + 8) == 64 && strspn(at + 8, "0123456789abcdef") == 64 &&
	       !reference[strcspn(reference, " \t\r\n\"'`$")];
}

/* The host of an http or https URL without user, query or fragment, lower-cased; NULL when it is none. */
static const char *url_host(struct arena *a, const char *url)
{
	const char *p = strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
	if (!p || url[strcspn(url, "?#@ \"`'\\")])
		return NULL;
	size_t n = strcspn(p, "/:");
	return n ? lowered(a, arena_strndup(a, p, n)) : NULL;
}

static const char *derived_url(struct arena *a, const char *base, const char *slug)
{
	const char *host = base ? strstr(base, "://") : NULL;
	if (!host || !url_host(a, base))
		return "";
	host += 3;
	size_t n = strcspn(host, "/");
	if (host[n] && host[n + 1])
		return ""; /* a path: not a root */
	return arena_printf(a, "%.*s%s.%.*s", (int)(host - base), base, slug, (int)n, host);
}

/* ---- reading ---- */

static SUSPENDS bool read_env(struct task *t, const struct place *place, const struct text_map *target_env,
                              struct text_map *out, struct strings *secret_keys, struct err *err)
{
	if (runtime_env_resolve(t, t->loop->keyring, place, target_env, out, secret_keys, err))
		return true;
	if (!err_is(err, &E_runtime_environment_unavailable))
		return false;
	memset(err, 0, sizeof(*err));
	*out = (struct text_map){ 0 };
	*secret_keys = (struct strings){ 0 };
	return true;
}

/* Whether a recorded key is written to the preview: the profile's lists are about the template's own, and what the
 * profile itself says comes last. */
static bool goes_along(const struct preview_profile *p, const struct preview_reading *r, const char *key)
{
	for (size_t i = 0; i < countof(own_keys); i++)
		if (strcmp(key, own_keys[i]) == 0)
			return false;
	if (map_get(&p->override_env, key))
		return false;
	if (!r->is_staged && map_get(&r->context_env, key))
		return true;
	return (p->copied_env_keys.n == 0 || strings_have(&p->copied_env_keys, key)) &&
	       !strings_have(&p->omitted_env_keys, key);
}

/* Whose hosts a preview may not have. */
static SUSPENDS bool read_lane_targets(struct task *t, struct preview_reading *r, struct err *err)
{
	size_t n = r->profile.lanes.n;
	struct dokploy_target_id id;
	bool found, has_id;
	r->lane_targets = arena_array(t->arena, n + 1, sizeof(*r->lane_targets));
	for (size_t i = 0; i < n; i++) {
		if (!read_target(t, &r->profile.lanes.v[i], &r->lane_targets[i], &found, &id, &has_id, err))
			return false;
		if (!found)
			r->lane_targets[i] = (struct dokploy_target){ 0 };
	}
	return true;
}

static SUSPENDS bool read_records(struct task *t, const struct preview_inputs *in, const char *slug,
                                  struct preview_reading *r, struct err *err)
{
	struct strings own;
	struct rows rows;
	const struct preview_profile *p = &r->profile.preview;
	size_t lanes;
	bool has_id, has_target;
	r->lane = product_profile_lane(&r->profile, p->template_instance, &lanes);
	if (r->lane) {
		const struct place place = { r->lane->context, r->lane->instance };
		if (!read_target(t, r->lane, &r->target, &has_target, &r->target_id, &has_id, err))
			return false;
		r->has_target = has_target && has_id && r->target.target_type == TARGET_COMPOSE;
		r->is_application = has_target && r->target.target_type != TARGET_COMPOSE;
		if (!read_env(t, &place, has_target ? &r->target.env : NULL, &r->template_env, &r->secret_keys, err))
			return false;
	}
	const struct place context = { p->context, "" };
	if (!read_env(t, &context, NULL, &r->context_env, &own, err) ||
	    !db_query(t, &Q_odoo_preview_of_anchor,
	              PARAMS(P_TEXT(p->context), P_TEXT(r->profile.repository), P_INT(in->pr_number)), &rows, err))
		return false;
	r->preview_state = rows.n ? arena_strdup(t->arena, row_text(&rows, 0, 0)) : "";
	const struct place preview = { p->context, slug }, *reached = r->is_staged ? NULL : &preview;
	const struct place template = { r->lane ? r->lane->context : "", r->lane ? r->lane->instance : "" };
	struct strings from_template = { 0 };
	for (size_t i = 0; i < r->secret_keys.n; i++)
		if (goes_along(p, r, r->secret_keys.v[i]) && (r->is_staged || !strings_have(&own, r->secret_keys.v[i])))
			strings_add(t->arena, &from_template, r->secret_keys.v[i]);
	struct key_safety_evidence of_own;
	bool refreshes = in->operation == PREVIEW_REFRESH;
	if (refreshes && !read_lane_targets(t, r, err))
		return false;
	if (refreshes &&
	    (!key_safety_gate_from(t, &template, reached ? reached : &template, &from_template, &r->key_safety, err) ||
	     (reached && !key_safety_gate(t, reached, &own, &of_own, err)))) {
		if (!err_is(err, &E_runtime_key_safety_failed) && !err_is(err, &E_runtime_key_safety_unavailable))
			return false;
		r->key_safety_problem = arena_strdup(t->arena, err->message);
		memset(err, 0, sizeof(*err));
	}
	return true;
}

static SUSPENDS bool look_at_provider(struct task *t, const char *compose_name, struct preview_reading *r,
                                      struct err *err)
{
	struct dokploy d;
	struct dokploy_services services;
	if (!dokploy_open(t, &d, err))
		return false;
	if (r->has_target && !dokploy_compose_one(t, &d, r->target_id.target_id, &r->live, err))
		return false;
	r->has_live = r->has_target;
	if (r->is_staged) {
		r->compose_id = r->has_target ? r->target_id.target_id : "";
		return true;
	}
	if (!dokploy_project_all(t, &d, &services, err)) {
		if (err_is(err, &E_not_found)) /* it takes no id: the procedure itself is not there */
			r->lacks_procedure = "project.all";
		return false;
	}
	for (size_t i = 0; i < services.n; i++) {
		const struct dokploy_service *one = &services.v[i];
		if (!one->is_compose || strcmp(one->name, compose_name) != 0)
			continue;
		if (r->compose_id[0])
			return err_set(err, &E_operation_blocked,
			               "Dokploy has two compose services named %s, %s and %s; remove one by hand",
			               compose_name, r->compose_id, one->service_id);
		r->compose_id = one->service_id;
		r->compose_environment_id = one->environment_id;
	}
	return true;
}

const char *preview_compose_name(struct arena *a, const char *product, const char *slug)
{
	return arena_printf(a, "%.40s-%.20s", product, slug);
}

bool preview_is_staged(const struct product_profile *p)
{
	return p->preview.data_transport_mode == TRANSPORT_BOOTSTRAP;
}

bool preview_is_staged_on(const struct product_profile *p, const char *instance)
{
	return preview_is_staged(p) && strcmp(p->preview.template_instance, instance) == 0;
}

bool preview_read(struct task *t, const struct preview_inputs *in, bool must_see, struct preview_reading *r,
                  struct err *err)
{
	bool found;
	*r = (struct preview_reading){ .compose_id = "", .compose_environment_id = "", .preview_state = "" };
	arena_wipe_on_reset(t->arena);
	if (!read_profile(t, in->product, &r->profile, &found, err))
		return false;
	if (!found || strcmp(r->profile.driver_id, "odoo") != 0)
		return err_set(err, &E_product_driver_mismatch, "product %s has no profile with driver odoo",
		               in->product);
	const struct preview_profile *p = &r->profile.preview;
	if (!p->enabled || is_blank(p->context))
		return err_set(err, &E_product_driver_mismatch,
		               "product %s has no previews: its profile does not "
		               "enable them",
		               in->product);
	const char *slug = preview_slug_of(t->arena, p->slug_template, in->pr_number);
	if (in->preview_slug[0] && strcmp(in->preview_slug, slug) != 0)
		return err_field(err, "preview_slug",
		                 "must be %s, which the profile's template %s gives pull request "
		                 "%lld",
		                 slug, p->slug_template, (long long)in->pr_number);
	r->is_staged = preview_is_staged(&r->profile);
	if (!read_records(t, in, slug, r, err))
		return false;
	if (look_at_provider(t, preview_compose_name(t->arena, in->product, slug), r, err))
		return true;
	if (err->code == &E_cancelled || (must_see && err->code->retry))
		return false;
	r->discovery_problem = arena_strdup(t->arena, err->message);
	memset(err, 0, sizeof(*err));
	return true;
}

/* ---- what follows ---- */

struct making {
	struct arena *a;
	const struct preview_inputs *in;
	const struct preview_reading *r;
	struct preview_intent *out;
	struct json runtime_blockers, plan_blockers;
	struct buf text;
};

static void block(struct making *m, struct json *list, const char *code, const char *message)
{
	struct json one = json_object();
	json_set_str(m->a, &one, "code", code);
	json_set_str(m->a, &one, "message", message);
	json_push(m->a, list, one);
	if (m->text.n < 250)
		buf_printf(&m->text, "%s%s: %.200s", m->text.n ? "; " : "", code, message);
}

static const char *joined(struct arena *a, const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n && b.n < 250; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", list->v[i]);
	return buf_cstr(&b);
}

static bool is_default_password(struct arena *a, const char *value)
{
	const char *low = lowered(a, trimmed(a, value));
	for (size_t i = 0; i < countof(default_passwords); i++)
		if (strcmp(low, default_passwords[i]) == 0)
			return true;
	return false;
}

/* The template's values, as the profile lets them through, and over them those of the previews' own context. */
static void copy_recorded(struct making *m, struct text_map *env)
{
	const struct text_map *from[] = { &m->r->template_env, m->r->is_staged ? NULL : &m->r->context_env };
	for (size_t k = 0; k < countof(from); k++)
		for (size_t i = 0; from[k] && i < from[k]->n; i++)
			if (goes_along(&m->r->profile.preview, m->r, from[k]->v[i].key))
				map_set(m->a, env, from[k]->v[i].key, from[k]->v[i].value);
}

/* A preview shares neither database nor volumes with anybody. */
static void set_identifiers(struct making *m, struct text_map *env)
{
	const char *name = m->out->compose_name;
	static const char *const whole[] = { "ODOO_PROJECT_NAME", "ODOO_STACK_NAME" };
	static const struct {
		const char *key, *tail;
	} parts[] = { { "ODOO_DB_NAME", "_db" },
		      { "ODOO_DATA_VOLUME", "_data" },
		      { "ODOO_LOG_VOLUME", "_logs" },
		      { "ODOO_DB_VOLUME", "_db_volume" } };
	for (size_t i = 0; i < countof(whole); i++)
		map_set(m->a, env, whole[i], name);
	for (size_t i = 0; i < countof(parts); i++)
		map_set(m->a, env, parts[i].key, arena_printf(m->a, "%s%s", name, parts[i].tail));
}

static void make_env(struct making *m)
{
	const struct preview_profile *p = &m->r->profile.preview;
	struct text_map *env = &m->out->env;
	copy_recorded(m, env);
	for (size_t i = 0; i < p->override_env.n; i++)
		map_set(m->a, env, p->override_env.v[i].key, p->override_env.v[i].value);
	if (!m->r->is_staged)
		set_identifiers(m, env);
	for (size_t i = 0; i < p->preview_url_env_keys.n; i++)
		map_set(m->a, env, p->preview_url_env_keys.v[i], m->out->url);
	for (size_t i = 0; i < p->preview_domain_env_keys.n; i++)
		map_set(m->a, env, p->preview_domain_env_keys.v[i], m->out->host);
}

/* The safety keys: of an isolated preview in what will be written, of a staged one on the live target already. */
static void check_env(struct making *m)
{
	struct text_map live = { 0 }, *env = &m->out->env;
	struct strings defaults = { 0 }, *missing = &m->out->lacks_keys;
	if (m->r->is_staged && m->r->has_live)
		env_text_parse(m->a, m->r->live.env, &live);
	const struct text_map *needed = m->r->is_staged ? &live : env;
	for (size_t i = 0; i < countof(required_keys); i++)
		if (is_blank(map_get(needed, required_keys[i])))
			strings_add(m->a, missing, required_keys[i]);
	const struct strings *more = &m->r->profile.preview.required_template_env_keys;
	for (size_t i = 0; i < more->n; i++)
		if (is_blank(map_get(env, more->v[i])) && is_blank(map_get(&live, more->v[i])) &&
		    !strings_have(missing, more->v[i]))
			strings_add(m->a, missing, more->v[i]);
	for (size_t i = 0; i < countof(password_keys); i++) {
		const char *key = password_keys[i], *written = map_get(env, key), *there = map_get(&live, key);
		if ((written && is_default_password(m->a, written)) || (there && is_default_password(m->a, there)))
			strings_add(m->a, &defaults, key);
	}
	m->out->lacks_config = missing->n || defaults.n;
	if (missing->n)
		block(m, &m->runtime_blockers, "runtime_env_missing",
		      arena_printf(m->a, "%s lacks these keys: %s",
		                   m->r->is_staged ? "the live target" : "the preview's environment",
		                   joined(m->a, missing)));
	if (defaults.n)
		block(m, &m->runtime_blockers, "default_credential_binding",
		      arena_printf(m->a, "these passwords are defaults: %s", joined(m->a, &defaults)));
	if (m->r->key_safety_problem)
		block(m, &m->runtime_blockers, "prod_secret_binding", m->r->key_safety_problem);
}

static void check_image(struct making *m)
{
	const char *image = m->out->image_reference, *at = strchr(image, '@');
	const char *repository = m->r->profile.image.repository;
	size_t n = strlen(repository);
	while (n && repository[n - 1] == '/')
		n--;
	if (!image[0]) {
		block(m, &m->runtime_blockers, "refresh_artifact_missing",
		      "a refresh needs image_reference or manifest");
	} else if (!is_immutable_image(image)) {
		block(m, &m->runtime_blockers, "refresh_artifact_missing",
		      "image_reference must be immutable: <repository>@sha256:<64 hex>");
	} else if ((size_t)(at - image) != n || strncmp(image, repository, n) != 0) {
		block(m, &m->runtime_blockers, "refresh_artifact_missing",
		      arena_printf(m->a, "the image is not of the product's repository %s", repository));
	}
	if (!m->out->source_git_ref[0])
		block(m, &m->runtime_blockers, "refresh_source_missing",
		      "a refresh needs source_git_ref, or a manifest with its commit");
}

static const char *other_preview(struct making *m)
{
	const struct dokploy_domains *d = &m->r->live.domains;
	for (size_t i = 0; i < d->n; i++)
		if (strcasecmp(d->v[i].host, m->out->host) != 0 &&
		    preview_host_is_of(m->a, m->r->profile.preview.slug_template, d->v[i].host))
			return d->v[i].host;
	return NULL;
}

static const struct lane *lane_of_host(const struct preview_reading *r, const char *host)
{
	for (size_t i = 0; host[0] && r->lane_targets && i < r->profile.lanes.n; i++)
		if (preview_host_is_stable(&r->lane_targets[i], &r->profile.lanes.v[i], host))
			return &r->profile.lanes.v[i];
	return NULL;
}

/* A caller may name the address, but no lane's; and what is staged is found again by its slug alone. */
static void check_host(struct making *m)
{
	const char *host = m->out->host, *slug = m->out->slug;
	const struct lane *owner = lane_of_host(m->r, host);
	size_t n = strlen(slug);
	if (owner)
		block(m, &m->runtime_blockers, "runtime_target_slug_mismatch",
		      arena_printf(m->a, "the host %s is lane %s's own: no preview may have it", host,
		                   owner->instance));
	else if (m->r->is_staged && host[0] && (strncmp(host, slug, n) != 0 || host[n] != '.'))
		block(m, &m->runtime_blockers, "runtime_target_slug_mismatch",
		      arena_printf(m->a,
		                   "preview_url: the host %s is not pull request %lld's: a staged preview's begins "
		                   "with %s.",
		                   host, (long long)m->in->pr_number, slug));
}

static void check_target(struct making *m)
{
	const struct preview_reading *r = m->r;
	struct json *list = &m->runtime_blockers;
	bool refreshes = m->in->operation == PREVIEW_REFRESH;
	if (r->lane && strcmp(r->lane->instance, "prod") == 0)
		block(m, list, "runtime_target_not_preview", "the template of previews may not be a prod lane");
	int mode = r->profile.preview.data_transport_mode;
	if (refreshes && (mode == TRANSPORT_CLONE || mode == TRANSPORT_MIGRATE_SEED))
		block(m, list, "runtime_strategy_not_isolated",
		      "the profile's data_transport_mode brings a lane's data along: an isolated preview begins with a "
		      "database of its own (none, driver), a staged one shares the template's (bootstrap)");
	if (refreshes && r->is_application)
		block(m, list, "provider_capability_missing",
		      arena_printf(m->a,
		                   "the template lane %s is a Dokploy application: a preview needs a compose target as "
		                   "its template",
		                   r->profile.preview.template_instance));
	if (r->lacks_procedure)
		block(m, list, "provider_capability_missing", r->discovery_problem);
	else if (r->discovery_problem)
		block(m, list, "runtime_target_discovery_failed", r->discovery_problem);
	else if (r->is_staged && !r->has_target)
		block(m, list, refreshes ? "runtime_target_discovery_failed" : "destroy_target_missing",
		      "the template lane has no tracked compose target");
	if (r->is_staged && refreshes && r->has_live && other_preview(m))
		block(m, list, "runtime_target_slug_mismatch",
		      arena_printf(m->a, "the staged target shows %s; destroy that preview first", other_preview(m)));
	if (refreshes)
		check_host(m);
	if (!r->is_staged && r->compose_id[0] && m->out->environment_id[0] &&
	    strcmp(r->compose_environment_id, m->out->environment_id) != 0)
		block(m, list, "runtime_target_not_preview",
		      arena_printf(m->a, "compose service %s is not in the previews' environment",
		                   m->out->compose_name));
	if (!refreshes && !r->is_staged && !r->discovery_problem && !r->compose_id[0] &&
	    (!r->preview_state[0] || strcmp(r->preview_state, "destroyed") == 0))
		block(m, list, "destroy_target_missing", "there is no such preview, and none is recorded");
	if (!m->out->url[0])
		block(m, list, "preview_url_missing",
		      arena_printf(m->a,
		                   "context %s has no LAUNCHPLANE_PREVIEW_BASE_URL (a root http or https URL), and no "
		                   "preview_url is given",
		                   r->profile.preview.context));
}

/* ---- the documents ---- */

static void add_call(struct making *m, struct json *list, const char *name, const char *procedure, const char *target,
                     const char *keys, bool is_secret)
{
	struct json one = json_object(), payload = json_array();
	json_set_str(m->a, &one, "name", name);
	json_set_str(m->a, &one, "method", "POST");
	json_set_str(m->a, &one, "path", arena_printf(m->a, "/api/%s", procedure));
	json_set(m->a, &one, "alternate_paths", json_array());
	json_set_str(m->a, &one, "target", target);
	while (*keys) {
		size_t n = strcspn(keys, " ");
		json_push(m->a, &payload, json_of_str(arena_strndup(m->a, keys, n)));
		keys += n + strspn(keys + n, " ");
	}
	json_set(m->a, &one, "payload_keys", payload);
	json_set(m->a, &one, "secret_payload", json_of_bool(is_secret));
	json_push(m->a, list, one);
}

static void list_calls(struct making *m, struct json *operations, struct json *rollback)
{
	const struct preview_plan *p = &m->out->plan;
	bool makes = !m->r->is_staged && !m->r->compose_id[0];
	*operations = *rollback = json_array();
	if (m->in->operation == PREVIEW_DESTROY) {
		add_call(m, operations, "delete_domain", "domain.delete", p->domain_host, "domainId", false);
		if (!m->r->is_staged)
			add_call(m, operations, "delete_compose", "compose.delete", p->compose_ref,
			         "composeId deleteVolumes", false);
		return;
	}
	if (makes)
		add_call(m, operations, "create_compose", "compose.create", p->compose_name,
		         "name appName environmentId serverId description composeType", false);
	add_call(m, operations, "sync_source", "compose.update", p->compose_ref,
	         "composeId name environmentId sourceType composePath autoDeploy composeFile", false);
	add_call(m, operations, "write_environment", "compose.update", p->compose_ref, "composeId env", true);
	add_call(m, operations, "ensure_domain", "domain.create", p->domain_host,
	         "host port serviceName https certificateType composeId", false);
	add_call(m, operations, "deploy", m->in->no_cache ? "compose.redeploy" : "compose.deploy", p->compose_ref,
	         "composeId title description", false);
	add_call(m, rollback, "delete_domain", "domain.delete", p->domain_host, "domainId", false);
	if (makes)
		add_call(m, rollback, "delete_compose", "compose.delete", p->compose_ref, "composeId deleteVolumes",
		         false);
}

static const struct json *kept(struct arena *a, const struct json *value)
{
	struct json *copy = ARENA_NEW(a, struct json);
	*copy = *value;
	return copy;
}

static const char *runtime_document(struct making *m, const struct json *operations, const struct json *rollback)
{
	struct json o = json_object(), planned = json_array(), back = json_array();
	for (uint32_t i = 0; i < operations->n; i++)
		json_push(m->a, &planned, json_of_str(json_str(&operations->items[i], "name", "")));
	for (uint32_t i = 0; i < rollback->n; i++)
		json_push(m->a, &back, json_of_str(json_str(&rollback->items[i], "name", "")));
	json_set_str(m->a, &o, "status", m->runtime_blockers.n ? "blocked" : "ready");
	json_set_str(m->a, &o, "operation", preview_operation_names[m->in->operation]);
	json_set_str(m->a, &o, "strategy", m->r->is_staged ? "staged_dokploy_compose" : "isolated_dokploy_compose");
	json_set_str(m->a, &o, "target", m->out->compose_name);
	json_set(m->a, &o, "blockers", m->runtime_blockers);
	json_set(m->a, &o, "planned_actions", planned);
	json_set(m->a, &o, "rollback_actions", back);
	json_set_str(m->a, &o, "summary", m->out->plan.summary);
	return json_text(m->a, &o);
}

static void make_plan(struct making *m)
{
	const struct preview_reading *r = m->r;
	struct preview_intent *out = m->out;
	struct preview_plan *p = &out->plan;
	bool refreshes = m->in->operation == PREVIEW_REFRESH;
	*p = (struct preview_plan){
		.dry_run = true,
		.operation = m->in->operation,
		.product = m->in->product,
		.repository = r->profile.repository,
		.preview_slug = out->slug,
		.preview_url = out->url,
		.domain_host = out->host,
		.compose_ref = r->compose_id[0]
		                       ? r->compose_id
		                       : arena_printf(m->a, "${created.composeId:%s-%s}", m->in->product, out->slug),
		.compose_name = out->compose_name,
		.environment_id = out->environment_id,
		.template_compose_id = r->has_target ? r->target_id.target_id : "",
		.no_cache = m->in->no_cache,
		.delete_volumes = !r->is_staged,
		.runtime_port = r->profile.runtime_port,
	};
	if (!r->is_staged && !out->environment_id[0])
		block(m, &m->plan_blockers, "environment_id_missing",
		      "neither the previews' context nor the template lane has DOKPLOY_ENVIRONMENT_ID");
	if (r->lacks_procedure)
		block(m, &m->plan_blockers, "endpoint_path_missing",
		      arena_printf(m->a,
		                   "Dokploy has no /api/%s: is DOKPLOY_HOST its address, and its version supported?",
		                   r->lacks_procedure));
	if (out->url[0] && !out->host[0])
		block(m, &m->plan_blockers, "preview_url_invalid",
		      "preview_url must be http or https with a host, without user, query or fragment");
	if (refreshes && !p->template_compose_id[0])
		block(m, &m->plan_blockers, "template_compose_id_missing",
		      arena_printf(m->a, "the template lane %s has no tracked compose target with an id",
		                   r->profile.preview.template_instance));
	p->summary =
	        arena_printf(m->a, "%s %s for %s of %s", preview_operation_names[m->in->operation],
	                     r->is_staged ? "the staged preview" : "the isolated preview", out->slug, m->in->product);
	struct json operations, rollback;
	list_calls(m, &operations, &rollback);
	out->runtime_plan = runtime_document(m, &operations, &rollback);
	if (m->runtime_blockers.n)
		block(m, &m->plan_blockers, "runtime_plan_not_ready", "the runtime plan is blocked");
	out->is_ready = m->plan_blockers.n == 0;
	p->status = out->is_ready ? "ready" : "blocked";
	p->blockers = kept(m->a, &m->plan_blockers);
	p->operations = kept(m->a, &operations);
	p->rollback_operations = kept(m->a, &rollback);
	out->blocked_text = buf_cstr(&m->text);
}

static const char *first_value(const struct text_map *x, const struct text_map *y, const char *key)
{
	const char *value = map_get(x, key);
	value = is_blank(value) ? map_get(y, key) : value;
	return is_blank(value) ? "" : value;
}

static const char *last_part(const char *repository)
{
	const char *slash = strrchr(repository, '/');
	return slash ? slash + 1 : repository;
}

bool preview_make(struct arena *a, const struct preview_inputs *in, const struct preview_reading *r,
                  struct preview_intent *out, struct err *err)
{
	*out = (struct preview_intent){ 0 };
	struct making m = { .a = a, .in = in, .r = r, .out = out, .text = buf_in(a) };
	m.runtime_blockers = m.plan_blockers = json_array();
	const char *of_manifest = in->manifest ? artifact_image_reference(a, in->manifest) : "";
	if (of_manifest[0] && in->image_reference[0] && strcmp(of_manifest, in->image_reference) != 0)
		return err_field(err, "image_reference", "must be the manifest's image when both are given");
	out->slug = preview_slug_of(a, r->profile.preview.slug_template, in->pr_number);
	out->repo = last_part(r->profile.repository);
	out->compose_name =
	        r->is_staged && r->has_live ? r->live.name : preview_compose_name(a, in->product, out->slug);
	out->environment_id = r->is_staged ? (r->has_live ? r->live.environment_id : "")
	                                   : first_value(&r->context_env, &r->template_env, "DOKPLOY_ENVIRONMENT_ID");
	out->url = in->preview_url[0]
	                   ? in->preview_url
	                   : derived_url(a, map_get(&r->context_env, "LAUNCHPLANE_PREVIEW_BASE_URL"), out->slug);
	const char *host = url_host(a, out->url);
	out->host = host ? host : "";
	out->image_reference = of_manifest[0] ? of_manifest : in->image_reference;
	out->source_git_ref = in->source_git_ref[0] ? in->source_git_ref
	                      : in->manifest        ? in->manifest->source_commit
	                                            : "";
	out->artifact_id = in->manifest ? in->manifest->artifact_id : out->image_reference;
	for (size_t i = 0; r->is_staged && i < r->live.domains.n; i++) {
		const char *known = lowered(a, r->live.domains.v[i].host);
		if (!strings_have(&out->hosts, known))
			strings_add(a, &out->hosts, known);
	}
	if (out->host[0] && !strings_have(&out->hosts, out->host))
		strings_add(a, &out->hosts, out->host);
	check_target(&m);
	if (in->operation == PREVIEW_REFRESH) {
		make_env(&m);
		check_env(&m);
		check_image(&m);
	}
	make_plan(&m);
	return true;
}

void preview_inputs_of(const struct preview_apply *r, int64_t pr_number, struct preview_inputs *out)
{
	const char *at = strstr(r->image_reference, "@sha256:");
	*out = (struct preview_inputs){
		.product = r->dry_run_plan.product,
		.operation = r->dry_run_plan.operation,
		.pr_number = pr_number,
		.preview_slug = r->dry_run_plan.preview_slug,
		.preview_url = r->dry_run_plan.preview_url,
		.image_reference = r->image_reference,
		.manifest = r->manifest,
		/* Without a manifest the image is all that is known of its source. */
		.source_git_ref = r->manifest ? ""
		                  : at        ? at + strlen("@sha256:")
		                              : "",
		.source = "",
		.timeout_seconds = r->timeout_seconds,
		.no_cache = r->dry_run_plan.no_cache,
	};
}
