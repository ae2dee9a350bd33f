"""The audit log: everything that changes something is in it, once, in order, and nobody changes it unseen."""
import base64
import concurrent.futures
import contextlib
import json
import secrets

import psycopg
import pytest

import audit_model as model
import evidence
import test_artifacts as artifacts
from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli, bare
from rehearsal import policy as policies
from rehearsal.policy import CONTEXT, PRODUCT, lane_rules, render, workflow_rule
from rehearsal.waiting import wait_until
from replacement import APPLY, replace
from test_identities import TOKENS, settings, token_rule

READER = workflow_rule(["audit.read"], ["launchplane"], ["launchplane"])
ADMIN = workflow_rule(["authz_policy_grant.write"], ["launchplane"], ["launchplane"])
POLICY = render(github_actions=[READER, ADMIN, *lane_rules()])
EVIDENCE = "/v1/evidence/deployments"

pytestmark = pytest.mark.policy(POLICY)


def deployment(number, product=PRODUCT, context=CONTEXT, **changes):
    return {"product": product, "deployment": {
        "record_id": f"deployment-{number}", "context": context, "instance": "testing", "source_git_ref": "a" * 40,
        "deploy": {"target_name": "shop", "target_type": "compose", "deploy_mode": "dokploy-compose-api",
                   "status": "pass"}, **changes}}


def hand_in(plane, number, **changes):
    return assert_accepted(plane.post(EVIDENCE, deployment(number, **changes)))


def settled(plane):
    """Nothing waits for its position, and a checkpoint covers all; the entries, oldest first."""
    def looked():
        rows = plane.query(
            "SELECT (SELECT count(*) FROM launchplane_audit_pending) AS pending,"
            " (SELECT coalesce(max(position) + 1, 0) FROM launchplane_audit_entries) AS size,"
            " (SELECT coalesce(max(size), 0) FROM launchplane_audit_checkpoints) AS covered")[0]
        return rows["pending"] == 0 and rows["size"] == rows["covered"]

    wait_until(looked, "the sequencer", 60)
    return plane.query("SELECT position, leaf, leaf::text AS text, encode(hashes, 'hex') AS hashes"
                       " FROM launchplane_audit_entries ORDER BY position")


def leaves(plane, **members):
    return [row["leaf"] for row in settled(plane)
            if all(row["leaf"].get(name) == value for name, value in members.items())]


def verify(plane, *words):
    return bare("audit", "verify", "--database-url", plane.database_url, "--json", *words)


def tamper(plane, *statements):
    plane.accepted_writes.clear()      # of some nothing is left
    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


# ---- what is told ----

def test_every_kind_of_change_is_told_with_its_caller_and_records(plane, lane):
    """The main job with all that leads to it: each accepted change has a leaf, with the ids it answered."""
    plane.finish(assert_accepted(plane.post(APPLY, lane.replacement(), key="k"))["result"]["operation_id"])
    hand_in(plane, 1)
    rows = settled(plane)
    told = {}
    for row in rows:
        told.setdefault(row["leaf"].get("trace_id"), []).append(row["leaf"])
    changes = [(path, body, answer) for path, body, answer in plane.accepted_writes]
    assert len({path for path, _, _ in changes}) >= 6
    for path, body, answer in changes:
        found = [leaf for leaf in told.get(answer["trace_id"], []) if leaf["type"] == "request"]
        assert found, path                 # one for each transaction
        assert path != EVIDENCE or len(found) == 1
        leaf = found[-1]
        assert leaf["route"] == f"POST {path}"
        assert leaf["caller"]["type"] == "github_actions" and leaf["caller"]["repository"] == policies.REPOSITORY
        assert leaf["action"] and leaf["product"] and leaf["policy_sha256"]
        assert path.startswith("/v1/product-config") == ("request_sha256" not in leaf), "a digest of secrets"
        if leaf.get("event") == "accepted" and path != APPLY:
            assert any(answer["records"].items() <= one.get("records", {}).items() for one in found)


def test_no_body_and_no_secret_is_told(plane, lane):
    replace(plane, lane)
    text = "\n".join(row["text"] for row in settled(plane))
    assert not any(secret in text for secret in plane.secrets)
    assert "target_name" not in text and "ciphertext" not in text


def test_a_replay_and_a_dry_run_and_a_read_tell_nothing(plane, lane):
    first = hand_in(plane, 1)
    before = len(settled(plane))
    body = {**lane.setup_request(), "mode": "dry-run"} if hasattr(lane, "setup_request") else None
    if body:
        plane.post("/v1/dokploy-targets/setup", body)
    assert_accepted(plane.post(EVIDENCE, deployment(2), key="once"))
    again = plane.post(EVIDENCE, deployment(2), key="once").json()
    assert again["replayed"]
    assert_ok(plane.get(f"/v1/deployments/{first['records']['deployment_record_id']}"))
    assert len(settled(plane)) == before + 1


def test_an_operation_tells_its_submission_each_phase_and_its_end(plane, lane):
    operation = replace(plane, lane)
    told = [row["leaf"] for row in settled(plane)
            if row["leaf"].get("operation", {}).get("operation_id") == operation["operation_id"]]
    assert [leaf["type"] for leaf in told] == ["request"] + ["operation"] * (len(told) - 1)
    assert told[-1]["event"] == "passed"
    assert told[-1]["records"]["deployment_record_id"] == operation["deployment_record_id"]
    done = [leaf["operation"]["phase"] for leaf in told if leaf["event"] == "phase_done"]
    events = [event["phase"] for event in operation["events"] if event["event"] == "phase_done"]
    assert done == events
    deploy = [leaf for leaf in told if leaf["operation"].get("phase") == "deploy"]
    assert sum(leaf["operation"].get("effects", 0) for leaf in deploy) >= 1


def test_a_cancellation_is_told_with_its_reason(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "*").hold_before()
    operation_id = assert_accepted(plane.post(APPLY, lane.replacement(), key="k"))["result"]["operation_id"]
    assert_accepted(plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "wrong artifact"}))
    rule.release()
    plane.finish(operation_id)
    asked = leaves(plane, action="operations.cancel")
    assert [leaf["reason"] for leaf in asked] == ["wrong artifact"]
    assert asked[0]["records"] == {"operation_id": operation_id}
    ended = [leaf for leaf in leaves(plane, event="failed")]
    assert ended and ended[-1]["error_code"] == "operation_cancelled"


def test_a_policy_change_is_told_with_both_digests(plane):
    grant = {"product": "launchplane", "mode": "apply", "reason": "agreed", "related_issue": "example-org/x#1", "grant": {
        "repository": "example-org/other", "workflow_refs": ["example-org/other/.github/workflows/*"],
        "products": ["launchplane"], "contexts": ["launchplane"], "actions": ["launchplane_service.read"]}}
    seeded = leaves(plane, event="policy_seeded")
    assert len(seeded) == 1 and seeded[0]["actor"] == "system"
    path = "/v1/authz-policies/github-actions/grants"
    answer = assert_accepted(plane.post(path, grant))
    told = leaves(plane, action="authz_policy_grant.write")
    assert len(told) == 1 and told[0]["reason"] == "agreed"
    assert told[0]["records"] == answer["records"]
    assert told[0]["details"]["new_policy_sha256"] == answer["result"]["policy"]["policy_sha256"] \
        if "policy" in answer["result"] else told[0]["details"]["new_policy_sha256"]
    assert told[0]["details"]["previous_policy_record_id"] == seeded[0]["records"]["authz_policy_record_id"]
    # The same once more changes nothing, and is told all the same: it was allowed.
    assert_accepted(plane.post(path, grant))
    assert len(leaves(plane, action="authz_policy_grant.write")) == 2


def test_a_command_on_the_database_is_told(plane, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(render(github_actions=[READER, ADMIN]))
    result = bare("authz-policies", "import-toml", "--policy-file", str(file),
                  LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert result.code == 0, result
    told = leaves(plane, type="command")
    assert len(told) == 1
    assert told[0]["route"] == "authz-policies import-toml"
    assert told[0]["caller"]["type"] == "command_line" and told[0]["caller"]["user"]
    assert told[0]["records"]["authz_policy_record_id"] == result.fields()["record_id"]


def test_an_administrators_repair_is_told_as_an_override(make_plane):
    plane = make_plane(render(github_actions=[READER], local_admins=[token_rule()]), **settings())
    plane.secrets += TOKENS.values()
    assert_accepted(plane.post(EVIDENCE, deployment(1), token=TOKENS["local_admins"]))
    told = leaves(plane, route=f"POST {EVIDENCE}")
    assert [(leaf["override"], leaf["caller"]["type"]) for leaf in told] == [("admin", "local_admin")]


def test_refusals_are_counted_and_do_not_fill_the_log(plane):
    stranger = plane.token(repository="example-org/stranger", sub="repo:example-org/stranger:ref:refs/heads/main")
    before = len(settled(plane))
    for number in range(50):
        assert_rejected(plane.post(EVIDENCE, deployment(number), token=stranger), 403, "authorization_denied")
    first = wait_until(lambda: leaves(plane, event="denied"), "the first refusal to be told", 60)
    assert len(first) == 1 and first[0]["action"] == "deployment.write" and first[0]["product"] == PRODUCT
    assert first[0]["caller"]["repository"] == "example-org/stranger"
    plane.pass_time(seconds=61)

    def all_counted():
        return sum(leaf["count"] for leaf in leaves(plane, event="denied")) == 50

    wait_until(all_counted, "the others to be told", 60)
    assert len(settled(plane)) <= before + 3


def test_a_refused_body_tells_nothing(plane):
    before = len(settled(plane))
    assert_rejected(plane.post(EVIDENCE, {"product": PRODUCT}), 400, "invalid_request")
    hand_in(plane, 1)
    assert len(settled(plane)) == before + 1


def test_a_step_that_storage_refuses_tells_nothing(plane):
    """Artifacts, what is derived, and previews: refused inside the transaction, and not told as accepted."""
    artifacts.prepare_refusals(plane)
    evidence.send(plane, artifacts.ARTIFACTS, artifacts.manifest())
    evidence.send(plane, evidence.GENERATIONS, evidence.generation(generation_id="theirs"))
    asked = [
        plane.post(artifacts.ARTIFACTS, artifacts.manifest(source_commit="b" * 40), key="artifact"),
        plane.post(evidence.GENERATIONS, evidence.generation(pr=8, generation_id="theirs"), key="generation"),
        plane.post(evidence.DESTROYED, evidence.destroyed(pr=98), key="destroyed"),
        *(artifacts.derive(plane, path, record_id, key=f"{record_id} {path}") for record_id, path, _, _ in artifacts.REFUSED)]
    assert {answer.status_code for answer in asked} == {400, 409}
    last = hand_in(plane, 1)["trace_id"]        # told behind them
    told = {leaf["trace_id"] for leaf in leaves(plane, event="accepted")}
    assert last in told and not told & {answer.json()["trace_id"] for answer in asked}


# ---- positions and checkpoints ----

def test_the_tree_is_that_of_rfc_6962(plane):
    """Leaves, subtrees, roots, proofs and signatures against an implementation of its own."""
    for number in range(7):
        hand_in(plane, number)
        settled(plane)
    rows = settled(plane)
    assert [row["position"] for row in rows] == list(range(len(rows)))
    hashes = [model.leaf_hash(row["text"].encode()) for row in rows]
    for row in rows:
        assert row["text"].encode() == model.canonical(row["leaf"])
        position, expected = row["position"], b""
        for level in range(64):
            if (position + 1) % (1 << level):
                break
            expected += model.root(hashes[position + 1 - (1 << level):position + 1])
        assert row["hashes"] == expected.hex()
    key = assert_ok(plane.get("/v1/audit/keys"))["keys"][0]["public_key"]
    previous = 0
    for checkpoint in assert_ok(plane.get("/v1/audit/checkpoints"))["checkpoints"]:
        size, root = model.check_note(checkpoint["note"], key)
        assert size == checkpoint["size"] and root == model.root(hashes[:size]) and root.hex() == checkpoint["root_hash"]
        assert checkpoint["previous_size"] == previous
        previous = size
    assert previous == len(rows)
    for position in range(len(rows)):
        for size in range(position + 1, len(rows) + 1):
            proof = assert_ok(plane.get(f"/v1/audit/proof/inclusion?position={position}&size={size}"))["proof"]
            assert proof["path"] == [part.hex() for part in model.path(position, hashes[:size])]
            assert proof["root_hash"] == model.root(hashes[:size]).hex()
    for to in range(1, len(rows) + 1):
        for start in range(1, to + 1):
            proof = assert_ok(plane.get(f"/v1/audit/proof/consistency?from={start}&to={to}"))["proof"]
            assert proof["path"] == [part.hex() for part in model.consistency(start, hashes[:to])]


def test_an_entry_of_a_long_transaction_is_not_lost(plane):
    """It took its number early and commits late: by then later ones have their positions."""
    settled(plane)
    insert = "INSERT INTO launchplane_audit_pending (leaf) VALUES ('{\"late\":true}')"
    with psycopg.connect(plane.database_url) as slow:
        slow.execute(insert)
        for number in range(3):
            hand_in(plane, number)
        before = settled(plane)
        assert not any("late" in row["leaf"] for row in before)
        slow.commit()
    after = wait_until(lambda: (rows := settled(plane)) and len(rows) > len(before) and rows, "the late one", 60)
    assert [row["leaf"] for row in after[len(before):]] == [{"late": True}]
    assert verify(plane).code == 0


def test_what_is_rolled_back_is_not_told(plane):
    before = len(settled(plane))
    with psycopg.connect(plane.database_url) as connection:
        connection.execute("INSERT INTO launchplane_audit_pending (leaf) VALUES ('{}')")
        connection.rollback()
    hand_in(plane, 1)
    assert len(settled(plane)) == before + 1


@pytest.mark.parametrize("place", ["audit.read", "audit.placed", "audit.committed"])
def test_a_sequencer_that_is_killed_leaves_nothing_half_done(make_plane, state_dir, place):
    done = state_dir / "fault-done"
    plane = make_plane(POLICY, LAUNCHPLANE_TEST_FAULT=f"{place}:2:kill", LAUNCHPLANE_TEST_FAULT_DONE=str(done))
    sent = []

    def has_died():
        sent.append(len(sent))
        with contextlib.suppress(OSError):
            plane.post(EVIDENCE, deployment(sent[-1]), key=str(sent[-1]))
        return done.exists()

    wait_until(has_died, "the fault", 60)
    plane.restart()
    for number in sent:                # whatever became of it: asked again, it is done, and told, once
        assert_accepted(plane.post(EVIDENCE, deployment(number), key=str(number)))
    told = [leaf["records"]["deployment_record_id"] for leaf in leaves(plane, route=f"POST {EVIDENCE}")]
    assert sorted(told) == sorted(f"deployment-{number}" for number in sent)
    assert verify(plane).code == 0


def test_two_services_sequence_at_once(plane, make_plane):
    """Two hosts with two workers each: one log, one key, no gap, nothing twice."""
    other = make_plane(POLICY, LAUNCHPLANE_WORKERS="2", LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    planes = [plane, other]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: hand_in(planes[number % 2], number), range(60)))
    told = [leaf["records"]["deployment_record_id"] for leaf in leaves(plane, route=f"POST {EVIDENCE}")]
    assert sorted(told) == sorted(f"deployment-{number}" for number in range(60))
    assert len(plane.query("SELECT key_id FROM launchplane_audit_keys")) == 1
    assert verify(plane).code == 0


# ---- keys ----

def seed():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def test_the_key_of_the_setting_signs_and_is_not_shown(make_plane):
    key = seed()
    plane = make_plane(POLICY, LAUNCHPLANE_AUDIT_SIGNING_KEY=key)
    plane.secrets += [key, key.rstrip("="), base64.urlsafe_b64decode(key).hex()]
    hand_in(plane, 1)
    settled(plane)
    listed = assert_ok(plane.get("/v1/audit/keys"))["keys"]
    assert [entry["source"] for entry in listed] == ["setting"]
    model.check_note(assert_ok(plane.get("/v1/audit/checkpoint"))["checkpoint"]["note"], listed[0]["public_key"])


def test_a_new_key_signs_on_and_old_checkpoints_stay_good(plane):
    hand_in(plane, 1)
    settled(plane)
    first = assert_ok(plane.get("/v1/audit/keys"))["keys"][0]
    made = bare("audit", "rotate-key", LAUNCHPLANE_DATABASE_URL=plane.database_url,
                LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    assert made.code == 0, made
    hand_in(plane, 2)
    settled(plane)
    keys = assert_ok(plane.get("/v1/audit/keys"))["keys"]
    assert [key["public_key"] for key in keys] == [first["public_key"], made.fields()["public_key"].strip()]
    checkpoint = assert_ok(plane.get("/v1/audit/checkpoint"))["checkpoint"]
    assert checkpoint["key_id"] == keys[1]["key_id"]
    assert leaves(plane, route="audit rotate-key")[0]["details"]["audit_key_id"] == keys[1]["key_id"]
    assert verify(plane, "--public-key", keys[0]["public_key"], "--public-key", keys[1]["public_key"]).code == 0
    assert verify(plane, "--public-key", keys[0]["public_key"]).code == 1


def test_a_bad_signing_key_ends_the_start(make_plane, database):
    result = bare("service", "serve", LAUNCHPLANE_DATABASE_URL=database, LAUNCHPLANE_SERVICE_AUDIENCE="x",
                  LAUNCHPLANE_POLICY_TOML=POLICY, LAUNCHPLANE_AUDIT_SIGNING_KEY="too-short")
    assert result.code != 0
    assert "LAUNCHPLANE_AUDIT_SIGNING_KEY" in result.err and "too-short" not in result.err


def test_without_any_key_changes_are_told_but_not_signed(make_plane):
    plane = make_plane(POLICY, LAUNCHPLANE_MASTER_ENCRYPTION_KEY="")
    hand_in(plane, 1)
    wait_until(lambda: plane.query("SELECT count(*) AS n FROM launchplane_audit_pending")[0]["n"] == 0, "positions", 60)
    assert_rejected(plane.get("/v1/audit/checkpoint"), 404, "not_found")
    assert plane.logged(event="audit.unsigned")
    result = verify(plane)
    assert result.code == 0 and result.json()["status"] == "unsigned"


# ---- reading ----

def test_entries_are_listed_page_by_page_and_filtered(plane):
    for number in range(5):
        hand_in(plane, number)
    rows = settled(plane)
    read, start = [], 0
    while start is not None:
        page = assert_ok(plane.get(f"/v1/audit/entries?from={start}&limit=2"))
        assert len(page["entries"]) <= 2
        read += page["entries"]
        start = page["next_from"]
    assert [(entry["position"], entry["leaf"], entry["hashes"]) for entry in read] == \
        [(row["position"], row["leaf"], row["hashes"]) for row in rows]
    assert assert_ok(plane.get("/v1/audit/entries/1"))["entry"] == read[1]
    found = assert_ok(plane.get(f"/v1/audit/entries?product={PRODUCT}&context={CONTEXT}&action=deployment.write"))["entries"]
    assert len(found) == 5
    actor = found[0]["leaf"]["actor"]
    assert len(assert_ok(plane.get("/v1/audit/entries", params={"actor": actor}))["entries"]) == 5
    assert assert_ok(plane.get("/v1/audit/entries?since=2100-01-01"))["entries"] == []
    assert len(assert_ok(plane.get("/v1/audit/entries?since=2000-01-01T00:00:00Z"))["entries"]) == len(rows)


@pytest.mark.parametrize("query", [
    "entries?from=-1", "entries?from=x", "entries?limit=0", "entries?limit=501", "entries?color=red", "entries?since=soon",
    "entries?from=99999999999999999999", "checkpoints?after=x", "proof/inclusion", "proof/inclusion?position=100000",
    "proof/inclusion?position=0&size=0", "proof/inclusion?position=0&size=100000", "proof/consistency",
    "proof/consistency?from=0", "proof/consistency?from=2&to=1", "proof/consistency?from=1&to=100000"])
def test_a_bad_query_is_refused(plane, query):
    hand_in(plane, 1)
    settled(plane)
    assert_rejected(plane.get(f"/v1/audit/{query}"), 400, "invalid_query")


def test_an_entry_that_is_not_there(plane):
    assert_rejected(plane.get("/v1/audit/entries/100000"), 404, "not_found")
    assert_rejected(plane.get("/v1/audit/entries/first"), 400, "invalid_request")


def test_a_tenant_sees_its_own_entries_only(make_plane):
    tenant = workflow_rule(["audit.read"], [PRODUCT], ["*"], "example-org/tenant")
    plane = make_plane(render(github_actions=[READER, tenant, *lane_rules(), *lane_rules("other-product", "other")]))
    token = plane.token(repository="example-org/tenant", sub="repo:example-org/tenant:ref:refs/heads/main")
    hand_in(plane, 1)
    hand_in(plane, 2, product="other-product", context="other")
    rows = settled(plane)
    for path in ("entries", "entries?product=other-product", "entries?product=launchplane", "checkpoint", "keys"):
        assert_rejected(plane.get(f"/v1/audit/{path}", token=token), 403, "authorization_denied")
    own = assert_ok(plane.get(f"/v1/audit/entries?product={PRODUCT}", token=token))["entries"]
    assert {entry["leaf"]["product"] for entry in own} == {PRODUCT}
    for row in rows:
        answer = plane.get(f"/v1/audit/entries/{row['position']}", token=token)
        if row["leaf"].get("product") == PRODUCT:
            assert_ok(answer)
        else:
            assert_rejected(answer, 403, "authorization_denied")
    assert_ok(plane.get(f"/v1/audit/checkpoint?product={PRODUCT}", token=token))
    assert_ok(plane.get(f"/v1/audit/proof/inclusion?position={own[0]['position']}&product={PRODUCT}", token=token))


# ---- verifying ----

@pytest.fixture
def kept(plane, tmp_path):
    """A log of some length, an older checkpoint of it in a file, and the words that verify against them."""
    for number in range(4):
        hand_in(plane, number)
        settled(plane)
    file = tmp_path / "checkpoint"
    saved = Cli(plane)("audit", "checkpoint")
    assert saved.code == 0, saved
    file.write_text(saved.out)
    for number in range(4, 7):
        hand_in(plane, number)
        settled(plane)
    key = assert_ok(plane.get("/v1/audit/keys"))["keys"][0]["public_key"]
    return ["--checkpoint", str(file), "--public-key", key]


def test_an_honest_log_verifies_from_database_service_and_file(plane, kept, tmp_path):
    size = len(settled(plane))
    exported = str(tmp_path / "log.jsonl")
    assert Cli(plane)("audit", "export", "--output", exported).code == 0
    direct = bare("audit", "export", "--database-url", plane.database_url)
    assert direct.out == open(exported).read()
    for result in (verify(plane, *kept), Cli(plane)("audit", "verify", "--json", *kept),
                   bare("audit", "verify", "--json", "--file", exported, *kept)):
        assert result.code == 0, result
        assert result.json()["status"] == "ok" and result.json()["entries"] == size
    lines = [json.loads(line) for line in open(exported)]
    hashes = [model.leaf_hash(model.canonical(line["leaf"])) for line in lines if "leaf" in line]
    assert model.check_note(lines[-1]["checkpoint"], kept[-1]) == (size, model.root(hashes))


@pytest.mark.parametrize("statement, first", [
    ("UPDATE launchplane_audit_entries SET leaf = replace(leaf::text, 'deployment-2', 'deployment-9')::json"
     " WHERE leaf::text LIKE '%%deployment-2%%'", "SELECT position FROM launchplane_audit_entries"
     " WHERE leaf::text LIKE '%%deployment-2%%'"),
    ("DELETE FROM launchplane_audit_entries WHERE position = 3", "SELECT 3 AS position"),
    ("DELETE FROM launchplane_audit_entries WHERE position >= 4", "SELECT 4 AS position"),
])
def test_tampering_is_found_by_whoever_kept_a_checkpoint(plane, kept, tmp_path, statement, first):
    position = plane.query(first.replace("%%", "%"))[0]["position"]
    tamper(plane, statement.replace("%%", "%"))
    exported = str(tmp_path / "log.jsonl")
    assert bare("audit", "export", "--database-url", plane.database_url, "--output", exported).code == 0
    for result in (verify(plane, *kept), Cli(plane)("audit", "verify", "--json", *kept),
                   bare("audit", "verify", "--json", "--file", exported, *kept)):
        assert result.code == 1
        assert result.json()["status"] == "tampered"
        assert result.json()["first_bad_position"] == position
        assert f"position {position}" in result.err


def test_a_log_that_is_rolled_back_behind_a_kept_checkpoint(plane, kept):
    """Everything later removed without a trace: only the checkpoint outside tells."""
    size = plane.query("SELECT max(size) AS n FROM launchplane_audit_checkpoints WHERE size < 4")[0]["n"]
    tamper(plane, f"DELETE FROM launchplane_audit_entries WHERE position >= {size}",
           f"DELETE FROM launchplane_audit_checkpoints WHERE size > {size}")
    assert verify(plane).code == 0
    result = verify(plane, *kept)
    assert result.code == 1 and result.json()["first_bad_position"] == size


def test_a_proof_is_verified_offline(plane, kept, tmp_path):
    position = settled(plane)[2]["position"]
    proved = Cli(plane)("audit", "prove", str(position))
    assert proved.code == 0, proved
    file = tmp_path / "proof.json"
    file.write_text(proved.out)
    words = ["audit", "verify", "--proof", str(file)]
    assert bare(*words, *kept[2:]).code == 0
    assert bare(*words).code == 2
    stranger = bare("audit", "verify", "--proof", str(file), "--public-key",
                    "launchplane-audit/other+" + kept[-1].split("+", 1)[1])
    assert stranger.code == 1
    document = json.loads(proved.out)
    document["entry"]["leaf"]["actor"] = "somebody else"
    file.write_text(json.dumps(document))
    assert bare(*words, *kept[2:]).code == 1


def test_a_file_that_is_no_export(tmp_path):
    for text in ("", "nonsense\n", "{}\n", '{"keys":[]}\n{"position":1}\n', '{"keys":[]}\n{"checkpoint":"x"}\n'):
        file = tmp_path / "file"
        file.write_text(text)
        result = bare("audit", "verify", "--file", str(file))
        assert result.code == 1 and str(file) in result.err, result
