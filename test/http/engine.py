"""The engine's own statements (storage/operation.sql), for workers that are only names and for measurements that submit by SQL.

Their parameters are named here once: whoever changes a statement finds out from test_leases.py, not from a measurement.
"""
import psycopg
from psycopg import sql

from statements import statements

LEASE, KIND = 15000, "leased"
USED = ("operation_submit", "operation_claim", "operation_heartbeat", "operation_checkpoint", "operation_finish")
# In the statement's order.
SUBMIT = ("operation_id", "kind", "product", "context", "instance", "holds_lane", "idempotency_scope", "idempotency_key",
          "request_fingerprint", "phase", "request", "actor", "trace_id", "traceparent", "offset", "leaf", "taken_by", "lease_ms")


def submission(**values):
    """The parameters of operation_submit; what is not given is as a first submission over HTTP has it, without a leaf."""
    usual = {"kind": KIND, "product": "p", "context": "c", "instance": values["operation_id"], "holds_lane": True,
             "idempotency_scope": "scope", "idempotency_key": values["operation_id"], "request_fingerprint": "f", "phase": "work",
             "request": "{}", "actor": "{}", "trace_id": "t", "traceparent": "", "offset": 0, "leaf": None,
             "taken_by": None, "lease_ms": LEASE}
    values = {**usual, **values}
    assert len(SUBMIT) == statements()["operation_submit"].parameters, "engine.py does not know operation_submit's parameters"
    return [values[name] for name in SUBMIT]


class Engine:
    """One connection with the engine's statements prepared."""

    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True)
        for name in USED:
            self.connection.execute(f"PREPARE {name} AS {statements()[name].sql}")

    def run(self, name, *values):
        statement = sql.SQL("EXECUTE {}({})").format(sql.Identifier(name), sql.SQL(", ").join(map(sql.Literal, values)))
        cursor = self.connection.execute(statement)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def submit(self, operation, offset=0, **more):
        return self.run("operation_submit", *submission(operation_id=operation, offset=offset, **more))

    def claim(self, owner, offset, limit=1):
        """[(operation, fence)]"""
        return [(row[0], row[8]) for row in self.run("operation_claim", limit, owner, LEASE, offset, KIND, None)]

    def heartbeat(self, operation, fence, offset):
        return self.run("operation_heartbeat", operation, fence, LEASE, offset) == 1

    def checkpoint(self, operation, fence, offset, delay=None):
        return len(self.run("operation_checkpoint", operation, fence, "work", "work", f'{{"by": {fence}}}', False, delay, LEASE, 0,
                            "", "", offset, 0, '[{"event": "step", "phase": "work", "detail": {}}]', None)) == 1

    def finish(self, operation, fence, offset):
        return len(self.run("operation_finish", operation, fence, "pass", "work", "completed", "{}", None, "", "", "[]", offset, "",
                            "", None)) == 1
