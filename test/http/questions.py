"""docs/questions.md: what operators ask, each answered by one command, with what it prints on the records of history.py.

    /usr/bin/python3 test/http/questions.py        writes the page anew
"""
import contextlib
import json
import pathlib
import re
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

import psycopg

import history
from cli import Cli
from double import Rehearsal
from plane import Plane
from rehearsal import policy as policies
from rehearsal.waiting import wait_until

TRACE = re.compile("launchplane_req_[0-9a-f]{32}")
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "questions.md"
SHOP, SITE = history.SHOP, history.SITE
QUESTIONS = [
    ("What runs in prod of the shop, and since when?", f"lanes list --product {SHOP} --instance prod"),
    ("Who promoted that, when and why, from which commit, and which gate stood before it?", f"lanes origin {SHOP} prod"),
    ("What would a rollback of prod deploy?", f"lanes rollback-target {SHOP} prod"),
    ("What differs between testing and prod?", f"lanes diff {SHOP} --from testing --to prod"),
    ("Which lanes have no verified health?", "lanes list --health unverified"),
    ("Which products are there, and how far can what we know be trusted?", "products list"),
    ("How are the environments of a product?", f"product-environments list {SHOP}"),
    ("What happened to a product lately?", f"products activity {SHOP}"),
    ("What failed since last week?", "deployments list --status fail --since 2026-06-03T00:00:00Z"),
    ("What was deployed to prod of the shop?", "deployments list --context shop --instance prod"),
    ("Where was an artifact deployed?", "deployments list --artifact-id artifact-shop-0002"),
    ("Where does an artifact run now?", "inventory list --artifact-id artifact-shop-0003"),
    ("What was promoted to prod, and behind which gates?", "promotions list --to-instance prod"),
    ("Which backup gates are still pending?", "backup-gates list --status pending"),
    ("When was prod of the shop last backed up?", "backup-gates list --context shop --instance prod --status pass --limit 1"),
    ("Which previews are up?", "previews list --state active"),
    ("Which artifact was built from a commit?", f"artifacts list --source-commit {history.sha('c')}"),
    ("Which artifacts may not be deleted, and why?", f"artifacts protected --product {SHOP} --context shop"),
    ("What is released where?", "release-tuples list"),
    ("Which operations of a product failed?", f"operations list --product {SHOP} --status fail"),
    ("What is running now, in which phase, and what does it wait for?", f"operations list --product {SHOP} --status running"),
    ("How did the policy change before the one in force, and why?", "authz-policies list --status superseded"),
    ("Who changed the policy last, when and why?", "audit list --action authz_policy_grant.write --since 2026-06-01T00:00:00Z"),
    ("Which settings and secrets does prod still lack?", f"product-environments config-status {SHOP} prod"),
    ("Which secrets apply to a lane, and who changed them last?", "secrets list-lane shop prod"),
    ("Which drivers are there?", "drivers list"),
    ("Everything known about one environment?", f"product-environments show {SITE} prod"),
]
AT_WORK = """
    INSERT INTO launchplane_operations (operation_id, kind, product, context, instance, holds_lane, status, phase, public_phase, request,
                                        lease_owner, lease_expires_at, created_at, next_run_at)
    VALUES ('op-at-work', 'odoo_stable_target_replacement', 'odoo-tenant-shop', 'shop', 'prod', true, 'running', 'deploy_wait', 'apply', '{}',
            '', NULL, '2026-06-10T11:58:00Z', '2026-06-10T13:00:00Z')
"""                                                  # not due before the page is written
LEAVES = [
    {"v": 1, "at": "2026-06-02T10:04:02.000Z", "type": "request", "event": "accepted", "route": "POST /v1/evidence/promotions",
     "action": "promotion.write", "product": SHOP, "context": "shop", "actor": "github-human:ada", "reason": "the June release",
     "records": {"promotion_record_id": history.PROMOTIONS[1]["record_id"]}},
    {"v": 1, "at": "2026-06-08T07:30:00.000Z", "type": "request", "event": "accepted", "route": "POST /v1/authz-policies/grants",
     "action": "authz_policy_grant.write", "product": "launchplane", "context": "launchplane", "actor": "github-human:grace",
     "reason": "the shop reads its own history"},
]                                                    # what the audit log says of the people
READER = policies.render(github_actions=[policies.workflow_rule([
    "product_environment.read", "driver.read", "operations.read", "secret.list", "deployment.read", "promotion.read", "preview.read",
    "inventory.read", "backup_gate.read", "release_tuple.read", "artifact.read", "artifact_protection.read", "audit.read"])])


@contextlib.contextmanager
def answers(database_url, directory):
    """Calls a command on a service that has the records, at the moment they were left."""
    with Rehearsal(directory / "clock") as doubles:
        doubles.clock.advance(history.seconds(history.NOW) - doubles.clock.now())
        plane = Plane(database_url, doubles, READER, directory).start()
        with psycopg.connect(database_url, autocommit=True) as connection:
            # The service's own entries come first: the page shows positions.
            wait_until(lambda: connection.execute("SELECT 1 FROM launchplane_audit_checkpoints").fetchall(), "the first checkpoint", 60)
            history.insert(connection)
            connection.execute(AT_WORK)
            for leaf in LEAVES:
                connection.execute("INSERT INTO launchplane_audit_pending (leaf) VALUES (%s)", [json.dumps(leaf)])
            wait_until(lambda: not connection.execute("SELECT 1 FROM launchplane_audit_pending").fetchall(), "entries to get their positions", 60)
        cli = Cli(plane)
        try:
            yield lambda command: cli(*command.split(), LAUNCHPLANE_DATABASE_URL=database_url)
        finally:
            plane.check()


def page(ask):
    """The page's text; every command must succeed."""
    lines = ["<!-- Made by test/http/questions.py: run it to write this page anew. -->", "# Questions and answers", "",
             "What operators ask, each answered by one command. The output is real: the records are those of test/http/history.py,",
             f"the time is {history.NOW}. `--json` prints what the service sent.", ""]
    for number, (question, command) in enumerate(QUESTIONS, 1):
        result = ask(command)
        assert result.code == 0, (command, result)
        lines += [f"## {number}. {question}", "", "```", f"$ launchplane {command}",
                  *(TRACE.sub("launchplane_req_...", line.rstrip()) for line in result.out.splitlines()), "```", ""]
    return "\n".join(lines[:-1]) + "\n"


def write():
    from postgres import Cluster
    from rehearsal.service import run_to_end

    cluster = Cluster().start()
    try:
        name = cluster.create()
        run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": cluster.url(name)})
        with tempfile.TemporaryDirectory(prefix="lps", dir="/tmp") as directory, answers(
                cluster.url(name), pathlib.Path(directory)) as ask:
            PAGE.write_text(page(ask))
    finally:
        cluster.stop()


if __name__ == "__main__":
    write()
