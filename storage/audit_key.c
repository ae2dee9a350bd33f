/* The key that signs checkpoints: the setting's, or one made once and kept in the database, sealed. */
#include "core/log.h"
#include "core/loop.h"
#include "core/seal.h"
#include "storage/audit.sql.h"
#include "storage/audit_log.h"

#include <openssl/crypto.h>

#define SEALED_AS "audit-signing-key"

bool audit_seed_parse(const char *text, unsigned char seed[NOTE_SEED_N], struct err *err)
{
	struct arena *a = arena_new();
	unsigned char *bytes;
	size_t n, length = strlen(text);
	while (length && text[length - 1] == '=')
		length--;
	arena_wipe_on_reset(a);
	bool ok = base64url_decode(a, text, length, &bytes, &n) && n == NOTE_SEED_N;
	if (ok)
		memcpy(seed, bytes, NOTE_SEED_N);
	arena_free(a);
	return ok || err_set(err, &E_invalid_request,
	                     AUDIT_KEY_SETTING " must be 32 random bytes in URL-safe base64 (an Ed25519 seed), or not "
	                                       "set: then a key is made and kept in the database");
}

/* In the key lock's transaction. */
static void insert(struct tx *tx, const struct note_key *k, const char *source, const char *sealed)
{
	struct task *t = tx_task(tx);
	const char *public_key = note_key_text(t->arena, k);
	tx_send(tx, &Q_audit_key_insert,
	        PARAMS(P_TEXT(k->id), P_TEXT(k->name), P_TEXT(public_key), P_TEXT(source), P_TEXT(sealed)));
	audit_detail(t, "audit_key_id", arena_strdup(t->arena, k->id));
	audit_detail(t, "audit_public_key", public_key);
}

static const char *origin_of(struct task *t, const struct rows *rows)
{
	if (!row_is_null(rows, 0, 2))
		return row_text(rows, 0, 2);
	return arena_printf(t->arena, "launchplane-audit/%s", random_hex(t->arena, 8));
}

static SUSPENDS bool generate_in(struct tx *tx, const struct rows *rows, const struct keyring *ring,
                                 struct note_key *out, struct err *err)
{
	struct task *t = tx_task(tx);
	unsigned char seed[NOTE_SEED_N];
	char *sealed;
	random_bytes(seed, sizeof(seed));
	note_key_of_seed(origin_of(t, rows), seed, out);
	bool ok = seal(ring, t->arena, SEALED_AS, out->id, (const char *)seed, sizeof(seed), &sealed, err);
	OPENSSL_cleanse(seed, sizeof(seed));
	if (ok)
		insert(tx, out, "generated", sealed);
	return ok;
}

static bool open_sealed(struct task *t, const struct rows *rows, const struct keyring *ring, struct note_key *out,
                        struct err *err)
{
	struct secret seed;
	const char *id = row_text(rows, 0, 0);
	if (!seal_open(ring, t->arena, SEALED_AS, id, row_text(rows, 0, 1), &seed, err))
		return false;
	if (seed.n != NOTE_SEED_N)
		return err_set(err, &E_internal_error, "the sealed audit key %s is not one", id);
	note_key_of_seed(row_text(rows, 0, 2), (const unsigned char *)seed.p, out);
	return strcmp(out->id, id) == 0 || err_set(err, &E_internal_error, "the sealed audit key is not %s", id);
}

struct wish {
	const unsigned char *seed; /* NULL: a key of our own making */
	const struct keyring *ring;
	bool wants_new;
};

static SUSPENDS bool key_in(struct tx *tx, const struct wish *w, struct note_key *out, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, &Q_audit_key_lock, PARAMS(), NULL, err) ||
	    !tx_query(tx, &Q_audit_key_generated, PARAMS(), &rows, err))
		return false;
	if (w->seed) {
		note_key_of_seed(origin_of(tx_task(tx), &rows), w->seed, out);
		struct rows known;
		if (!tx_query(tx, &Q_audit_keys, PARAMS(), &known, err))
			return false;
		for (size_t i = 0; i < known.n; i++)
			if (strcmp(row_text(&known, i, 0), out->id) == 0)
				return true;
		insert(tx, out, "setting", NULL);
		return true;
	}
	if (!w->wants_new && !row_is_null(&rows, 0, 0))
		return open_sealed(tx_task(tx), &rows, w->ring, out, err);
	return generate_in(tx, &rows, w->ring, out, err);
}

static SUSPENDS bool get_key(struct task *t, const struct wish *w, struct note_key *out, struct err *err)
{
	struct tx *tx;
	if (!tx_begin(t, &tx, err))
		return false;
	if (!key_in(tx, w, out, err)) {
		tx_rollback(tx);
		return false;
	}
	return tx_commit(tx, err);
}

bool audit_key_ensure(struct task *t, struct sequencer *s, const unsigned char *seed, struct err *err)
{
	struct rows rows;
	const struct keyring *ring = t->loop->keyring;
	if (s->has_setting)
		return true;
	if (!seed && !ring) {
		if (!s->has_warned)
			log_warn(t, "audit.unsigned",
			         S("why", "neither " AUDIT_KEY_SETTING " nor " MASTER_KEY_SETTING " is set"));
		s->has_warned = true;
		return true;
	}
	if (!seed && s->key.can_sign) { /* made earlier; perhaps there is a newer one */
		if (!db_query(t, &Q_audit_key_generated, PARAMS(), &rows, err))
			return false;
		if (rows.n && !row_is_null(&rows, 0, 0) && strcmp(row_text(&rows, 0, 0), s->key.id) == 0)
			return true;
	}
	struct note_key key;
	const struct wish wish = { .seed = seed, .ring = ring };
	struct audit_entry told = { .type = "system", .event = "audit_key_created", .actor = "system" };
	audit_begin(t, &told);
	bool ok = get_key(t, &wish, &key, err);
	audit_begin(t, NULL);
	if (!ok)
		return false;
	s->key = key;
	note_key_done(&key);
	s->has_setting = seed != NULL;
	log_info(t, "audit.key", S("key_id", s->key.id), S("source", seed ? "setting" : "generated"));
	return true;
}

bool audit_key_rotate(struct task *t, const struct keyring *ring, const char **public_key, struct err *err)
{
	struct note_key key;
	const struct wish wish = { .ring = ring, .wants_new = true };
	if (!get_key(t, &wish, &key, err))
		return false;
	*public_key = note_key_text(t->arena, &key);
	note_key_done(&key);
	return true;
}
