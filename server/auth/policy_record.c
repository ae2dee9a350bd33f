#include "server/auth/policy_record.h"

#include "core/loop.h"
#include "server/auth/policy_edit.h"
#include "storage/audit.h"
#include "storage/codes.h"
#include "storage/operation.h"
#include "storage/policy.sql.h"

static void free_policy(void *p)
{
	policy_free(p);
}

static bool read_row(struct task *t, const struct rows *rows, const char *known, struct policy_record *out,
                     struct err *err)
{
	if (rows->n == 0)
		return err_set(err, &E_authz_policy_unavailable, "the database holds no active authorization policy");
	const char *id = row_text(rows, 0, 0), *text = row_text(rows, 0, 4);
	*out = (struct policy_record){ id, row_text(rows, 0, 1), row_text(rows, 0, 2), NULL };
	if (known && strcmp(known, id) == 0)
		return true;
	struct json document;
	if (!json_parse(t->arena, text, strlen(text), "the stored policy", &document, err))
		return false;
	struct policy *p = policy_of_json(&document, err);
	if (!p)
		return err_set(err, &E_internal_error, "policy record %s cannot be read", id);
	arena_defer(t->arena, free_policy, p);
	if (strcmp(policy_sha256(p), row_text(rows, 0, 3)) != 0)
		return err_set(err, &E_internal_error,
		               "policy record %s does not match its own digest; it was edited by hand", id);
	out->policy = p;
	return true;
}

bool policy_record_lock(struct tx *tx, struct policy_record *out, struct err *err)
{
	struct rows rows;
	return tx_query(tx, &Q_authz_policy_lock, PARAMS(), NULL, err) &&
	       tx_query(tx, &Q_authz_policy_active, PARAMS(), &rows, err) &&
	       read_row(tx_task(tx), &rows, NULL, out, err);
}

bool policy_record_active(struct task *t, const char *known, struct policy_record *out, struct err *err)
{
	struct rows rows;
	return db_query(t, &Q_authz_policy_active, PARAMS(), &rows, err) && read_row(t, &rows, known, out, err);
}

void policy_record_name(struct task *t, const struct policy_record *previous, struct policy_record *out)
{
	if (previous)
		audit_detail(t, "previous_policy_record_id", previous->record_id);
	out->updated_at = policy_time(t->arena, loop_wall_ms(t->loop), previous ? previous->updated_at : "");
	out->record_id = arena_printf(t->arena, "launchplane-authz-policy-%s-%.12s",
	                              utc_compact(t->arena, out->updated_at), policy_sha256(out->policy));
}

void policy_record_send(struct tx *tx, const struct policy_record *r, const struct json *audit)
{
	struct task *t = tx_task(tx);
	audit_record(t, "authz_policy_record_id", r->record_id);
	audit_detail(t, "new_policy_sha256", policy_sha256(r->policy));
	audit_detail(t, "policy_source", r->source);
	struct buf b = buf_in(t->arena);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "record_id", r->record_id);
	jo_kv(&o, "status", "active");
	jo_kv(&o, "source", r->source);
	jo_kv(&o, "updated_at", r->updated_at);
	jo_kv(&o, "policy_sha256", policy_sha256(r->policy));
	jo_key(&o, "policy");
	jo_json(&o, policy_document(r->policy));
	jo_key(&o, "audit");
	jo_json(&o, audit);
	jo_close(&o, '}');
	tx_send(tx, &Q_authz_policy_insert,
	        PARAMS(P_TEXT(r->record_id), P_TEXT(r->source), P_TEXT(r->updated_at), P_TEXT(policy_sha256(r->policy)),
	               P_TEXT(b.p)));
}
