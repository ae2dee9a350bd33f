/* core/signed_note.h - short texts signed with Ed25519, in the form of c2sp.org/signed-note, and the checkpoints of a
 * Merkle log written as such notes (c2sp.org/tlog-checkpoint).
 *
 *     launchplane-audit/5f0c...        the log's name
 *     1234                             how many leaves
 *     x3a7...=                         the root's hash, base64
 *     previous 1200                    the size of the checkpoint before: one that is taken out is missed
 *     time 2026-06-01T10:00:00Z
 *     (blank)
 *     - launchplane-audit/5f0c... ...  (an em dash) key's name, base64 of the key's hash and the signature
 *
 * A public key is written as "<name>+<8 hex digits of its hash>+<base64 of 0x01 and the key>". */
#pragma once

#include "core/err.h"
#include "core/merkle.h"

#define NOTE_KEY_ID_N 8
#define NOTE_SEED_N   32

struct note_key {
	char name[100];
	char id[NOTE_KEY_ID_N + 1]; /* hex of the key's hash */
	unsigned char public_key[32];
	unsigned char seed[NOTE_SEED_N];
	bool can_sign;
};

/* A key that signs. Wipe it with note_key_done(). */
void note_key_of_seed(const char *name, const unsigned char seed[NOTE_SEED_N], struct note_key *out);
bool note_key_parse(const char *text, struct note_key *out, struct err *err);
const char *note_key_text(struct arena *a, const struct note_key *k);
void note_key_done(struct note_key *k);

struct checkpoint {
	const char *origin;
	uint64_t size;
	struct merkle_hash root;
	uint64_t previous; /* size of the one before, 0: none */
	const char *time;
	const char *key_id; /* of the first signature */
};

const char *checkpoint_sign(struct arena *a, const struct note_key *k, const struct checkpoint *c);
/* Reads a note without believing it. */
bool checkpoint_parse(struct arena *a, const char *note, struct checkpoint *out, struct err *err);
/* Whether the note bears k's signature. */
bool note_is_signed(struct arena *a, const char *note, const struct note_key *k);
