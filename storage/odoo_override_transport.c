/* Settings' secrets move under the neutral keys ODOO_OVERRIDE_SECRET__* (facts/odoo.md 9.3, 9.6; OVR-25, OVR-28). */
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/odoo_override.sql.h"
#include "storage/odoo_override_write.h"

static bool check_transport(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct override_transport *r = record;
	if (strcmp(r->mode, "dry-run") != 0 && strcmp(r->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (r->instance[0] && !r->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	return true;
}

static const struct field transport_fields[] = {
	F_SCHEMA_VERSION(override_transport),
	F_STR(override_transport, mode, TRIMMED, .fallback = "dry-run", .help = "dry-run or apply"),
	F_STR(override_transport, context, LOWERED | NO_BLANKS, .max = 100, .help = "Default: all"),
	F_STR(override_transport, instance, LOWERED | NO_BLANKS, .max = 100, .help = "Default: all of the context"),
	F_STR(override_transport, source_label, TRIMMED, .fallback = "odoo-secret-transport-migration", .max = 200),
	F_END,
};
const struct contract override_transport_contract =
        CONTRACT(override_transport, transport_fields, "Which lanes' secrets to move under neutral keys",
                 .check = check_transport);

struct migration {
	struct tx *tx;
	struct arena *a;
	const struct authorship *by;
	bool applies;
	struct text_map moved; /* secret id: the key it is wanted under */
	struct json items;
	size_t renamed;
	struct strings obstacles;
};

/* One reference of one record. name: as the report calls it; wanted: NULL when the name makes no key. */
static SUSPENDS bool migrate_value(struct migration *m, const struct odoo_override *o, const char *kind,
                                   const char *name, const char *wanted, struct override_value *value, bool *changed,
                                   struct err *err)
{
	struct rows rows;
	const char *old = value->secret_binding_id, *action = "unchanged", *old_key = "", *new_id = "";
	if (value->source != OVERRIDE_SECRET_BINDING)
		return true;
	if (!tx_query(m->tx, &Q_odoo_override_binding, PARAMS(P_TEXT(old)), &rows, err))
		return false;
	if (!wanted) {
		action = "unnameable";
	} else if (rows.n == 0) {
		action = "missing";
	} else {
		const char *secret_id = arena_strdup(m->a, row_text(&rows, 0, 0)),
		           *before = map_get(&m->moved, secret_id);
		old_key = arena_strdup(m->a, row_text(&rows, 0, 1));
		bool configured = strcmp(row_text(&rows, 0, 2), "configured") == 0;
		new_id = secret_binding_id_of(m->a, secret_id, wanted);
		if (row_text(&rows, 0, 3)[0] != 't')
			action = "disabled";
		else if (before && strcmp(before, wanted) != 0)
			action = "conflict";
		else if (!configured || strcmp(old_key, wanted) != 0)
			action = "rename";
		map_set(m->a, &m->moved, secret_id, before ? before : wanted);
		if (m->applies && strcmp(action, "rename") == 0) {
			bool relabelled;
			if (!secret_relabel(m->tx, secret_id, wanted, m->by, &relabelled, &new_id, err))
				return false;
			value->secret_binding_id = new_id;
			*changed = true;
		}
	}
	rows_done(&rows);
	m->renamed += strcmp(action, "rename") == 0;
	if (strcmp(action, "rename") != 0 && strcmp(action, "unchanged") != 0)
		strings_add(m->a, &m->obstacles,
		            arena_printf(m->a, "%s/%s %s (%s)", o->context, o->instance, name, action));
	struct json item = json_object();
	json_set_str(m->a, &item, "context", o->context);
	json_set_str(m->a, &item, "instance", o->instance);
	json_set_str(m->a, &item, "kind", kind);
	json_set_str(m->a, &item, "key", name);
	json_set_str(m->a, &item, "action", action);
	json_set_str(m->a, &item, "old_binding_id", old);
	json_set_str(m->a, &item, "new_binding_id", new_id);
	json_set_str(m->a, &item, "old_binding_key", old_key);
	json_set_str(m->a, &item, "new_binding_key", wanted ? wanted : "");
	json_push(m->a, &m->items, item);
	return true;
}

static SUSPENDS bool migrate_record(struct migration *m, struct odoo_override *o, struct err *err)
{
	bool changed = false;
	for (size_t i = 0; i < o->config_parameters.n; i++) {
		struct override_config_parameter *p = &o->config_parameters.v[i];
		if (!migrate_value(m, o, "config_parameter", p->key, override_parameter_key(m->a, p->key), &p->value,
		                   &changed, err))
			return false;
	}
	for (size_t i = 0; i < o->addon_settings.n; i++) {
		struct override_addon_setting *s = &o->addon_settings.v[i];
		if (!migrate_value(m, o, "addon_setting", arena_printf(m->a, "%s.%s", s->addon, s->setting),
		                   override_setting_key(m->a, s->addon, s->setting), &s->value, &changed, err))
			return false;
	}
	if (!changed)
		return true;
	o->updated_at = m->by->now;
	o->source_label = m->by->source_label;
	tx_send(m->tx, &Q_odoo_override_upsert,
	        PARAMS(P_TEXT(o->context), P_TEXT(o->instance), P_TEXT(o->updated_at),
	               P_TEXT(contract_text(m->a, &odoo_override_contract, o))));
	return true;
}

static bool refuse(const struct migration *m, struct err *err)
{
	struct buf b = buf_in(m->a);
	for (size_t i = 0; i < m->obstacles.n && b.n < 300; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", m->obstacles.v[i]);
	return err_set(err, &E_conflict,
	               "Nothing was moved: bind a managed secret of its own to each of these settings first: %s",
	               buf_cstr(&b));
}

bool odoo_override_migrate_transport(struct tx *tx, const struct override_transport *r, bool applies,
                                     const struct authorship *by, struct json *out, struct err *err)
{
	struct migration m = { .tx = tx, .a = tx_task(tx)->arena, .by = by, .applies = applies, .items = json_array() };
	struct rows rows;
	if (!tx_query(tx, &Q_odoo_overrides_lock, PARAMS(P_TEXT(r->context), P_TEXT(r->instance)), &rows, err))
		return false;
	for (size_t i = 0; i < rows.n; i++) {
		struct odoo_override o;
		const char *text = arena_strdup(m.a, row_text(&rows, i, 0));
		if (!contract_read_text(m.a, &odoo_override_contract, text, strlen(text), "the stored override record",
		                        &o, err) ||
		    !migrate_record(&m, &o, err))
			return false;
	}
	rows_done(&rows);
	if (applies && m.obstacles.n)
		return refuse(&m, err);
	*out = json_object();
	json_set_str(m.a, out, "status", "ok");
	json_set_str(m.a, out, "mode", applies ? "apply" : "dry-run");
	json_set(m.a, out, "count", json_of_int((int64_t)m.items.n));
	json_set(m.a, out, "renamed_count", json_of_int((int64_t)m.renamed));
	json_set(m.a, out, "items", m.items);
	return true;
}
