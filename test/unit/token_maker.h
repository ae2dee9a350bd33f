/* test/unit/token_maker.h - keys and tokens as an OIDC issuer makes them, and as it never would. */
#pragma once

#include "core/buf.h"
#include "core/digest.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static inline EVP_PKEY *make_rsa(unsigned bits)
{
	EVP_PKEY *key = EVP_RSA_gen(bits);
	if (!key)
		abort();
	return key;
}

static inline char *number_text(struct arena *a, EVP_PKEY *key, const char *name)
{
	BIGNUM *n = NULL;
	if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
		abort();
	unsigned char raw[1100];
	int size = BN_bn2bin(n, raw);
	BN_free(n);
	return base64url_encode(a, raw, (size_t)size);
}

/* extra: more members, starting with a comma, or "". */
static inline char *make_jwk(struct arena *a, EVP_PKEY *key, const char *kid, const char *extra)
{
	return arena_printf(a, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid,
	                    number_text(a, key, OSSL_PKEY_PARAM_RSA_N), number_text(a, key, OSSL_PKEY_PARAM_RSA_E),
	                    extra);
}

static inline char *token_sign(struct arena *a, EVP_PKEY *key, const EVP_MD *md, const char *text)
{
	unsigned char signature[1100];
	size_t n = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text, strlen(text)) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	return arena_printf(a, "%s.%s", text, base64url_encode(a, signature, n));
}

static inline char *make_token(struct arena *a, EVP_PKEY *key, const char *header, const char *claims)
{
	char *text = arena_printf(a, "%s.%s", base64url_encode(a, header, strlen(header)),
	                          base64url_encode(a, claims, strlen(claims)));
	return token_sign(a, key, EVP_sha256(), text);
}
