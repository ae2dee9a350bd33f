#include "storage/secret_write.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/secret.sql.h"

const char *const secret_action_names[] = { "created", "rotated", "unchanged", NULL };

bool config_place_lock(struct tx *tx, const struct place *place, struct err *err)
{
	return tx_query(tx, &Q_config_place_lock, PARAMS(P_TEXT(place->context), P_TEXT(place->instance)), NULL, err);
}

/* ---- plan ---- */

static bool is_same_secret(const struct managed_secret *known, const struct secret_wish *w)
{
	return strcmp(known->integration, w->integration) == 0 && strcmp(known->name, w->name) == 0 &&
	       strcmp(known->context, w->place.context) == 0 && strcmp(known->instance, w->place.instance) == 0;
}

bool secret_plan_make(struct tx *tx, const struct keyring *keyring, const struct secret_wish *w, const char *path,
                      struct secret_plan *out, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	struct secret old;
	const char *id = secret_id_of(a, w->integration, w->name, &w->place);
	*out = (struct secret_plan){ .action = SECRET_CREATED,
		                     .secret_id = id,
		                     .binding_id = secret_binding_id_of(a, id, w->binding_key),
		                     .version_id = "" };
	if (!slug(a, w->name)[0])
		return contract_fail(a, err, path, "name", "must contain a letter or a digit");
	if (!tx_query(tx, &Q_secret_read_for_update, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	const char *text = row_text(&rows, 0, 0);
	if (!contract_read_text(a, &managed_secret_contract, text, strlen(text), "the stored secret", &out->known, err))
		return false;
	if (!is_same_secret(&out->known, w)) {
		contract_fail(a, err, path, "name", "would get the id %s, which belongs to the secret %s of %s/%s", id,
		              out->known.name, out->known.context, out->known.instance);
		err->code = &E_conflict;
		return false;
	}
	out->action = SECRET_ROTATED;
	if (row_is_null(&rows, 0, 1) || strcmp(out->known.status, "configured") != 0)
		return true;
	out->version_id = row_text(&rows, 0, 1);
	out->compared = true;
	if (!seal_open(keyring, a, id, out->version_id, row_text(&rows, 0, 2), &old, err))
		return false;
	if (bytes_equal(old.p, old.n, w->value, strlen(w->value)))
		out->action = SECRET_UNCHANGED;
	return true;
}

/* ---- write ---- */

void secret_audit_send(struct tx *tx, const char *secret_id, const char *event_type, const struct authorship *by,
                       const struct text_map *metadata)
{
	struct arena *a = tx_task(tx)->arena;
	struct secret_audit_event e = {
		.schema_version = 1,
		.event_id = arena_printf(a, "%s-event-%s-%s", secret_id, event_type, random_hex(a, 6)),
		.secret_id = secret_id,
		.event_type = event_type,
		.recorded_at = by->now,
		.actor = by->actor,
		.detail = by->reason,
	};
	map_set(a, &e.metadata, "source", by->source_label);
	for (size_t i = 0; i < metadata->n; i++)
		map_set(a, &e.metadata, metadata->v[i].key, metadata->v[i].value);
	tx_send(tx, &Q_secret_audit_insert,
	        PARAMS(P_TEXT(e.event_id), P_TEXT(secret_id), P_TEXT(event_type), P_TEXT(by->now),
	               P_TEXT(contract_text(a, &secret_audit_event_contract, &e))));
}

void secret_binding_send(struct tx *tx, const struct secret_binding *b)
{
	tx_send(tx, &Q_secret_binding_upsert,
	        PARAMS(P_TEXT(b->binding_id), P_TEXT(b->secret_id), P_TEXT(b->integration), P_TEXT(b->binding_key),
	               P_TEXT(b->context), P_TEXT(b->instance), P_TEXT(b->status), P_TEXT(b->updated_at),
	               P_TEXT(contract_text(tx_task(tx)->arena, &secret_binding_contract, b))));
}

/* Configures the binding; disabled placeholders for the same key and place give way to it. */
static void send_configured(struct tx *tx, const struct secret_wish *w, const struct secret_plan *p, const char *now)
{
	const struct secret_binding b = {
		.schema_version = 1,
		.binding_id = p->binding_id,
		.secret_id = p->secret_id,
		.integration = w->integration,
		.binding_type = "env",
		.binding_key = w->binding_key,
		.context = w->place.context,
		.instance = w->place.instance,
		.status = "configured",
		.created_at = now,
		.updated_at = now,
	};
	secret_binding_send(tx, &b);
	tx_send(tx, &Q_secret_placeholders_retire,
	        PARAMS(P_TEXT(b.integration), P_TEXT(b.binding_key), P_TEXT(b.context), P_TEXT(b.instance),
	               P_TEXT(b.binding_id), P_TEXT(now)));
}

static struct managed_secret written_secret(const struct secret_wish *w, const struct secret_plan *p,
                                            const char *version_id, const struct authorship *by)
{
	struct managed_secret m = p->known;
	if (p->action == SECRET_CREATED)
		m = (struct managed_secret){ .schema_version = 1,
			                     .secret_id = p->secret_id,
			                     .scope = place_secret_scope(&w->place),
			                     .integration = w->integration,
			                     .name = w->name,
			                     .context = w->place.context,
			                     .instance = w->place.instance,
			                     .description = "",
			                     .policy = "write_only",
			                     .created_at = by->now,
			                     .last_validated_at = "" };
	if (w->description[0])
		m.description = w->description;
	m.status = "configured";
	m.current_version_id = version_id;
	m.updated_at = by->now;
	m.updated_by = by->actor;
	return m;
}

bool secret_plan_send(struct tx *tx, const struct keyring *keyring, const struct secret_wish *w,
                      const struct secret_plan *p, const struct authorship *by, const char **version_id,
                      struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	char *envelope;
	struct text_map metadata = { 0 };
	*version_id = "";
	if (p->action == SECRET_UNCHANGED) {
		send_configured(tx, w, p, by->now);
		return true;
	}
	*version_id = arena_printf(a, "%s-version-%s", p->secret_id, random_hex(a, 6));
	if (!seal(keyring, a, p->secret_id, *version_id, w->value, strlen(w->value), &envelope, err))
		return false;
	const struct secret_version v = { .schema_version = 1,
		                          .version_id = *version_id,
		                          .secret_id = p->secret_id,
		                          .created_at = by->now,
		                          .created_by = by->actor,
		                          .cipher_alg = SEAL_ALG,
		                          .key_id = seal_key_id(a, envelope),
		                          .ciphertext = envelope };
	const struct managed_secret m = written_secret(w, p, *version_id, by);
	tx_send(tx, &Q_secret_upsert,
	        PARAMS(P_TEXT(m.secret_id), P_TEXT(m.scope), P_TEXT(m.integration), P_TEXT(m.name), P_TEXT(m.context),
	               P_TEXT(m.instance), P_TEXT(m.status), P_TEXT(*version_id), P_TEXT(by->now),
	               P_TEXT(contract_text(a, &managed_secret_contract, &m))));
	tx_send(tx, &Q_secret_version_insert,
	        PARAMS(P_TEXT(*version_id), P_TEXT(m.secret_id), P_TEXT(by->now),
	               P_TEXT(contract_text(a, &secret_version_contract, &v))));
	send_configured(tx, w, p, by->now);
	map_set(a, &metadata, "binding_key", w->binding_key);
	secret_audit_send(tx, m.secret_id, secret_action_names[p->action], by, &metadata);
	return true;
}

bool secret_plans_note(struct task *t, const struct secret_plan *plans, const struct secret_wish *wishes, size_t n,
                       const struct authorship *by, struct err *err)
{
	struct json list = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!plans[i].compared)
			continue;
		struct json one = json_object();
		json_set_str(t->arena, &one, "secret_id", plans[i].secret_id);
		json_set_str(t->arena, &one, "version_id", plans[i].version_id);
		json_set_str(t->arena, &one, "binding_key", wishes[i].binding_key);
		json_push(t->arena, &list, one);
	}
	if (list.n == 0)
		return true;
	struct rows rows;
	return db_write(t, "secret comparisons", &Q_secret_reads_note,
	                PARAMS(P_TEXT(json_text(t->arena, &list)), P_TEXT(by->source_label), P_TEXT(by->actor),
	                       P_TEXT(by->now), P_TEXT(random_hex(t->arena, 6))),
	                &rows, err);
}

/* ---- other changes ---- */

static SUSPENDS bool lock_secret(struct tx *tx, const char *secret_id, struct managed_secret *out, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, &Q_secret_read_for_update, PARAMS(P_TEXT(secret_id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no managed secret %s", secret_id);
	const char *text = row_text(&rows, 0, 0);
	return contract_read_text(tx_task(tx)->arena, &managed_secret_contract, text, strlen(text), "the stored secret",
	                          out, err);
}

static SUSPENDS bool read_bindings_of(struct tx *tx, const struct managed_secret *m, struct secret_binding **out,
                                      size_t *n, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct rows rows;
	if (!tx_query(tx, &Q_secret_bindings_of, PARAMS(P_TEXT(m->secret_id), P_TEXT(m->integration)), &rows, err))
		return false;
	*out = arena_array(a, rows.n + 1, sizeof(**out));
	for (*n = 0; *n < rows.n; (*n)++) {
		const char *text = row_text(&rows, *n, 0);
		if (!contract_read_text(a, &secret_binding_contract, text, strlen(text), "a stored secret binding",
		                        &(*out)[*n], err))
			return false;
	}
	return true;
}

bool secret_relabel(struct tx *tx, const char *secret_id, const char *binding_key, const struct authorship *by,
                    bool *changed, const char **binding_id, struct err *err)
{
	struct arena *a = tx_task(tx)->arena;
	struct managed_secret m;
	struct secret_binding *bindings, *old = NULL;
	size_t n;
	*changed = false;
	*binding_id = secret_binding_id_of(a, secret_id, binding_key);
	if (!lock_secret(tx, secret_id, &m, err) || !read_bindings_of(tx, &m, &bindings, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool configured = strcmp(bindings[i].status, "configured") == 0;
		if (configured && strcmp(bindings[i].binding_key, binding_key) == 0)
			return true;
		if (configured && !old)
			old = &bindings[i];
	}
	if (!old)
		return err_set(err, &E_conflict, "the secret %s has no configured binding to move", secret_id);
	struct secret_binding wanted = *old;
	struct text_map metadata = { 0 };
	wanted.binding_id = *binding_id;
	wanted.binding_key = binding_key;
	wanted.created_at = wanted.updated_at = by->now;
	old->status = "disabled";
	old->updated_at = by->now;
	secret_binding_send(tx, old);
	secret_binding_send(tx, &wanted);
	map_set(a, &metadata, "binding_key", binding_key);
	map_set(a, &metadata, "old_binding_id", old->binding_id);
	map_set(a, &metadata, "old_binding_key", old->binding_key);
	map_set(a, &metadata, "new_binding_id", wanted.binding_id);
	map_set(a, &metadata, "new_binding_key", wanted.binding_key);
	secret_audit_send(tx, secret_id, "relabelled", by, &metadata);
	*changed = true;
	return true;
}

bool secret_disable(struct tx *tx, const char *secret_id, const struct authorship *by, bool *changed, struct err *err)
{
	struct managed_secret m;
	struct rows rows;
	struct text_map metadata = { 0 };
	if (!lock_secret(tx, secret_id, &m, err) ||
	    !tx_query(tx, &Q_secret_disable, PARAMS(P_TEXT(secret_id), P_TEXT(by->now), P_TEXT(by->actor)), &rows, err))
		return false;
	*changed = row_int(&rows, 0, 0) > 0;
	if (*changed)
		secret_audit_send(tx, secret_id, "disabled", by, &metadata);
	return true;
}
