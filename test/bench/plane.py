"""The service under measurement with everything it talks to: a private PostgreSQL that keeps its promises, the issuer double."""
import base64
import copy
import json
import pathlib
import re
import secrets
import tempfile
import time

import psycopg

from double import Rehearsal
from machine import Missing, tree
from postgres import Cluster
from rehearsal import policy
from rehearsal.api import Api, accepted
from rehearsal.lane import Lane
from rehearsal.service import Service, run_to_end

ROOT = pathlib.Path(__file__).resolve().parents[2]
LANES = 1000
DURABLE = {
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on", "max_connections": "300",
    "shared_buffers": "512MB", "max_wal_size": "8GB", "track_commit_timestamp": "on", "checkpoint_timeout": "30min",
    "track_wal_io_timing": "on",
}
READS = ["product_environment.read", "deployment.read", "promotion.read", "operations.read", "driver.read"]
BODY_BYTES, RECORD_BYTES = 1500, 2048


def with_values(sql, values):
    """$1, $2, ... replaced by pgbench expressions."""
    if len(values) != (wanted := max(int(n) for n in re.findall(r"\$([0-9]+)", sql))):
        raise Missing(f"a statement of storage/ takes {wanted} parameters and is given {len(values)}")
    return re.sub(r"\$([0-9]+)", lambda m: values[int(m.group(1)) - 1], sql)


class Bench:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="lpb", dir="/tmp"))
        self.doubles = Rehearsal()
        self.cluster = Cluster(**DURABLE)
        self.service, self.api, self.log = None, None, []
        self.lane = None

    def open(self):
        self.doubles.start()
        self.cluster.start()
        self.database = self.cluster.url(self.cluster.create())
        self.settings = {
            "LAUNCHPLANE_DATABASE_URL": self.database, "LAUNCHPLANE_LISTEN": "127.0.0.1:0",
            "LAUNCHPLANE_SERVICE_AUDIENCE": self.doubles.issuer.audience, "LAUNCHPLANE_OIDC_ISSUER": self.doubles.issuer.url,
            "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "LAUNCHPLANE_POLICY_TOML": policy.render(github_actions=[*policy.lane_rules(), policy.workflow_rule(READS)]), "LAUNCHPLANE_STATE_DIR": str(self.directory),
            "LAUNCHPLANE_WORKERS": "1", "LAUNCHPLANE_LOG_LEVEL": "warn",
        }
        self._migrate(self.database)
        now = int(time.time())
        self.token = self.doubles.issuer.mint(iat=now - 5, nbf=now - 5, exp=now + 6 * 3600)
        self.lane = Lane(self.doubles)
        return self.start()

    def _migrate(self, database):
        code, out, err = run_to_end("storage", "migrate", settings={**self.settings, "LAUNCHPLANE_DATABASE_URL": database})
        if code != 0:
            raise Missing(f"storage migrate: {out}{err}")

    def migrated(self):
        """The URL of another database of the same PostgreSQL, with the service's tables."""
        database = self.cluster.url(self.cluster.create())
        self._migrate(database)
        return database

    def twin(self):
        """A second service on an empty database in the same PostgreSQL; end it with stop_service()."""
        other = copy.copy(self)
        other.directory = self.directory / "twin"
        other.directory.mkdir()
        other.database = self.migrated()
        other.settings = {**self.settings, "LAUNCHPLANE_DATABASE_URL": other.database, "LAUNCHPLANE_STATE_DIR": str(other.directory)}
        return other.start()

    def start(self):
        self.service = Service(settings=self.settings, keep_log=self.log)
        self.api = Api(self.service.wait_until_ready(), lambda: self.token)
        self.api.answers = _Nothing()
        return self

    def restart(self):
        """A process that has served nothing yet."""
        self.stop_service()
        return self.start()

    def stop_service(self):
        if self.service is not None and self.service.runs():
            self.service.terminate()
        self.service = None

    def close(self):
        self.stop_service()
        self.cluster.stop()
        self.doubles.stop()

    def kinds(self):
        """The operation kinds of the service that is measured."""
        _, out, _ = run_to_end("docs", "print", "operation-kinds", settings={})
        return re.findall(r"^## `?(\w+)", out, re.M)

    def connect(self):
        return psycopg.connect(self.database, autocommit=True)

    def query(self, statement, *values):
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def url(self):
        return self.api.url

    @property
    def supervisor_pid(self):
        return self.service.process.pid

    def worker(self):
        return max(pid for pid in tree(self.supervisor_pid) if pid != self.supervisor_pid)

    @property
    def postmaster(self):
        return self.cluster.process.pid

    # records

    def evidence(self, record_id, instance, bytes_wanted=BODY_BYTES):
        """A request body of that many bytes."""
        body = self.lane.deployment(record_id)
        deployment = body["deployment"]
        deployment.update(
            instance=instance, delegated_executor="control-plane.dokploy",
            destination_health={"verified": True, "urls": ["https://testing.example.com/launchplane/health"],
                                "timeout_seconds": 45, "status": "pass"},
            post_deploy_update={"attempted": True, "status": "pass", "detail": "12 modules upgraded in 41.2 seconds"},
            runtime_source={"image": self.lane.old.image, "builder": "hosted-runner/linux"})
        missing = bytes_wanted - len(json.dumps(body, separators=(",", ":")))
        update = deployment["post_deploy_update"]    # which the inventory shows as well
        update["detail"] += "".join("0123456789abcdef"[i % 16] for i in range(max(missing, 0)))
        return body

    def template(self):
        """The body with places for wrk to fill, as a file."""
        text = json.dumps(self.evidence("@RECORD@", "@INSTANCE@"), separators=(",", ":"))
        path = self.directory / "body.json"
        path.write_text(text, encoding="utf-8")
        return path, len(text)

    def seed_lanes(self):
        """LANES inventory records of about RECORD_BYTES, written by the service itself; their ETags, as a file."""
        size, wanted = 0, BODY_BYTES
        for _ in range(3):
            accepted(self.api.post("/v1/evidence/deployments", self.evidence("deployment-lane0", "lane0", wanted)))
            size = self.query("SELECT length(payload::text) FROM launchplane_inventory WHERE instance = 'lane0'")[0][0]
            wanted += RECORD_BYTES - size
        for i in range(LANES):
            body = self.evidence(f"deployment-lane{i}", f"lane{i}", wanted)
            accepted(self.api.post("/v1/evidence/deployments", body))
        self.query("VACUUM ANALYZE")
        tags = [self.api.get(f"/v1/inventory/{self.lane.context}/lane{i}").headers["ETag"] for i in range(LANES)]
        path = self.directory / "tags"
        path.write_text("\n".join(tags) + "\n", encoding="utf-8")
        return path, size

    def copy_inventory(self, database):
        """The same records for a peer: its table has them after this, under its own names."""
        rows = self.query("SELECT context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, payload::text"
                          " FROM launchplane_inventory")
        with psycopg.connect(database, autocommit=True) as peer, peer.cursor() as cursor:
            cursor.executemany("INSERT INTO inventory VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", rows)
            cursor.execute("VACUUM ANALYZE inventory")

    def last_write(self):
        """(idempotency row's payload, deployment, inventory, scope, leaf of the audit log) of some write that went through
        HTTP, for pgbench to repeat."""
        return self.query(
            "SELECT i.payload::text, d.payload::text, v.payload::text, i.scope, a.leaf::text"
            " FROM launchplane_idempotency_records i"
            " JOIN launchplane_deployments d ON d.record_id = i.payload -> 'response_payload' -> 'records' ->> 'deployment_record_id'"
            " JOIN launchplane_inventory v ON v.instance = d.instance"
            " JOIN (SELECT leaf FROM launchplane_audit_entries UNION ALL SELECT leaf FROM launchplane_audit_pending) a"
            " ON a.leaf ->> 'trace_id' = i.response_trace_id LIMIT 1")[0]


class _Nothing(list):
    def append(self, item):
        """The measurements do not keep answers."""
