"""Changes of configuration that are wrong or disturbed, one row each: who is told what, what stayed, what can be continued.

Each row says how it is disturbed and what the refusal names. After it the database is what it was, table by table and value
by value, or what was half done stands in its records and another try does the rest. A marker is sent wherever a value is; it is
in no answer, log line, operation's state or table. Moves to a context that has records: test_context_moves.py; two operators at once:
test_product_config.py, test_live_runtime.py, test_target_setup.py.
"""
import base64
import dataclasses
import json
from typing import Callable

import pytest

import live
from checks import assert_accepted, assert_rejected
from cli import bare, input_file
from rehearsal import policy as policies
from rehearsal.service import run_to_end

CONFIG = "/v1/product-config/apply"
SETUP = "/v1/dokploy-targets/setup"
MARKER = "marker/of-this-test/0815"
SECRET = "ODOO_DB_PASSWORD"

pytestmark = [pytest.mark.settings(LAUNCHPLANE_LOG_LEVEL="debug"), pytest.mark.policy(policies.render(
    github_actions=policies.lane_rules() + policies.lane_rules(context=policies.PRODUCT)))]

# What only notes that somebody asked, or opened a value to compare it.
NOTES = ("launchplane_audit_", "launchplane_secret_audit_events", "launchplane_idempotency", "launchplane_schema_migrations")


OPERATIONS = {"launchplane_operations", "launchplane_operation_events"}


def dump(plane):
    """{table: its rows as text} of everything but the notes."""
    tables = [row["name"] for row in plane.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return {name: [row["text"] for row in plane.query(f"SELECT r::text AS text FROM {name} r ORDER BY 1")]
            for name in tables if not name.startswith(NOTES)}


def changed(before, after):
    return sorted(name for name in after if before[name] != after[name])


@pytest.fixture
def marked(plane, lane):
    plane.secrets.append(MARKER)
    return lane


# ---- refused: a bundle that is wrong ----

def bundle(lane, **changes):
    return {"product": lane.product, "context": lane.context, "instance": lane.instance, **changes}


def secret(**members):
    return {"name": SECRET, "value": MARKER, **members}


@dataclasses.dataclass
class Wrong:
    title: str
    body: Callable
    names: str                       # what the message or the path says
    code: str = "invalid_request"
    status: int = 400
    do: str = ""                     # and what to do


BUNDLES = [
    # a secret where a plain value belongs
    Wrong("a secret key among the plain values", lambda lane: bundle(lane, runtime_env={"API_TOKEN": MARKER}), "runtime_env.API_TOKEN",
          do="under secrets"),
    Wrong("the same, nested", lambda lane: bundle(lane, runtime_env={"env": {"MY_SECRET": MARKER}}), "runtime_env.env.MY_SECRET", do="under secrets"),
    Wrong("the same, by the other name", lambda lane: bundle(lane, runtime_environment={"db_password": MARKER}), "runtime_environment.db_password"),
    Wrong("a value used as a key", lambda lane: bundle(lane, runtime_env={MARKER: "1"}), "environment key"),
    # a plain value where a secret belongs
    Wrong("a number as a secret", lambda lane: bundle(lane, secrets=[secret(value=815)]), "secrets[0].value"),
    Wrong("an object as a secret", lambda lane: bundle(lane, secrets=[secret(value={"of": MARKER})]), "secrets[0].value"),
    Wrong("a reference instead of a value", lambda lane: bundle(lane, secrets=[{"name": SECRET, "value_from": MARKER}]), "secrets[0].value"),
    Wrong("a blank secret", lambda lane: bundle(lane, secrets=[secret(value="  ")]), "secrets[0].value"),
    Wrong("both, under one key", lambda lane: bundle(lane, runtime_env={"DSN": MARKER}, secrets=[secret(name="DSN")]), "secrets[0].binding_key",
          do="send it once"),
    Wrong("a map of secrets", lambda lane: bundle(lane, secrets={SECRET: MARKER}), "secrets"),
    # keys in the wrong scope
    Wrong("a secret of another scope", lambda lane: bundle(lane, secrets=[secret(scope="context")]), "secrets[0].scope", do="context_instance"),
    Wrong("a global secret for a lane", lambda lane: bundle(lane, secrets=[secret(scope="global")]), "secrets[0].scope", do="context_instance"),
    Wrong("a secret of another lane", lambda lane: bundle(lane, secrets=[secret(instance="prod")]), "secrets[0].instance"),
    Wrong("a secret of another context", lambda lane: bundle(lane, secrets=[secret(context="other")]), "secrets[0].context"),
    Wrong("a scope that is none", lambda lane: bundle(lane, secrets=[secret(scope="everywhere")]), "secrets[0].scope"),
    Wrong("values of another lane", lambda lane: bundle(lane, runtime_env={"env": {"A": MARKER}, "instance": "prod"}), "runtime_env.instance"),
    Wrong("values of another scope", lambda lane: bundle(lane, runtime_env={"A": MARKER, "scope": "global"}), "runtime_env.scope", do="instance"),
    Wrong("a lane without a context", lambda lane: {"product": lane.product, "instance": "testing", "runtime_env": {"A": MARKER}}, "context"),
    Wrong("a secret without a rule", lambda lane: bundle(lane, secrets=[secret(), secret(name="STRANGE_TOKEN")]), "STRANGE_TOKEN: unclassified_binding",
          "runtime_key_safety_failed"),
]


def told(answer, row):
    body = assert_rejected(answer, row.status, row.code)
    said = body["error"].get("path", "") + " " + body["error"]["message"]
    assert row.names in said and row.do in said, said


@pytest.mark.parametrize("mode", ["dry-run", "apply"])
def test_a_bundle_that_is_wrong(plane, marked, mode):
    """CFG-05 to CFG-12, CFG-23, CFG-25, ENV-03, SEC-06: every row, on one service"""
    before = dump(plane)
    for row in BUNDLES:
        told(plane.post(CONFIG, {**row.body(marked), "mode": mode}, key=f"{mode} {row.title}"), row)
        assert changed(before, dump(plane)) == [], row.title
    assert plane.query("SELECT count(*) AS n FROM launchplane_idempotency_records WHERE idempotency_key LIKE %s", mode + " %")[0]["n"] == 0


@pytest.mark.parametrize("row", [row for row in BUNDLES if row.code == "invalid_request"][::4], ids=lambda row: row.title)
def test_the_same_bundle_straight_in_the_database(plane, marked, tmp_path, row):
    """CFG-01, CFG-02: the command refuses it with the same words"""
    before = dump(plane)
    result = bare("product-config", "apply", "--apply", "--input-file", input_file(tmp_path, row.body(marked)),
                  LAUNCHPLANE_DATABASE_URL=plane.database_url, LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    plane.answers += [result.out, result.err]
    assert result.code == 1 and row.names in result.err and row.do in result.err
    assert changed(before, dump(plane)) == []


# ---- the master key ----

@pytest.mark.parametrize("key", [None, "", "  "], ids=["missing", "empty", "blank"])
def test_without_a_master_key(plane, marked, tmp_path, key):
    """CFG-04, CFG-24: the command and the service say which setting to set; plain values still can be written"""
    before = dump(plane)
    body = bundle(marked, secrets=[secret()])
    command = bare("product-config", "apply", "--apply", "--input-file", input_file(tmp_path, body), LAUNCHPLANE_DATABASE_URL=plane.database_url,
                   LAUNCHPLANE_MASTER_ENCRYPTION_KEY=key)
    plane.answers += [command.out, command.err]
    assert command.code != 0 and "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in command.err
    if key == "  ":
        return                                      # the service does not start with it: see below
    assert plane.terminate() == 0
    plane.settings["LAUNCHPLANE_MASTER_ENCRYPTION_KEY"] = key
    plane.start()
    for mode in ("dry-run", "apply"):
        refused = assert_rejected(plane.post(CONFIG, {**body, "mode": mode}), 503, "secret_configuration_required")
        assert "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in refused["error"]["message"]
        refused = assert_rejected(plane.post(live.LIVE, live.body(marked, mode)), 503, "secret_configuration_required")
        assert "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in refused["error"]["message"]
    assert set(changed(before, dump(plane))) <= OPERATIONS, "the apply is an operation, which failed"
    assert plane.doubles.dokploy.mutations() == []
    assert_accepted(plane.post(CONFIG, bundle(marked, mode="apply", runtime_env={"PLAIN": "1"})))


@pytest.mark.parametrize("key", [
    "short", base64.urlsafe_b64encode(b"16 bytes, no 32.").decode(), base64.urlsafe_b64encode(b"x" * 32).decode()],
    ids=["short", "half as long", "another one"])
def test_a_master_key_that_is_not_the_one(plane, marked, tmp_path, key):
    """A short text is a passphrase like any other (config-health 4.3); with secrets of another key nothing starts or is written"""
    assert plane.terminate() == 0
    before = dump(plane)
    code, out, err = run_to_end("service", "serve", settings={**plane.settings, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": key})
    assert code == 78 and "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in out + err
    assert key.strip() == "" or key not in out + err
    command = bare("product-config", "apply", "--apply", "--input-file", input_file(tmp_path, bundle(marked, secrets=[secret()])),
                   LAUNCHPLANE_DATABASE_URL=plane.database_url, LAUNCHPLANE_MASTER_ENCRYPTION_KEY=key)
    plane.answers += [command.out, command.err]
    assert command.code != 0 and "master key" in command.err.lower().replace("_", " ")
    assert changed(before, dump(plane)) == []


# ---- somebody else, and the provider ----

def test_a_live_target_changed_between_the_dry_run_and_the_apply(plane, marked):
    """LIVE: refused with a fresh diff, which can be applied; test_live_runtime.py has the change between plan and write"""
    live.record(plane, marked, secrets={SECRET: MARKER})
    reviewed = live.look(plane, marked)["plan_digest"]
    row = plane.doubles.dokploy.state.composes[marked.compose_id]
    row["env"] = row["env"].replace(marked.secrets["ODOO_ADMIN_PASSWORD"], "by-hand")
    before, theirs = dump(plane), row["env"]
    refused = assert_rejected(live.apply(plane, marked, "one", plan_digest=reviewed), 409, "plan_changed", "plan_digest")
    assert refused["plan"]["runtime_environment"]["changed_keys"] == ["ODOO_ADMIN_PASSWORD", SECRET]
    assert set(changed(before, dump(plane))) <= OPERATIONS
    assert row["env"] == theirs and plane.doubles.dokploy.mutations() == []
    assert_accepted(live.apply(plane, marked, "two", plan_digest=refused["plan"]["plan_digest"]))
    assert MARKER in row["env"] and "by-hand" not in row["env"]


def reconcile(lane, *hosts):
    return {**lane.target_setup(), "operation": "reconcile-compose-domain", "domains": list(hosts), "runtime_port": 8069, "healthcheck_path": "/web/health"}


def test_dokploy_refuses_the_second_of_three_domains(plane, marked):
    """The first one is recorded, and another try does the rest; test_target_setup.py has deletions and lost answers"""
    hosts = ["one.example.com", "two.example.com", "three.example.com"]
    before = dump(plane)
    plane.doubles.dokploy.on("POST", "domain.create").after(1).answer(400, {"message": f"no such host, {MARKER}?", "code": "BAD_REQUEST"})
    plane.secrets.remove(MARKER)                    # it is the provider's own message here, which is passed on
    refused = assert_rejected(plane.post(SETUP, reconcile(marked, *hosts), key="one"), 400, "invalid_dokploy_target_setup")
    assert "two.example.com" in json.dumps(refused)
    touched = changed(before, dump(plane))
    assert set(touched) == {"launchplane_dokploy_targets", *OPERATIONS}, touched
    recorded = plane.query("SELECT payload -> 'domains' AS domains FROM launchplane_dokploy_targets")[0]["domains"]
    assert recorded == [marked.host, "one.example.com"]
    assert sorted(row["host"] for row in plane.doubles.dokploy.domains_of(marked.compose_id)) == sorted(recorded)
    plane.doubles.dokploy.faults.clear()
    done = assert_accepted(plane.post(SETUP, reconcile(marked, *hosts), key="two"))["result"]
    assert [route["action"] for route in done["setup"]["routes"]] == ["unchanged", "created", "created"]
