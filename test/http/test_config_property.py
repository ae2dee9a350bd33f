"""1,000 random bundles on random starting states: what a dry-run of product config tells is what its apply then does."""
import contextlib
import random

import psycopg
import pytest

from checks import assert_accepted
from conftest import database_from, short_directory
from double import Rehearsal
from plane import Plane
from rehearsal import policy as policies

CONFIG = "/v1/product-config/apply"
CASES = 1000
KEYS = ["MODE", "WORKERS", "BASE_URL", "FLAG", "LIMIT", "DATABASE_URL"]
VALUES = ["", "1", "one", "a=b#c", 1, 0, -5, 2.5, True, False, "true", "2.5", "ünï"]
NAMES = ["A_TOKEN", "B_PASSWORD", "SESSION_KEY", "DSN"]
SECRETS = [f"canary-of-the-property-test-{number}" for number in range(5)]
PLACES = [("", ""), *[(f"c{number}", "") for number in range(4)],
          *[(f"c{number}", instance) for number in range(4) for instance in ("testing", "prod")]]


@pytest.fixture(scope="module")
def service(cluster, template):
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        doubles = stack.enter_context(Rehearsal(directory / "clock"))
        url = stack.enter_context(database_from(cluster, template))
        plane = Plane(url, doubles, policies.for_lanes(), directory).start()
        stack.callback(plane.check)
        plane.secrets += SECRETS
        assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", {"product": "launchplane", "rules": [
            {"binding_key": name, "secret_class": "shared_safe"} for name in NAMES]}))
        yield plane


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def some(choose, pool):
    return choose.sample(pool, choose.randint(0, len(pool)))


def random_bundle(choose):
    context, instance = choose.choice(PLACES)
    env = {key: choose.choice(VALUES) for key in some(choose, KEYS)}
    secrets = []
    for name in some(choose, NAMES):
        if name in env:
            continue
        # A place without an instance belongs to no class of environment: its secrets are other integrations'.
        integration = choose.choice(["runtime_environment", "mail"]) if instance else choose.choice(["mail", "github"])
        secrets.append({"name": name, "value": choose.choice(SECRETS), "integration": integration})
    if not env and not secrets:
        env = {"MODE": "x"}
    body = {"product": "launchplane", "secrets": secrets, "source_label": "property"}
    body[choose.choice(["runtime_env", "runtime_environment"])] = {"env": env} if choose.random() < .5 else env
    if context:
        body["context"] = context
    if instance:
        body["instance"] = instance
    return body, (context, instance), env


def state(database, place):
    """The record's environment as text (None: no record), and {(integration, name): version} of the place."""
    found = database.execute("SELECT payload->'env' FROM launchplane_runtime_environments WHERE context = %s AND instance = %s",
                             place).fetchone()
    versions = database.execute("SELECT integration, name, current_version_id FROM launchplane_secrets"
                                " WHERE context = %s AND instance = %s", place).fetchall()
    env = None if found is None else {key: text(value) for key, value in found[0].items()}
    return env, {(integration, name): version for integration, name, version in versions}


def done(before, after, sent):
    """What happened, in the words of the answer."""
    keys = {key for key in sent if (before[0] or {}).get(key) != after[0].get(key)} if after[0] else set()
    action = "skipped" if not sent else "created" if before[0] is None else "updated" if keys else "unchanged"
    secrets = {}
    for which, version in after[1].items():
        old = before[1].get(which)
        secrets[which] = "created" if old is None else "rotated" if old != version else "unchanged"
    return action, sorted(keys), secrets


def told(result):
    environment = result["runtime_environment"]
    secrets = {(secret["integration"], secret["name"]): secret["action"] for secret in result["secrets"]}
    return environment["action"], environment["changed_keys"], secrets


def judge(plan, result, before, after, sent):
    action, keys, secrets = done(before, after, sent)
    assert told(plan) == told(result)
    assert told(plan)[:2] == (action, keys)
    for which, action in told(plan)[2].items():
        assert secrets[which] == action
    untold = {which: action for which, action in secrets.items() if which not in told(plan)[2]}
    assert set(untold.values()) <= {"unchanged"}, "a secret changed that nobody sent"
    stay = {key: value for key, value in (before[0] or {}).items() if key not in sent}
    assert after[0] is None or {key: after[0][key] for key in stay} == stay
    assert plan["plan_digest"] == result["plan_digest"]
    assert plan["runtime_environment"]["env_value_count_after"] == len(after[0] or {})


def test_the_diff_of_a_dry_run_is_what_apply_does(service):
    choose = random.Random(20260601)
    token = service.token()
    with psycopg.connect(service.database_url, autocommit=True) as database:
        for number in range(CASES):
            if number % 250 == 249:
                token = service.token()
            body, place, sent = random_bundle(choose)
            before = state(database, place)
            plan = assert_accepted(service.post(CONFIG, {**body, "mode": "dry-run"}, token=token))["result"]
            assert state(database, place) == before, "the dry-run changed something"
            pinned = {"plan_digest": plan["plan_digest"]} if choose.random() < .5 else {}
            result = assert_accepted(service.post(CONFIG, {**body, "mode": "apply", **pinned}, token=token))["result"]
            judge(plan, result, before, state(database, place), sent)
