"""Changing the policy through the service: grants, removals, their traces, and why a decision is as it is."""
import concurrent.futures
import json

import pytest

from checks import assert_accepted, assert_ok, assert_rejected, assert_unauthenticated
from conftest import module_plane
from rehearsal.policy import REPOSITORY, render, workflow_rule
from rehearsal.waiting import wait_until
from test_identities import TOKENS, settings, token_rule

RUNTIME = "/v1/service/runtime"
BASE = "/v1/authz-policies"
GRANT = f"{BASE}/github-actions/grants"
REMOVAL = f"{BASE}/github-actions/removals"
EXPLAIN = "/v1/authz/explain"
ADMIN = workflow_rule(["authz_policy_grant.write"], ["launchplane"], ["launchplane"])
STRANGER = "example-org/stranger"
NOTIFIED = 25              # seconds: without a notification a worker looks after 30
SECTIONS = ("github_actions", "github_humans", "terminal_agents", "local_operators", "local_admins")

POLICY = render(github_actions=[ADMIN, workflow_rule(["authz_explain.read"], ["launchplane"], ["launchplane"])])


def workflow_grant(**changes):
    return {"repository": STRANGER, "workflow_refs": [f"{STRANGER}/.github/workflows/*"], "products": ["launchplane"],
            "contexts": ["launchplane"], "actions": ["launchplane_service.read"], **changes}


SCOPE = {"products": ["shop"], "contexts": ["shop-testing"], "actions": ["product_config.plan"]}
TOKEN_GRANT = {"subjects": ["some-owner"], "token_labels": ["some-laptop"], **SCOPE}
# family: (section, path, grant, default source label, what an answer must not show)
FAMILIES = {
    "github-actions": ("github_actions", workflow_grant(), "service:authz-policy-grant", [".github/workflows"]),
    "github-humans": ("github_humans", {"logins": ["octocat"], "organizations": ["big-org"], "teams": ["big-org/crew"],
                                        "roles": ["admin"], **SCOPE},
                      "service:authz-human-policy-grant", ["octocat", "big-org"]),
    "terminal-agents": ("terminal_agents", TOKEN_GRANT, "service:authz-terminal-agent-policy-grant", ["some-"]),
    "local-operators": ("local_operators", TOKEN_GRANT, "service:authz-local-operator-policy-grant", ["some-"]),
    "local-admins": ("local_admins", TOKEN_GRANT, "service:authz-local-admin-policy-grant", ["some-"]),
}


def body(grant=None, mode="apply", member="grant", **changes):
    return {"product": "launchplane", "mode": mode, "reason": "agreed", "related_issue": "example-org/x#1",
            member: workflow_grant() if grant is None else grant, **changes}


def stored(plane):
    return plane.query("SELECT record_id, status, source, updated_at, policy_sha256, payload FROM launchplane_authz_policies"
                       " ORDER BY updated_at, record_id")


def rules(plane, section="github_actions"):
    return stored(plane)[-1]["payload"]["policy"].get(section, [])


def without_empty(rule):
    return {name: value for name, value in rule.items() if value}


def stranger_may(plane):
    token = plane.token(repository=STRANGER, workflow_ref=f"{STRANGER}/.github/workflows/w.yml@refs/heads/main")
    return plane.get(RUNTIME, token=token).status_code == 200


pytestmark = pytest.mark.policy(POLICY)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_grant_is_shown_then_made_then_nothing_new(plane, family):
    """core 3.6, 3.7; AUTH-15, AUTH-17 to AUTH-20, AUTH-22, AUTH-26, AUTH-38, AUTH-39, AUTH-68, AUTH-69, AUTH-82, AUTH-83"""
    section, grant, label, hidden = FAMILIES[family]
    path = f"{BASE}/{family}/grants"
    before, (first,) = plane.counts(), stored(plane)
    old = len(first["payload"]["policy"].get(section, []))

    planned = assert_accepted(plane.post(path, body(grant, "dry_run", reason=""), key="k"),
                              authz_policy_record_id=first["record_id"])["result"]
    assert (planned["mode"], planned["changed"]) == ("dry_run", True)
    assert planned["diff"][f"previous_{section}_rule_count"] == old
    assert planned["diff"][f"new_{section}_rule_count"] == old + 1
    assert planned["authz_policy"]["record_id"] == first["record_id"]
    assert plane.counts() == before

    answer = plane.post(path, body(grant), key="k")
    made = assert_accepted(answer)
    first_again, second = stored(plane)
    assert first_again == first
    assert made["records"] == {"authz_policy_record_id": second["record_id"]}
    assert second["source"] == label
    assert without_empty(second["payload"]["policy"][section][-1]) == grant
    for name in SECTIONS:
        assert made["result"]["diff"][f"new_{name}_rule_count"] - made["result"]["diff"][f"previous_{name}_rule_count"] == (
            name == section)
        assert made["result"]["authz_policy"][f"{name}_rule_count"] == len(second["payload"]["policy"].get(name, []))
    shown = {name: second[name] for name in ("record_id", "status", "source", "updated_at", "policy_sha256")}
    assert {name: made["result"]["authz_policy"][name] for name in shown} == shown
    assert all(text not in answer.text for text in hidden)

    audit = second["payload"]["audit"]
    assert without_empty(audit["requested_grant"]) == grant
    assert audit["operator"]["type"] == audit["principal_type"] == "github_actions"
    assert audit["operator"]["repository"] == REPOSITORY
    assert (audit["reason"], audit["related_issue"], audit["mode"]) == ("agreed", "example-org/x#1", "apply")
    assert (audit["previous_policy_record_id"], audit["new_policy_record_id"]) == (first["record_id"], second["record_id"])
    assert (audit["previous_policy_sha256"], audit["new_policy_sha256"]) == (first["policy_sha256"], second["policy_sha256"])
    assert (audit["trace_id"], audit["changed"], audit["updated_at"]) == (made["trace_id"], True, second["updated_at"])
    assert made["result"]["audit"]["operator"] == {"type": "github_actions"}
    assert made["result"]["audit"]["requested_grant_summary"]["actions"] == grant["actions"]

    same = assert_accepted(plane.post(path, body(grant)), authz_policy_record_id=second["record_id"])["result"]
    assert same["changed"] is same["diff"]["changed"] is False
    assert len(stored(plane)) == 2


def test_a_grant_counts_at_once(plane):
    """AUTH-40"""
    assert not stranger_may(plane)
    assert_accepted(plane.post(GRANT, body()))
    assert stranger_may(plane)
    assert assert_ok(plane.get(RUNTIME, token=plane.token(
        repository=STRANGER, workflow_ref=f"{STRANGER}/.github/workflows/w.yml@x")))["runtime"]["authz_policy_source"] == "db"
    assert_accepted(plane.post(REMOVAL, body(member="removal")))
    assert not stranger_may(plane)


def test_a_token_seen_before_is_judged_by_the_policy_of_now(plane):
    """Who it is may be remembered, what they may never"""
    token = plane.token(repository=STRANGER, workflow_ref=f"{STRANGER}/.github/workflows/w.yml@refs/heads/main")
    for member, path, expected in (("removal", REMOVAL, 403), ("grant", GRANT, 200), ("removal", REMOVAL, 403), ("grant", GRANT, 200)):
        assert_accepted(plane.post(path, body(member=member)))
        assert [plane.get(RUNTIME, token=token).status_code for _ in range(3)] == [expected] * 3


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_a_grant_counts_in_every_worker(plane):
    """Each worker says in its log that it has loaded the new record; after that every connection is let in."""
    record = assert_accepted(plane.post(GRANT, body()))["records"]["authz_policy_record_id"]
    wait_until(lambda: len(plane.logged(event="policy.loaded", record_id=record)) == 2, "both to be notified", NOTIFIED)
    token = plane.token(repository=STRANGER, workflow_ref=f"{STRANGER}/.github/workflows/w.yml@x")
    for _ in range(20):
        assert_ok(plane.get(RUNTIME, token=token, headers={"Connection": "close"}))


def test_a_retry_is_answered_and_another_request_refused(plane):
    """AUTH-24, AUTH-25"""
    first = assert_accepted(plane.post(GRANT, body(), key="once"))
    again = assert_accepted(plane.post(GRANT, body(), key="once"))
    assert (again["replayed"], again["original_trace_id"]) == (True, first["trace_id"])
    assert again["result"] == first["result"]
    assert_rejected(plane.post(GRANT, body(workflow_grant(actions=["x.read"])), key="once"), 409, "idempotency_key_reused")
    assert len(stored(plane)) == 2


def test_several_grants_within_a_second_keep_their_order(plane):
    """core 8.1: every record its own id and time, the newest is in force"""
    made = [assert_accepted(plane.post(GRANT, body(workflow_grant(actions=[f"a{i}.read"]))))["records"]
            ["authz_policy_record_id"] for i in range(12)]
    records = stored(plane)
    assert [record["record_id"] for record in records[1:]] == made
    assert len({record["updated_at"] for record in records}) == 13
    assert [rule["actions"] for rule in rules(plane)[2:]] == [[f"a{i}.read"] for i in range(12)]


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_grants_of_two_operators_at_once_both_count(plane):
    def grant(i):
        return plane.post(GRANT, body(workflow_grant(actions=[f"a{i}.read"])), headers={"Connection": "close"})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for answer in pool.map(grant, range(16)):
            assert_accepted(answer)
    assert sorted(rule["actions"][0] for rule in rules(plane)[2:]) == sorted(f"a{i}.read" for i in range(16))


def test_twins_with_one_key_make_one_record(plane):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [assert_accepted(answer) for answer in pool.map(lambda _: plane.post(GRANT, body(), key="twin"), range(8))]
    assert len({json.dumps(answer["records"]) for answer in answers}) == 1
    assert sum("replayed" not in answer for answer in answers) == 1
    assert len(stored(plane)) == 2


def test_lists_are_tidied(plane):
    """core 3.6: trimmed, blanks dropped, order and repetition kept"""
    assert_accepted(plane.post(GRANT, body(workflow_grant(
        repository=f"  {STRANGER} ", actions=[" b.read", "", "a.read ", "  ", "b.read"], source_label=" deploy:x-grant "))))
    assert rules(plane)[-1]["actions"] == ["b.read", "a.read", "b.read"]
    assert rules(plane)[-1]["repository"] == STRANGER
    assert "source_label" not in rules(plane)[-1]
    assert stored(plane)[-1]["source"] == "deploy:x-grant"


def test_only_the_whole_rule_is_removed(plane):
    """AUTH-16, AUTH-31 to AUTH-33: half a rule, a wider one or another order removes nothing"""
    rule = workflow_grant(actions=["a.read", "b.read"])
    assert_accepted(plane.post(GRANT, body(rule)))
    assert_accepted(plane.post(GRANT, body(workflow_grant(actions=["c.read"]))))
    before = stored(plane)
    for other in ({"actions": ["a.read"]}, {"actions": ["b.read", "a.read"]}, {"actions": ["a.read", "b.read", "b.read"]},
                  {"products": []}, {"contexts": ["*"]}, {"workflow_refs": []}, {"refs": ["refs/heads/main"]},
                  {"repository": REPOSITORY}, {"environments": ["prod"]}, {"repository_id": "7"}):
        result = assert_accepted(plane.post(REMOVAL, body({**rule, **other}, member="removal")))["result"]
        assert (result["changed"], result["diff"]["matched_rule_count"], result["diff"]["removed_rule_count"]) == (False, 0, 0)
    assert stored(plane) == before
    planned = assert_accepted(plane.post(REMOVAL, body(rule, "dry_run", member="removal")))["result"]
    assert (planned["changed"], planned["diff"]["matched_rule_count"]) == (True, 1)
    assert stored(plane) == before
    answer = plane.post(REMOVAL, body(rule, member="removal"))
    result = assert_accepted(answer)["result"]
    assert (result["diff"]["matched_rule_count"], result["diff"]["removed_rule_count"]) == (1, 1)
    assert ".github/workflows" not in answer.text
    assert [left["actions"] for left in rules(plane)[2:]] == [["c.read"]]
    assert without_empty(stored(plane)[-1]["payload"]["audit"]["requested_removal"]) == rule


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_taken_away_as_it_was_given(plane, family):
    """AUTH-31 to AUTH-33 for each kind of caller: only the whole rule, only in its own section, counts only, with a trace"""
    section, grant, label, hidden = FAMILIES[family]
    path = f"{BASE}/{family}/removals"
    assert_accepted(plane.post(f"{BASE}/{family}/grants", body(grant)))
    before = stored(plane)
    for other in ({"actions": [*grant["actions"], "a.read"]}, {"products": []}, {"contexts": ["*"]}):
        result = assert_accepted(plane.post(path, body({**grant, **other}, member="removal")))["result"]
        assert (result["changed"], result["diff"]["matched_rule_count"]) == (False, 0)
    assert stored(plane) == before
    if grant is TOKEN_GRANT:
        for twin in {"terminal-agents", "local-operators", "local-admins"} - {family}:
            assert not assert_accepted(plane.post(f"{BASE}/{twin}/removals", body(grant, member="removal")))["result"]["changed"]
    counted = plane.counts()
    planned = assert_accepted(plane.post(path, body(grant, "dry_run", "removal", reason="")))["result"]
    assert (planned["changed"], planned["diff"]["removed_rule_count"]) == (True, 1)
    assert plane.counts() == counted
    assert_rejected(plane.post(path, body(grant, member="removal", reason=" ")), 400, "reason_required")
    answer = plane.post(path, body(grant, member="removal"), key="away")
    made = assert_accepted(answer)
    assert made["result"]["diff"]["removed_rule_count"] == 1
    assert all(text not in answer.text for text in hidden)
    assert grant not in [without_empty(rule) for rule in rules(plane, section)]
    last = stored(plane)[-1]
    assert (last["record_id"], last["source"]) == (made["records"]["authz_policy_record_id"], label)
    assert without_empty(last["payload"]["audit"]["requested_removal"]) == grant
    assert assert_accepted(plane.post(path, body(grant, member="removal"), key="away"))["replayed"] is True


def test_what_an_operator_may_no_longer_be_given_can_be_taken_away(make_plane):
    """U-59 closes the list of what is granted; a rule from before goes all the same"""
    old = {**TOKEN_GRANT, "actions": ["secret.read"]}
    plane = make_plane(render(github_actions=[ADMIN], local_operators=[old]))
    assert assert_accepted(plane.post(f"{BASE}/local-operators/removals", body(old, member="removal")))["result"]["changed"]
    assert rules(plane, "local_operators") == []


def test_a_rule_that_stands_there_twice_goes_twice(make_plane):
    twice = workflow_rule(["old.execute"], ["launchplane"], ["launchplane"], STRANGER)
    plane = make_plane(render(github_actions=[twice, ADMIN, twice]))
    result = assert_accepted(plane.post(REMOVAL, body(twice, member="removal")))["result"]
    assert result["diff"]["removed_rule_count"] == 2
    assert [rule["repository"] for rule in rules(plane)] == [REPOSITORY]


def test_a_rule_pinned_to_numbers_is_made_and_removed(plane):
    pinned = workflow_grant(repository_id="74", repository_owner_id="65", runner_environments=["github-hosted"])
    assert_accepted(plane.post(GRANT, body(pinned)))
    assert rules(plane)[-1] == {**{name: [] for name in ("job_workflow_refs", "event_names", "refs", "environments")},
                                **pinned}
    assert assert_accepted(plane.post(REMOVAL, body(pinned, member="removal")))["result"]["changed"]


@pytest.mark.parametrize("mode", ["dry_run", "apply"])
def test_the_last_administrator_stays(plane, mode):
    before = plane.counts()
    answer = plane.post(REMOVAL, body(ADMIN, mode, member="removal"))
    assert_rejected(answer, 409, "conflict")
    assert plane.counts() == before
    assert_accepted(plane.post(GRANT, body({**ADMIN, "repository": STRANGER})))
    assert_accepted(plane.post(REMOVAL, body(ADMIN, member="removal")))
    assert_rejected(plane.post(GRANT, body()), 403, "authorization_denied")


# who

def test_only_the_grant_for_this_opens_these_routes(make_plane):
    """AUTH-22, AUTH-41: self-deploy authority, or the action elsewhere, is none for this"""
    plane = make_plane(render(github_actions=[
        workflow_rule(["launchplane_service_deploy.execute"], ["launchplane"], ["launchplane"]),
        workflow_rule(["authz_policy_grant.write"], ["launchplane"], ["other"]),
        workflow_rule(["authz_policy_grant.write"], ["shop"], ["launchplane"])]))
    before = plane.counts()
    for family, (_, grant, _, _) in FAMILIES.items():
        for mode in ("dry_run", "apply"):
            assert_rejected(plane.post(f"{BASE}/{family}/grants", body(grant, mode)), 403, "authorization_denied")
            assert_unauthenticated(plane.post(f"{BASE}/{family}/grants", body(grant, mode), token=None))
        assert_rejected(plane.post(f"{BASE}/{family}/removals", body(grant, member="removal")), 403, "authorization_denied")
    assert_rejected(plane.post(EXPLAIN, {"action": "a", "product": "p", "context": "c"}), 403, "authorization_denied")
    assert plane.counts() == before


@pytest.mark.parametrize("section", ["terminal_agents", "local_operators", "local_admins"])
def test_token_holders_and_the_policy(make_plane, section):
    """core 3.6, 2.5, U-59: agents and operators never, admins with a reason even for a dry-run"""
    plane = make_plane(render(**{section: [token_rule()]}), **settings())
    plane.secrets += TOKENS.values()
    token = TOKENS[section]
    if section != "local_admins":
        for sent in (body(), body(mode="dry_run")):
            assert_rejected(plane.post(GRANT, sent, token=token), 403, "authorization_denied")
        return
    for mode in ("dry_run", "apply"):
        assert_rejected(plane.post(GRANT, body(mode=mode, reason=" "), token=token), 400, "reason_required")
        assert_accepted(plane.post(GRANT, body(mode=mode), token=token))
    audit = stored(plane)[-1]["payload"]["audit"]
    assert audit["operator"] == {"type": section[:-1], "subject": "owner", "token_label": "laptop"}


@pytest.mark.parametrize("action", ["product_profile.read", "authz_policy_grant.write", "product_config.*", "secret.read"])
def test_operators_get_no_more_than_their_list(plane, action):
    """U-59, AUTH-78"""
    grant = {**TOKEN_GRANT, "actions": ["product_config.apply", action]}
    assert_rejected(plane.post(f"{BASE}/local-operators/grants", body(grant)), 400, "invalid_request", "grant.actions[1]")
    assert_accepted(plane.post(f"{BASE}/local-admins/grants", body(grant)))


# bad input

BAD = {
    "no product": (GRANT, lambda b: b.pop("product"), "product"),
    "another product": (GRANT, lambda b: b.update(product="shop"), "product"),
    "no grant": (GRANT, lambda b: b.pop("grant"), "grant"),
    "grant is a list": (GRANT, lambda b: b.update(grant=[]), "grant"),
    "a removal on grants": (GRANT, lambda b: b.update(removal=b["grant"]), "removal"),
    "a grant on removals": (REMOVAL, lambda b: None, "grant"),
    "an unknown mode": (GRANT, lambda b: b.update(mode="dry-run"), "mode"),
    "a version of nothing": (GRANT, lambda b: b.update(schema_version=0), "schema_version"),
    "a reason that is a number": (GRANT, lambda b: b.update(reason=1), "reason"),
    "unknown member": (GRANT, lambda b: b.update(force=True), "force"),
    "unknown condition": (GRANT, lambda b: b["grant"].update(actor="me"), "grant.actor"),
    "a blank repository": (GRANT, lambda b: b["grant"].update(repository="  "), "grant.repository"),
    "no repository": (GRANT, lambda b: b["grant"].pop("repository"), "grant.repository"),
    "a repository that is null": (GRANT, lambda b: b["grant"].update(repository=None), "grant.repository"),
    "a number that is a word": (GRANT, lambda b: b["grant"].update(repository_id="x"), "grant.repository_id"),
    "no actions": (GRANT, lambda b: b["grant"].pop("actions"), "grant.actions"),
    "empty actions": (GRANT, lambda b: b["grant"].update(actions=[]), "grant.actions"),
    "blank actions": (GRANT, lambda b: b["grant"].update(actions=["", " "]), "grant.actions"),
    "actions as text": (GRANT, lambda b: b["grant"].update(actions="a.read"), "grant.actions"),
    "a number among actions": (GRANT, lambda b: b["grant"].update(actions=["a", 1]), "grant.actions[1]"),
    "null among refs": (GRANT, lambda b: b["grant"].update(refs=[None]), "grant.refs[0]"),
    "too long a ref": (GRANT, lambda b: b["grant"].update(workflow_refs=["ok", "x" * 1025]), "grant.workflow_refs[1]"),
    "too many refs": (GRANT, lambda b: b["grant"].update(refs=["x"] * 2001), "grant.refs"),
    "a person's role": ("github-humans", lambda b: b["grant"].update(roles=["admin", "owner"]), "grant.roles[1]"),
    "nobody": ("github-humans", lambda b: b["grant"].update(logins=[""], organizations=[], teams=[" "]), "grant.logins"),
    "a person's repository": ("github-humans", lambda b: b["grant"].update(repository="x/y"), "grant.repository"),
    "no subjects": ("local-admins", lambda b: b["grant"].update(subjects=[" "]), "grant.subjects"),
    "no labels": ("terminal-agents", lambda b: b["grant"].pop("token_labels"), "grant.token_labels"),
    "blank labels": ("local-operators", lambda b: b["grant"].update(token_labels=[]), "grant.token_labels"),
}


@pytest.fixture(scope="module")
def refusing(cluster, template):
    with module_plane(cluster, template, POLICY) as plane:
        yield plane


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("mode", ["dry_run", "apply"])
def test_bad_input_names_its_place(refusing, name, mode):
    """core 3.6: 400, and nothing written; a caller without the grant is told the same, for it tells nothing"""
    path, spoil, place = BAD[name]
    family = path if path in FAMILIES else "github-actions"
    sent = json.loads(json.dumps(body(FAMILIES[family][1], mode)))
    spoil(sent)
    before = refusing.counts()
    answer = refusing.post(path if path.startswith("/") else f"{BASE}/{path}/grants", sent, key="bad")
    assert_rejected(answer, 400, "invalid_request", place)
    assert refusing.counts() == before


@pytest.mark.parametrize("reason", ["", " \t", None])
def test_applying_needs_a_reason(refusing, reason):
    """AUTH-34"""
    sent = body()
    del sent["reason"]
    if reason is not None:
        sent["reason"] = reason
    before = refusing.counts()
    assert_rejected(refusing.post(GRANT, sent, key="k"), 400, "reason_required", "reason")
    assert refusing.counts() == before


# a database that is not as it should be

def test_without_an_active_record_nothing_is_granted(plane):
    """core 3.6"""
    plane.query("UPDATE launchplane_authz_policies SET status = 'superseded'")
    for mode in ("dry_run", "apply"):
        assert_rejected(plane.post(GRANT, body(mode=mode)), 503, "authz_policy_unavailable")
    assert len(stored(plane)) == 1


def test_a_record_edited_by_hand_is_not_built_upon(plane):
    """core 3.4"""
    plane.query("UPDATE launchplane_authz_policies SET policy_sha256 = repeat('0', 64)")
    assert_rejected(plane.post(GRANT, body()), 500, "internal_error")
    assert len(stored(plane)) == 1


# why

def why(plane, action, product, context, **options):
    return assert_accepted(plane.post(EXPLAIN, {"action": action, "product": product, "context": context}, **options))["result"]


def test_the_rule_that_allows_is_shown(plane):
    shown = why(plane, "authz_policy_grant.write", "launchplane", "launchplane")
    assert (shown["allowed"], shown["decided_by"], shown["nearest_rules"]) == (True, "rule", [])
    assert shown["rule"] == {"repository": REPOSITORY, "actions": ["authz_policy_grant.write"], "products": ["launchplane"],
                             "contexts": ["launchplane"]}
    assert shown["action_safety"] == "policy_admin"


def test_the_nearest_rules_name_what_is_missing(make_plane):
    near = workflow_rule(["deployment.write"], ["shop"], ["shop-testing"])
    nearer = workflow_rule(["deployment.write"], ["shop"], ["shop-prod"], environments=["production"])
    plane = make_plane(POLICY + render(github_actions=[near, nearer]).replace("schema_version = 1\n", ""))
    shown = why(plane, "deployment.write", "shop", "shop-prod")
    assert (shown["allowed"], shown["decided_by"], shown["rule"]) == (False, "condition", None)
    assert [(rule["condition"], rule["asked"], rule["allowed"]) for rule in shown["nearest_rules"]] == [
        ("contexts", "shop-prod", ["shop-testing"]), ("environments", "", ["production"]),
        ("actions", "deployment.write", ["authz_policy_grant.write"])]


def test_other_repositories_rules_are_not_shown(make_plane):
    """Nor those that a repository of the same name had before, nor whether there are any."""
    ask = workflow_rule(["authz_explain.read"], ["launchplane"], ["launchplane"])
    others = [workflow_rule(["hidden.read"], ["hidden-product"], ["hidden"], STRANGER),
              workflow_rule(["hidden.read"], ["hidden-product"], ["hidden"], repository_id="1")]
    plane = make_plane(render(github_actions=[ask, *others]))
    answer = plane.post(EXPLAIN, {"action": "hidden.read", "product": "p", "context": "c"})
    assert [rule["condition"] for rule in assert_accepted(answer)["result"]["nearest_rules"]] == ["actions"]
    assert "hidden-product" not in answer.text and STRANGER not in answer.text


def test_of_a_rule_for_several_owners_each_sees_themselves(make_plane):
    rule = token_rule(subjects=["owner", "another"], token_labels=["lap*", "secretlabel"], actions=["authz_explain.read", "a.read"])
    foreign = token_rule(subjects=["another"], actions=["b.read"])
    plane = make_plane(render(local_admins=[rule, foreign]), **settings())
    plane.secrets += TOKENS.values()
    answer = plane.post(EXPLAIN, {"action": "a.read", "product": "p", "context": "c"}, token=TOKENS["local_admins"])
    assert assert_accepted(answer)["result"]["rule"] == {
        "subjects": ["owner"], "token_labels": ["lap*"], "actions": ["authz_explain.read", "a.read"]}
    answer = plane.post(EXPLAIN, {"action": "b.read", "product": "p", "context": "c"}, token=TOKENS["local_admins"])
    assert assert_accepted(answer)["result"]["allowed"] is False
    assert "another" not in answer.text and "secretlabel" not in answer.text


def test_what_a_caller_may_never_do_is_the_callers(make_plane):
    plane = make_plane(render(local_operators=[token_rule()]), **settings())
    plane.secrets += TOKENS.values()
    shown = why(plane, "product_profile.read", "launchplane", "launchplane", token=TOKENS["local_operators"])
    assert (shown["allowed"], shown["decided_by"], shown["rule"], shown["nearest_rules"]) == (False, "caller", None, [])


@pytest.mark.parametrize("changes", [{"action": " "}, {"action": 1}, {"product": ""}, {"context": None}, {"who": "x"}], ids=str)
def test_a_bad_question_names_its_place(refusing, changes):
    sent = {"action": "a", "product": "p", "context": "c", **changes}
    assert_rejected(refusing.post(EXPLAIN, sent), 400, "invalid_request", next(iter(changes)))
