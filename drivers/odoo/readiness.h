/* drivers/odoo/readiness.h - is the lane really up: health, canonical link and logo (facts/odoo.md 10).
 *
 * The judging functions are pure. A probe makes one attempt (the logo one attempt a candidate) and judges it; trying
 * again is for the operation's phases: health until its deadline whatever the failure, canonical and logo only while
 * unreachable. Addresses come from records, never from a request. */
#pragma once

#include "core/http_client.h"
#include "storage/evidence.h"

#define READINESS_USER_AGENT "Launchplane-Odoo-Verify/1"

struct readiness_probe {
	const char *probe; /* health, canonical, logo */
	const char *url;
	int status; /* enum release_status: pass, fail, skipped */
	struct opt_int status_code;
	const char *content_type;
	const char *failure_class; /* "", http, payload_status, unreachable, stale_preview_marker, canonical_missing,
	                              html_404, logo_unavailable */
	const char *detail;
};
extern const struct contract readiness_probe_contract;

/* facts/odoo.md 10.4; a contract, so that an operation can keep it between phases. */
struct verification_evidence {
	const char *base_url, *health_url, *canonical_url;
	struct strings logo_urls;
	LIST_OF(struct readiness_probe) probes;
};
extern const struct contract verification_evidence_contract;

/* An answer as the judges see it; reached false: there was none, and detail says why. */
struct probe_answer {
	bool reached;
	int status;
	const char *content_type, *body, *detail;
	const char *moved_to; /* the host that redirects led to; NULL or "" without one */
	size_t body_n;
};

void readiness_judge_health(struct arena *a, const char *url, const struct probe_answer *answer,
                            struct readiness_probe *out);
/* preview_host is the product's preview base host ("" when it has none): a page that still speaks of it is not this
 * lane's. */
void readiness_judge_canonical(struct arena *a, const char *base_url, const char *preview_host,
                               const struct probe_answer *answer, struct readiness_probe *out);
void readiness_judge_logo(struct arena *a, const char *url, const struct probe_answer *answer,
                          struct readiness_probe *out);
/* Where the logo may be: same-origin website logos of the page, at most four, then /web/image/website/1/logo below
 * base_url. */
struct strings readiness_logo_candidates(struct arena *a, const char *base_url, const char *page);
/* Whether the phase should try again after this failure. */
bool readiness_should_retry(const struct readiness_probe *probe);
/* What a probe that was not asked for, or not reached, leaves. */
void readiness_skip(struct readiness_probe *out, const char *probe, const char *url);

/* Adds probe, replacing an earlier one of the same kind: the last attempt is the evidence. */
void verification_add(struct arena *a, struct verification_evidence *e, const struct readiness_probe *probe);
/* Scheme, host, no trailing '/'. */
char *readiness_base_url(struct arena *a, const char *url);
#define READINESS_HEALTH_PATH "/launchplane/health"
/* lane.health_url, unless it is blank or merely what the profile's health_path gives: then base + /launchplane/health.
 */
char *readiness_health_url(struct arena *a, const char *base_url, const char *lane_health_url, const char *health_path);

/* One attempt each, at most timeout_ms. False only when the task was cancelled or ran out of time. body (may be NULL)
 * gets the answer's text for runtime_identity_judge(), NULL when there was none; page the base URL's HTML for the logo.
 */
SUSPENDS OUTSIDE_TX bool readiness_probe_health(struct task *t, const char *url, uint32_t timeout_ms,
                                                struct readiness_probe *out, const char **body, size_t *body_n,
                                                struct err *err);
SUSPENDS OUTSIDE_TX bool readiness_probe_canonical(struct task *t, const char *base_url, const char *preview_host,
                                                   uint32_t timeout_ms, struct readiness_probe *out, struct err *err);
/* Fetches the page, then candidates until one is a logo. urls gets the one that passed, or all that were tried. */
SUSPENDS OUTSIDE_TX bool readiness_probe_logo(struct task *t, const char *base_url, uint32_t timeout_ms,
                                              struct readiness_probe *out, struct strings *urls, struct err *err);
