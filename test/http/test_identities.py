"""Bearer tokens from the settings: whose they are, what their holders may never do, and what they must say."""
import pytest

from checks import assert_accepted, assert_ok, assert_rejected, assert_unauthenticated
from rehearsal.policy import CONTEXT, PRODUCT, lane_rules, render
from rehearsal.waiting import wait_until

RUNTIME = "/v1/service/runtime"
TOKENS = {
    "terminal_agents": "terminal-agent-token-for-tests-0001",
    "local_operators": "local-operator-token-for-tests-0002",
    "local_admins": "local-admin-token-for-tests-0003",
}
PREFIXES = {
    "terminal_agents": ("LAUNCHPLANE_TERMINAL_AGENT", "LAUNCHPLANE_TERMINAL_AGENT_READ_TOKEN"),
    "local_operators": ("LAUNCHPLANE_LOCAL_OPERATOR", "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN"),
    "local_admins": ("LAUNCHPLANE_LOCAL_ADMIN", "LAUNCHPLANE_LOCAL_ADMIN_TOKEN"),
}
FAMILIES = list(TOKENS)


def settings(**changes):
    made = {}
    for family, (prefix, token) in PREFIXES.items():
        made |= {token: TOKENS[family], f"{prefix}_SUBJECT": "owner", f"{prefix}_TOKEN_LABEL": "laptop"}
    return made | changes


def token_rule(**changes):
    return {"subjects": ["owner"], "token_labels": ["laptop"], "products": [], "contexts": [], "actions": [], **changes}


def policy(**rules):
    """Everything for the three, unless told; the lane's workflow as ever."""
    sections = {family: [token_rule(token_labels=["laptop", "desktop"])] for family in FAMILIES} | rules
    return render(github_actions=lane_rules(), **sections)


@pytest.fixture
def identified(make_plane):
    plane = make_plane(policy(), **settings())
    plane.secrets += TOKENS.values()
    return plane


@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_is_its_holder(make_plane, family):
    """core 2.1, 2.5; AUTH-12 to AUTH-14, AUTH-76: an exact rule and nothing else lets it in"""
    only = {name: [] for name in FAMILIES} | {family: [token_rule(
        products=["launchplane"], contexts=["launchplane"], actions=["launchplane_service.read"])]}
    plane = make_plane(policy(**only), **settings())
    plane.secrets += TOKENS.values()
    for name in FAMILIES:
        answer = plane.get(RUNTIME, token=TOKENS[name])
        if name == family:
            assert_ok(answer)
        else:
            assert_rejected(answer, 403, "authorization_denied")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changes", [{"subjects": ["someone"]}, {"token_labels": ["desktop"]}, {"products": ["other"]},
                                     {"contexts": ["other"]}, {"actions": ["deployment.read"]}], ids=str)
def test_every_condition_of_a_token_rule_counts(make_plane, family, changes):
    plane = make_plane(policy(**{family: [token_rule(**changes)]}), **settings())
    assert_rejected(plane.get(RUNTIME, token=TOKENS[family]), 403, "authorization_denied")


def test_what_is_not_the_token_is_not_let_in(identified):
    for token in TOKENS.values():
        for wrong in (token[:-1], token + "x", token.upper(), token[1:], "x" * len(token), token + "," + token):
            assert_unauthenticated(identified.get(RUNTIME, token=wrong))


@pytest.mark.parametrize("family", FAMILIES)
def test_blanks_around_the_configured_token_do_not_matter(make_plane, family):
    """core 2.1: compared with the trimmed value"""
    plane = make_plane(policy(), **settings(**{PREFIXES[family][1]: f"  {TOKENS[family]}\t"}))
    plane.secrets += TOKENS.values()
    assert_ok(plane.get(RUNTIME, token=TOKENS[family]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_of_nobody_is_refused(make_plane, family):
    """core 2.1: without subject or label the token proves nothing; an empty token matches nothing"""
    prefix, token = PREFIXES[family]
    for missing in (f"{prefix}_SUBJECT", f"{prefix}_TOKEN_LABEL"):
        plane = make_plane(policy(), **settings(**{missing: " "}))
        plane.secrets += TOKENS.values()
        assert_unauthenticated(plane.get(RUNTIME, token=TOKENS[family]))
        wait_until(lambda: plane.logged(event="auth.refused", reason="token_without_subject_or_label"), "the log line")
    plane = make_plane(policy(), **settings(**{token: " "}))
    for given in (TOKENS[family], " ", ""):
        assert_unauthenticated(plane.get(RUNTIME, token=given))


def test_one_token_for_two_is_the_admins(make_plane):
    """core 2.1: local admin, local operator, terminal agent, in that order"""
    same = TOKENS["local_admins"]
    plane = make_plane(policy(local_operators=[], terminal_agents=[]), **settings(
        LAUNCHPLANE_LOCAL_OPERATOR_TOKEN=same, LAUNCHPLANE_TERMINAL_AGENT_READ_TOKEN=same))
    assert_ok(plane.get(RUNTIME, token=same))


def test_a_terminal_agent_only_reads(identified, doubles):
    """AUTH-77: whatever the policy says, and whatever the body is"""
    before = identified.counts()
    for path in ("/v1/product-config/apply", "/v1/evidence/deployments", "/v1/product-profiles", "/v1/dokploy-targets/setup",
                 "/v1/drivers/odoo/target-replacement-plan", "/v1/operations/x/cancel"):
        for body in ({}, {"mode": "dry-run"}, []):
            assert_rejected(identified.post(path, body, token=TOKENS["terminal_agents"]), 403, "authorization_denied")
    assert_ok(identified.get("/v1/product-profiles", token=TOKENS["terminal_agents"]))
    assert identified.counts() == before


def test_local_operators_never_read_product_profiles(identified, doubles):
    """AUTH-78 to AUTH-80, U-59: neither the list nor one, whether it exists or not, though their rule allows everything"""
    from rehearsal.lane import Lane
    lane = Lane(doubles)
    assert_accepted(identified.post("/v1/product-profiles", lane.profile()))
    for path in ("/v1/product-profiles", f"/v1/product-profiles/{PRODUCT}", "/v1/product-profiles/none",
                 "/v1/product-profiles?driver_id=odoo"):
        answer = assert_rejected(identified.get(path, token=TOKENS["local_operators"]), 403, "authorization_denied")
        assert PRODUCT not in str(answer)
    assert_ok(identified.get(f"/v1/product-profiles/{PRODUCT}", token=TOKENS["local_admins"]))


def config(**changes):
    return {"schema_version": 1, "product": PRODUCT, "context": CONTEXT, "instance": "testing", "mode": "dry-run",
            "reason": "a new address", "runtime_env": {"SHOP_NAME": "Shop"}, **changes}


@pytest.fixture
def prepared(identified, unprepared_lane_of):
    return unprepared_lane_of(identified)


@pytest.fixture
def unprepared_lane_of(doubles):
    from rehearsal.lane import Lane

    def make(plane):
        lane = Lane(doubles)
        lane.create_in_dokploy()
        plane.secrets += lane.secret_values()
        lane.prepare(plane)
        return plane
    return make


@pytest.mark.parametrize("family", ["local_operators", "local_admins"])
@pytest.mark.parametrize("mode", ["dry-run", "apply"])
def test_owners_say_why(prepared, family, mode):
    """core 2.5, config-health 3"""
    before = prepared.counts()
    for reason in ("", "  ", None):
        body = config(mode=mode)
        del body["reason"]
        if reason is not None:
            body["reason"] = reason
        answer = prepared.post("/v1/product-config/apply", body, token=TOKENS[family])
        assert_rejected(answer, 400, "reason_required", "reason")
    assert prepared.counts() == before


def test_workflows_need_no_reason(prepared):
    body = config()
    del body["reason"]
    assert_accepted(prepared.post("/v1/product-config/apply", body))


def test_an_operator_applies_only_what_a_dry_run_has_shown(prepared):
    """core 2.5: the same body but for mode and reason, by the same identity"""
    def send(token=TOKENS["local_operators"], key=None, **changes):
        return prepared.post("/v1/product-config/apply", config(**changes), token=token, key=key)

    def refused(answer):
        assert_rejected(answer, 409, "local_operator_dry_run_required")

    before = prepared.counts()
    refused(send(mode="apply"))
    prepared.post("/v1/product-config/apply", config())             # a workflow's
    send(token=TOKENS["local_admins"])                              # an admin's
    assert prepared.counts() == before
    refused(send(mode="apply"))
    assert_accepted(send())
    assert_accepted(send())                                         # again, as often as they like
    refused(send(mode="apply", runtime_env={"SHOP_NAME": "Other"}))
    refused(send(mode="apply", context="shop", instance="prod"))
    assert_accepted(send(mode="apply", reason="and now for good", key="apply-1"))
    replayed = assert_accepted(send(mode="apply", reason="and now for good", key="apply-1"))
    assert replayed["replayed"] is True
    assert prepared.query("SELECT count(*) AS n FROM launchplane_idempotency_records"
                          " WHERE route_path LIKE '%%(dry-run)'") == [{"n": 1}]


def test_an_operator_may_pin_the_plan_of_the_dry_run(prepared):
    """The digest is no part of what the dry-run has to match, and holds when somebody was quicker"""
    def send(**changes):
        return prepared.post("/v1/product-config/apply", config(**changes), token=TOKENS["local_operators"])

    digest = assert_accepted(send())["result"]["plan_digest"]
    other = config(runtime_env={"SHOP_NAME": "Quicker"}, mode="apply")
    assert_accepted(prepared.post("/v1/product-config/apply", other, token=TOKENS["local_admins"]))
    before = prepared.counts()
    stale = assert_rejected(send(mode="apply", plan_digest=digest), 409, "plan_changed")
    assert stale["plan"]["plan_digest"] != digest and prepared.counts() == before
    assert_accepted(send(mode="apply", plan_digest=stale["plan"]["plan_digest"]))


def test_a_dry_run_counts_for_its_identity_and_outlives_the_service(prepared, make_plane):
    """core 2.5: the same subject with another label is somebody else"""
    def another(**changes):
        plane = make_plane(policy(), **settings(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=prepared.master_key, **changes))
        plane.secrets += TOKENS.values()
        return plane

    token = TOKENS["local_operators"]
    assert_accepted(prepared.post("/v1/product-config/apply", config(), token=token))
    desktop = another(LAUNCHPLANE_LOCAL_OPERATOR_TOKEN_LABEL="desktop")
    assert_rejected(desktop.post("/v1/product-config/apply", config(mode="apply"), token=token), 409,
                    "local_operator_dry_run_required")
    assert_accepted(another().post("/v1/product-config/apply", config(mode="apply"), token=token))


def test_a_refused_dry_run_shows_nothing(prepared):
    body = config(runtime_env={"bad name": "x"})
    assert prepared.post("/v1/product-config/apply", body, token=TOKENS["local_operators"]).status_code == 400
    answer = prepared.post("/v1/product-config/apply", {**body, "mode": "apply"}, token=TOKENS["local_operators"])
    assert answer.status_code in (400, 409)


def test_admins_need_no_dry_run(prepared):
    assert_accepted(prepared.post("/v1/product-config/apply", config(mode="apply"), token=TOKENS["local_admins"]))


# the local operator's closed list (U-59)

WIDE = policy(local_operators=[token_rule()])
CHANGES = [  # a rule without any condition, and still
    ("/v1/product-profiles", lambda lane: lane.profile()), ("/v1/runtime-key-safety/policies/apply", lambda lane: lane.key_safety()),
    ("/v1/dokploy-targets/setup", lambda lane: {**lane.target_setup(), "reason": "x"}),
    ("/v1/drivers/odoo/artifact-publish", lambda lane: lane.publish(lane.new)),
    ("/v1/evidence/deployments", lambda lane: lane.deployment("deployment-of-an-operator")),
    ("/v1/drivers/odoo/target-replacement-apply", lambda lane: lane.replacement()),
    ("/v1/operations/x/cancel", lambda lane: {"reason": "x"}),
    ("/v1/authz-policies/local-admins/grants", lambda lane: {
        "product": "launchplane", "reason": "x", "grant": {"subjects": ["owner"], "token_labels": ["laptop"], "actions": ["a.read"]}}),
]


@pytest.mark.policy(WIDE)
@pytest.mark.settings(**settings())
def test_an_operator_changes_only_what_the_closed_list_names(plane, lane):
    """U-59: whatever a document says that nobody granted; the log says that it is the caller's kind"""
    plane.secrets += TOKENS.values()
    before, token = plane.counts(), TOKENS["local_operators"]
    for path, body in CHANGES:
        denied = assert_rejected(plane.post(path, body(lane), token=token, key="k"), 403, "authorization_denied")
        wait_until(lambda: plane.logged(event="authz.denied", trace_id=denied["trace_id"], reason="caller"), "the log line", 30)
    assert plane.counts() == before
    assert_ok(plane.get(RUNTIME, token=token))
    assert_ok(plane.get(f"/v1/inventory/{CONTEXT}/testing", token=token))
    assert_accepted(plane.post("/v1/product-config/apply", config(), token=token))


@pytest.mark.policy(WIDE)
@pytest.mark.settings(**settings())
def test_an_operator_never_enumerates_profiles(plane, lane):
    """U-59, AUTH-78: neither the list nor one, nor whether there is one"""
    plane.secrets += TOKENS.values()
    for path in ("/v1/product-profiles", f"/v1/product-profiles/{PRODUCT}", "/v1/product-profiles/nothing"):
        assert_rejected(plane.get(path, token=TOKENS["local_operators"]), 403, "authorization_denied")
        assert plane.get(path, token=TOKENS["local_admins"]).status_code in (200, 404)


def test_every_condition_of_the_dry_run_matches(prepared):
    """core 2.5: mode and reason may differ, and nothing else"""
    token = TOKENS["local_operators"]
    shown = config(runtime_env={"SHOP_NAME": "Shop", "SHOP_TOWN": "Here"})
    assert_accepted(prepared.post("/v1/product-config/apply", shown, token=token))
    for changes in ({"runtime_env": {"SHOP_NAME": "Shop"}}, {"runtime_env": {"SHOP_NAME": "Shop", "SHOP_TOWN": "There"}},
                    {"runtime_env": {"SHOP_NAME": "Shop", "SHOP_TOWN": "Here", "MORE": "x"}}, {"instance": "prod"}):
        body = {**shown, **changes, "mode": "apply"}
        assert_rejected(prepared.post("/v1/product-config/apply", body, token=token), 409, "local_operator_dry_run_required")
    reordered = dict(reversed(list({**shown, "mode": "apply", "reason": "for another reason"}.items())))
    assert_accepted(prepared.post("/v1/product-config/apply", reordered, token=token))
