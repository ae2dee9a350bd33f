#include "storage/environment_write.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/environment.sql.h"
#include "storage/plan.h"

static const char *place_text(struct arena *a, const struct place *p)
{
	return arena_printf(a, "%s%s%s%s%s", place_scope(p), p->context[0] ? " " : "", p->context,
	                    p->instance[0] ? "/" : "", p->instance);
}

static bool read_payload(struct arena *a, const char *text, struct runtime_environment *out, struct err *err)
{
	return contract_read_text(a, &runtime_environment_contract, text, strlen(text),
	                          "the stored runtime environment", out, err);
}

static bool no_record(struct arena *a, const struct place *p, struct err *err)
{
	return err_set(err, &E_not_found, "there is no runtime environment record for %s", place_text(a, p));
}

static SUSPENDS bool lock_record(struct tx *tx, const struct place *p, struct runtime_environment *out, bool *found,
                                 struct err *err)
{
	struct rows rows;
	if (!config_place_lock(tx, p, err) ||
	    !tx_query(tx, &Q_runtime_environment_read_for_update,
	              PARAMS(P_TEXT(place_scope(p)), P_TEXT(p->context), P_TEXT(p->instance)), &rows, err))
		return false;
	*found = rows.n > 0;
	return !*found || read_payload(tx_task(tx)->arena, row_text(&rows, 0, 0), out, err);
}

static void send_record(struct tx *tx, const struct runtime_environment *r)
{
	tx_send(tx, &Q_runtime_environment_upsert,
	        PARAMS(P_TEXT(r->scope), P_TEXT(r->context), P_TEXT(r->instance), P_TEXT(r->updated_at),
	               P_TEXT(contract_text(tx_task(tx)->arena, &runtime_environment_contract, r))));
}

static struct runtime_environment record_of(const struct place *p, const struct json *env, const struct authorship *by)
{
	return (struct runtime_environment){ .schema_version = 1,
		                             .scope = place_scope(p),
		                             .context = p->context,
		                             .instance = p->instance,
		                             .env = env,
		                             .updated_at = by->now,
		                             .source_label = by->source_label };
}

bool environment_put(struct tx *tx, const struct place *p, const struct json *env, const struct authorship *by,
                     struct runtime_environment *out, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct runtime_environment stored;
	struct strings changed, unchanged;
	struct json *merged = ARENA_NEW(a, struct json);
	bool found;
	if (!runtime_env_check(a, env, "", err) || !lock_record(tx, p, &stored, &found, err))
		return false;
	runtime_env_merge(a, found ? stored.env : NULL, env, merged, &changed, &unchanged);
	*out = record_of(p, merged, by);
	send_record(tx, out);
	return true;
}

bool environment_unset(struct tx *tx, const struct place *p, const struct strings *keys, const struct authorship *by,
                       struct runtime_environment *out, struct strings *removed, struct strings *missing,
                       struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct runtime_environment stored;
	struct json *kept = ARENA_NEW(a, struct json);
	bool found;
	*kept = json_object();
	*removed = *missing = (struct strings){ 0 };
	if (!lock_record(tx, p, &stored, &found, err))
		return false;
	if (!found)
		return no_record(a, p, err);
	for (uint32_t i = 0; i < stored.env->n; i++) {
		const struct json_member *m = &stored.env->members[i];
		if (strings_have(keys, m->key))
			strings_add(a, removed, m->key);
		else
			json_set(a, kept, m->key, m->value);
	}
	for (size_t i = 0; i < keys->n; i++)
		if (!strings_have(removed, keys->v[i]) && !strings_have(missing, keys->v[i]))
			strings_add(a, missing, keys->v[i]);
	strings_sort(removed);
	strings_sort(missing);
	if (kept->n == 0)
		return err_set(err, &E_conflict,
		               "no key would be left in the record of %s: delete it with environments delete-record",
		               place_text(a, p));
	*out = stored;
	if (removed->n == 0)
		return true;
	*out = record_of(p, kept, by);
	if (!out->source_label[0])
		out->source_label = stored.source_label;
	send_record(tx, out);
	return true;
}

bool environment_relabel(struct tx *tx, const struct place *p, const struct authorship *by,
                         struct runtime_environment *out, struct err *err)
{
	bool found;
	if (!lock_record(tx, p, out, &found, err))
		return false;
	if (!found)
		return no_record(tx_task(tx)->arena, p, err);
	out->updated_at = by->now;
	out->source_label = by->source_label;
	send_record(tx, out);
	return true;
}

/* ---- deletion ---- */

static struct strings sorted_keys(struct arena *a, const struct runtime_environment *r)
{
	struct strings keys = { 0 };
	for (uint32_t i = 0; i < r->env->n; i++)
		strings_add(a, &keys, r->env->members[i].key);
	strings_sort(&keys);
	return keys;
}

static void make_event(struct arena *a, const struct authorship *by, struct environment_deletion *d)
{
	const struct runtime_environment *r = &d->record;
	struct strings keys = sorted_keys(a, r);
	struct buf seed = buf_in(a), b = buf_in(a);
	struct json_out o = { .buf = &b };
	buf_printf(&seed, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", r->scope, r->context, r->instance, r->updated_at,
	           r->source_label, by->actor, by->now, random_hex(a, 8));
	for (size_t i = 0; i < keys.n; i++)
		buf_printf(&seed, "\n%s", keys.v[i]);
	d->event_id = arena_printf(a, "runtime-env-delete-%.16s", sha256_text(a, seed.p, seed.n));
	jo_open(&o, '{');
	jo_kv_int(&o, "schema_version", 1);
	jo_kv(&o, "event_id", d->event_id);
	jo_kv(&o, "event_type", "deleted");
	jo_kv(&o, "recorded_at", by->now);
	jo_kv(&o, "actor", by->actor);
	jo_kv(&o, "scope", r->scope);
	jo_kv(&o, "context", r->context);
	jo_kv(&o, "instance", r->instance);
	jo_kv(&o, "source_label", r->source_label);
	jo_kv_strings(&o, "env_keys", &keys);
	jo_kv_int(&o, "env_value_count", (int64_t)keys.n);
	jo_kv(&o, "detail", by->reason);
	jo_close(&o, '}');
	d->event = buf_cstr(&b);
}

static const char *digest_of(struct arena *a, const struct environment_deletion *d)
{
	struct json plan = json_object();
	json_set_str(a, &plan, "record", sha256_text(a, d->payload, strlen(d->payload)));
	json_set_str(a, &plan, "protected", d->protected_);
	return plan_digest(a, &plan);
}

bool environment_deletion_read(struct task *t, const struct place *p, const struct authorship *by,
                               struct environment_deletion *out, struct err *err)
{
	struct rows rows;
	*out = (struct environment_deletion){ .place = *p };
	if (!db_query(t, &Q_environment_deletion_read,
	              PARAMS(P_TEXT(place_scope(p)), P_TEXT(p->context), P_TEXT(p->instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return no_record(t->arena, p, err);
	out->payload = row_text(&rows, 0, 0);
	out->protected_ = row_text(&rows, 0, 1);
	out->protected_n = (size_t)row_int(&rows, 0, 2);
	if (!read_payload(t->arena, out->payload, &out->record, err))
		return false;
	make_event(t->arena, by, out);
	out->digest = digest_of(t->arena, out);
	return true;
}

bool environment_deletion_apply(struct tx *tx, const struct environment_deletion *d, bool allow_tracked,
                                const struct authorship *by, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	const struct place *p = &d->place;
	struct rows rows;
	if (!config_place_lock(tx, p, err) ||
	    !tx_query(tx, &Q_environment_deletion_lock,
	              PARAMS(P_TEXT(place_scope(p)), P_TEXT(p->context), P_TEXT(p->instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_conflict, "the record of %s is gone: somebody else deleted it",
		               place_text(a, p));
	if (strcmp(row_text(&rows, 0, 0), d->payload) != 0)
		return err_set(err, &E_conflict,
		               "the record of %s changed after it was read: review it and run the command again",
		               place_text(a, p));
	if (row_int(&rows, 0, 1) > 0 && !allow_tracked)
		return err_set(err, &E_conflict,
		               "the record could influence tracked targets (%s): review them, then add "
		               "--allow-tracked-target",
		               row_text(&rows, 0, 2));
	tx_send(tx, &Q_environment_delete, PARAMS(P_TEXT(place_scope(p)), P_TEXT(p->context), P_TEXT(p->instance)));
	tx_send(tx, &Q_environment_delete_event,
	        PARAMS(P_TEXT(d->event_id), P_TEXT(place_scope(p)), P_TEXT(p->context), P_TEXT(p->instance),
	               P_TEXT(by->now), P_TEXT(d->event)));
	return true;
}
