#include "storage/onboarding.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/environment_write.h"
#include "storage/plan.h"
#include "storage/secret.sql.h"

struct onboarding {
	const struct onboarding_request *request;
	const struct onboarding_manifest *m;
	const struct authorship *by;
	struct product_profile profile;
	struct json plan;                           /* what the digest is taken over */
	struct buf targets, environments, bindings; /* JSON array items */
	size_t targets_n, created_n;
};

static void add_item(struct buf *list, const char *item)
{
	buf_printf(list, "%s%s", list->n ? "," : "", item);
}

static void add_to_plan(struct onboarding *o, struct arena *a, const char *key, const char *text)
{
	json_set_str(a, &o->plan, key, sha256_text(a, text, strlen(text)));
}

/* ---- the profile ---- */

/* What people keep by hand wins over the manifest when it is applied again. */
static void keep_known(struct arena *a, const struct product_profile *known, struct product_profile *p)
{
	for (size_t i = 0; i < p->lanes.n; i++) {
		struct lane *lane = &p->lanes.v[i];
		const struct lane *old = product_profile_lane_in(known, lane->context, lane->instance);
		if (!old)
			continue;
		lane->health_monitoring = old->health_monitoring;
		lane->odoo_prelaunch_rebuild = old->odoo_prelaunch_rebuild;
	}
	struct strings merged = { 0 };
	const struct strings *lists[] = { &known->historical_contexts, &p->historical_contexts };
	for (size_t l = 0; l < countof(lists); l++)
		for (size_t i = 0; i < lists[l]->n; i++)
			if (!strings_have(&merged, lists[l]->v[i]))
				strings_add(a, &merged, lists[l]->v[i]);
	p->historical_contexts = merged;
}

static SUSPENDS bool make_profile(struct tx *tx, struct onboarding *o, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct onboarding_manifest *m = o->m;
	struct product_profile *p = &o->profile, known;
	struct rows rows;
	struct json j;
	*p = (struct product_profile){ .schema_version = 1,
		                       .product = m->product,
		                       .display_name = m->display_name,
		                       .repository = m->repository,
		                       .driver_id = m->driver_id,
		                       .image = { m->image_repository },
		                       .runtime_port = m->runtime_port,
		                       .health_path = m->health_path,
		                       .historical_contexts = m->historical_contexts,
		                       .preview = m->preview,
		                       .promotion_workflow = m->promotion_workflow,
		                       .expected_config = m->expected_config,
		                       .updated_at = m->updated_at[0] ? m->updated_at : o->by->now,
		                       .source = m->source_label };
	p->lanes.n = m->lanes.n;
	p->lanes.v = m->lanes.v;
	if (!tx_query(tx, &Q_product_profile_lock, PARAMS(P_TEXT(m->product)), &rows, err))
		return false;
	if (rows.n) {
		const char *text = row_text(&rows, 0, 0);
		if (!json_parse(a, text, strlen(text), "the stored product profile", &j, err))
			return false;
		product_profile_migrate(a, &j);
		if (!contract_read(a, &product_profile_contract, &j, "", &known, err))
			return err_set(err, &E_internal_error, "the stored product profile cannot be read");
		keep_known(a, &known, p);
		add_to_plan(o, a, "profile_before", text);
	}
	if (!product_profile_contract.check(a, p, "manifest", err) || !product_profile_check_write(a, p, err))
		return false;
	struct product_profile timeless = *p;
	timeless.updated_at = "";
	add_to_plan(o, a, "profile", contract_text(a, &product_profile_contract, &timeless));
	tx_send(tx, &Q_product_profile_upsert,
	        PARAMS(P_TEXT(p->product), P_TEXT(p->display_name), P_TEXT(p->repository), P_TEXT(p->driver_id),
	               P_TEXT(p->updated_at), P_TEXT(contract_text(a, &product_profile_contract, p))));
	return true;
}

/* ---- targets ---- */

static const char *or_else(const char *given, const char *fallback)
{
	return given[0] ? given : fallback;
}

/* The record as it is, with what the manifest says. */
static SUSPENDS bool target_record(struct tx *tx, const struct onboarding *o, const struct onboarding_target *t,
                                   struct dokploy_target *out, struct err *err)
{
	struct rows rows;
	struct dokploy_target known = { .context = "" };
	if (!tx_query(tx, &Q_target_read, PARAMS(P_TEXT(t->context), P_TEXT(t->instance)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	if (text && !contract_read_text(tx_task(tx)->arena, &dokploy_target_contract, text, strlen(text),
	                                "the stored target record", &known, err))
		return false;
	*out = known;
	if (!text)
		*out = (struct dokploy_target){ .project_name = "",
			                        .target_name = t->instance,
			                        .git_branch = "",
			                        .source_type = "",
			                        .custom_git_url = "",
			                        .custom_git_branch = "",
			                        .compose_path = "",
			                        .healthcheck_enabled = true };
	out->context = t->context;
	out->instance = t->instance;
	out->target_type = t->target_type;
	out->target_name = or_else(t->target_name, out->target_name);
	out->project_name = or_else(t->project_name, out->project_name);
	out->source_git_ref = t->source_git_ref;
	out->source_type = or_else(t->source_type, out->source_type);
	out->compose_path = or_else(t->compose_path, out->compose_path);
	out->healthcheck_path = t->healthcheck_path;
	if (t->domains.n)
		out->domains = t->domains;
	out->updated_at = o->by->now;
	out->source_label = o->m->source_label;
	return true;
}

static SUSPENDS bool write_targets(struct tx *tx, struct onboarding *o, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	for (size_t i = 0; i < o->m->provider_targets.n; i++) {
		const struct onboarding_target *t = &o->m->provider_targets.v[i];
		const struct dokploy_target_id id = { t->context, t->instance, t->target_id, o->by->now,
			                              o->m->source_label };
		struct dokploy_target target;
		const char *row;
		if (!target_record(tx, o, t, &target, err))
			return false;
		const struct target_change change = {
			.context = t->context, .instance = t->instance, .target = &target, .id = &id
		};
		if (!target_write(tx, &change, &row, err))
			return false;
		if (row)
			add_item(&o->targets, row);
		o->targets_n++;
		struct json one = json_object();
		json_set_str(a, &one, "context", t->context);
		json_set_str(a, &one, "instance", t->instance);
		json_set_str(a, &one, "target_id", t->target_id);
		json_set_str(a, &one, "target_name", target.target_name);
		add_to_plan(o, a, arena_printf(a, "target %zu", i), json_text(a, &one));
	}
	return true;
}

/* ---- values and placeholders ---- */

static SUSPENDS bool write_environments(struct tx *tx, struct onboarding *o, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct authorship by = { o->by->actor, o->by->now, o->m->source_label, o->by->reason };
	for (size_t i = 0; i < o->m->runtime_environments.n; i++) {
		const struct onboarding_environment *e = &o->m->runtime_environments.v[i];
		const struct place place = { e->context, e->instance };
		struct runtime_environment after;
		struct buf b = buf_in(a);
		struct json_out out = { .buf = &b };
		if (!environment_put(tx, &place, e->env, &by, &after, err))
			return false;
		jo_open(&out, '{');
		runtime_environment_summary(&out, &after);
		jo_close(&out, '}');
		add_item(&o->environments, buf_cstr(&b));
		add_to_plan(o, a, arena_printf(a, "environment %zu", i), json_text(a, after.env));
	}
	return true;
}

static struct secret_binding binding_of(struct arena *a, const struct onboarding *o, const struct onboarding_binding *b)
{
	const char *product = o->m->product;
	const char *name =
	        arena_printf(a, "%s:%s:%s:%s:%s", product, b->integration, b->context, b->instance, b->binding_key);
	const char *placeholder =
	        slug(a, arena_printf(a, "%s-%s-%s-%s", product, b->context, b->instance, b->binding_key));
	return (struct secret_binding){
		.schema_version = 1,
		.binding_id = b->binding_id[0] ? b->binding_id
		                               : arena_printf(a, "binding-%s-%.12s", slug(a, product),
		                                              sha256_text(a, name, strlen(name))),
		.secret_id = b->secret_id[0] ? b->secret_id : arena_printf(a, "secret-%s", placeholder),
		.integration = b->integration,
		.binding_type = "env",
		.binding_key = b->binding_key,
		.context = b->context,
		.instance = b->instance,
		.status = b->status,
		.created_at = o->by->now,
		.updated_at = o->by->now,
	};
}

static SUSPENDS bool write_binding(struct tx *tx, const struct onboarding_binding *wish, const char *path,
                                   const struct secret_binding *b, const char **action, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	bool configured = strcmp(b->status, "configured") == 0;
	if (configured) {
		if (!tx_query(tx, &Q_secret_read_for_update, PARAMS(P_TEXT(b->secret_id)), &rows, err))
			return false;
		if (rows.n == 0)
			return contract_fail(a, err, path, "secret_id", "names no managed secret: %s", wish->secret_id);
		secret_binding_send(tx, b);
		*action = "configured";
		return true;
	}
	if (!tx_query(tx, &Q_secret_placeholder_write,
	              PARAMS(P_TEXT(b->binding_id), P_TEXT(b->secret_id), P_TEXT(b->integration),
	                     P_TEXT(b->binding_key), P_TEXT(b->context), P_TEXT(b->instance), P_TEXT(b->updated_at),
	                     P_TEXT(contract_text(a, &secret_binding_contract, b))),
	              &rows, err))
		return false;
	*action = row_text(&rows, 0, 0);
	return true;
}

static SUSPENDS bool write_bindings(struct tx *tx, struct onboarding *o, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	for (size_t i = 0; i < o->m->secret_bindings.n; i++) {
		const struct onboarding_binding *wish = &o->m->secret_bindings.v[i];
		const struct secret_binding b = binding_of(a, o, wish);
		const char *action, *path = arena_printf(a, "manifest.secret_bindings[%zu]", i);
		if (!write_binding(tx, wish, path, &b, &action, err))
			return false;
		struct json one = json_object();
		json_set_str(a, &one, "binding_key", b.binding_key);
		json_set_str(a, &one, "integration", b.integration);
		json_set_str(a, &one, "context", b.context);
		json_set_str(a, &one, "instance", b.instance);
		json_set_str(a, &one, "binding_id", b.binding_id);
		json_set_str(a, &one, "secret_id", b.secret_id);
		json_set_str(a, &one, "status", b.status);
		json_set_str(a, &one, "action", action);
		add_item(&o->bindings, json_text(a, &one));
		add_to_plan(o, a, arena_printf(a, "binding %zu", i), json_text(a, &one));
	}
	return true;
}

/* ---- the answer ---- */

static void jo_items(struct json_out *out, const char *key, struct buf *items)
{
	jo_key(out, key);
	jo_open(out, '[');
	if (items->n)
		jo_raw(out, buf_cstr(items), items->n);
	jo_close(out, ']');
}

static const char *result_of(struct arena *a, struct onboarding *o, const char *mode, const char *digest)
{
	struct buf b = buf_in(a);
	struct json_out out = { .buf = &b };
	const struct product_profile *p = &o->profile;
	jo_open(&out, '{');
	jo_kv(&out, "status", "ok");
	jo_kv(&out, "mode", mode);
	jo_kv(&out, "product", p->product);
	jo_key(&out, "profile");
	jo_open(&out, '{');
	jo_kv(&out, "product", p->product);
	jo_kv(&out, "display_name", p->display_name);
	jo_kv(&out, "repository", p->repository);
	jo_kv(&out, "driver_id", p->driver_id);
	jo_kv(&out, "image_repository", p->image.repository);
	jo_kv_int(&out, "runtime_port", p->runtime_port);
	jo_kv(&out, "health_path", p->health_path);
	jo_kv_int(&out, "lane_count", (int64_t)p->lanes.n);
	jo_kv_bool(&out, "preview_enabled", p->preview.enabled);
	jo_kv(&out, "preview_context", p->preview.context);
	jo_kv_strings(&out, "historical_contexts", &p->historical_contexts);
	jo_kv(&out, "updated_at", p->updated_at);
	jo_kv(&out, "source", p->source);
	jo_close(&out, '}');
	jo_kv_int(&out, "provider_target_count", (int64_t)o->targets_n);
	jo_items(&out, "provider_targets", &o->targets);
	jo_kv_int(&out, "runtime_environment_count", (int64_t)o->m->runtime_environments.n);
	jo_items(&out, "runtime_environments", &o->environments);
	jo_kv_int(&out, "secret_binding_count", (int64_t)o->m->secret_bindings.n);
	jo_items(&out, "secret_bindings", &o->bindings);
	jo_kv(&out, "plan_digest", digest);
	jo_close(&out, '}');
	return b.p;
}

bool onboarding_run(struct tx *tx, const struct onboarding_request *r, const struct authorship *by, bool apply,
                    const char **result, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct onboarding o = { .request = r, .m = &r->manifest, .by = by, .plan = json_object() };
	o.targets = buf_in(a);
	o.environments = buf_in(a);
	o.bindings = buf_in(a);
	if (!make_profile(tx, &o, err) || !write_targets(tx, &o, err) || !write_environments(tx, &o, err) ||
	    !write_bindings(tx, &o, err))
		return false;
	const char *digest = plan_digest(a, &o.plan);
	*result = result_of(a, &o, "dry-run", digest);
	if (!apply)
		return true;
	if (!plan_check(r->plan_digest, digest, err))
		return false;
	*result = result_of(a, &o, "apply", digest);
	return true;
}
