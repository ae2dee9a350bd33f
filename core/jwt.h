/* core/jwt.h - signed tokens: a compact JWS (RFC 7515) taken apart strictly, RS256 verified, common claims checked.
 *
 * One parser decides what a token says, and the signature is checked by OpenSSL directly: cjose would read the header a
 * second time with a parser of other habits, and it would pick the algorithm from the token. Here the algorithm is
 * RS256, whatever a token asks for, and the key is one the caller found by its kid; a token cannot bring or name a
 * place of its own.
 *
 * Every way to be refused has its own name, for the log; a caller is only ever told authentication_required. */
#pragma once

#include "core/json.h"

#include <openssl/evp.h>

#define JWT_MAX_BYTES 16384

/* name in the log, meaning */
#define TOKEN_REFUSALS(X)                                                                                              \
	X(token_missing, "no bearer token was sent")                                                                   \
	X(token_too_large, "the token is larger than 16 KiB")                                                          \
	X(token_malformed, "not three parts with a dot between them")                                                  \
	X(token_not_base64url, "a part is not base64url as RFC 7515 wants it: no padding, one text for each value")    \
	X(header_not_json, "the header is no JSON object without repeated members")                                    \
	X(claims_not_json, "the claims are no JSON object without repeated members")                                   \
	X(token_type_invalid, "typ is another than JWT")                                                               \
	X(alg_missing, "the header names no algorithm")                                                                \
	X(alg_none, "the header asks for no signature")                                                                \
	X(alg_not_allowed, "the header asks for another algorithm than RS256")                                         \
	X(critical_header, "the header demands an extension (crit, b64)")                                              \
	X(embedded_key, "the header brings or points to a key of its own (jwk, jku, x5c, x5u)")                        \
	X(key_id_missing, "the header has no kid")                                                                     \
	X(key_id_invalid, "kid is no string of 1 to 256 bytes")                                                        \
	X(unknown_key, "the issuer has no key of that kid")                                                            \
	X(keys_unavailable, "the issuer's keys could not be fetched")                                                  \
	X(signature_missing, "the third part is empty")                                                                \
	X(signature_invalid, "the signature is not of that key")                                                       \
	X(claim_type, "a claim has the wrong type")                                                                    \
	X(wrong_issuer, "iss is not the configured issuer")                                                            \
	X(wrong_audience, "aud does not name this service")                                                            \
	X(expiry_missing, "there is no exp")                                                                           \
	X(issued_at_missing, "there is no iat")                                                                        \
	X(token_expired, "exp has passed")                                                                             \
	X(token_not_yet_valid, "nbf is in the future")                                                                 \
	X(token_from_the_future, "iat is in the future")                                                               \
	X(repository_missing, "repository is missing or blank")                                                        \
	X(workflow_ref_missing, "workflow_ref is missing or blank")                                                    \
	X(owner_contradicts_repository, "repository_owner is not the owner in repository")                             \
	X(subject_malformed, "sub names a repository in neither of GitHub's forms")                                    \
	X(subject_contradicts_repository, "sub names another repository or owner than the claims")                     \
	X(subject_contradicts_id, "sub has other numbers of repository or owner than the claims")                      \
	X(subject_contradicts_ref, "sub names another ref than the claims")                                            \
	X(subject_contradicts_environment, "sub names another environment than the claims")                            \
	X(subject_contradicts_event, "sub is a pull request's, event_name is not, or the other way round")             \
	X(subject_contradicts_workflow, "sub names another workflow than the claims")

/* clang-format off */
enum token_refusal {
	TOKEN_ACCEPTED,
#define X(name, help) REFUSED_##name,
	TOKEN_REFUSALS(X)
#undef X
	TOKEN_REFUSALS_N
};
/* clang-format on */

const char *token_refusal_name(enum token_refusal r); /* "accepted", "token_expired", ... */
const char *token_refusal_help(enum token_refusal r);

/* Strings and trees live in the arena; nothing here is to be trusted before rs256_verify(). */
struct jwt {
	const char *kid;
	struct json header, claims;
	const char *signed_part; /* in the caller's token */
	size_t signed_n;
	const unsigned char *signature;
	size_t signature_n;
};

enum token_refusal jwt_parse(struct arena *a, const char *token, size_t n, struct jwt *out);
bool rs256_verify(const struct jwt *jwt, EVP_PKEY *key);

/* What any issuer's token must satisfy: iss is issuer, aud is or holds audience, exp and iat are there, and exp, nbf
 * and iat agree with now_ms (UTC) to the millisecond. Sets *exp_ms and *valid_from_ms for those who keep the outcome.
 */
enum token_refusal jwt_check_claims(const struct json *claims, const char *issuer, const char *audience, int64_t now_ms,
                                    int64_t *exp_ms, int64_t *valid_from_ms);

/* An RSA key of a key set, for RS256 signatures, of 2048 to 8192 bits. *why says what is odd about a key that
 * is refused, and is NULL for one that is taken. The caller frees the key. */
bool rs256_key_of_jwk(struct arena *a, const struct json *jwk, EVP_PKEY **out, const char **why);
