/* core/digest.h - digests, encodings, comparison in constant time, randomness. OpenSSL does the work.
 *
 * Decoders are strict: one text for each value, nothing skipped. Failures of OpenSSL itself (no memory, no randomness)
 * abort: nobody could go on. Safe to call from any thread. */
#pragma once

#include "core/arena.h"

#define SHA256_N   32
#define SHA256_HEX 65 /* with the NUL */
#define SHA1_HEX   41

void sha256(const void *p, size_t n, unsigned char out[SHA256_N]);
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX]);
/* The same as a string in an arena. */
char *sha256_text(struct arena *a, const void *p, size_t n);
void sha1_hex(const void *p, size_t n, char out[SHA1_HEX]);
void hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, unsigned char out[SHA256_N]);

void hex_write(const void *p, size_t n, char *out); /* 2n characters and a NUL, lower case */
char *hex_encode(struct arena *a, const void *p, size_t n);
bool hex_decode(const char *text, size_t text_n, unsigned char *out); /* text_n / 2 bytes; either case */

/* base64 has padding, base64url (RFC 7515) has none. */
char *base64_encode(struct arena *a, const void *p, size_t n);
char *base64url_encode(struct arena *a, const void *p, size_t n);
/* The result has a NUL behind its n bytes. */
bool base64_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n);
bool base64url_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n);
/* The URL-safe alphabet with padding, as Fernet writes it. */
bool base64url_padded_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n);

/* For tables and tags: fast, and even over its 64 bits; no proof against somebody who knows the seed. */
uint64_t hash64(uint64_t seed, const void *p, size_t n);

/* Takes as long for a difference in the first byte as for one in the last. The lengths are not a secret. */
bool bytes_equal(const void *a, size_t a_n, const void *b, size_t b_n);
/* For tokens: the same, and an empty expected value equals nothing. */
bool token_equal(const char *given, const char *expected);

void random_bytes(void *out, size_t n);
char *random_hex(struct arena *a, size_t bytes);
char *random_base64url(struct arena *a, size_t bytes);
char *id_trace(struct arena *a); /* "launchplane_req_" and 32 hex digits of a random UUID */
