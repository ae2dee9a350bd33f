/* storage/codes.h - the error codes of the product, beside core/err.h's general ones. Facts: core.md 1.5, odoo.md 1.3,
 * config-health.md 0.2. */
#pragma once

#include "core/err.h"

/*      wire code, status, worth another try, when */
#define PRODUCT_ERROR_CODES(X)                                                                                         \
	X(invalid_oauth_callback, 400, false,                                                                          \
	  "The sign-in did not come back as it was begun, or GitHub refused its code")                                 \
	X(reason_required, 400, false, "This caller must give a reason for this change")                               \
	X(confirmation_required, 400, false, "The confirmation phrase is missing or not exact")                        \
	X(idempotency_key_required, 400, false, "The route needs the Idempotency-Key header")                          \
	X(invalid_dokploy_target_setup, 400, false, "The target setup cannot be done as asked")                        \
	X(invalid_dokploy_target_inspect, 400, false, "The target cannot be inspected as asked")                       \
	X(invalid_context_cutover_request, 400, false, "The product cannot move between these contexts as asked")      \
	X(invalid_context_cutover_audit_request, 400, false, "The contexts cannot be compared as asked")               \
	X(invalid_legacy_context_cleanup_request, 400, false,                                                          \
	  "The old context cannot be cleaned up as asked; blocked items lack their twin in the target context")        \
	X(runtime_key_safety_failed, 400, false, "A secret may not be bound there under the active key-safety policy") \
	X(browser_mutation_denied, 403, false,                                                                         \
	  "A change with a session cookie did not come from a page of the service")                                    \
	X(product_driver_mismatch, 403, false, "The product's profile is not configured for this driver or lane")      \
	X(context_not_in_product_boundary, 403, false,                                                                 \
	  "The context is not the product's, or still is where it must no longer be")                                  \
	X(provider_target_conflict, 409, false,                                                                        \
	  "The recorded provider target of the lane is out of date or names something else; it is not overwritten")    \
	X(idempotency_key_reused, 409, false, "The Idempotency-Key was used with another request")                     \
	X(local_operator_dry_run_required, 409, false, "Record a dry-run of the same request first")                   \
	X(odoo_stable_target_replacement_operation_active, 409, false,                                                 \
	  "Another operation is pending or running on this lane; it is in the answer's operation member")              \
	X(odoo_stable_bootstrap_operation_active, 409, false,                                                          \
	  "Another operation is pending or running on this lane; it is in the answer's operation member")              \
	X(product_lane_not_found, 404, false, "The product's profile has no such lane, or there is no such product")   \
	X(driver_route_dependency_not_found, 404, false, "A record that the route needs is missing")                   \
	X(tracked_target_not_found, 404, false, "The lane has no tracked target record, or no id for it")              \
	X(runtime_environment_unavailable, 409, false, "No runtime environment is recorded for the lane")              \
	X(runtime_environment_empty, 409, false, "Nothing of the lane's recorded environment is to reach its target")  \
	X(runtime_secret_values_missing, 409, false, "Secrets that the lane expects have no value")                    \
	X(secrets_unreadable, 409, false, "Stored secrets do not open with the configured master keys")                \
	X(operation_active, 409, false,                                                                                \
	  "Another operation is pending or running on this lane; it is in the answer's operation member")              \
	X(plan_changed, 409, false,                                                                                    \
	  "The pinned plan_digest is not that of what would happen now; the answer's plan member has the fresh plan")  \
	X(promotion_held, 409, false,                                                                                  \
	  "Promotion to this lane is held since a rollback; lift the hold, with a reason, when it may go on")          \
	X(operation_finished, 409, false, "The operation has ended and cannot be cancelled")                           \
	X(operation_cancelled, 409, false, "The operation was cancelled before it took effect")                        \
	X(operation_blocked, 409, false,                                                                               \
	  "Records or the live target do not allow the operation; the message says what")                              \
	X(odoo_preview_runtime_config_incomplete, 409, false,                                                          \
	  "The preview's environment lacks required keys or has default passwords; the message names the keys")        \
	X(operation_reconciliation_required, 409, false, "A person must look: what happened cannot be proved")         \
	X(preview_evidence_failed, 500, false,                                                                         \
	  "The preview is as it was asked for, but its record could not be read or written; ask for the same again")   \
	X(deploy_failed, 502, false, "The provider ended the deploy with an error")                                    \
	X(post_deploy_failed, 502, false, "The data workflow on the host failed")                                      \
	X(verification_failed, 502, false, "The lane does not prove that it runs what was deployed")                   \
	X(dokploy_target_read_failed, 502, false, "The live target could not be read")                                 \
	X(dokploy_target_update_failed, 502, false, "The live target's environment could not be written")              \
	X(dokploy_target_verification_failed, 502, false, "The live target did not keep what was written")             \
	X(dokploy_deploy_failed, 502, false, "The deploy after the environment was written failed")                    \
	X(upstream_lost, 502, false, "The provider accepted a request and lost it")                                    \
	X(provider_refused, 502, false, "A provider refused what was asked; the same again will not do better")        \
	X(auth_not_configured, 503, false, "Browser sign-in is not configured")                                        \
	X(target_logs_unavailable, 503, true, "The provider does not hand out the target's log right now")             \
	X(authz_policy_unavailable, 503, false, "No active policy record exists")                                      \
	X(database_storage_required, 503, false, "The route needs the PostgreSQL store")                               \
	X(runtime_key_safety_unavailable, 503, false, "No active runtime key-safety policy exists; apply one first")

#define X(name, status, retry, help) extern const struct error_code E_##name;
PRODUCT_ERROR_CODES(X)
#undef X

extern const struct error_code *const product_error_codes[];
extern const size_t product_error_codes_n;
