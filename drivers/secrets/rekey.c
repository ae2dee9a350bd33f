#include "drivers/secrets/rekey.h"

#include "core/digest.h"
#include "core/seal.h"
#include "storage/codes.h"
#include "storage/secret.sql.h"
#include "storage/secret_write.h"

#define BATCH        50
#define NAMED_MOST   20
#define FOREIGN_MS   2000
#define FOREIGN_MOST 150
#define ROUNDS_MOST  5

struct rekey_state {
	const char *cursor;
	int64_t rekeyed_count, upgraded_count, unreadable_count, foreign_looks, rounds;
	struct strings unreadable;
};

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct rekey_request *r = record;
	return strcmp(r->product, "launchplane") == 0 ||
	       contract_fail(a, err, path, "product", "must be launchplane: the master key is the service's own");
}

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(rekey_request),
	F_STR(rekey_request, product, TRIMMED, .fallback = "launchplane"),
	F_STR(rekey_request, reason, REQUIRED | TRIMMED | NON_BLANK, .max = 1000, .help = "Why, for the record"),
	F_STR(rekey_request, key_id, TRIMMED,
	      .help = "Refuse unless the current master key has this id; default: whatever it is"),
	F_END,
};
const struct contract rekey_request_contract = CONTRACT(
        rekey_request, request_fields, "Seals all secrets under the current master key", .check = check_request);

static const struct field state_fields[] = {
	F_STR(rekey_state, cursor, 0),         F_INT(rekey_state, rekeyed_count, 0),
	F_INT(rekey_state, upgraded_count, 0), F_INT(rekey_state, unreadable_count, 0),
	F_INT(rekey_state, foreign_looks, 0),  F_INT(rekey_state, rounds, 0),
	F_STRINGS(rekey_state, unreadable, 0), F_END,
};
static const struct contract state_contract = CONTRACT(rekey_state, state_fields, "How far the rekey has come");

/* A process with another current key would undo what this operation does: one with the right key has to take it. */
static bool is_ours(struct task *t, struct operation *op, struct err *err)
{
	struct rekey_state *s = op->state;
	const struct rekey_request *r = op->request;
	if (t->loop->keyring && strcmp(t->loop->keyring->current.id, r->key_id) == 0)
		return true;
	if (++s->foreign_looks <= FOREIGN_MOST)
		return false;
	return err_set(err, &E_secret_configuration_required,
	               "no process with the master key %s came to do this: start the services with it", r->key_id);
}

static void reseal(struct task *t, struct operation *op, const char *version_id, const char *secret_id, const char *old,
                   const char *envelope)
{
	const struct rekey_request *r = op->request;
	const char *now = utc_now(t);
	const char *event_id = arena_printf(t->arena, "%s-event-rekeyed-%s", secret_id, random_hex(t->arena, 6));
	struct secret_audit_event e = { .schema_version = 1,
		                        .event_id = event_id,
		                        .secret_id = secret_id,
		                        .event_type = "rekeyed",
		                        .recorded_at = now,
		                        .actor = t->actor,
		                        .detail = r->reason };
	map_set(t->arena, &e.metadata, "source", op->operation_id);
	map_set(t->arena, &e.metadata, "version_id", version_id);
	map_set(t->arena, &e.metadata, "key_id", r->key_id);
	operation_write(t, op, &Q_secret_version_reseal,
	                PARAMS(P_TEXT(version_id), P_TEXT(old), P_TEXT(envelope), P_TEXT(SEAL_ALG), P_TEXT(r->key_id)));
	operation_write(t, op, &Q_secret_audit_insert,
	                PARAMS(P_TEXT(event_id), P_TEXT(secret_id), P_TEXT("rekeyed"), P_TEXT(now),
	                       P_TEXT(contract_text(t->arena, &secret_audit_event_contract, &e))));
}

/* Opens and seals one version; what does not open is noted and left. */
static bool rekey_one(struct task *t, struct operation *op, const struct rows *rows, size_t i, struct err *err)
{
	struct rekey_state *s = op->state;
	struct secret plain;
	char *envelope;
	const char *version_id = row_text(rows, i, 0), *secret_id = row_text(rows, i, 1), *old = row_text(rows, i, 2);
	if (!seal_open(t->loop->keyring, t->arena, secret_id, version_id, old, &plain, err)) {
		s->unreadable_count++;
		if (s->unreadable.n < NAMED_MOST)
			strings_add(t->arena, &s->unreadable, version_id);
		memset(err, 0, sizeof(*err));
		return true;
	}
	if (!seal(t->loop->keyring, t->arena, secret_id, version_id, plain.p, plain.n, &envelope, err))
		return false;
	reseal(t, op, version_id, secret_id, old, envelope);
	s->rekeyed_count++;
	s->upgraded_count += seal_key_id(t->arena, old)[0] == '\0';
	return true;
}

static SUSPENDS enum phase_outcome reseal_phase(struct task *t, struct operation *op, struct err *err)
{
	struct rekey_state *s = op->state;
	const struct rekey_request *r = op->request;
	struct rows rows;
	arena_wipe_on_reset(t->arena);
	if (!is_ours(t, op, err))
		return err->code ? PHASE_FAILED : operation_again(op, FOREIGN_MS);
	s->foreign_looks = 0;
	if (!db_query(t, &Q_secret_versions_to_rekey, PARAMS(P_TEXT(s->cursor), P_TEXT(r->key_id), P_INT(BATCH)), &rows,
	              err))
		return PHASE_FAILED;
	for (size_t i = 0; i < rows.n; i++) {
		if (!rekey_one(t, op, &rows, i, err))
			return PHASE_FAILED;
		s->cursor = row_text(&rows, i, 0);
		task_breathe(t);
	}
	return rows.n ? operation_again(op, 0) : PHASE_DONE;
}

/* A process that still seals with an old key may have written one behind us. */
static SUSPENDS enum phase_outcome verify_phase(struct task *t, struct operation *op, struct err *err)
{
	struct rekey_state *s = op->state;
	const struct rekey_request *r = op->request;
	struct rows rows;
	if (!db_query(t, &Q_secret_versions_not_under, PARAMS(P_TEXT(r->key_id)), &rows, err))
		return PHASE_FAILED;
	int64_t left = row_int(&rows, 0, 0);
	if (left > s->unreadable_count && s->rounds < ROUNDS_MOST) {
		s->rounds++;
		s->cursor = "";
		s->unreadable_count = 0;
		s->unreadable = (struct strings){ 0 };
		return operation_goto(op, "reseal", 200);
	}
	if (left == 0)
		return PHASE_DONE;
	struct buf b = buf_in(t->arena);
	for (size_t i = 0; i < s->unreadable.n && b.n < 200; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", s->unreadable.v[i]);
	err_set(err, &E_secrets_unreadable,
	        "%lld secret versions are not under the current key, the others are: %s; add the key they were sealed "
	        "with "
	        "to the previous ones, or write those secrets anew",
	        (long long)left, b.n ? b.p : "a process still seals with another key");
	return PHASE_FAILED;
}

static void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	(void)failure;
	const struct rekey_state *s = op->state;
	const struct rekey_request *r = op->request;
	struct json *o = ARENA_NEW(t->arena, struct json), unreadable = json_array();
	*o = json_object();
	for (size_t i = 0; i < s->unreadable.n; i++)
		json_push(t->arena, &unreadable, json_of_str(s->unreadable.v[i]));
	json_set_str(t->arena, o, "key_id", r->key_id);
	json_set(t->arena, o, "rekeyed_count", json_of_int(s->rekeyed_count));
	json_set(t->arena, o, "upgraded_count", json_of_int(s->upgraded_count));
	json_set(t->arena, o, "unreadable_count", json_of_int(s->unreadable_count));
	json_set(t->arena, o, "unreadable_versions", unreadable);
	op->result = o;
}

/* clang-format off */
static const struct phase phases[] = {
	/* name      shown as  function      tries backoff_ms */
	{ "reseal",  "apply",        reseal_phase, 9, 1000, .cancel = CANCEL_ANY,
	  .help = "open and seal the next versions under the current key" },
	{ "verify",  "verification", verify_phase, 9, 1000, .cancel = CANCEL_ANY,
	  .help = "count what is not under the current key" },
	{ 0 },
};
/* clang-format on */

const struct op_kind rekey_kind = {
	.name = "secrets_rekey",
	.id_prefix = "secrets-rekey",
	.help = "Seals all managed secrets under the current master key",
	.request = &rekey_request_contract,
	.state = &state_contract,
	.phases = phases,
	.conclude = conclude,
};
