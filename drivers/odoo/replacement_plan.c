#include "drivers/odoo/replacement_plan.h"

#include "core/digest.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/compose_file.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/target_env.h"
#include "storage/codes.h"
#include "storage/runtime_environment.h"

#include <stdlib.h>

static const char *const volume_keys[] = { "ODOO_DATA_VOLUME", "ODOO_LOG_VOLUME", "ODOO_DB_VOLUME" };
const struct strings odoo_volume_keys = { countof(volume_keys), (const char **)volume_keys };

/* ---- the request ---- */

static const char *const strategy_names[] = { "recreate-in-place", "replace-and-cutover", NULL };

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct replacement_request *r = record;
	if (is_blank(r->artifact_id) && !is_blank(r->source_git_ref))
		return contract_fail(a, err, path, "artifact_id", "is required when source_git_ref is given");
	if (!is_blank(r->artifact_id) && is_blank(r->source_git_ref))
		return contract_fail(a, err, path, "source_git_ref", "is required when artifact_id is given");
	return true;
}

bool replacement_check_overlay(struct arena *a, const struct text_map *overlay, const char *path, struct err *err)
{
	static const char *const allowed[] = { "ODOO_DB_NAME", "ODOO_FILESTORE_PATH", "ODOO_DATA_WORKFLOW_LOCK_FILE" };
	for (size_t i = 0; i < overlay->n; i++) {
		size_t k = 0;
		while (k < countof(allowed) && strcmp(allowed[k], overlay->v[i].key) != 0)
			k++;
		if (k == countof(allowed))
			return contract_fail(a, err, path, arena_printf(a, "env_overlay.%s", overlay->v[i].key),
			                     "cannot be overlaid; only ODOO_DB_NAME, ODOO_FILESTORE_PATH and "
			                     "ODOO_DATA_WORKFLOW_LOCK_FILE can");
	}
	return true;
}

/* Testing alone (facts/odoo.md 4.4): no prelaunch policy opens this path for prod, however much of it is proved. A prod
 * lane can be planned; it changes through promotion and rollback, and is built anew by a stable bootstrap. */
static bool check_apply(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct replacement_request *r = record;
	if (r->strategy != STRATEGY_RECREATE_IN_PLACE)
		return contract_fail(a, err, path, "strategy",
		                     "must be recreate-in-place: the other strategy can only be planned");
	if (strcmp(r->instance, "testing") != 0)
		return contract_fail(a, err, path, "instance",
		                     "must be testing: other lanes change through promotion and rollback");
	return check_request(a, record, path, err);
}

#define REQUEST_FIELDS                                                                                                 \
	F_SCHEMA_VERSION(replacement_request),                                                                         \
	        F_STR(replacement_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),                       \
	        F_STR(replacement_request, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100,           \
	              .help = "Exactly one lane of the product must have it"),                                         \
	        F_ENUM(replacement_request, strategy, 0, .names = strategy_names, .fallback = "recreate-in-place"),    \
	        F_BOOL(replacement_request, allow_empty_data, 0, .fallback = "false",                                  \
	               .help = "Absent data volumes are meant"),                                                       \
	        F_ENUM(replacement_request, data_source_mode, 0, .names = data_source_mode_names,                      \
	               .fallback = "existing"),                                                                        \
	        F_STR(replacement_request, confirmation, LOWERED, .max = 500,                                          \
	              .help = "As in the lane's prelaunch policy"),                                                    \
	        F_STR(replacement_request, artifact_id, TRIMMED, .max = 300,                                           \
	              .help = "With source_git_ref, or neither"),                                                      \
	        F_STR(replacement_request, source_git_ref, TRIMMED, .max = 300),                                       \
	        F_STR(replacement_request, expected_current_artifact_id, TRIMMED, .max = 300,                          \
	              .help = "When set, what the inventory must say runs now")

static const struct field plan_request_fields[] = {
	REQUEST_FIELDS,
	F_END,
};
const struct contract replacement_plan_request_contract =
        CONTRACT(replacement_request, plan_request_fields, "What replacement to plan", .check = check_request);

#define APPLY_FIELDS                                                                                                   \
	REQUEST_FIELDS, F_BOOL(replacement_request, verify_health, 0, .fallback = "true"),                             \
	        F_BOOL(replacement_request, verify_canonical, 0, .fallback = "true"),                                  \
	        F_BOOL(replacement_request, verify_logo, 0, .fallback = "true"),                                       \
	        F_BOOL(replacement_request, no_cache, 0, .fallback = "false", .help = "Redeploy instead of deploy"),   \
	        F_OPT_INT(replacement_request, timeout_seconds, 0, .min = 1, .max = 86400,                             \
	                  .help = "Of the deploy; default: the target's, 600"),                                        \
	        F_OPT_INT(replacement_request, health_timeout_seconds, 0, .min = 1, .max = 86400,                      \
	                  .help = "Of the verification; default: the target's, 180")

static const struct field apply_request_fields[] = {
	APPLY_FIELDS,
	F_END,
};
const struct contract replacement_apply_request_contract =
        CONTRACT(replacement_request, apply_request_fields, "What replacement to carry out", .check = check_apply);

static const struct field order_fields[] = {
	APPLY_FIELDS,
	F_STR(replacement_request, context, 0),
	F_BOOL(replacement_request, without_profile, 0),
	F_MAP(replacement_request, env_overlay, 0),
	F_END,
};
const struct contract replacement_order_contract =
        CONTRACT(replacement_request, order_fields, "What another operation has the executor do");

/* ---- collecting reasons ---- */

enum topic { TOPIC_GENERAL, TOPIC_INVENTORY, TOPIC_VOLUMES, TOPICS };

struct planner {
	struct arena *a;
	const struct replacement_request *request;
	const struct replacement_facts *facts;
	struct replacement_plan *plan;
	struct text_map live_env;
	struct strings live_hosts;
	bool blocked[TOPICS];
};

static void block(struct planner *p, enum topic topic, const char *fmt, ...) PRINTF(3, 4);
static void block(struct planner *p, enum topic topic, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	strings_add(p->a, &p->plan->blockers, arena_vprintf(p->a, fmt, args));
	va_end(args);
	p->blocked[topic] = true;
}

static const char *joined(struct arena *a, const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", list->v[i]);
	return buf_cstr(&b);
}

static struct strings blank_keys(struct arena *a, const struct text_map *env, const struct strings *keys)
{
	struct strings missing = { 0 };
	for (size_t i = 0; i < keys->n; i++)
		if (is_blank(map_get(env, keys->v[i])))
			strings_add(a, &missing, keys->v[i]);
	return missing;
}

static const char *plain_repository(struct arena *a, const char *repository)
{
	repository = trimmed(a, repository);
	size_t n = strlen(repository);
	while (n && repository[n - 1] == '/')
		n--;
	return arena_strndup(a, repository, n);
}

/* ---- the checks of facts/odoo.md 4.3, in its order ---- */

static void check_records(struct planner *p)
{
	const struct lane *lane = p->plan->lane;
	if (!p->facts->target)
		block(p, TOPIC_GENERAL, "No Dokploy target is tracked for %s/%s: adopt it through target setup first",
		      lane->context, lane->instance);
	if (!p->facts->target_id)
		block(p, TOPIC_GENERAL,
		      "No Dokploy target id is tracked for %s/%s: adopt the target through target setup first",
		      lane->context, lane->instance);
	if (p->facts->target && p->facts->target->target_type != TARGET_COMPOSE)
		block(p, TOPIC_GENERAL, "The tracked target is of type %s: only compose targets can be replaced",
		      target_type_names[p->facts->target->target_type]);
}

static void check_data_mode(struct planner *p)
{
	if (p->request->data_source_mode != DATA_EXISTING && !p->request->allow_empty_data)
		block(p, TOPIC_GENERAL,
		      "data_source_mode %s replaces the lane's data: set allow_empty_data to true if that is meant",
		      data_source_mode_names[p->request->data_source_mode]);
}

static void check_desired(struct planner *p)
{
	static const char *const names[] = { "ODOO_DB_NAME", "ODOO_DATA_VOLUME", "ODOO_LOG_VOLUME", "ODOO_DB_VOLUME" };
	const struct strings keys = { countof(names), (const char **)names };
	if (!p->facts->target || !p->facts->target_id)
		return;
	if (!p->facts->runtime) {
		block(p, TOPIC_VOLUMES, "The lane's runtime values cannot be resolved: %s",
		      p->facts->runtime_error ? p->facts->runtime_error : "no runtime environment records");
		return;
	}
	struct strings missing = blank_keys(p->a, p->facts->runtime, &keys);
	if (missing.n)
		block(p, TOPIC_VOLUMES,
		      "The lane's runtime values lack %s: put them into its runtime environment records",
		      joined(p->a, &missing));
}

static void check_live(struct planner *p)
{
	if (!p->facts->live && p->facts->target && p->facts->target_id)
		block(p, TOPIC_GENERAL, "The live target could not be read: %s",
		      p->facts->live_error ? p->facts->live_error : "no answer from Dokploy");
}

const char *policy_host(struct arena *a, const char *domain)
{
	domain = lowered(a, trimmed(a, domain));
	const char *scheme = strstr(domain, "://");
	domain = scheme ? scheme + 3 : domain;
	size_t n = strlen(domain);
	while (n && domain[n - 1] == '/')
		n--;
	return arena_strndup(a, domain, n);
}

/* Every part must hold; only then is missing data regarded as meant. */
static void check_prelaunch(struct planner *p)
{
	if (p->request->data_source_mode == DATA_EXISTING)
		return;
	const struct odoo_prelaunch_rebuild_policy *policy = &p->plan->lane->odoo_prelaunch_rebuild;
	const char *mode = data_source_mode_names[p->request->data_source_mode];
	size_t before = p->plan->blockers.n;
	if (!policy->enabled) {
		block(p, TOPIC_GENERAL,
		      "The lane has no enabled odoo_prelaunch_rebuild policy: a rebuild with data_source_mode %s "
		      "needs one with its approval issue",
		      mode);
		return;
	}
	if (is_blank(policy->approval_issue_url))
		block(p, TOPIC_GENERAL, "The prelaunch policy has no approval issue: record it on the product profile");
	if (strcmp(policy->data_source_mode, mode) != 0)
		block(p, TOPIC_GENERAL, "The prelaunch policy allows data_source_mode %s, not %s",
		      policy->data_source_mode, mode);
	if (!strings_have(&p->plan->lane->odoo_data_policy.allowed_rebuild_sources, mode))
		block(p, TOPIC_GENERAL, "The lane's odoo_data_policy does not allow %s as a source of a rebuild", mode);
	if (p->plan->lane->odoo_data_policy.data_authority == AUTHORITY_AUTHORITATIVE)
		block(p, TOPIC_GENERAL,
		      "The lane's odoo_data_policy says that its data are authoritative: they exist nowhere else, and "
		      "no rebuild may replace them");
	if (is_blank(policy->confirmation) || strcmp(policy->confirmation, p->request->confirmation) != 0)
		block(p, TOPIC_GENERAL, "confirmation is not the phrase of the lane's prelaunch policy");
	if (p->facts->live &&
	    (is_blank(policy->expected_target_name) || strcmp(p->facts->live->name, policy->expected_target_name) != 0))
		block(p, TOPIC_GENERAL, "The live target is not the one the prelaunch policy expects by name");
	struct strings missing = { 0 };
	for (size_t i = 0; i < policy->expected_domains.n; i++)
		if (!strings_have(&p->live_hosts, policy_host(p->a, policy->expected_domains.v[i])))
			strings_add(p->a, &missing, policy->expected_domains.v[i]);
	if (policy->expected_domains.n == 0 || missing.n)
		block(p, TOPIC_GENERAL, "The live target does not expose the domains the prelaunch policy expects: %s",
		      missing.n ? joined(p->a, &missing) : "it names none");
	if (p->plan->blockers.n == before && p->facts->live)
		p->plan->approval_issue_url = policy->approval_issue_url;
}

static void check_volumes(struct planner *p)
{
	if (!p->facts->live)
		return;
	struct strings missing = blank_keys(p->a, &p->live_env, &odoo_volume_keys);
	/* Meant only with the prelaunch policy's whole proof, whose own blockers say what of it is not there. */
	bool may_be_meant = p->request->allow_empty_data && p->request->data_source_mode != DATA_EXISTING;
	if (missing.n && may_be_meant && !p->plan->approval_issue_url[0])
		p->blocked[TOPIC_VOLUMES] = true;
	if (missing.n && !may_be_meant)
		block(p, TOPIC_VOLUMES,
		      "The live target's environment lacks %s: set the explicit volumes, or the data would be lost",
		      joined(p->a, &missing));
	if (p->request->data_source_mode != DATA_EXISTING || !p->facts->runtime)
		return;
	struct strings drifted = { 0 };
	for (size_t i = 0; i < odoo_volume_keys.n; i++) {
		const char *key = odoo_volume_keys.v[i];
		const char *live = map_get(&p->live_env, key), *desired = map_get(p->facts->runtime, key);
		if (!is_blank(live) && !is_blank(desired) && strcmp(live, desired) != 0)
			strings_add(p->a, &drifted, key);
	}
	if (drifted.n)
		block(p, TOPIC_VOLUMES,
		      "volume drift: the live target's %s differ from the lane's records; correct the records before "
		      "replacing, or the lane would start with other data",
		      joined(p->a, &drifted));
}

static void check_hosts(struct planner *p)
{
	struct err why = { 0 };
	struct strings valid;
	if (p->plan->hosts.n == 0)
		block(p, TOPIC_GENERAL,
		      "Neither the live target nor its record names a domain: reconcile its domains first");
	else if (!compose_hosts(p->a, &p->plan->hosts, &valid, &why))
		block(p, TOPIC_GENERAL, "%s", why.message);
}

static void check_artifact(struct planner *p)
{
	const struct inventory *inventory = p->facts->inventory;
	const char *current =
	        inventory && inventory->artifact_identity ? inventory->artifact_identity->artifact_id : "";
	const char *expected = p->request->expected_current_artifact_id;
	if (!is_blank(expected) && strcmp(expected, current) != 0)
		block(p, TOPIC_INVENTORY, "The inventory names %s as current, not the expected %s",
		      current[0] ? current : "no artifact", expected);
	if (is_blank(p->plan->artifact_id)) {
		block(p, TOPIC_INVENTORY,
		      "There is no artifact to deploy: the inventory names none, and the request gives no "
		      "artifact_id with source_git_ref");
		return;
	}
	const struct artifact_manifest *m = p->facts->manifest;
	if (!m) {
		block(p, TOPIC_INVENTORY, "No manifest is stored for artifact %s: publish it first",
		      p->plan->artifact_id);
		return;
	}
	const char *wanted = plain_repository(p->a, p->facts->profile->image.repository);
	if (strcmp(wanted, plain_repository(p->a, m->image.repository)) != 0)
		block(p, TOPIC_INVENTORY, "Artifact %s is an image of another repository than the product's",
		      p->plan->artifact_id);
	if (is_blank(p->plan->source_git_ref))
		block(p, TOPIC_INVENTORY, "There is no source ref to hold against the manifest: give source_git_ref");
	else if (strcmp(p->plan->source_git_ref, m->source_commit) != 0)
		block(p, TOPIC_INVENTORY, "source_git_ref is not the commit artifact %s was built from",
		      p->plan->artifact_id);
	struct strings missing = { 0 };
	for (size_t i = 0; i < odoo_required_modules.n; i++)
		if (!strings_have(&m->odoo_install_modules, odoo_required_modules.v[i]))
			strings_add(p->a, &missing, odoo_required_modules.v[i]);
	if (missing.n)
		block(p, TOPIC_INVENTORY, "Artifact %s does not install the required modules %s: publish one that does",
		      p->plan->artifact_id, joined(p->a, &missing));
}

static void check_warnings(struct planner *p)
{
	if (!p->facts->inventory)
		strings_add(p->a, &p->plan->warnings,
		            "The lane has no inventory yet: nothing records what runs there now");
	if (p->facts->live && is_blank(map_get(&p->live_env, "LAUNCHPLANE_RUNTIME_IDENTITY_JSON")))
		strings_add(p->a, &p->plan->warnings,
		            "The live target carries no runtime identity yet; the replacement writes it");
}

/* ---- the result ---- */

static struct json json_strings(struct arena *a, const struct strings *list)
{
	struct json j = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_push(a, &j, json_of_str(list->v[i]));
	return j;
}

static const char *identity_deployment(struct arena *a, const struct text_map *env)
{
	const char *text = map_get(env, "LAUNCHPLANE_RUNTIME_IDENTITY_JSON");
	struct json j;
	struct err ignored = { 0 };
	if (is_blank(text) || !json_parse(a, text, strlen(text), "identity", &j, &ignored))
		return "";
	return json_str(&j, "deployment_record_id", "");
}

static void add_latest(struct planner *p, struct json *j)
{
	const struct dokploy_deployments *list =
	        p->facts->deployments ? p->facts->deployments : &p->facts->live->deployments;
	const struct dokploy_deployment *latest = deployment_latest(list);
	json_set_str(p->a, j, "latest_deployment_status", latest ? latest->status : "");
	json_set_str(p->a, j, "latest_deployment_id", latest ? latest->id : "");
}

static void add_volumes(struct planner *p, struct json *j)
{
	struct strings present = { 0 }, missing = blank_keys(p->a, &p->live_env, &odoo_volume_keys);
	struct json values = json_object();
	for (size_t i = 0; i < odoo_volume_keys.n; i++) {
		const char *value = map_get(&p->live_env, odoo_volume_keys.v[i]);
		if (is_blank(value))
			continue;
		strings_add(p->a, &present, odoo_volume_keys.v[i]);
		json_set_str(p->a, &values, odoo_volume_keys.v[i], value);
	}
	json_set(p->a, j, "required_volume_keys_present", json_strings(p->a, &present));
	json_set(p->a, j, "required_volume_keys_missing", json_strings(p->a, &missing));
	json_set(p->a, j, "live_volume_values", values);
}

static struct json current_target(struct planner *p)
{
	const struct dokploy_compose *live = p->facts->live;
	if (!live)
		return json_of_str(NULL);
	struct json j = json_object();
	struct strings hosts = { 0 }, keys = { 0 };
	char *sha = arena_alloc(p->a, SHA256_HEX);
	sha256_hex(live->compose_file, strlen(live->compose_file), sha);
	for (size_t i = 0; i < p->live_hosts.n; i++)
		strings_add(p->a, &hosts, p->live_hosts.v[i]);
	for (size_t i = 0; i < p->live_env.n; i++)
		strings_add(p->a, &keys, p->live_env.v[i].key);
	strings_sort(&hosts);
	strings_sort(&keys);
	json_set_str(p->a, &j, "target_type", "compose");
	json_set_str(p->a, &j, "target_id", live->id);
	json_set_str(p->a, &j, "target_name", live->name);
	json_set_str(p->a, &j, "project_name", live->project_name);
	json_set_str(p->a, &j, "source_type", live->source_type);
	json_set_str(p->a, &j, "compose_path", live->compose_path);
	json_set_str(p->a, &j, "compose_file_sha256", live->compose_file[0] ? sha : "");
	json_set(p->a, &j, "domain_hosts", json_strings(p->a, &hosts));
	add_latest(p, &j);
	json_set(p->a, &j, "env_keys", json_strings(p->a, &keys));
	add_volumes(p, &j);
	json_set(p->a, &j, "runtime_identity_present",
	         json_of_bool(!is_blank(map_get(&p->live_env, "LAUNCHPLANE_RUNTIME_IDENTITY_JSON"))));
	json_set_str(p->a, &j, "runtime_identity_deployment_record_id", identity_deployment(p->a, &p->live_env));
	return j;
}

static void add_step(struct planner *p, struct json *steps, const char *id, const char *status, const char *message)
{
	struct json step = json_object();
	json_set_str(p->a, &step, "step_id", id);
	json_set_str(p->a, &step, "status", status);
	json_set_str(p->a, &step, "message", message);
	json_push(p->a, steps, step);
}

static struct json plan_steps(struct planner *p)
{
	struct json steps = json_array();
	bool inventory = !p->blocked[TOPIC_INVENTORY], ready = p->plan->is_ready;
	bool volumes = p->facts->live && !p->blocked[TOPIC_VOLUMES];
	add_step(p, &steps, "inventory", inventory ? "ready" : "blocked",
	         inventory ? arena_printf(p->a, "Artifact %s is what would be deployed", p->plan->artifact_id)
	                   : "What would be deployed is not established; see the blockers");
	add_step(p, &steps, "volume-contract", volumes ? "ready" : "blocked",
	         !volumes                         ? "That the lane's data is kept is not established; see the blockers"
	         : p->plan->approval_issue_url[0] ? "The prelaunch policy approves that the lane starts with other data"
	                                          : "The explicit volumes stay as they are");
	if (p->request->strategy == STRATEGY_REPLACE_AND_CUTOVER)
		add_step(p, &steps, "replacement-apply", ready ? "manual" : "blocked",
		         "A cut-over to a new target is done by an operator");
	else
		add_step(p, &steps, "replacement-apply", ready ? "ready" : "blocked",
		         ready ? "The target can be recreated in place"
		               : "The target cannot be replaced yet; see the blockers");
	add_step(p, &steps, "post-deploy-verification", ready ? "ready" : "blocked",
	         "Post-deploy, health, canonical link, logo and runtime identity are checked after the deploy");
	return steps;
}

static void write_result(struct planner *p)
{
	struct replacement_plan *plan = p->plan;
	struct json *j = &plan->result;
	const char *live_name = p->facts->live     ? p->facts->live->name
	                        : p->facts->target ? p->facts->target->target_name
	                                           : "";
	*j = json_object();
	json_set_str(p->a, j, "plan_status", plan->is_ready ? "ready" : "blocked");
	json_set_str(p->a, j, "product", p->request->product);
	json_set_str(p->a, j, "context", plan->lane->context);
	json_set_str(p->a, j, "instance", plan->lane->instance);
	json_set_str(p->a, j, "strategy", strategy_names[p->request->strategy]);
	json_set(p->a, j, "target_record_found", json_of_bool(p->facts->target));
	json_set(p->a, j, "target_id_record_found", json_of_bool(p->facts->target_id));
	json_set(p->a, j, "inventory_found", json_of_bool(p->facts->inventory));
	json_set(p->a, j, "current_target", current_target(p));
	json_set_str(p->a, j, "expected_next_target_name",
	             p->request->strategy == STRATEGY_REPLACE_AND_CUTOVER && live_name[0]
	                     ? arena_printf(p->a, "%s-next", live_name)
	                     : live_name);
	json_set(p->a, j, "expected_domain_hosts", json_strings(p->a, &plan->hosts));
	json_set_str(p->a, j, "expected_artifact_id", plan->artifact_id);
	json_set_str(p->a, j, "expected_source_git_ref", plan->source_git_ref);
	json_set(p->a, j, "allow_empty_data", json_of_bool(p->request->allow_empty_data));
	json_set_str(p->a, j, "data_source_mode", data_source_mode_names[p->request->data_source_mode]);
	json_set_str(p->a, j, "approval_issue_url", plan->approval_issue_url);
	json_set(p->a, j, "blockers", json_strings(p->a, &plan->blockers));
	json_set(p->a, j, "warnings", json_strings(p->a, &plan->warnings));
	json_set(p->a, j, "steps", plan_steps(p));
}

/* ---- */

void replacement_artifact(const struct replacement_request *request, const struct inventory *inventory,
                          const char **artifact_id, const char **source_git_ref)
{
	if (!is_blank(request->artifact_id)) {
		*artifact_id = request->artifact_id;
		*source_git_ref = request->source_git_ref;
		return;
	}
	bool known = inventory && inventory->artifact_identity;
	*artifact_id = known ? inventory->artifact_identity->artifact_id : "";
	*source_git_ref = known ? inventory->source_git_ref : "";
}

static void add_host(struct arena *a, struct strings *hosts, const char *host)
{
	host = lowered(a, trimmed(a, host));
	if (host[0] && !strings_have(hosts, host))
		strings_add(a, hosts, host);
}

/* Of a preview that is staged on this target: the lane inherits nothing of it (facts/odoo.md 15.4). */
static bool is_of_preview(const struct planner *p, const char *host)
{
	const struct product_profile *profile = p->facts->profile;
	const struct lane *lane = p->plan->lane;
	return preview_is_staged_on(profile, lane->instance) &&
	       preview_host_is_of(p->a, profile->preview.slug_template, host) &&
	       !(p->facts->target && preview_host_is_stable(p->facts->target, lane, host));
}

static void read_hosts(struct planner *p)
{
	const struct dokploy_domains *rows = p->facts->domains ? p->facts->domains
	                                     : p->facts->live  ? &p->facts->live->domains
	                                                       : NULL;
	for (size_t i = 0; rows && i < rows->n; i++)
		add_host(p->a, &p->live_hosts, rows->v[i].host);
	for (size_t i = 0; i < p->live_hosts.n; i++)
		if (!is_of_preview(p, p->live_hosts.v[i]))
			add_host(p->a, &p->plan->hosts, p->live_hosts.v[i]);
	if (p->plan->hosts.n || !p->facts->target)
		return;
	for (size_t i = 0; i < p->facts->target->domains.n; i++)
		add_host(p->a, &p->plan->hosts, p->facts->target->domains.v[i]);
}

bool replacement_plan_make(struct arena *a, const struct replacement_request *request,
                           const struct replacement_facts *facts, struct replacement_plan *out, struct err *err)
{
	const struct product_profile *profile = facts->profile;
	if (!profile || (strcmp(profile->driver_id, "odoo") != 0 &&
	                 (!facts->base_driver_id || strcmp(facts->base_driver_id, "odoo") != 0)))
		return err_set(err, &E_product_driver_mismatch, "Product %.100s has no profile with the odoo driver",
		               request->product);
	size_t lanes;
	const struct lane *lane = product_profile_lane(profile, request->instance, &lanes);
	if (lanes != 1)
		return err_set(err, &E_invalid_request,
		               "Product %.100s has %zu lanes with instance %.60s; exactly one is needed",
		               request->product, lanes, request->instance);
	*out = (struct replacement_plan){ .lane = lane, .approval_issue_url = "" };
	struct planner p = { .a = a, .request = request, .facts = facts, .plan = out };
	replacement_artifact(request, facts->inventory, &out->artifact_id, &out->source_git_ref);
	env_text_parse(a, facts->live ? facts->live->env : "", &p.live_env);
	read_hosts(&p);
	check_records(&p);
	check_data_mode(&p);
	check_desired(&p);
	check_live(&p);
	check_prelaunch(&p);
	check_volumes(&p);
	check_hosts(&p);
	check_artifact(&p);
	check_warnings(&p);
	out->is_ready = out->blockers.n == 0;
	write_result(&p);
	return true;
}

bool lane_requires_runtime_identity(const struct lane *lane)
{
	const struct odoo_data_policy *policy = &lane->odoo_data_policy;
	if (policy->requires_runtime_identity)
		return true;
	for (size_t i = 0; i < lane->health_monitoring.checks.n; i++) {
		const struct health_check *check = &lane->health_monitoring.checks.v[i];
		if (check->enabled && check->require_runtime_identity)
			return true;
	}
	return false;
}

const char *replacement_blocked_text(struct arena *a, const struct replacement_plan *plan)
{
	struct buf b = buf_in(a);
	buf_str(&b, "The replacement is blocked");
	for (size_t i = 0; i < plan->blockers.n; i++) {
		if (b.n + strlen(plan->blockers.v[i]) > 340) {
			buf_printf(&b, "; and %zu more", plan->blockers.n - i);
			break;
		}
		buf_printf(&b, "%s%s", i ? "; " : ": ", plan->blockers.v[i]);
	}
	return b.p;
}
