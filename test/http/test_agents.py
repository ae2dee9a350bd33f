"""What agents read before they act, what they ask before they try, and what a refusal tells them."""
import pytest

from browser import Browser
from checks import assert_accepted, assert_ok, assert_rejected, assert_unauthenticated
from rehearsal.lane import Lane
from rehearsal.policy import CONTEXT, PRODUCT, REPOSITORY, lane_rules, render, workflow_rule
from test_identities import TOKENS, settings as token_settings, token_rule
from test_sign_in import human_rule, make_signed    # noqa: F401, a fixture

MAPPING, AGENT_CONTEXT, EVALUATE = "/v1/repo-product-mapping", "/v1/agent/context", "/v1/agent/write-intents/evaluate"
SECTIONS = ["repo_product_mapping", "work_graph_snapshot", "every_code_summary", "preview_readiness"]
READS = ["product_environment.read", "work_graph.rank", "every_code_work_request.read", "every_code_preview_gate.read"]
LP = {"products": ["launchplane"], "contexts": ["launchplane"]}
AGENT = TOKENS["terminal_agents"]


def policy(agent_actions=READS, **more):
    return render(**{"github_actions": [*lane_rules(), workflow_rule(["product_environment.read"], **LP)],
                     "terminal_agents": [token_rule(actions=list(agent_actions), **LP)],
                     "local_operators": [token_rule(actions=["product_config.plan"], products=[PRODUCT], contexts=[CONTEXT])],
                     "local_admins": [token_rule()], **more})


@pytest.fixture
def make_agents(make_plane, doubles):
    def make(*arguments, **more):
        plane = make_plane(policy(*arguments, **more), **token_settings())
        plane.secrets += TOKENS.values()
        return plane
    return make


@pytest.fixture
def agents(make_agents, doubles):
    plane = make_agents()
    assert_accepted(plane.post("/v1/product-profiles", Lane(doubles).profile()))
    return plane


def context(plane, repository=REPOSITORY, token=AGENT):
    return assert_ok(plane.get(f"{AGENT_CONTEXT}?repository={repository}", token=token))["context"]


def ask(plane, token, **changes):
    return plane.post(EVALUATE, {"intent": "product_config", "product": PRODUCT, "context": CONTEXT, "reason": "to see", **changes},
                      token=token)


# reading

def test_repositories_and_their_products(agents):
    """core 1.10"""
    body = assert_ok(agents.get(MAPPING, token=AGENT))["mapping"]
    assert set(body) == {"schema_version", "generated_at", "repositories"}
    profile = agents.query("SELECT payload FROM launchplane_product_profiles")[0]["payload"]
    expected = {"repository": profile["repository"], "products": [{
        "product": PRODUCT, "display_name": profile["display_name"], "driver_id": profile["driver_id"],
        "environments": [{"environment": lane["instance"], "context": lane["context"]} for lane in profile["lanes"]],
        "preview": {"enabled": profile["preview"]["enabled"], "context": profile["preview"]["context"]}}]}
    assert body["repositories"] == [expected]
    for repository, found in ((profile["repository"].upper(), [expected]), ("example-org/none", [])):
        assert assert_ok(agents.get(f"{MAPPING}?repository={repository}", token=AGENT))["mapping"]["repositories"] == found


def test_a_profile_of_the_first_release_is_mapped(agents):
    """jsonb columns of a taken-over database, and a payload without today's members"""
    agents.query("ALTER TABLE launchplane_product_profiles ALTER COLUMN payload TYPE jsonb USING payload::jsonb")
    agents.query("UPDATE launchplane_product_profiles SET payload = payload - 'lanes' - 'preview'")
    product = assert_ok(agents.get(MAPPING, token=AGENT))["mapping"]["repositories"][0]["products"][0]
    assert product["environments"] == [] and product["preview"] == {"enabled": False, "context": ""}


def fill_every_code(plane, repository):
    for i, state in enumerate(["queued", "queued", "done"]):
        plane.query("INSERT INTO launchplane_every_code_work_requests VALUES (%s, 'issue', %s, %s, %s, 'every-code', %s, '', %s)",
                    f"request-{i}", state, repository, i, f"2026-06-0{i + 1}T10:00:00Z", '{"title": "T", "body": "issue text"}')
    plane.query("INSERT INTO launchplane_every_code_preview_gates VALUES"
                " ('gate-1', 'request-0', %s, 1, 5, 'abc', 'ready', '2026-06-01T10:00:00Z', '{\"body\": \"issue text\"}')", repository)


def test_the_context_of_a_repository(agents):
    """AGENT-01; config-health 10.6: writes nothing, shows no issue bodies"""
    fill_every_code(agents, REPOSITORY)
    before = agents.counts()
    answer = agents.get(f"{AGENT_CONTEXT}?repository={REPOSITORY}", token=AGENT)
    body = assert_ok(answer)["context"]
    assert set(body) == {"schema_version", "generated_at", "repository", "source", "sections"}
    assert body["repository"] == REPOSITORY and list(body["sections"]) == SECTIONS
    assert all(set(section) == {"status", "payload", "reason_code"} for section in body["sections"].values())
    assert body["source"] == {"section_count": 4, "available_section_count": 3}
    assert body["sections"]["repo_product_mapping"]["payload"]["repositories"][0]["products"][0]["product"] == PRODUCT
    assert body["sections"]["work_graph_snapshot"] == {"status": "unavailable", "payload": None, "reason_code": "source_not_configured"}
    summary = body["sections"]["every_code_summary"]["payload"]
    assert summary["states"] == {"done": 1, "queued": 2}
    assert [row["request_id"] for row in summary["latest"]] == ["request-2", "request-1", "request-0"]
    assert body["sections"]["preview_readiness"]["payload"]["gates"][0]["status"] == "ready"
    assert "issue text" not in answer.text
    assert agents.counts() == before
    empty = context(agents, "example-org/none")
    assert empty["sections"]["every_code_summary"]["payload"] == {"repository": "example-org/none", "states": {}, "latest": []}
    assert empty["sections"]["preview_readiness"]["payload"]["gates"] == []


@pytest.mark.parametrize("missing", range(1, 4))
def test_what_a_caller_may_not_read_is_left_out(make_agents, missing):
    plane = make_agents([action for i, action in enumerate(READS) if i != missing])
    sections = context(plane)["sections"]
    for i, name in enumerate(SECTIONS):
        if i == missing:
            assert sections[name] == {"status": "unauthorized", "payload": None, "reason_code": "authorization_denied"}
        else:
            assert sections[name]["status"] != "unauthorized"


@pytest.mark.parametrize("table, section", [("every_code_work_requests", "every_code_summary"),
                                            ("every_code_preview_gates", "preview_readiness"),
                                            ("product_profiles", "repo_product_mapping")])
def test_a_source_that_fails_marks_only_its_section(agents, table, section):
    agents.query(f"ALTER TABLE launchplane_{table} RENAME TO gone")
    body = context(agents)
    agents.query(f"ALTER TABLE gone RENAME TO launchplane_{table}")
    assert body["sections"][section] == {"status": "unavailable", "payload": None, "reason_code": "source_failed"}
    assert body["source"]["available_section_count"] == 2


@pytest.mark.parametrize("query", ["", "?repository=", "?repository=%20", "?repository=noslash", "?repository=a/b&repository=c/d"])
def test_a_context_is_of_one_repository(agents, query):
    assert_rejected(agents.get(AGENT_CONTEXT + query, token=AGENT), 400, "invalid_query", "repository")


def test_reads_need_their_grant(make_agents):
    plane = make_agents(["launchplane_service.read"])
    for path in (MAPPING, f"{AGENT_CONTEXT}?repository={REPOSITORY}"):
        body = assert_rejected(plane.get(path, token=AGENT), 403, "authorization_denied")
        assert body["agent_audit"]["action"] == "product_environment.read"
        assert_unauthenticated(plane.get(path, token=None))


# what a refusal tells

def test_a_terminal_agent_learns_why(agents):
    """core 3.8"""
    runtime = assert_ok(agents.get("/v1/service/runtime", token=TOKENS["local_admins"]))["runtime"]
    audit = assert_rejected(agents.get("/v1/service/runtime", token=AGENT), 403, "authorization_denied")["agent_audit"]
    action = {"action": "launchplane_service.read", "product": "launchplane", "context": "launchplane"}
    assert audit == {
        "decision": "denied", "reason_code": "no_matching_rule", **action, "policy_source": runtime["authz_policy_source"],
        "policy_sha256": runtime["authz_policy_sha256"], "source_kind": "authz_policy",
        "subject": {"subject_type": "terminal_agent", "subject": "owner", "display_label": "laptop",
                    "access_profile": "owner_local_agent", "role": "worker", **action, "action_safety": "read",
                    "read_only_context": True, "approval_capable": False}}


def test_a_terminal_agent_writes_nothing(agents):
    """AUTH-77"""
    before = agents.counts()
    for path in (EVALUATE, "/v1/product-config/apply", "/v1/evidence/deployments"):
        body = assert_rejected(agents.post(path, {}, token=AGENT), 403, "authorization_denied")
        assert body["agent_audit"]["reason_code"] == "read_only_caller"
    assert agents.counts() == before


def test_others_learn_it_on_agents_routes_only(agents):
    token = agents.token(repository="example-org/stranger")
    assert "agent_audit" not in assert_rejected(agents.get("/v1/service/runtime", token=token), 403, "authorization_denied")
    assert "agent_audit" in assert_rejected(agents.get(MAPPING, token=token), 403, "authorization_denied")


# asking before trying

def test_an_intent_that_is_allowed(agents):
    """AGENT-02; core 3.8, 9.2"""
    answer = assert_accepted(ask(agents, TOKENS["local_operators"], instance="testing"))
    result = answer["result"]
    action = {"product": PRODUCT, "context": CONTEXT}
    assert {name: result[name] for name in result if name != "agent_audit"} == {
        "intent": "product_config", "mode": "dry_run", "status": "allowed", "authz_action": "product_config.plan",
        "action_safety": "mutation", **action, "instance": "testing", "method": "POST", "route_path": "/v1/product-config/apply"}
    assert result["agent_audit"]["decision"] == "allowed"
    assert result["agent_audit"]["subject"]["role"] == "operator" and result["agent_audit"]["subject"]["approval_capable"] is True
    row, = agents.query("SELECT * FROM launchplane_agent_write_intents")
    assert row["record_id"] == answer["records"]["agent_write_intent_record_id"]
    assert (row["intent"], row["mode"], row["status"], row["authz_action"], row["product"], row["context"], row["trace_id"]) == (
        "product_config", "dry_run", "allowed", "product_config.plan", PRODUCT, CONTEXT, answer["trace_id"])
    assert row["payload"]["operator"] == {"type": "local_operator", "subject": "owner", "token_label": "laptop"}
    assert row["payload"]["reason"] == "to see"


def test_an_intent_that_is_not(agents):
    before = agents.counts()
    for changes in ({"mode": "apply"}, {"product": "other"}, {"context": "other"}, {"intent": "product_config.apply"}):
        body = assert_rejected(ask(agents, TOKENS["local_operators"], **changes), 403, "authorization_denied")
        assert body["agent_audit"]["decision"] == "denied"
    assert_rejected(ask(agents, TOKENS["local_operators"], reason=" "), 400, "reason_required")
    assert agents.counts() == before


@pytest.mark.parametrize("intent, mode, action", [
    ("product_config", "apply", "product_config.apply"), ("product_config.plan", "apply", "product_config.plan"),
    ("product_config.apply", "dry_run", "product_config.apply"), ("deployment", "dry_run", "deployment.write"),
    ("odoo_target_replacement_apply", "apply", "odoo_target_replacement_apply.execute"), ("authz_policy_grant", "apply", "authz_policy_grant.write"),
])
def test_what_an_intent_stands_for(agents, intent, mode, action):
    assert assert_accepted(ask(agents, TOKENS["local_admins"], intent=intent, mode=mode))["result"]["authz_action"] == action


@pytest.mark.parametrize("intent", ["nothing", "product_conf", "product_config.", ".apply", "inventory.read", "agent_write_intent",
                                    "product_config.apply.now", "*", "", 5])
def test_an_intent_that_stands_for_nothing(agents, intent):
    before = agents.counts()
    assert_rejected(ask(agents, TOKENS["local_admins"], intent=intent), 400, "invalid_request", "intent")
    assert agents.counts() == before


def test_people_ask_too(make_signed, doubles):
    plane = make_signed(render(github_humans=[human_rule(logins=["octocat"], roles=["admin"], products=[], contexts=[], actions=[]),
                                              human_rule(teams=["big-org/readers"], roles=["read_only"], products=[], contexts=[],
                                                         actions=[])]))
    body = {"intent": "deployment", "product": PRODUCT, "context": CONTEXT}
    browser, reader = Browser(plane), Browser(plane)
    browser.sign_in()
    subject = assert_accepted(browser.post(EVALUATE, body))["result"]["agent_audit"]["subject"]
    assert (subject["access_profile"], subject["role"], subject["approval_capable"], subject["read_only_context"]) == (
        "human_admin", "admin", True, False)
    doubles.github.signed_in = "reader"
    reader.sign_in()
    subject = assert_accepted(reader.post(EVALUATE, body))["result"]["agent_audit"]["subject"]
    assert (subject["access_profile"], subject["role"], subject["approval_capable"], subject["read_only_context"]) == (
        "limited_remote_user", "read_only", False, True)
    refused = assert_rejected(reader.post(EVALUATE, {**body, "intent": "product_config"}), 403, "authorization_denied")
    assert refused["agent_audit"]["reason_code"] == "action_beyond_caller"


def test_a_workflow_asks(agents):
    subject = assert_accepted(ask(agents, agents.token()))["result"]["agent_audit"]["subject"]
    assert subject["subject_type"] == "github_actions" and subject["display_label"] == REPOSITORY
    assert (subject["access_profile"], subject["role"], subject["approval_capable"], subject["read_only_context"]) == (
        "automation_worker", "worker", True, False)
