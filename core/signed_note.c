#include "core/signed_note.h"

#include "core/buf.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_N 64
#define HASH_N      4
#define DASH        "\xe2\x80\x94 " /* an em dash and a blank begin a signature's line */

static void evp_free(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static void md_free(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

/* ---- keys ---- */

static void key_hash(const char *name, const unsigned char public_key[32], unsigned char out[HASH_N])
{
	unsigned char text[100 + 2 + 32], digest[SHA256_N];
	size_t n = (size_t)snprintf((char *)text, sizeof text, "%s\n\1", name); /* 1: Ed25519 */
	memcpy(text + n, public_key, 32);
	sha256(text, n + 32, digest);
	memcpy(out, digest, HASH_N);
}

static void set_id(struct note_key *k)
{
	unsigned char hash[HASH_N];
	key_hash(k->name, k->public_key, hash);
	hex_write(hash, sizeof(hash), k->id);
}

void note_key_of_seed(const char *name, const unsigned char seed[NOTE_SEED_N], struct note_key *out)
{
	AUTO(evp_free) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, NOTE_SEED_N);
	size_t n = sizeof(out->public_key);
	*out = (struct note_key){ .can_sign = true };
	snprintf(out->name, sizeof(out->name), "%s", name);
	memcpy(out->seed, seed, NOTE_SEED_N);
	if (!key || EVP_PKEY_get_raw_public_key(key, out->public_key, &n) != 1)
		abort(); /* any 32 bytes are a seed */
	set_id(out);
}

void note_key_done(struct note_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

bool note_key_parse(const char *text, struct note_key *out, struct err *err)
{
	struct arena *a = arena_new();
	const char *plus = strchr(text, '+'), *second = plus ? strchr(plus + 1, '+') : NULL;
	unsigned char *bytes = NULL;
	size_t n = 0, last = second ? strcspn(second + 1, " \t\r\n") : 0;
	bool ok = second && plus > text && (size_t)(plus - text) < sizeof(out->name) && second - plus == 9 &&
	          second[1 + last + strspn(second + 1 + last, " \t\r\n")] == '\0' &&
	          base64_decode(a, second + 1, last, &bytes, &n) && n == 33 && bytes[0] == 1;
	if (ok) {
		*out = (struct note_key){ 0 };
		memcpy(out->name, text, (size_t)(plus - text));
		memcpy(out->public_key, bytes + 1, 32);
		set_id(out);
		ok = strncmp(out->id, plus + 1, NOTE_KEY_ID_N) == 0;
	}
	arena_free(a);
	return ok || err_set(err, &E_invalid_request,
	                     "the public key is not of the form NAME+HASH+BASE64, as GET /v1/audit/keys shows it");
}

const char *note_key_text(struct arena *a, const struct note_key *k)
{
	unsigned char bytes[33] = { 1 };
	memcpy(bytes + 1, k->public_key, 32);
	return arena_printf(a, "%s+%s+%s", k->name, k->id, base64_encode(a, bytes, sizeof(bytes)));
}

/* ---- signing ---- */

const char *checkpoint_sign(struct arena *a, const struct note_key *k, const struct checkpoint *c)
{
	struct buf b = buf_in(a);
	buf_printf(&b, "%s\n%llu\n%s\nprevious %llu\ntime %s\n", c->origin, (unsigned long long)c->size,
	           base64_encode(a, c->root.b, MERKLE_N), (unsigned long long)c->previous, c->time);
	AUTO(evp_free) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->seed, NOTE_SEED_N);
	AUTO(md_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char signature[HASH_N + SIGNATURE_N];
	size_t n = SIGNATURE_N;
	key_hash(k->name, k->public_key, signature);
	if (!key || !ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, signature + HASH_N, &n, (const unsigned char *)b.p, b.n) != 1)
		abort(); /* no memory */
	buf_printf(&b, "\n" DASH "%s %s\n", k->name, base64_encode(a, signature, sizeof(signature)));
	return b.p;
}

/* ---- reading ---- */

static bool bad_note(struct err *err)
{
	return err_set(err, &E_invalid_request,
	               "this is not a checkpoint: a name, a size, a root hash and a signature are expected");
}

static const char *next_line(struct arena *a, const char **p)
{
	const char *end = strchr(*p, '\n');
	if (!end)
		return NULL;
	const char *line = arena_strndup(a, *p, (size_t)(end - *p));
	*p = end + 1;
	return line;
}

static bool read_size(const char *text, uint64_t *out)
{
	size_t n = strlen(text);
	if (n == 0 || n > 18 || strspn(text, "0123456789") != n || (n > 1 && text[0] == '0'))
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

/* A signature's line into the key's name, hash and signature. */
static bool read_signature(struct arena *a, const char *line, const char **name, unsigned char **bytes)
{
	size_t n;
	if (strncmp(line, DASH, strlen(DASH)) != 0)
		return false;
	line += strlen(DASH);
	const char *blank = strchr(line, ' ');
	if (!blank || blank == line)
		return false;
	*name = arena_strndup(a, line, (size_t)(blank - line));
	return base64_decode(a, blank + 1, strlen(blank + 1), bytes, &n) && n == HASH_N + SIGNATURE_N;
}

bool checkpoint_parse(struct arena *a, const char *note, struct checkpoint *out, struct err *err)
{
	const char *p = note, *origin = next_line(a, &p), *size = origin ? next_line(a, &p) : NULL,
	           *root = size ? next_line(a, &p) : NULL, *line = "", *name;
	unsigned char *bytes;
	size_t n;
	if (!root || !origin[0] || !read_size(size, &out->size) || !base64_decode(a, root, strlen(root), &bytes, &n) ||
	    n != MERKLE_N)
		return bad_note(err);
	memcpy(out->root.b, bytes, MERKLE_N);
	out->origin = origin;
	out->time = out->key_id = "";
	out->previous = 0;
	while ((line = next_line(a, &p)) && line[0]) {
		if (strncmp(line, "previous ", 9) == 0 && !read_size(line + 9, &out->previous))
			return bad_note(err);
		if (strncmp(line, "time ", 5) == 0)
			out->time = line + 5;
	}
	if (!line || !(line = next_line(a, &p)) || !read_signature(a, line, &name, &bytes))
		return bad_note(err);
	out->key_id = hex_encode(a, bytes, HASH_N);
	return true;
}

bool note_is_signed(struct arena *a, const char *note, const struct note_key *k)
{
	const char *end = strstr(note, "\n\n"), *p, *line, *name;
	unsigned char hash[HASH_N], *bytes;
	if (!end)
		return false;
	size_t signed_n = (size_t)(end - note) + 1;
	key_hash(k->name, k->public_key, hash);
	for (p = end + 2; (line = next_line(a, &p));) {
		if (!read_signature(a, line, &name, &bytes) || strcmp(name, k->name) != 0 ||
		    memcmp(bytes, hash, HASH_N) != 0)
			continue;
		AUTO(evp_free)
		EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->public_key, 32);
		AUTO(md_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		if (!ctx)
			abort();
		if (key && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, bytes + HASH_N, SIGNATURE_N, (const unsigned char *)note, signed_n) == 1)
			return true;
	}
	return false;
}
