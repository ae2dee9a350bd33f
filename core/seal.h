/* core/seal.h - secrets at rest: what is sealed here can be kept in a database that others read.
 *
 * Each sealing makes a data key of its own (AES-256-GCM); the master key only wraps data keys. The envelope is text,
 *     lpseal1.<key id>.<wrapped data key>.<sealed bytes>
 * and both parts are bound to the secret's id and version: an envelope moved to another row does not open.
 * Fernet tokens of an earlier Launchplane are read as well; they are bound to nothing.
 * A wrong key, a changed byte, or an unknown form is an error, never an empty secret.
 *
 * Opened secrets are wiped when their arena is reset. None of this suspends. */
#pragma once

#include "core/arena.h"
#include "core/err.h"

#define MASTER_KEY_SETTING    "LAUNCHPLANE_MASTER_ENCRYPTION_KEY"
#define PREVIOUS_KEYS_SETTING "LAUNCHPLANE_PREVIOUS_MASTER_ENCRYPTION_KEYS"
#define KEYRING_PREVIOUS_MAX  8
#define KEY_ID_N              16
#define SEAL_ALG              "aes-256-gcm-v1" /* the record's cipher_alg */
#define SEAL_ALG_FERNET       "fernet-v1"
#define SEAL_PLAINTEXT_MAX    (256u << 10)

struct master_key {
	unsigned char key[32];
	char id[KEY_ID_N + 1]; /* derived from the key */
};

struct keyring {
	struct master_key current;                        /* seals and opens */
	struct master_key previous[KEYRING_PREVIOUS_MAX]; /* only open */
	size_t previous_n;
};

/* A secret in an arena, NUL-terminated; the arena wipes it. */
struct secret {
	char *p;
	size_t n;
};

/* current and previous (separated by commas or blanks, may be NULL) as the settings hold them. */
bool keyring_init(struct keyring *ring, const char *current, const char *previous, struct err *err);
void keyring_done(struct keyring *ring); /* wipes */

/* Room for n bytes and a NUL that is wiped with the arena; for a secret's way through a request. */
struct secret secret_room(struct arena *a, size_t n);
struct secret secret_copy(struct arena *a, const char *p, size_t n);

bool seal(const struct keyring *ring, struct arena *a, const char *secret_id, const char *version_id, const char *plain,
          size_t plain_n, char **envelope, struct err *err);
bool seal_open(const struct keyring *ring, struct arena *a, const char *secret_id, const char *version_id,
               const char *envelope, struct secret *out, struct err *err);
/* 32 hex digits that tell two texts apart and, without the master key, nothing about them. */
char *seal_fingerprint(const struct keyring *ring, struct arena *a, const char *text);
/* The id of the key an envelope needs, "" for a Fernet token or another text. */
const char *seal_key_id(struct arena *a, const char *envelope);
/* False when sealing again would be better: an old key, or the old form. */
bool seal_is_current(const struct keyring *ring, const char *envelope);
