"""The real service under test, as a process: started, asked, killed, restarted, and inspected at the end."""
import base64
import json
import os
import pathlib
import secrets
import signal
import time

import psycopg
from psycopg.rows import dict_row

from raw import Connection
from rehearsal.api import Api, ok
from rehearsal.service import Service
from rehearsal.waiting import wait_until

TERMINAL = ("pass", "fail")
PATIENCE = 1.5             # seconds of real time
FAST_STEP = 0.5            # seconds of the test's clock per look at the operation
# Calls whose body has places that are meant for secrets.
HOLD_SECRETS = ("compose.update", "compose.saveEnvironment", "application.saveEnvironment", "application.saveDockerProvider")
SANITIZER_SIGNS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer", "runtime error:")


# POST because they need a body: they only read, and tell nobody.
ONLY_READ = ("/v1/authz/explain", "/v1/drivers/odoo/target-replacement-plan", "/v1/drivers/odoo/prod-promotion-inputs",
             "/v1/drivers/odoo/preview-apply-inputs", "/v1/drivers/odoo/artifact-publish-inputs")
PLAN_UNLESS_TOLD = ("/v1/dokploy-targets/setup", "/v1/product-config/apply", "/v1/authz-policies/",
                    "/v1/product-profiles/context-cutover/", "/v1/product-profiles/legacy-context-cleanup/")


def is_change(path, body, answer):
    """Not a question, a dry-run or the stored answer to an earlier request."""
    mode = body.get("mode", "") if isinstance(body, dict) else ""
    applies = str(mode).lower() == "apply" or (not mode and not path.startswith(PLAN_UNLESS_TOLD))
    result = answer["result"] if isinstance(answer.get("result"), dict) else {}
    is_new = result.get("runner_trace_id", answer["trace_id"]) == answer["trace_id"]
    return applies and is_new and path not in ONLY_READ and not answer.get("replayed")


class Plane:
    def __init__(self, database_url, doubles, policy, state_dir, **settings):
        self.database_url, self.doubles = database_url, doubles
        self.clock, self.issuer = doubles.clock, doubles.issuer
        self.state_dir = pathlib.Path(state_dir)
        self.master_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.secrets = [self.master_key, doubles.token]
        self.settings = {
            "LAUNCHPLANE_DATABASE_URL": database_url, "LAUNCHPLANE_LISTEN": "127.0.0.1:0",
            "LAUNCHPLANE_SERVICE_AUDIENCE": doubles.issuer.audience,
            "LAUNCHPLANE_OIDC_ISSUER": doubles.issuer.url,
            "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": self.master_key, "LAUNCHPLANE_POLICY_TOML": policy,
            "LAUNCHPLANE_STATE_DIR": str(state_dir), "LAUNCHPLANE_WORKERS": "1",
            # Tests of bad credentials come from one address, and quickly; test_failure_limit.py sets its own.
            "LAUNCHPLANE_AUTH_FAILURE_LIMIT": "0",
            "LAUNCHPLANE_TEST_CLOCK_FILE": doubles.clock.path, **settings,
        }
        self.log_lines = []
        self.answers = []
        self.accepted_writes = []
        self.api = None
        self.service = None
        self.killed = False

    # process

    def start(self):
        """Returns when the service says that it is ready."""
        self.service = Service(settings=self.settings, keep_log=self.log_lines)
        self.killed = False
        self.api = Api(self.service.wait_until_ready(), self.issuer.mint)
        self.api.answers = self.answers
        self.api.accepted_writes = self.accepted_writes
        return self

    @property
    def url(self):
        return self.api.url

    def kill(self):
        """SIGKILL to every process of the service at once."""
        self.killed = True
        self.service.kill()
        self.api.close()

    def kill_worker(self, process=None):
        """SIGKILL to a worker process, the first unless one is given; the supervisor has to replace it. Returns its id."""
        process = process or self.workers()[0]
        os.kill(process, signal.SIGKILL)
        return process

    def workers(self):
        children = self.service.children()
        assert children, "the service has no worker processes"
        return children

    def worker_of(self, operation_id):
        """The process that holds the operation's lease; its slot stands in the owner's last part."""
        owner = self.query("SELECT lease_owner FROM launchplane_operations WHERE operation_id = %s", operation_id)[0]["lease_owner"]
        assert owner, "nobody works on it"
        slot, _, incarnation = owner.rsplit("/", 1)[1].partition(".")

        def started():
            lines = self.logged(event="worker.started", slot=int(slot), incarnation=int(incarnation))
            return next((line["pid"] for line in lines if line["pid"] in self.workers()), None)

        return wait_until(started, f"the start of {owner} in the log", 60)

    def restart(self):
        """A new service on the same database; what still runs of the old one is killed."""
        if self.service.runs():
            self.kill()
        return self.start()

    def terminate(self, seconds=30):
        """SIGTERM, as an operator does it; returns the exit code."""
        return self.service.terminate(seconds)

    def check(self):
        """The end of every test: a clean exit, no sanitizer report, no secret anywhere, sane log lines."""
        if self.service is not None and not self.killed:
            self.api.close()             # a kept connection would be waited for
            code = self.terminate()
            assert code == 0, f"exit code {code}; the log ends with {self.log_lines[-5:]}"
        log = "\n".join(self.log_lines)
        for sign in SANITIZER_SIGNS:
            assert sign not in log, log
        for line in self.log_lines:
            json.loads(line)
        traffic = self._traffic()
        for secret in [*self.secrets, *self.doubles.github.secrets]:
            assert secret not in log, "a secret stands in the log"
            assert not any(secret in answer for answer in self.answers), "a secret stands in an answer"
            assert not any(secret in text for text in traffic), "a secret went to a provider outside the places meant to hold it"
        assert self.tables_with_secrets() == [], "a secret stands in the database"
        assert self.untold_writes() == [], "accepted, and not told in the audit log"

    def logged(self, **members):
        """Parsed log lines that have these members."""
        found = [json.loads(line) for line in list(self.log_lines)]
        return [line for line in found if all(line.get(name) == value for name, value in members.items())]

    # asking

    def token(self, **claims):
        return self.issuer.mint(**claims)

    def get(self, path, **options):
        return self.api.get(path, **options)

    def post(self, path, body=None, **options):
        return self.api.post(path, body, **options)

    def post_raw(self, path, body, *headers):
        """(status, parsed answer) of a POST whose header lines no client library would send."""
        with Connection(self.url) as connection:
            connection.post(path, body, f"Authorization: Bearer {self.token()}", *headers)
            status, _, text = connection.answer()
        self.answers.append(text.decode())
        return status, json.loads(text)

    def operation(self, operation_id):
        return ok(self.get(f"/v1/operations/{operation_id}"))["operation"]

    def pass_time(self, seconds=0, minutes=0, hours=0):
        self.clock.advance(seconds + 60 * minutes + 3600 * hours)

    def finish(self, operation_id, seconds=240, limit_hours=12):
        """Polls until the operation is over; while it sleeps, moves the clock to its next wake-up.

        One that is at work for long waits for somebody's timeout: then the clock runs fast, but in steps
        that leave a healthy worker the time to renew its lease.
        """
        limit = self.clock.now() + 3600 * limit_hours
        patient_until = time.monotonic() + PATIENCE

        def over():
            nonlocal patient_until
            operation = self.operation(operation_id)
            if operation["status"] in TERMINAL:
                return operation
            assert self.clock.now() < limit, f"{limit_hours} simulated hours passed: {operation}"
            if self.skip_sleep(operation_id):
                patient_until = time.monotonic() + PATIENCE
            elif time.monotonic() > patient_until:
                self.clock.advance(FAST_STEP)
            return None

        return wait_until(over, f"operation {operation_id} to end", seconds)

    def run_until(self, operation_id, condition, what, seconds=120):
        """Like finish(), up to the moment when condition() is true: the clock moves while the operation sleeps."""
        def reached():
            found = condition()
            if not found:
                self.skip_sleep(operation_id)
            return found

        return wait_until(reached, what, seconds)

    # the database behind it

    def query(self, statement, *values):
        """Rows as dicts, straight from PostgreSQL."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, values or None)   # None: a % needs no doubling
            return cursor.fetchall() if cursor.description else []

    def counts(self):
        """{table: rows} of everything but the audit log, to show that a refused request wrote nothing.

        That a secret was opened is noted also by what only reads: those events are not counted.
        """
        tables = [name for name in self._tables() if not name.startswith("launchplane_audit_")]
        if not tables:
            return {}
        reads = {"launchplane_secret_audit_events": " WHERE event_type NOT IN ('read', 'compared')"}
        counted = " UNION ALL ".join(
            f"SELECT '{name}' AS name, count(*) AS rows FROM {name}{reads.get(name, '')}" for name in tables)
        return {row["name"]: row["rows"] for row in self.query(counted)}

    def tables_with_secrets(self):
        tables = self._tables()
        if not tables:
            return []
        patterns = [f"%{secret}%" for secret in [*self.secrets, *self.doubles.github.secrets]]
        searched = " UNION ALL ".join(
            f"SELECT '{name}' AS name WHERE EXISTS (SELECT 1 FROM {name} r WHERE r::text LIKE ANY(%(p)s))"
            for name in tables)
        with psycopg.connect(self.database_url) as connection:
            return [row[0] for row in connection.execute(searched, {"p": patterns})]

    def untold_writes(self):
        """Accepted changes of which the audit log has no leaf: whatever route they took, they must be there."""
        told = {row["trace_id"] for row in self.query(
            "SELECT leaf ->> 'trace_id' AS trace_id FROM launchplane_audit_pending UNION"
            " SELECT leaf ->> 'trace_id' FROM launchplane_audit_entries")} if self.accepted_writes else set()
        return [(path, answer) for path, body, answer in self.accepted_writes
                if is_change(path, body, answer) and answer["trace_id"] not in told]

    # inside

    def _tables(self):
        return [row["name"] for row in self.query(
            "SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]

    def _traffic(self):
        """Everything the doubles were sent, without the members that are there for secrets; the key travels in a header."""
        meant = ("env", "buildArgs", "buildSecrets", "password")
        sent = []
        for seen in list(self.doubles.dokploy.requests):
            body = seen.sent if isinstance(seen.sent, dict) else {"": seen.sent}
            if seen.procedure in HOLD_SECRETS:
                body = {name: value for name, value in body.items() if name not in meant}
            sent.append(f"{seen.method} {seen.procedure} {json.dumps(body)}")
        return sent + [str(seen) for seen in list(self.doubles.odoo.requests)]

    def skip_sleeps(self):
        """skip_sleep() of every operation that is not over, for work whose operation somebody else submits."""
        for row in self.query("SELECT operation_id FROM launchplane_operations WHERE status IN ('pending', 'running')"):
            self.skip_sleep(row["operation_id"])

    def skip_sleep(self, operation_id):
        """Moves the clock to the operation's next wake-up; true when there was one to move to.

        Only an operation which nobody works on is asleep; the clock of one at work is left alone.
        """
        rows = self.query(
            "SELECT extract(epoch FROM next_run_at)::float8 AS at, lease_owner FROM launchplane_operations"
            " WHERE operation_id = %s AND status IN ('pending', 'running')", operation_id)
        if not rows or rows[0]["lease_owner"] != "":
            return False
        ahead = rows[0]["at"] - self.clock.now()
        if ahead > 0:
            self.clock.advance(ahead + 0.001)
        return True
