/* Artifact manifests, and what registry cleanup must not delete (facts/core.md 6.1, 6.2). */
#include "server/routes/tables.h"
#include "storage/artifact_manifest.h"
#include "storage/codes.h"
#include "storage/deployment.sql.h"
#include "storage/release.sql.h"

struct artifact_write_request {
	int64_t schema_version;
	const char *product, *context;
	struct artifact_manifest manifest;
};
static const struct field write_fields[] = {
	F_SCHEMA_VERSION(artifact_write_request),
	F_STR(artifact_write_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(artifact_write_request, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "Where the artifact is meant to run; decides who may hand it in"),
	F_OBJECT(artifact_write_request, manifest, REQUIRED, &artifact_manifest_contract),
	F_END,
};
static const struct contract write_contract =
        CONTRACT(artifact_write_request, write_fields, "Hands in the manifest of an artifact built elsewhere");

static SUSPENDS bool artifact_write(struct call *c, struct err *err)
{
	const struct artifact_write_request *body = c->body;
	const struct artifact_manifest *m = &body->manifest;
	struct json records = json_object();
	json_set_str(c->arena, &records, "artifact_id", m->artifact_id);
	struct tx *tx;
	struct rows rows;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!tx_query(tx, &Q_artifact_write,
	              PARAMS(P_TEXT(m->artifact_id), P_TEXT(m->source_commit), P_TEXT(m->image.repository),
	                     P_TEXT(m->image.digest), P_TEXT(contract_text(c->arena, &artifact_manifest_contract, m))),
	              &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	if (rows.n == 0) {
		tx_rollback(tx);
		return err_set(err, &E_conflict,
		               "manifest.artifact_id: artifact %s is stored with other content, and an artifact never "
		               "changes; hand it in under a new id",
		               m->artifact_id);
	}
	call_store_answer(c, tx, &records, NULL);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, NULL);
}

static SUSPENDS bool artifact_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *id = call_param(c, "artifact_id");
	if (!db_query(c->t, &Q_artifact_manifest_read, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no manifest of artifact %s", id);
	return call_answer_member(c, "record", row_text(&rows, 0, 0));
}

static bool read_filter(struct call *c, const char *name, const char **out, struct err *err)
{
	if (!request_query(c->rq, name, out, err))
		return false;
	*out = *out ? trimmed(c->arena, *out) : "";
	return true;
}

/* Without a context it is the whole product's, and the grant must be for all contexts. */
static SUSPENDS bool artifacts_protected(struct call *c, struct err *err)
{
	struct rows rows;
	const char *product, *context;
	if (!read_filter(c, "product", &product, err) || !read_filter(c, "context", &context, err))
		return false;
	if (!product[0])
		return err_set(err, &E_invalid_query, "the query parameter product is required");
	if (!call_authorize(c, c->route->action, product, context[0] ? context : "*", err) ||
	    !db_query(c->t, &Q_artifacts_protected, PARAMS(P_TEXT(product), P_TEXT(context)), &rows, err))
		return false;
	return call_answer_member(c, "protected_artifacts", row_text(&rows, 0, 0));
}

const struct route artifact_routes[] = {
	{ HTTP_POST, "/v1/artifacts", "Hand in an artifact's manifest", artifact_write, .callers = CALLERS_WRITE,
	  .action = "artifact.write", .product = "body:product", .context = "body:context", .body = &write_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_GET, "/v1/artifacts/protected", "What registry cleanup must not delete, and what it cannot know",
	  artifacts_protected, .callers = CALLERS_READ, .action = "artifact_protection.read", .product = "handler",
	  .context = "handler" },
	{ HTTP_GET, "/v1/artifacts/{artifact_id}", "One artifact's manifest", artifact_show, .callers = CALLERS_READ,
	  .action = "artifact.read", .product = "=launchplane", .context = "=launchplane",
	  .record = &artifact_manifest_contract, .record_key = "record" },
	{ 0 },
};
