#include "core/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#define TRACE_PREFIX "launchplane_req_"

static NORETURN void broken(const char *what)
{
	fprintf(stderr, "{\"level\":\"error\",\"event\":\"crypto.broken\",\"what\":\"%s\"}\n", what);
	abort();
}

/* Fetched once: looking an algorithm up costs as much as hashing 200 bytes. */
static EVP_MD *md_sha256, *md_sha1;
static once_flag fetched = ONCE_FLAG_INIT;

static void fetch(void)
{
	md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	if (!md_sha256 || !md_sha1)
		broken("digests");
}

void sha256(const void *p, size_t n, unsigned char out[SHA256_N])
{
	call_once(&fetched, fetch);
	if (!EVP_Digest(p, n, out, NULL, md_sha256, NULL))
		broken("sha256");
}

void sha256_hex(const void *p, size_t n, char out[SHA256_HEX])
{
	unsigned char raw[SHA256_N];
	sha256(p, n, raw);
	hex_write(raw, sizeof(raw), out);
}

void sha1_hex(const void *p, size_t n, char out[SHA1_HEX])
{
	unsigned char raw[20];
	call_once(&fetched, fetch);
	if (!EVP_Digest(p, n, raw, NULL, md_sha1, NULL))
		broken("sha1");
	hex_write(raw, sizeof(raw), out);
}

void hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, unsigned char out[SHA256_N])
{
	unsigned out_n = SHA256_N;
	call_once(&fetched, fetch);
	if (!HMAC(md_sha256, key, (int)key_n, p, n, out, &out_n) || out_n != SHA256_N)
		broken("hmac");
}

static inline uint64_t mix(uint64_t h, uint64_t w)
{
	unsigned __int128 product = (unsigned __int128)(h ^ w) * 0x9fb21c651e98df25u;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Four words at a time, each into a sum of its own, so that the processor need not wait for one multiplication after
 * the other. */
uint64_t hash64(uint64_t seed, const void *bytes, size_t n)
{
	const char *p = bytes;
	uint64_t h[4] = { 0x9e3779b97f4a7c15u ^ n ^ seed, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu ^ seed,
		          0xd6e8feb86659fd93u };
	uint64_t w[4] = { 0 };
	for (; n >= sizeof(w); p += sizeof(w), n -= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		for (size_t i = 0; i < 4; i++)
			h[i] = mix(h[i], w[i]);
	}
	memset(w, 0, sizeof(w));
	memcpy(w, p, n);
	for (size_t i = 0; i < 4; i++)
		h[i] = mix(h[i], w[i]);
	return mix(mix(mix(h[0], h[1]), h[2]), h[3]);
}

/* ---- hex ---- */

void hex_write(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *in = p;
	for (size_t i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

char *hex_encode(struct arena *a, const void *p, size_t n)
{
	char *out = arena_alloc(a, 2 * n + 1);
	hex_write(p, n, out);
	return out;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

bool hex_decode(const char *text, size_t text_n, unsigned char *out)
{
	if (text_n % 2)
		return false;
	for (size_t i = 0; i < text_n; i += 2) {
		int high = hex_value(text[i]), low = hex_value(text[i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(struct arena *a, const char *letters, bool padded, const unsigned char *p, size_t n)
{
	char *out = arena_alloc(a, n / 3 * 4 + 5), *o = out;
	size_t i = 0;
	for (; i + 3 <= n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (unsigned)p[i + 1] << 8 | p[i + 2];
		*o++ = letters[v >> 18];
		*o++ = letters[v >> 12 & 63];
		*o++ = letters[v >> 6 & 63];
		*o++ = letters[v & 63];
	}
	if (i < n) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0);
		*o++ = letters[v >> 18];
		*o++ = letters[v >> 12 & 63];
		if (i + 1 < n)
			*o++ = letters[v >> 6 & 63];
		else if (padded)
			*o++ = '=';
		if (padded)
			*o++ = '=';
	}
	return out;
}

static int letter_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

static bool decode(struct arena *a, const char *text, size_t text_n, bool url, bool padded, unsigned char **out,
                   size_t *n)
{
	if (padded) {
		if (text_n % 4)
			return false;
		for (int pad = 0; pad < 2 && text_n && text[text_n - 1] == '='; pad++)
			text_n--;
	}
	if (text_n % 4 == 1)
		return false;
	unsigned char *o = arena_alloc(a, text_n / 4 * 3 + 3);
	unsigned bits = 0, have = 0;
	size_t count = 0;
	for (size_t i = 0; i < text_n; i++) {
		int v = letter_value(text[i], url);
		if (v < 0)
			return false;
		bits = (bits << 6 | (unsigned)v) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			o[count++] = (unsigned char)(bits >> have);
		}
	}
	if (bits & ((1u << have) - 1))
		return false; /* another text of the same value */
	*out = o;
	*n = count;
	return true;
}

char *base64_encode(struct arena *a, const void *p, size_t n)
{
	return encode(a, alphabet, true, p, n);
}

char *base64url_encode(struct arena *a, const void *p, size_t n)
{
	return encode(a, alphabet_url, false, p, n);
}

bool base64_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n)
{
	return decode(a, text, text_n, false, true, out, n);
}

bool base64url_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n)
{
	return decode(a, text, text_n, true, false, out, n);
}

bool base64url_padded_decode(struct arena *a, const char *text, size_t text_n, unsigned char **out, size_t *n)
{
	return decode(a, text, text_n, true, true, out, n);
}

/* ---- comparison and randomness ---- */

bool bytes_equal(const void *a, size_t a_n, const void *b, size_t b_n)
{
	return a_n == b_n && CRYPTO_memcmp(a, b, a_n) == 0;
}

bool token_equal(const char *given, const char *expected)
{
	if (!given || !expected || !expected[0])
		return false;
	/* Digests have one length, so that nothing is told about the expected one. */
	unsigned char x[SHA256_N], y[SHA256_N];
	sha256(given, strlen(given), x);
	sha256(expected, strlen(expected), y);
	return CRYPTO_memcmp(x, y, SHA256_N) == 0;
}

void random_bytes(void *out, size_t n)
{
	if (RAND_bytes(out, (int)n) != 1)
		broken("randomness");
}

char *random_hex(struct arena *a, size_t bytes)
{
	unsigned char *raw = arena_alloc(a, bytes);
	random_bytes(raw, bytes);
	return hex_encode(a, raw, bytes);
}

char *random_base64url(struct arena *a, size_t bytes)
{
	unsigned char *raw = arena_alloc(a, bytes);
	random_bytes(raw, bytes);
	return base64url_encode(a, raw, bytes);
}

/* Randomness for names, fetched for many at once: OpenSSL's generator costs more by the call than by the byte. Nothing
 * secret comes from here: what has been handed out stays in memory. */
static void name_bytes(void *out, size_t n)
{
	static thread_local unsigned char pool[1024];
	static thread_local size_t used = sizeof(pool);
	if (sizeof(pool) - used < n) {
		random_bytes(pool, sizeof(pool));
		used = 0;
	}
	memcpy(out, pool + used, n);
	used += n;
}

char *id_trace(struct arena *a)
{
	unsigned char raw[16];
	name_bytes(raw, sizeof(raw));
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	char *id = arena_alloc(a, sizeof(TRACE_PREFIX) + 2 * sizeof(raw));
	memcpy(id, TRACE_PREFIX, sizeof(TRACE_PREFIX) - 1);
	hex_write(raw, sizeof(raw), id + sizeof(TRACE_PREFIX) - 1);
	return id;
}

char *sha256_text(struct arena *a, const void *p, size_t n)
{
	char *out = arena_alloc(a, SHA256_HEX);
	sha256_hex(p, n, out);
	return out;
}
