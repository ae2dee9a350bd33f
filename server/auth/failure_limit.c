#include "server/auth/failure_limit.h"

#include "core/digest.h"
#include "core/text.h"
#include "server/http/server.h"
#include "storage/codes.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define SETS        1024
#define WAYS        4
#define KEY_N       8
#define REFILL_MS   60000
#define PROVED_MS   3600000 /* how long a right token speaks for its address */
#define PROXIES_MAX 64

const struct setting failure_limit_settings[] = {
	{ "--auth-failure-limit", "LAUNCHPLANE_AUTH_FAILURE_LIMIT", "60", "N",
	  "Failed authentications an address may have in a minute, in each worker; 0: any number", 0 },
	{ "--trusted-proxies", "LAUNCHPLANE_TRUSTED_PROXIES", NULL, "LIST",
	  "Addresses or networks, separated by commas, whose X-Forwarded-For is believed", 0 },
	{ 0 },
};

struct network {
	unsigned char bytes[16];
	unsigned bits; /* of 128; IPv4 is mapped */
};

struct bucket {
	unsigned char key[KEY_N]; /* the IPv4 address, or the first half of the IPv6 one */
	bool is_used, is_v6;
	int64_t failed_ms; /* last failure */
	int64_t proved_ms; /* last right static token; 0: none */
	int64_t level;     /* failures left, in thousandths, as of level_ms */
	int64_t level_ms;
};

struct failure_limit {
	int64_t limit;
	uint64_t seed;
	struct network proxies[PROXIES_MAX];
	size_t proxies_n;
	struct bucket buckets[SETS][WAYS];
};

/* ---- addresses ---- */

/* IPv4 as ::ffff:a.b.c.d. */
static bool address_read(const char *text, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, out + sizeof(mapped)) == 1;
}

static bool is_v4(const unsigned char bytes[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	return memcmp(bytes, mapped, sizeof(mapped)) == 0;
}

static bool network_read(struct arena *a, const char *text, struct network *out)
{
	size_t n = strcspn(text, "/");
	if (!address_read(arena_strndup(a, text, n), out->bytes))
		return false;
	unsigned width = is_v4(out->bytes) && !strchr(text, ':') ? 32 : 128;
	char *end = NULL;
	unsigned long bits = text[n] ? strtoul(text + n + 1, &end, 10) : width;
	if ((text[n] && (!text[n + 1] || *end)) || bits > width)
		return false;
	out->bits = (unsigned)bits + (128 - width);
	return true;
}

static bool is_within(const struct network *n, const unsigned char bytes[16])
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;
	if (memcmp(n->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 || ((n->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_proxy(const struct failure_limit *l, const char *address)
{
	unsigned char bytes[16];
	if (!address_read(address, bytes))
		return false;
	for (size_t i = 0; i < l->proxies_n; i++)
		if (is_within(&l->proxies[i], bytes))
			return true;
	return false;
}

const char *failure_limit_address(const struct failure_limit *l, const struct request *rq)
{
	const char *address = rq->peer;
	/* From the last header's last entry towards the first, as long as a proxy of ours speaks. */
	for (size_t i = rq->headers_n; i-- > 0 && is_proxy(l, address);) {
		if (rq->headers[i].name_n != 15 || memcmp(rq->headers[i].name, "x-forwarded-for", 15) != 0)
			continue;
		const char *list = rq->headers[i].value;
		size_t end = strlen(list);
		while (end && is_proxy(l, address)) {
			size_t start = end;
			unsigned char ignored[16];
			while (start && list[start - 1] != ',')
				start--;
			const char *said = trimmed(rq->arena, arena_strndup(rq->arena, list + start, end - start));
			if (!address_read(said, ignored))
				return address;
			address = said;
			end = start ? start - 1 : 0;
		}
	}
	return address;
}

/* ---- buckets ---- */

static bool key_of(const char *address, unsigned char key[KEY_N], bool *is_v6)
{
	unsigned char bytes[16];
	memset(key, 0, KEY_N);
	*is_v6 = false;
	if (!address_read(address, bytes))
		return false; /* a unix socket: all its callers are one */
	*is_v6 = !is_v4(bytes);
	if (*is_v6)
		memcpy(key, bytes, KEY_N);
	else
		memcpy(key, bytes + 12, 4);
	return true;
}

static struct bucket *bucket_of(struct failure_limit *l, const char *address, int64_t now_ms, bool make)
{
	unsigned char key[KEY_N];
	bool is_v6;
	key_of(address, key, &is_v6);
	/* The seed is random, so that nobody can choose addresses that share a set. */
	struct bucket *set = l->buckets[hash64(l->seed + is_v6, key, KEY_N) % SETS], *oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		struct bucket *b = &set[i];
		if (b->is_used && b->is_v6 == is_v6 && memcmp(b->key, key, KEY_N) == 0)
			return b;
		if (!b->is_used || (oldest->is_used && b->failed_ms < oldest->failed_ms))
			oldest = b;
	}
	if (!make)
		return NULL;
	*oldest = (struct bucket){ .is_used = true, .is_v6 = is_v6, .level = l->limit * 1000, .level_ms = now_ms };
	memcpy(oldest->key, key, KEY_N);
	return oldest;
}

static void refill(const struct failure_limit *l, struct bucket *b, int64_t now_ms)
{
	int64_t passed = now_ms - b->level_ms;
	if (passed < 0 || passed > REFILL_MS)
		passed = REFILL_MS;
	b->level += passed * l->limit * 1000 / REFILL_MS;
	if (b->level > l->limit * 1000)
		b->level = l->limit * 1000;
	b->level_ms = now_ms;
}

static unsigned wait_s(const struct failure_limit *l, const struct bucket *b)
{
	if (b->level >= 1000)
		return 0;
	int64_t ms = (1000 - b->level) * REFILL_MS / (l->limit * 1000);
	return (unsigned)(ms / 1000 + 1);
}

unsigned failure_limit_wait_s(struct failure_limit *l, const char *address, int64_t now_ms)
{
	struct bucket *b = l->limit ? bucket_of(l, address, now_ms, false) : NULL;
	if (!b)
		return 0;
	refill(l, b, now_ms);
	return wait_s(l, b);
}

bool failure_limit_may_guess(struct failure_limit *l, const char *address, int64_t now_ms)
{
	if (failure_limit_wait_s(l, address, now_ms) == 0)
		return true;
	const struct bucket *b = bucket_of(l, address, now_ms, false);
	return b->proved_ms && now_ms - b->proved_ms < PROVED_MS;
}

void failure_limit_proved(struct failure_limit *l, const char *address, int64_t now_ms)
{
	if (l->limit)
		bucket_of(l, address, now_ms, true)->proved_ms = now_ms;
}

unsigned failure_limit_failed(struct failure_limit *l, const char *address, int64_t now_ms)
{
	if (!l->limit)
		return 0;
	struct bucket *b = bucket_of(l, address, now_ms, true);
	refill(l, b, now_ms);
	b->failed_ms = now_ms;
	unsigned wait = wait_s(l, b);
	if (!wait)
		b->level -= 1000;
	return wait;
}

/* ---- settings ---- */

static bool proxies_read(struct failure_limit *l, const char *list, struct err *err)
{
	struct arena *a = arena_new();
	bool ok = true;
	while (ok && *list) {
		size_t n = strcspn(list, ",");
		const char *one = trimmed(a, arena_strndup(a, list, n));
		if (one[0])
			ok = (l->proxies_n < PROXIES_MAX && network_read(a, one, &l->proxies[l->proxies_n++])) ||
			     err_set(err, &E_invalid_request,
			             "LAUNCHPLANE_TRUSTED_PROXIES, --trusted-proxies: must be at most %d addresses or "
			             "networks such as 10.0.0.0/8, not \"%.60s\"",
			             PROXIES_MAX, one);
		list += n + (list[n] == ',');
	}
	arena_free(a);
	return ok;
}

struct failure_limit *failure_limit_new(const struct settings *s, struct err *err)
{
	long long limit;
	const char *proxies = setting(s, "--trusted-proxies");
	if (!setting_int(s, "--auth-failure-limit", 0, 1000000, &limit, err))
		return NULL;
	struct failure_limit *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->limit = limit;
	random_bytes(&l->seed, sizeof(l->seed));
	if (proxies && !proxies_read(l, proxies, err)) {
		failure_limit_free(l);
		return NULL;
	}
	return l;
}

void failure_limit_free(struct failure_limit *l)
{
	free(l);
}
