// The least that a user would write instead, with the same three endpoints: fastify, pg, JSON schema, one transaction a write.
// It knows no callers and no policy and keeps no audit log. DATABASE_URL and PORT come from the environment.
// With STORE_FILE it does the service's work with evidence: that file has the service's own statement, DATABASE_URL a database
// with the service's tables; each write has its audit leaf, its version of the inventory, its place in the order of evidence.
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL ?? 16) });

const text = { type: "string", minLength: 1 };
const anyText = { type: "string" };
const targetType = { enum: ["compose", "application"] };
const exactly = (properties, required = Object.keys(properties)) => ({
  type: "object", additionalProperties: false, required, properties,
});
const evidence = exactly({
  schema_version: { const: 1 },
  product: text,
  deployment: exactly({
    schema_version: { const: 1 },
    record_id: text,
    context: text,
    instance: text,
    source_git_ref: text,
    artifact_identity: exactly({ artifact_id: text }),
    wait_for_completion: { type: "boolean" },
    verify_destination_health: { type: "boolean" },
    no_cache: { type: "boolean" },
    delegated_executor: anyText,
    resolved_target: exactly({ target_type: targetType, target_id: text, target_name: text }),
    runtime_source: { type: "object", additionalProperties: anyText },
    deploy: exactly({
      target_name: text, target_type: targetType, deploy_mode: text, deployment_id: anyText,
      status: { enum: ["pending", "pass", "fail", "skipped"] },
      started_at: { type: "string", format: "date-time" }, finished_at: { type: "string", format: "date-time" },
    }),
    post_deploy_update: exactly({ attempted: { type: "boolean" }, status: text, detail: anyText }),
    destination_health: exactly({
      verified: { type: "boolean" }, urls: { type: "array", items: { type: "string", format: "uri" } },
      timeout_seconds: { type: ["integer", "null"], minimum: 1 }, status: text,
    }),
  }, ["record_id", "context", "instance", "source_git_ref", "artifact_identity", "deploy"]),
}, ["product", "deployment"]);

const SCHEMA = `
CREATE TABLE IF NOT EXISTS inventory (
  context text, instance text, artifact_id text NOT NULL, source_git_ref text NOT NULL, updated_at text NOT NULL,
  deployment_id text NOT NULL, payload json NOT NULL, PRIMARY KEY (context, instance));
CREATE TABLE IF NOT EXISTS deployments (
  record_id text PRIMARY KEY, context text NOT NULL, instance text NOT NULL, artifact_id text NOT NULL,
  source_git_ref text NOT NULL, started_at text NOT NULL, finished_at text NOT NULL, payload json NOT NULL);
CREATE INDEX IF NOT EXISTS deployments_of_lane ON deployments (context, instance, finished_at DESC);
CREATE TABLE IF NOT EXISTS idempotency (
  route text, key text, fingerprint text NOT NULL, answer json NOT NULL, at timestamptz DEFAULT now(),
  PRIMARY KEY (route, key));`;

const READ = { name: "read", text: "SELECT payload FROM inventory WHERE context = $1 AND instance = $2" };
const STORE = {
  name: "store",
  text: `
WITH fresh AS (
  INSERT INTO idempotency (route, key, fingerprint, answer) VALUES ('evidence', $1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1),
deployment AS (
  INSERT INTO deployments SELECT $4, $5, $6, $7, $8, $9, $10, $11::json FROM fresh
  ON CONFLICT (record_id) DO UPDATE SET payload = excluded.payload)
, lane AS (
  INSERT INTO inventory SELECT $5, $6, $7, $8, $10, $4, $11::json FROM fresh
  ON CONFLICT (context, instance) DO UPDATE
     SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
         deployment_id = excluded.deployment_id, payload = excluded.payload)
SELECT count(*)::int AS stored FROM fresh`,
};
const REPLAY = { name: "replay", text: "SELECT fingerprint, answer FROM idempotency WHERE route = 'evidence' AND key = $1" };

const SCOPE = "peer", ROUTE = "/v1/evidence/deployments";
const WHOLE = process.env.STORE_FILE && { name: "whole", text: readFileSync(process.env.STORE_FILE, "utf8") };
const WHOLE_REPLAY = {
  name: "whole_replay",
  text: `SELECT request_fingerprint AS fingerprint, payload -> 'answer' AS answer FROM launchplane_idempotency_records
          WHERE scope = '${SCOPE}' AND route_path = '${ROUTE}' AND idempotency_key = $1`,
};

function inventoryOf(d, now) {
  return {
    schema_version: 1, context: d.context, instance: d.instance, artifact_identity: d.artifact_identity,
    source_git_ref: d.source_git_ref, deploy: d.deploy, post_deploy_update: d.post_deploy_update,
    destination_health: d.destination_health, updated_at: now, deployment_record_id: d.record_id, promotion_record_id: "",
    promoted_from_instance: "", runtime_identity: null, bootstrap_record_id: "",
  };
}

// As long as the service's.
function leafOf(product, d, answer, fingerprint, now) {
  return {
    v: 1, at: now, type: "request", event: "accepted", route: `POST ${ROUTE}`, action: "deployment.write", product,
    context: d.context, actor: "github-actions:example-org/odoo-tenant-shop", reason: "x".repeat(300),
    request_sha256: fingerprint, policy_sha256: fingerprint, trace_id: answer.trace_id, records: answer.records,
  };
}

// Whether it was new; all that the service writes, in one commit.
async function storeWhole(key, fingerprint, answer, { product, deployment: d }) {
  const now = new Date().toISOString().slice(0, 19) + "Z";
  const { rows } = await pool.query({ ...WHOLE, rowMode: "array", values: [
    `idempotency-${randomUUID()}`, SCOPE, ROUTE, key, fingerprint, answer.trace_id, now, JSON.stringify({ answer }),
    d.record_id, d.context, d.instance, d.artifact_identity.artifact_id, d.source_git_ref, d.deploy.started_at,
    d.deploy.finished_at, JSON.stringify(d), JSON.stringify(inventoryOf(d, now)),
    JSON.stringify(leafOf(product, d, answer, fingerprint, now))] });
  const [, verdict, stored] = rows[0];
  if (verdict === "elsewhere") throw new Error("the record belongs to another lane");
  return stored;
}

async function storeLeast(key, fingerprint, answer, { deployment: d }) {
  const { rows } = await pool.query({ ...STORE, values: [
    key, fingerprint, JSON.stringify(answer), d.record_id, d.context, d.instance, d.artifact_identity.artifact_id,
    d.source_git_ref, d.deploy.started_at, d.deploy.finished_at, JSON.stringify(d)] });
  return rows[0].stored === 1;
}

const app = Fastify({ bodyLimit: 1 << 20 });

app.get("/v1/health", {
  schema: { response: { 200: exactly({ status: anyText, trace_id: anyText, storage_backend: anyText }) } },
}, async () => ({
  status: "ok", trace_id: "peer_req_0123456789abcdef0123456789abcdef", storage_backend: "postgres",
}));

app.get("/v1/inventory/:context/:instance", {
  schema: { params: exactly({ context: text, instance: text }) },
}, async (request, reply) => {
  const { context, instance } = request.params;
  const { rows } = await pool.query({ ...READ, values: [context, instance] });
  if (rows.length === 0) return reply.code(404).send({ status: "rejected", error: { code: "not_found" } });
  return { status: "ok", record: rows[0].payload };
});

app.post("/v1/evidence/deployments", {
  schema: { body: evidence, headers: { type: "object", required: ["idempotency-key"], properties: { "idempotency-key": text } } },
}, async (request, reply) => {
  const key = request.headers["idempotency-key"], d = request.body.deployment;
  const fingerprint = createHash("sha256").update(JSON.stringify(request.body)).digest("hex");
  const answer = {
    status: "accepted", trace_id: `peer_req_${randomUUID()}`,
    records: { deployment_record_id: d.record_id, inventory_record_id: `${d.context}-${d.instance}` },
  };
  const store = WHOLE ? storeWhole : storeLeast;
  if (await store(key, fingerprint, answer, request.body)) return reply.code(202).send(answer);
  const known = (await pool.query({ ...(WHOLE ? WHOLE_REPLAY : REPLAY), values: [key] })).rows[0];
  if (known.fingerprint !== fingerprint) return reply.code(409).send({ status: "rejected", error: { code: "key_reused" } });
  return reply.code(202).send(known.answer);
});

if (!WHOLE) await pool.query(SCHEMA);
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
process.on("SIGTERM", () => process.exit(0));
