#include "core/seal.h"

#include "core/buf.h"
#include "core/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define PREFIX     "lpseal1."
#define NONCE_N    12
#define TAG_N      16
#define KEY_N      32
#define WRAPPED_N  (NONCE_N + KEY_N + TAG_N)
#define FERNET_MIN (1 + 8 + 16 + 16 + 32)

static void free_ctx(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}

/* ---- keys ---- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 32 bytes in base64, of either alphabet, are the key; anything else is a passphrase whose SHA-256 is the key. */
static void derive(const char *text, size_t n, struct master_key *out)
{
	struct arena *a = arena_new();
	struct secret plain = secret_copy(a, text, n);
	for (size_t i = 0; i < n; i++)
		plain.p[i] = plain.p[i] == '-' ? '+' : plain.p[i] == '_' ? '/' : plain.p[i];
	unsigned char *raw;
	size_t raw_n;
	if (n == 44 && base64_decode(a, plain.p, n, &raw, &raw_n) && raw_n == KEY_N) {
		memcpy(out->key, raw, KEY_N);
		OPENSSL_cleanse(raw, raw_n);
	} else {
		sha256(text, n, out->key);
	}
	arena_free(a);

	static const char label[] = "launchplane-master-key-id";
	unsigned char labelled[sizeof(label) + KEY_N], digest[SHA256_N];
	memcpy(labelled, label, sizeof(label));
	memcpy(labelled + sizeof(label), out->key, KEY_N);
	sha256(labelled, sizeof(labelled), digest);
	OPENSSL_cleanse(labelled, sizeof(labelled));
	hex_write(digest, KEY_ID_N / 2, out->id);
}

static const char *next_word(const char **s, size_t *n)
{
	while (is_blank(**s) || **s == ',')
		(*s)++;
	const char *from = *s;
	while (**s && !is_blank(**s) && **s != ',')
		(*s)++;
	*n = (size_t)(*s - from);
	return from;
}

bool keyring_init(struct keyring *ring, const char *current, const char *previous, struct err *err)
{
	memset(ring, 0, sizeof(*ring));
	const char *from = current ? current : "";
	while (is_blank(*from))
		from++;
	size_t n = strlen(from);
	while (n && is_blank(from[n - 1]))
		n--;
	if (n == 0)
		return err_set(err, &E_secret_configuration_required,
		               "%s is not set: managed secrets need a master key; make one with "
		               "\"openssl rand -base64 32\", keep it outside the database and set it in the service's "
		               "environment",
		               MASTER_KEY_SETTING);
	derive(from, n, &ring->current);
	const char *rest = previous ? previous : "";
	for (;;) {
		const char *word = next_word(&rest, &n);
		if (n == 0)
			return true;
		if (ring->previous_n == KEYRING_PREVIOUS_MAX) {
			keyring_done(ring);
			return err_set(err, &E_secret_configuration_required,
			               "more than %d previous master keys are set", KEYRING_PREVIOUS_MAX);
		}
		derive(word, n, &ring->previous[ring->previous_n++]);
	}
}

void keyring_done(struct keyring *ring)
{
	OPENSSL_cleanse(ring, sizeof(*ring));
}

static const struct master_key *key_by_id(const struct keyring *ring, const char *id, size_t n)
{
	if (n != KEY_ID_N)
		return NULL;
	if (memcmp(ring->current.id, id, n) == 0)
		return &ring->current;
	for (size_t i = 0; i < ring->previous_n; i++)
		if (memcmp(ring->previous[i].id, id, n) == 0)
			return &ring->previous[i];
	return NULL;
}

/* The master key itself also opens Fernet tokens; wrapping has a key of its own. */
static void wrapping_key(const struct master_key *master, unsigned char out[KEY_N])
{
	static const char label[] = "launchplane-secret-wrapping-v1";
	hmac_sha256(master->key, KEY_N, label, sizeof(label) - 1, out);
}

char *seal_fingerprint(const struct keyring *ring, struct arena *a, const char *text)
{
	static const char label[] = "launchplane-fingerprint-v1";
	unsigned char key[KEY_N], mac[SHA256_N];
	char *hex = arena_alloc(a, SHA256_N + 1);
	hmac_sha256(ring->current.key, KEY_N, label, sizeof(label) - 1, key);
	hmac_sha256(key, KEY_N, text, strlen(text), mac);
	hex_write(mac, SHA256_N / 2, hex);
	OPENSSL_cleanse(key, sizeof(key));
	return hex;
}

/* ---- secrets in memory ---- */

static void wipe(void *arg)
{
	struct secret *s = arg;
	OPENSSL_cleanse(s->p, s->n);
}

struct secret secret_room(struct arena *a, size_t n)
{
	struct secret *s = ARENA_NEW(a, struct secret);
	s->p = arena_alloc(a, n + 1);
	s->n = n;
	arena_defer(a, wipe, s);
	return *s;
}

struct secret secret_copy(struct arena *a, const char *p, size_t n)
{
	struct secret s = secret_room(a, n);
	memcpy(s.p, p, n);
	return s;
}

/* ---- AES-256-GCM ---- */

struct part {
	const unsigned char *p;
	size_t n;
};

/* out: nonce, ciphertext, tag. */
static bool gcm_seal(const unsigned char key[KEY_N], struct part aad, struct part plain, unsigned char *out)
{
	AUTO(free_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	random_bytes(out, NONCE_N);
	return ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, out) == 1 &&
	       EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1 &&
	       EVP_EncryptUpdate(ctx, out + NONCE_N, &n, plain.p, (int)plain.n) == 1 && (size_t)n == plain.n &&
	       EVP_EncryptFinal_ex(ctx, out + NONCE_N + n, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_N, out + NONCE_N + plain.n) == 1;
}

/* in: nonce, ciphertext, tag; out has room for in.n - NONCE_N - TAG_N bytes. */
static bool gcm_open(const unsigned char key[KEY_N], struct part aad, struct part in, unsigned char *out)
{
	AUTO(free_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t n = in.n - NONCE_N - TAG_N;
	unsigned char tag[TAG_N];
	memcpy(tag, in.p + NONCE_N + n, TAG_N);
	int done = 0, end = 0;
	return ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, in.p) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &done, aad.p, (int)aad.n) == 1 &&
	       EVP_DecryptUpdate(ctx, out, &done, in.p + NONCE_N, (int)n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_N, tag) == 1 &&
	       EVP_DecryptFinal_ex(ctx, out + done, &end) == 1;
}

/* What an envelope is bound to. The ids cannot hold a NUL, so the parts cannot run into each other. */
static struct part binding(struct arena *a, const char *use, const char *key_id, const char *secret_id,
                           const char *version_id)
{
	struct buf b = buf_in(a);
	const char *const parts[] = { "launchplane-secret-v1", use, key_id, secret_id, version_id };
	for (size_t i = 0; i < countof(parts); i++)
		buf_add(&b, parts[i], strlen(parts[i]) + 1);
	return (struct part){ (const unsigned char *)b.p, b.n };
}

bool seal(const struct keyring *ring, struct arena *a, const char *secret_id, const char *version_id, const char *plain,
          size_t plain_n, char **envelope, struct err *err)
{
	if (plain_n == 0)
		return err_set(err, &E_invalid_request, "an empty secret is not kept");
	if (plain_n > SEAL_PLAINTEXT_MAX)
		return err_set(err, &E_invalid_request, "a secret is larger than %u bytes", SEAL_PLAINTEXT_MAX);
	const struct master_key *master = &ring->current;
	unsigned char data_key[KEY_N], wrapping[KEY_N], wrapped[WRAPPED_N];
	unsigned char *sealed = arena_alloc(a, NONCE_N + plain_n + TAG_N);
	random_bytes(data_key, KEY_N);
	wrapping_key(master, wrapping);
	bool ok = gcm_seal(wrapping, binding(a, "key", master->id, secret_id, version_id),
	                   (struct part){ data_key, KEY_N }, wrapped) &&
	          gcm_seal(data_key, binding(a, "data", master->id, secret_id, version_id),
	                   (struct part){ (const unsigned char *)plain, plain_n }, sealed);
	OPENSSL_cleanse(data_key, sizeof(data_key));
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	if (!ok)
		return err_set(err, &E_internal_error, "a secret cannot be sealed");
	*envelope = arena_printf(a, PREFIX "%s.%s.%s", master->id, base64url_encode(a, wrapped, WRAPPED_N),
	                         base64url_encode(a, sealed, NONCE_N + plain_n + TAG_N));
	return true;
}

/* ---- opening ---- */

static bool cannot_open(struct err *err, const char *secret_id, const char *why)
{
	return err_set(err, &E_internal_error, "the managed secret %s cannot be opened: %s", secret_id, why);
}

static bool open_envelope(const struct keyring *ring, struct arena *a, const char *secret_id, const char *version_id,
                          const char *envelope, struct secret *out, struct err *err)
{
	const char *key_id = envelope + strlen(PREFIX);
	const char *dot = strchr(key_id, '.'), *dot2 = dot ? strchr(dot + 1, '.') : NULL;
	if (!dot2)
		return cannot_open(err, secret_id, "its envelope is malformed");
	const struct master_key *master = key_by_id(ring, key_id, (size_t)(dot - key_id));
	if (!master)
		return cannot_open(err, secret_id, "it was sealed with a master key that is not configured here");
	unsigned char *wrapped, *sealed;
	size_t wrapped_n, sealed_n;
	if (!base64url_decode(a, dot + 1, (size_t)(dot2 - dot - 1), &wrapped, &wrapped_n) || wrapped_n != WRAPPED_N ||
	    !base64url_decode(a, dot2 + 1, strlen(dot2 + 1), &sealed, &sealed_n) || sealed_n <= NONCE_N + TAG_N ||
	    sealed_n > SEAL_PLAINTEXT_MAX + NONCE_N + TAG_N)
		return cannot_open(err, secret_id, "its envelope is malformed");
	unsigned char wrapping[KEY_N], data_key[KEY_N];
	wrapping_key(master, wrapping);
	struct secret plain = secret_room(a, sealed_n - NONCE_N - TAG_N);
	bool ok = gcm_open(wrapping, binding(a, "key", master->id, secret_id, version_id),
	                   (struct part){ wrapped, wrapped_n }, data_key) &&
	          gcm_open(data_key, binding(a, "data", master->id, secret_id, version_id),
	                   (struct part){ sealed, sealed_n }, (unsigned char *)plain.p);
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	OPENSSL_cleanse(data_key, sizeof(data_key));
	if (!ok)
		return cannot_open(err, secret_id, "the key is wrong, or the record was changed or moved");
	*out = plain;
	return true;
}

/* The HMAC is checked before anything is decrypted. */
static bool fernet_is_signed(const struct master_key *master, const unsigned char *token, size_t n)
{
	unsigned char mac[SHA256_N];
	hmac_sha256(master->key, 16, token, n - SHA256_N, mac);
	return bytes_equal(mac, SHA256_N, token + n - SHA256_N, SHA256_N);
}

static bool fernet_decrypt(const struct master_key *master, const unsigned char *token, size_t n, struct secret *plain)
{
	AUTO(free_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int done = 0, end = 0;
	if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_128_cbc(), NULL, master->key + 16, token + 9) != 1 ||
	    EVP_DecryptUpdate(ctx, (unsigned char *)plain->p, &done, token + 25, (int)(n - 25 - SHA256_N)) != 1 ||
	    EVP_DecryptFinal_ex(ctx, (unsigned char *)plain->p + done, &end) != 1)
		return false;
	plain->n = (size_t)done + (size_t)end;
	plain->p[plain->n] = '\0';
	return true;
}

static bool open_fernet(const struct keyring *ring, struct arena *a, const char *secret_id, const char *text,
                        struct secret *out, struct err *err)
{
	assert(ring);
	unsigned char *token;
	size_t n;
	if (!base64url_padded_decode(a, text, strlen(text), &token, &n) || n < FERNET_MIN || token[0] != 0x80 ||
	    (n - (FERNET_MIN - 16)) % 16 != 0 || n > SEAL_PLAINTEXT_MAX + FERNET_MIN)
		return cannot_open(err, secret_id, "its envelope is malformed");
	const struct master_key *master = fernet_is_signed(&ring->current, token, n) ? &ring->current : NULL;
	for (size_t i = 0; !master && i < ring->previous_n; i++)
		master = fernet_is_signed(&ring->previous[i], token, n) ? &ring->previous[i] : NULL;
	if (!master)
		return cannot_open(err, secret_id, "the key is wrong, or the record was changed");
	struct secret plain = secret_room(a, n);
	if (!fernet_decrypt(master, token, n, &plain) || plain.n == 0)
		return cannot_open(err, secret_id, "its envelope is malformed");
	*out = plain;
	return true;
}

static bool is_envelope(const char *text)
{
	return strncmp(text, PREFIX, strlen(PREFIX)) == 0;
}

bool seal_open(const struct keyring *ring, struct arena *a, const char *secret_id, const char *version_id,
               const char *envelope, struct secret *out, struct err *err)
{
	return is_envelope(envelope) ? open_envelope(ring, a, secret_id, version_id, envelope, out, err)
	                             : open_fernet(ring, a, secret_id, envelope, out, err);
}

const char *seal_key_id(struct arena *a, const char *envelope)
{
	if (!is_envelope(envelope))
		return "";
	const char *id = envelope + strlen(PREFIX);
	return strcspn(id, ".") == KEY_ID_N ? arena_strndup(a, id, KEY_ID_N) : "";
}

bool seal_is_current(const struct keyring *ring, const char *envelope)
{
	const char *id = envelope + strlen(PREFIX);
	return is_envelope(envelope) && strncmp(id, ring->current.id, KEY_ID_N) == 0 && id[KEY_ID_N] == '.';
}
