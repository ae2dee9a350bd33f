"""Who may do what, written from facts/core.md 1.2, 2.1, 2.5 and 3.1 to 3.5 alone: an independent second opinion.

Nothing here knows how the service is built. A policy is the document of facts/core.md 3.1, a caller a dict:
    {"type": "github_actions", <claims>}
    {"type": "github_human", "login", "role", "organizations", "teams"}
    {"type": "terminal_agent" | "local_operator" | "local_admin", "subject", "token_label"}
"""
import fnmatch
import re

SECTIONS = {
    "github_actions": "github_actions", "github_human": "github_humans", "terminal_agent": "terminal_agents",
    "local_operator": "local_operators", "local_admin": "local_admins",
}
SAFE = ("read", "safe_write")
OPERATORS_ACTIONS = ("product_config.plan", "product_config.apply", "private_health_endpoint.apply")


def exact(pattern, value):
    return pattern == value


def glob(pattern, value):
    return fnmatch.fnmatchcase(value, pattern)


def one_of(patterns, values, how):
    """An empty list is no condition."""
    return not patterns or any(how(pattern, value) for pattern in patterns for value in values)


def action_safety(action):
    """Table 3.5, first match wins."""
    parts = [part for part in re.split(r"[_.\-]+", action) if part]
    if not action.strip():
        return "read"
    if action.startswith("authz_policy"):
        return "policy_admin"
    if "secret" in parts or action.endswith(".secret"):
        return "secret_backed"
    if {"destroy", "cleanup", "delete", "rollback"} & set(parts):
        return "destructive"
    if {"prod", "promotion"} & set(parts):
        return "prod"
    if action.endswith(".read") or action == "work_graph.rank":
        return "read"
    if action.endswith(".write") or {"rerun", "reconcile"} & set(parts):
        return "safe_write"
    return "mutation"


def scope_holds(rule, action, product, context, how):
    contexts = rule.get("contexts", [])
    in_context = not contexts or "*" in contexts if context == "*" else one_of(contexts, [context], how)
    return one_of(rule.get("actions", []), [action], exact) and one_of(rule.get("products", []), [product], how) and in_context


def workflow_rule_holds(rule, caller):
    for name in ("repository_id", "repository_owner_id"):
        if rule.get(name) and str(rule[name]) != caller.get(name, ""):
            return False
    return rule["repository"].strip() == caller["repository"] and all(
        one_of(rule.get(names, []), [caller.get(name, "")], how) for names, name, how in (
            ("workflow_refs", "workflow_ref", glob), ("job_workflow_refs", "job_workflow_ref", glob),
            ("event_names", "event_name", exact), ("refs", "ref", exact), ("environments", "environment", exact),
            ("runner_environments", "runner_environment", exact)))


def human_rule_holds(rule, caller):
    return one_of(rule.get("logins", []), [caller["login"]], glob) and one_of(rule.get("roles", []), [caller["role"]], exact) and \
        one_of(rule.get("organizations", []), caller["organizations"], glob) and one_of(rule.get("teams", []), caller["teams"], glob)


def token_rule_holds(rule, caller):
    return one_of(rule.get("subjects", []), [caller["subject"]], glob) and \
        one_of(rule.get("token_labels", []), [caller["token_label"]], glob)


def ever(caller, action):
    """What a kind of caller may do at all."""
    kind = caller["type"]
    if kind == "github_human":
        return caller["role"] == "admin" or action_safety(action) in SAFE
    if kind == "local_operator":
        return action in OPERATORS_ACTIONS or (action_safety(action) == "read" and action != "product_profile.read")
    return True


def allows(policy, caller, action, product, context):
    kind = caller["type"]
    holds = {"github_actions": workflow_rule_holds, "github_human": human_rule_holds}.get(kind, token_rule_holds)
    how = exact if kind in ("github_human", "terminal_agent") else glob
    return ever(caller, action) and any(
        holds(rule, caller) and scope_holds(rule, action, product, context, how) for rule in policy.get(SECTIONS[kind], []))


# ---- routes (facts/core.md 1.2 and 1.10) ----

READ, WRITE, WRITE_HUMAN = "R", "W", "WH"


def verdict(policy, route, caller):
    """401, 403, or None for a request that gets past the boundary. caller None: nobody, or a bad credential.

    A route is a dict: class, action, product, context; "missing": the record is not there, and 404 comes before 403.
    """
    if caller is None or (caller["type"] == "github_human" and route["class"] == WRITE):
        return 401                       # a cookie is no credential there
    if caller["type"] == "terminal_agent" and route["class"] != READ:
        return 403
    if not ever(caller, route["action"]):
        return 403
    if route.get("missing"):
        return 404
    return None if allows(policy, caller, route["action"], route["product"], route["context"]) else 403
