#include "core/jwt.h"

#include "core/digest.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>
#include <strings.h>
#include <threads.h>

#define KID_MAX      256
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define TIME_MAX     (INT64_C(1) << 40) /* seconds; keeps milliseconds within 64 bits */

/* clang-format off */
static const struct {
	const char *name, *help;
} refusals[] = {
	{ "accepted", "" },
#define X(name, help) { #name, help },
	TOKEN_REFUSALS(X)
#undef X
};
/* clang-format on */

const char *token_refusal_name(enum token_refusal r)
{
	return refusals[r].name;
}

const char *token_refusal_help(enum token_refusal r)
{
	return refusals[r].help;
}

/* ---- taking apart ---- */

static enum token_refusal part_of(struct arena *a, const char *p, size_t n, enum token_refusal not_json,
                                  struct json *out)
{
	unsigned char *raw;
	size_t raw_n;
	struct err ignored = { 0 };
	if (!base64url_decode(a, p, n, &raw, &raw_n))
		return REFUSED_token_not_base64url;
	return json_parse(a, (char *)raw, raw_n, "token", out, &ignored) && out->type == JSON_OBJECT ? TOKEN_ACCEPTED
	                                                                                             : not_json;
}

static bool has_any(const struct json *object, const char *const *keys)
{
	for (; *keys; keys++)
		if (json_get(object, *keys))
			return true;
	return false;
}

static enum token_refusal check_header(const struct json *header, const char **kid)
{
	static const char *const critical[] = { "crit", "b64", NULL };
	static const char *const keys[] = { "jwk", "jku", "x5c", "x5u", NULL };
	const struct json *alg = json_get(header, "alg"), *typ = json_get(header, "typ"), *id = json_get(header, "kid");
	if (!alg)
		return REFUSED_alg_missing;
	if (alg->type == JSON_STRING && strcasecmp(alg->string, "none") == 0)
		return REFUSED_alg_none;
	if (alg->type != JSON_STRING || strcmp(alg->string, "RS256") != 0)
		return REFUSED_alg_not_allowed;
	if (has_any(header, critical))
		return REFUSED_critical_header;
	if (has_any(header, keys))
		return REFUSED_embedded_key;
	if (typ && (typ->type != JSON_STRING || strcasecmp(typ->string, "JWT") != 0))
		return REFUSED_token_type_invalid;
	if (!id)
		return REFUSED_key_id_missing;
	if (id->type != JSON_STRING || id->n == 0 || id->n > KID_MAX)
		return REFUSED_key_id_invalid;
	*kid = id->string;
	return TOKEN_ACCEPTED;
}

enum token_refusal jwt_parse(struct arena *a, const char *token, size_t n, struct jwt *out)
{
	if (n == 0)
		return REFUSED_token_missing;
	if (n > JWT_MAX_BYTES)
		return REFUSED_token_too_large;
	const char *end = token + n;
	const char *dot = memchr(token, '.', n);
	const char *dot2 = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
	if (!dot2 || memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)))
		return REFUSED_token_malformed;
	*out = (struct jwt){ .signed_part = token, .signed_n = (size_t)(dot2 - token) };
	unsigned char *signature;
	enum token_refusal r = part_of(a, token, (size_t)(dot - token), REFUSED_header_not_json, &out->header);
	/* What the header asks for is judged first: "alg none" has an empty signature, and that is not the point. */
	if (r == TOKEN_ACCEPTED)
		r = check_header(&out->header, &out->kid);
	if (r == TOKEN_ACCEPTED)
		r = part_of(a, dot + 1, (size_t)(dot2 - dot - 1), REFUSED_claims_not_json, &out->claims);
	if (r != TOKEN_ACCEPTED)
		return r;
	if (dot2 + 1 == end)
		return REFUSED_signature_missing;
	if (!base64url_decode(a, dot2 + 1, (size_t)(end - dot2 - 1), &signature, &out->signature_n))
		return REFUSED_token_not_base64url;
	out->signature = signature;
	return TOKEN_ACCEPTED;
}

/* ---- the signature ---- */

/* Ready to verify with a key. Kept for the key used last, to which it holds a reference: setting it up costs a quarter
 * of the arithmetic, and an issuer signs with one key for days. */
static EVP_PKEY_CTX *context_of(EVP_PKEY *key)
{
	static thread_local EVP_PKEY_CTX *last;
	if (last && EVP_PKEY_CTX_get0_pkey(last) == key)
		return last;
	EVP_PKEY_CTX_free(last);
	last = EVP_PKEY_CTX_new(key, NULL);
	if (last && EVP_PKEY_verify_init(last) == 1 && EVP_PKEY_CTX_set_rsa_padding(last, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(last, EVP_sha256()) == 1)
		return last;
	EVP_PKEY_CTX_free(last);
	last = NULL;
	return NULL;
}

bool rs256_verify(const struct jwt *jwt, EVP_PKEY *key)
{
	unsigned char digest[SHA256_N];
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || jwt->signature_n != (size_t)EVP_PKEY_get_size(key))
		return false;
	EVP_PKEY_CTX *context = context_of(key);
	sha256(jwt->signed_part, jwt->signed_n, digest);
	bool ok = context && EVP_PKEY_verify(context, jwt->signature, jwt->signature_n, digest, sizeof(digest)) == 1;
	ERR_clear_error();
	return ok;
}

/* ---- claims ---- */

static bool audience_is(const struct json *aud, const char *audience, enum token_refusal *r)
{
	*r = REFUSED_wrong_audience;
	if (!aud)
		return false;
	if (aud->type == JSON_STRING)
		return strcmp(aud->string, audience) == 0;
	if (aud->type != JSON_ARRAY) {
		*r = REFUSED_claim_type;
		return false;
	}
	bool found = false;
	for (uint32_t i = 0; i < aud->n; i++) {
		if (aud->items[i].type != JSON_STRING) {
			*r = REFUSED_claim_type;
			return false;
		}
		found = found || strcmp(aud->items[i].string, audience) == 0;
	}
	return found;
}

/* A time in whole seconds; absent leaves -1. False for another type or a time nobody means. */
static bool time_of(const struct json *claims, const char *name, int64_t *out_s)
{
	const struct json *j = json_get(claims, name);
	*out_s = -1;
	if (!j)
		return true;
	if (j->type != JSON_INT || j->integer < 0 || j->integer > TIME_MAX)
		return false;
	*out_s = j->integer;
	return true;
}

enum token_refusal jwt_check_claims(const struct json *claims, const char *issuer, const char *audience, int64_t now_ms,
                                    int64_t *exp_ms, int64_t *valid_from_ms)
{
	const struct json *iss = json_get(claims, "iss");
	if (iss && iss->type != JSON_STRING)
		return REFUSED_claim_type;
	if (!iss || strcmp(iss->string, issuer) != 0)
		return REFUSED_wrong_issuer;
	enum token_refusal r;
	if (!audience_is(json_get(claims, "aud"), audience, &r))
		return r;
	int64_t exp, nbf, iat;
	if (!time_of(claims, "exp", &exp) || !time_of(claims, "nbf", &nbf) || !time_of(claims, "iat", &iat))
		return REFUSED_claim_type;
	if (exp < 0)
		return REFUSED_expiry_missing;
	if (iat < 0)
		return REFUSED_issued_at_missing;
	if (exp * 1000 <= now_ms)
		return REFUSED_token_expired;
	if (nbf >= 0 && nbf * 1000 > now_ms)
		return REFUSED_token_not_yet_valid;
	if (iat * 1000 > now_ms)
		return REFUSED_token_from_the_future;
	*exp_ms = exp * 1000;
	*valid_from_ms = (nbf > iat ? nbf : iat) * 1000;
	return TOKEN_ACCEPTED;
}

/* ---- keys ---- */

static void free_bn(BIGNUM **n)
{
	BN_free(*n);
}

static void free_builder(OSSL_PARAM_BLD **b)
{
	OSSL_PARAM_BLD_free(*b);
}

static void free_params(OSSL_PARAM **p)
{
	OSSL_PARAM_free(*p);
}

static void free_pkey_ctx(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

static BIGNUM *number_of(struct arena *a, const struct json *jwk, const char *name)
{
	const char *text = json_str(jwk, name, "");
	unsigned char *raw;
	size_t n;
	if (!base64url_decode(a, text, strlen(text), &raw, &n) || n == 0 || n > RSA_BITS_MAX / 8 + 1)
		return NULL;
	return BN_bin2bn(raw, (int)n, NULL);
}

static bool is_or_absent(const struct json *jwk, const char *name, const char *expected)
{
	return !json_get(jwk, name) || strcmp(json_str(jwk, name, ""), expected) == 0;
}

static EVP_PKEY *make_key(BIGNUM *n, BIGNUM *e)
{
	AUTO(free_builder) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	if (!builder || OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		return NULL;
	AUTO(free_params) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	AUTO(free_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

bool rs256_key_of_jwk(struct arena *a, const struct json *jwk, EVP_PKEY **out, const char **why)
{
	*why = "it is no RSA key";
	if (strcmp(json_str(jwk, "kty", ""), "RSA") != 0)
		return false;
	*why = "it is not for RS256 signatures";
	if (!is_or_absent(jwk, "use", "sig") || !is_or_absent(jwk, "alg", "RS256"))
		return false;
	*why = "it is a private key";
	if (json_get(jwk, "d"))
		return false;
	AUTO(free_bn) BIGNUM *n = number_of(a, jwk, "n");
	AUTO(free_bn) BIGNUM *e = number_of(a, jwk, "e");
	*why = "its numbers are malformed";
	if (!n || !e || !BN_is_odd(n) || !BN_is_odd(e) || BN_num_bits(e) < 2 || BN_num_bits(e) > 33)
		return false;
	*why = "its size is not between 2048 and 8192 bits";
	if (BN_num_bits(n) < RSA_BITS_MIN || BN_num_bits(n) > RSA_BITS_MAX)
		return false;
	*why = "OpenSSL refuses it";
	EVP_PKEY *key = make_key(n, e);
	ERR_clear_error();
	if (!key)
		return false;
	*why = NULL;
	*out = key;
	return true;
}
