#include "drivers/odoo/replacement_facts.h"

#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/readiness.h"
#include "storage/config.sql.h"
#include "storage/deployment.sql.h"
#include "storage/lane_environment.h"
#include "storage/preview.sql.h"

static bool read_payload(struct task *t, const struct contract *c, const struct rows *rows, int column,
                         const char *what, void *out, bool *found, struct err *err)
{
	const char *text = rows->n ? row_text(rows, 0, column) : NULL;
	*found = text != NULL;
	return !text || contract_read_text(t->arena, c, text, strlen(text), what, out, err);
}

bool read_profile(struct task *t, const char *product, struct product_profile *out, bool *found, struct err *err)
{
	struct rows rows;
	struct json j;
	*found = false;
	if (!db_query(t, &Q_product_profile_read, PARAMS(P_TEXT(product)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	const char *text = row_text(&rows, 0, 0);
	if (!json_parse(t->arena, text, strlen(text), "the stored product profile", &j, err))
		return false;
	product_profile_migrate(t->arena, &j);
	*found = true;
	return contract_read(t->arena, &product_profile_contract, &j, "", out, err);
}

bool read_target(struct task *t, const struct lane *lane, struct dokploy_target *target, bool *has_target,
                 struct dokploy_target_id *id, bool *has_id, struct err *err)
{
	struct rows rows;
	return db_query(t, &Q_target_read, PARAMS(P_TEXT(lane->context), P_TEXT(lane->instance)), &rows, err) &&
	       read_payload(t, &dokploy_target_contract, &rows, 0, "the stored target record", target, has_target,
	                    err) &&
	       read_payload(t, &dokploy_target_id_contract, &rows, 1, "the stored target id record", id, has_id, err);
}

bool read_inventory(struct task *t, const struct lane *lane, struct inventory *out, bool *found, struct err *err)
{
	struct rows rows;
	return db_query(t, &Q_inventory_read, PARAMS(P_TEXT(lane->context), P_TEXT(lane->instance)), &rows, err) &&
	       read_payload(t, &inventory_contract, &rows, 0, "the stored inventory", out, found, err);
}

bool read_manifest(struct task *t, const char *artifact_id, struct artifact_manifest *out, bool *found, struct err *err)
{
	struct rows rows;
	return db_query(t, &Q_artifact_manifest_read, PARAMS(P_TEXT(artifact_id)), &rows, err) &&
	       read_payload(t, &artifact_manifest_contract, &rows, 0, "the stored artifact manifest", out, found, err);
}

bool read_override(struct task *t, const struct lane *lane, struct odoo_override *out, bool *found, struct err *err)
{
	struct rows rows;
	return db_query(t, &Q_odoo_override_read, PARAMS(P_TEXT(lane->context), P_TEXT(lane->instance)), &rows, err) &&
	       read_payload(t, &odoo_override_contract, &rows, 0, "the stored override record", out, found, err);
}

#define ODOO_HTTP_PORT 8069

/* Where the lane was last seen to be healthy, and with that its address. */
static void set_addresses(struct arena *a, const struct inventory *i, struct lane *lane)
{
	const struct strings *urls = &i->destination_health.urls;
	const char *url = urls->n ? urls->v[0] : "";
	size_t n = strlen(url), path = strlen(READINESS_HEALTH_PATH);
	lane->health_url = url;
	if (n > path && strcmp(url + n - path, READINESS_HEALTH_PATH) == 0)
		lane->base_url = arena_strndup(a, url, n - path);
}

static SUSPENDS bool profile_of_lane(struct task *t, const struct replacement_request *request,
                                     struct product_profile *out, struct err *err)
{
	struct lane *lane = ARENA_NEW(t->arena, struct lane);
	struct inventory inventory;
	struct artifact_manifest manifest;
	bool found;
	contract_defaults(t->arena, &lane_contract, lane);
	lane->context = request->context;
	lane->instance = request->instance;
	contract_defaults(t->arena, &product_profile_contract, out);
	out->product = request->product;
	out->driver_id = "odoo";
	out->runtime_port = ODOO_HTTP_PORT;
	out->lanes.n = 1;
	out->lanes.v = lane;
	if (!read_inventory(t, lane, &inventory, &found, err))
		return false;
	if (!found)
		return true;
	set_addresses(t->arena, &inventory, lane);
	if (!inventory.artifact_identity)
		return true;
	if (!read_manifest(t, inventory.artifact_identity->artifact_id, &manifest, &found, err))
		return false;
	if (found)
		out->image.repository = manifest.image.repository;
	return true;
}

bool replacement_read_profile(struct task *t, const struct replacement_request *request, struct product_profile *out,
                              bool *found, struct err *err)
{
	if (!read_profile(t, request->product, out, found, err))
		return false;
	if (*found || !request->without_profile)
		return true;
	*found = true;
	return profile_of_lane(t, request, out, err);
}

/* A failure that another try will not mend is a fact about the target. */
static bool is_passing(const struct err *err)
{
	return err->code->retry || err->code == &E_cancelled;
}

SUSPENDS bool replacement_read_live(struct task *t, struct replacement_reading *r, struct err *err)
{
	struct dokploy d;
	if (dokploy_open(t, &d, err) && dokploy_compose_one(t, &d, r->target_id.target_id, &r->live, err) &&
	    dokploy_domains_of_compose(t, &d, r->target_id.target_id, &r->domains, err)) {
		r->facts.live = &r->live;
		r->facts.domains = &r->domains;
		return true;
	}
	if (is_passing(err))
		return false;
	r->facts.live_error = arena_strdup(t->arena, err->message);
	memset(err, 0, sizeof(*err));
	return true;
}

static SUSPENDS bool read_runtime(struct task *t, struct replacement_reading *r, struct err *err)
{
	const struct place place = { r->lane->context, r->lane->instance };
	arena_wipe_on_reset(t->arena);
	if (runtime_env_resolve(t, t->loop->keyring, &place, &r->target.env, &r->runtime, &r->secret_keys, err)) {
		r->facts.runtime = &r->runtime;
		return true;
	}
	if (is_passing(err))
		return false;
	r->facts.runtime_error = arena_strdup(t->arena, err->message);
	memset(err, 0, sizeof(*err));
	return true;
}

/* The key belongs to the previews' context, whichever lane is read (facts/odoo.md 15.1). */
static SUSPENDS bool read_preview_base(struct task *t, const struct product_profile *profile, const char **out,
                                       struct err *err)
{
	struct rows rows;
	*out = "";
	if (is_blank(profile->preview.context))
		return true;
	if (!db_query(t, &Q_preview_base_url, PARAMS(P_TEXT(profile->preview.context)), &rows, err))
		return false;
	if (rows.n)
		*out = arena_strdup(t->arena, row_text(&rows, 0, 0));
	return true;
}

bool replacement_read_records(struct task *t, const struct replacement_request *request, struct replacement_reading *r,
                              struct err *err)
{
	bool found, has_id;
	size_t lanes;
	*r = (struct replacement_reading){ .preview_base_url = "" };
	if (!replacement_read_profile(t, request, &r->profile, &found, err))
		return false;
	if (!found)
		return true;
	r->facts.profile = &r->profile;
	if (!read_preview_base(t, &r->profile, &r->preview_base_url, err))
		return false;
	r->lane = product_profile_lane(&r->profile, request->instance, &lanes);
	if (!r->lane)
		return true;
	if (!read_target(t, r->lane, &r->target, &found, &r->target_id, &has_id, err))
		return false;
	r->facts.target = found ? &r->target : NULL;
	r->facts.target_id = has_id ? &r->target_id : NULL;
	if (!read_inventory(t, r->lane, &r->inventory, &found, err))
		return false;
	r->facts.inventory = found ? &r->inventory : NULL;
	const char *artifact_id, *source_git_ref;
	replacement_artifact(request, r->facts.inventory, &artifact_id, &source_git_ref);
	if (artifact_id[0]) {
		if (!read_manifest(t, artifact_id, &r->manifest, &found, err))
			return false;
		r->facts.manifest = found ? &r->manifest : NULL;
	}
	return true;
}

bool replacement_read(struct task *t, const struct replacement_request *request, struct replacement_reading *r,
                      struct err *err)
{
	if (!replacement_read_records(t, request, r, err))
		return false;
	if (!r->facts.target || !r->facts.target_id)
		return true;
	return read_runtime(t, r, err) && (r->target.target_type != TARGET_COMPOSE || replacement_read_live(t, r, err));
}
