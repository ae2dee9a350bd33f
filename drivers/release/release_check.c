#include "drivers/dokploy/env_text.h"
#include "drivers/release/release.h"

#include "drivers/odoo/promotion.h"
#include "storage/codes.h"
#include "storage/promotion.h"
#include "storage/promotion.sql.h"
#include "storage/release.sql.h"

#include <stdarg.h>

struct judge {
	struct arena *a;
	const struct replacement_request *request;
	struct release_reading *r;
};

static void block(struct judge *j, const char *fmt, ...) PRINTF(2, 3);
static void block(struct judge *j, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	strings_add(j->a, &j->r->blockers, arena_vprintf(j->a, fmt, args));
	va_end(args);
}

static bool is_digest(const char *s)
{
	return strncmp(s, "sha256:", 7) == 0 && strspn(s + 7, "0123456789abcdef") == 64 && strlen(s) == 71;
}

static void judge_manifest(struct judge *j)
{
	const struct artifact_manifest *m = j->r->target.facts.manifest;
	struct release_tuple tuple;
	struct err err = { 0 };
	if (!m) {
		block(j, "artifact %s has no stored manifest: hand it in first", j->request->artifact_id);
		return;
	}
	if (!is_digest(m->image.digest))
		block(j, "the image of artifact %s is not pinned by a sha256 digest", m->artifact_id);
	if (!release_tuple_mint(j->a, m, j->request->context, j->request->instance, "-", "-", &tuple, &err))
		block(j, "%s", err.message);
}

/* "repository@ref,repository@ref": every ref must be a commit. */
static void judge_addons(struct judge *j, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ", \n");
		const char *entry = arena_strndup(j->a, list, n), *at = strrchr(entry, '@');
		if (n && !(at && is_git_sha(at + 1)))
			block(j, "the target's ODOO_ADDON_REPOSITORIES names %s, which is not pinned to a commit",
			      entry);
		list += n + (list[n] != '\0');
	}
}

static void judge_target(struct judge *j)
{
	const struct dokploy_compose *live = j->r->target.facts.live;
	struct text_map env;
	if (!live)
		return; /* the plan of the replacement says why */
	if (strcmp(live->source_type, "raw") != 0)
		block(j,
		      "the source of target %s is a repository checkout (%s), which no artifact pins: replace the "
		      "target "
		      "first",
		      live->name, live->source_type);
	env_text_parse(j->a, live->env, &env);
	judge_addons(j, map_get(&env, "ODOO_ADDON_REPOSITORIES"));
	judge_addons(j, map_get(&env, "OPENUPGRADE_ADDON_REPOSITORY"));
}

static void judge_mode(struct judge *j)
{
	const struct text_map *runtime = j->r->target.facts.runtime;
	if (!runtime)
		return;
	struct buf b = buf_in(j->a);
	const char *key = arena_printf(j->a, "DOKPLOY_SHIP_MODE_%s_%s", j->request->context, j->request->instance);
	for (const char *p = key; *p; p++)
		buf_char(&b, *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p == '-' ? '_' : *p);
	const char *mode = map_get(runtime, b.p);
	if (is_blank(mode))
		mode = map_get(runtime, "DOKPLOY_SHIP_MODE");
	if (is_blank(mode) || strcmp(mode, "auto") == 0 || strcmp(mode, "compose") == 0)
		return;
	block(j, "the ship mode of the lane is %.40s, but its target is a compose service", mode);
}

/* ---- promotions ---- */

static SUSPENDS bool read_one(struct task *t, const struct query *q, const struct param *params, size_t n,
                              const struct contract *c, int column, void *out, bool *found, struct err *err)
{
	struct rows rows;
	if (!db_query(t, q, params, n, &rows, err))
		return false;
	*found = rows.n == 1;
	const char *text = *found ? row_text(&rows, 0, column) : NULL;
	return !*found || contract_read_text(t->arena, c, text, strlen(text), c->name, out, err);
}

static SUSPENDS bool judge_tuple(struct task *t, struct judge *j, struct err *err)
{
	const struct replacement_request *r = j->request;
	bool found;
	if (!read_one(t, &Q_release_tuple_read, PARAMS(P_TEXT(r->context), P_TEXT(r->from_instance)),
	              &release_tuple_contract, 0, &j->r->source_tuple, &found, err))
		return false;
	if (!found)
		block(j, "lane %s has no release tuple: nothing proves what it runs", r->from_instance);
	else if (strcmp(j->r->source_tuple.artifact_id, r->artifact_id) != 0)
		block(j, "lane %s stands on artifact %s, not on %s", r->from_instance, j->r->source_tuple.artifact_id,
		      r->artifact_id);
	const struct lane from = { .context = r->context, .instance = r->from_instance };
	return read_inventory(t, &from, &j->r->source_inventory, &j->r->has_source_inventory, err);
}

/* After a rollback nothing is promoted to the lane until somebody lifts the hold. */
static SUSPENDS bool judge_hold(struct task *t, struct judge *j, struct err *err)
{
	if (promotion_is_free(t, j->request->context, j->request->instance, err))
		return true;
	if (!err_is(err, &E_promotion_held))
		return false;
	block(j, "%s", err->message);
	memset(err, 0, sizeof(*err));
	return true;
}

/* A gate protects what runs now: one that was made before the lane's current deployment ended does not. */
static SUSPENDS bool judge_gate(struct task *t, struct judge *j, struct backup_gate *gate, struct err *err)
{
	const struct replacement_request *r = j->request;
	const struct inventory *now = j->r->target.facts.inventory;
	bool found;
	if (!read_one(t, &Q_backup_gate_read, PARAMS(P_TEXT(r->backup_record_id)), &backup_gate_contract, 1, gate,
	              &found, err))
		return false;
	if (!found) {
		block(j, "backup gate %s is not stored", r->backup_record_id);
		return true;
	}
	if (strcmp(gate->context, r->context) != 0 || strcmp(gate->instance, r->instance) != 0)
		block(j, "backup gate %s does not protect lane %s of context %s", gate->record_id, r->instance,
		      r->context);
	if (gate->status != RELEASE_PASS)
		block(j, "backup gate %s is %s, not pass", gate->record_id, release_status_names[gate->status]);
	const char *since = !now ? "" : now->deploy.finished_at[0] ? now->deploy.finished_at : now->deploy.started_at;
	if (strcmp(gate->created_at, since) < 0)
		block(j, "backup gate %s is older than what lane %s runs now: make a fresh one", gate->record_id,
		      r->instance);
	return true;
}

bool release_check(struct task *t, struct replacement_request *request, struct release_reading *out, struct err *err)
{
	*out = (struct release_reading){ 0 };
	struct judge j = { .a = t->arena, .request = request, .r = out };
	struct replacement_plan plan;
	if (!replacement_read(t, request, &out->target, err))
		return false;
	if (out->target.facts.manifest && is_blank(request->source_git_ref))
		request->source_git_ref = out->target.manifest.source_commit;
	judge_manifest(&j);
	judge_target(&j);
	judge_mode(&j);
	if (out->target.lane && strcmp(out->target.lane->context, request->context) != 0)
		block(&j, "lane %s of the product lies in context %s, not %s", request->instance,
		      out->target.lane->context, request->context);
	if (request->from_instance[0] &&
	    (!judge_tuple(t, &j, err) || !judge_gate(t, &j, &out->gate, err) || !judge_hold(t, &j, err)))
		return false;
	/* What speaks against any deploy to the target. */
	struct err why = { 0 };
	if (!replacement_plan_make(t->arena, request, &out->target.facts, &plan, &why)) {
		block(&j, "%s", why.message);
		return true;
	}
	for (size_t i = 0; i < plan.blockers.n; i++)
		strings_add(t->arena, &out->blockers, plan.blockers.v[i]);
	return true;
}

const char *release_blocked_text(struct arena *a, const struct strings *blockers)
{
	struct buf b = buf_in(a);
	buf_str(&b, "It is blocked");
	for (size_t i = 0; i < blockers->n; i++) {
		if (b.n + strlen(blockers->v[i]) > 360) {
			buf_printf(&b, "; and %zu more", blockers->n - i);
			break;
		}
		buf_printf(&b, "%s%s", i ? "; " : ": ", blockers->v[i]);
	}
	return b.p;
}

struct json release_plan_json(struct arena *a, const struct replacement_request *request,
                              const struct release_reading *r)
{
	const struct replacement_facts *f = &r->target.facts;
	struct json j = json_object(), blockers = json_array();
	for (size_t i = 0; i < r->blockers.n; i++)
		json_push(a, &blockers, json_of_str(r->blockers.v[i]));
	json_set_str(a, &j, "plan_status", r->blockers.n ? "blocked" : "ready");
	json_set_str(a, &j, "product", request->product);
	json_set_str(a, &j, "context", request->context);
	if (request->from_instance[0])
		json_set_str(a, &j, "from_instance", request->from_instance);
	json_set_str(a, &j, request->from_instance[0] ? "to_instance" : "instance", request->instance);
	json_set_str(a, &j, "artifact_id", request->artifact_id);
	json_set_str(a, &j, "source_git_ref", request->source_git_ref);
	json_set_str(a, &j, "image_reference", f->manifest ? artifact_image_reference(a, f->manifest) : "");
	json_set_str(a, &j, "target_type", f->target ? target_type_names[f->target->target_type] : "");
	json_set_str(a, &j, "target_id", f->target_id ? f->target_id->target_id : "");
	json_set_str(a, &j, "target_name", f->target ? f->target->target_name : "");
	json_set_str(a, &j, "current_artifact_id",
	             f->inventory && f->inventory->artifact_identity ? f->inventory->artifact_identity->artifact_id
	                                                             : "");
	if (request->from_instance[0])
		json_set_str(a, &j, "backup_record_id", request->backup_record_id);
	json_set(a, &j, "blockers", blockers);
	return j;
}
