"""launchplane environments ...: runtime environment records straight in the database. config-health 2, ENV-01 to ENV-23."""
import json
import threading

import psycopg
import pytest

from checks import assert_accepted
from cli import Cli, bare
from rehearsal.waiting import wait_until

CONFIG = "/v1/product-config/apply"


@pytest.fixture
def env(database):
    """env("put", ...) on a database without a service."""
    def run(*words, **settings):
        return bare("environments", *words, LAUNCHPLANE_DATABASE_URL=database, **settings)

    run.database = database
    return run


def place(scope, context="", instance=""):
    words = ["--scope", scope]
    words += ["--context", context] if context else []
    return words + (["--instance", instance] if instance else [])


def put(env, where, **values):
    pairs = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    result = env("put", *where, *pairs, "--source-label", "test")
    assert result.code == 0, result
    return result.json()


def rows(database, statement, *values):
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def stored(env, scope="context"):
    found = rows(env.database, "SELECT payload FROM launchplane_runtime_environments WHERE scope = %s", scope)
    return found[0][0] if found else None


def track(database, context, instance="testing"):
    rows(database, "INSERT INTO launchplane_dokploy_targets (context, instance, updated_at, payload) VALUES (%s, %s, 'now',"
         " json_build_object('context', %s::text, 'instance', %s::text, 'target_name', 'the-target', 'target_type', 'compose',"
         " 'env', json_build_object('FROM_TARGET', 'target', 'LAYER', 'target'), 'updated_at', 'now', 'source_label', 'x'))",
         context, instance, context, instance)


# put, unset, relabel

def test_put_makes_a_record_and_merges_into_it(env):
    """ENV-02, ENV-04"""
    first = put(env, place("context", "shop"), B="2", A="1")
    assert first["status"] == "ok"
    assert {name: first["record"][name] for name in ("scope", "context", "instance", "source_label", "env_keys", "env_value_count")} == {
        "scope": "context", "context": "shop", "instance": "", "source_label": "test", "env_keys": ["A", "B"], "env_value_count": 2}
    put(env, place("context", "shop"), B="3=three", C="")
    assert stored(env)["env"] == {"B": "3=three", "A": "1", "C": ""}


@pytest.mark.parametrize("pair, word", [
    ("ODOO_DB_PASSWORD=hidden-value", "ODOO_DB_PASSWORD"), ("API_TOKEN=hidden-value", "API_TOKEN"), ("KEY=hidden-value", "KEY"),
    ("my_secret=hidden-value", "my_secret"), ("hidden-value", "KEY=VALUE"), ("=hidden-value", "--set"), ("1A=hidden-value", "1A"),
    ("A B=hidden-value", "A B")])
def test_put_refuses_secrets_and_malformed_pairs(env, pair, word):
    """ENV-03: and never repeats the value"""
    result = env("put", *place("context", "shop"), "--set", "FINE=1", "--set", pair)
    assert result.code != 0 and word in result.err
    assert "hidden-value" not in result.out + result.err
    assert stored(env) is None


@pytest.mark.parametrize("key", ["MONKEY", "TOKENS", "PASSWORDLESS", "KEYBOARD_LAYOUT", "SECRETARY"])
def test_a_key_that_only_resembles_a_secret_is_plain(env, key):
    """config-health 2.2: parts between underscores"""
    put(env, place("global"), **{key: "1"})


@pytest.mark.parametrize("words", [
    ["--scope", "context"], ["--scope", "instance", "--context", "shop"], ["--scope", "global", "--context", "shop"],
    ["--scope", "instance", "--instance", "testing"], ["--scope", "nonsense"], ["--context", "shop"]])
def test_scope_context_and_instance_must_fit(env, words):
    result = env("put", *words, "--set", "A=1")
    assert result.code != 0 and "--scope" in result.err + "--scope" and result.err
    assert rows(env.database, "SELECT * FROM launchplane_runtime_environments") == []


def test_unset_removes_named_keys_only(env):
    """ENV-05"""
    put(env, place("context", "shop"), A="1", B="2")
    result = env("unset", *place("context", "shop"), "--key", "A", "--key", "NOT_THERE").json()
    assert (result["removed_keys"], result["missing_keys"], result["record"]["env_keys"]) == (["A"], ["NOT_THERE"], ["B"])
    assert stored(env)["env"] == {"B": "2"}


def test_unset_refuses_a_missing_record_and_to_leave_none(env):
    assert env("unset", *place("global"), "--key", "A").code == 1
    put(env, place("global"), A="1")
    result = env("unset", *place("global"), "--key", "A")
    assert result.code == 1 and "delete-record" in result.err
    assert stored(env, "global")["env"] == {"A": "1"}


def test_relabel_changes_label_and_time_only(env):
    """ENV-13"""
    put(env, place("global"), A="1")
    result = env("relabel", *place("global"), "--source-label", "reviewed").json()
    assert result["record"]["source_label"] == "reviewed"
    assert stored(env, "global")["env"] == {"A": "1"} and stored(env, "global")["source_label"] == "reviewed"
    assert env("relabel", *place("context", "shop"), "--source-label", "x").code == 1
    unsaid = env("relabel", *place("global"))
    assert unsaid.code == 1 and "--source-label" in unsaid.err and stored(env, "global")["source_label"] == "reviewed"


def test_list_shows_keys_and_never_values(env):
    """ENV-14"""
    put(env, place("instance", "shop", "testing"), B="value-of-b", A="value-of-a")
    put(env, place("global"), G="value-of-g")
    listed = env("list")
    assert [(row["scope"], row["env_keys"]) for row in listed.json()["records"]] == [("global", ["G"]), ("instance", ["A", "B"])]
    assert listed.json()["count"] == 2 and "value-of" not in listed.out


# delete-record

def delete(env, *words, **settings):
    return env("delete-record", *place("context", "shop"), *words, **settings)


def test_a_dry_run_shows_and_leaves_the_record(env):
    """ENV-06, ENV-08"""
    put(env, place("context", "shop"), A="value-of-a")
    shown = delete(env, "--dry-run", "--actor", "somebody").json()
    assert (shown["status"], shown["action"], shown["deleted"]) == ("dry_run", "delete_runtime_environment_record", False)
    assert shown["record"]["env_keys"] == ["A"]
    assert (shown["event"]["actor"], shown["event"]["event_type"], shown["event"]["env_value_count"]) == ("somebody", "deleted", 1)
    assert (shown["protected_tracked_targets"], shown["requires_allow_tracked_target"]) == ([], False)
    assert "value-of-a" not in json.dumps(shown) and stored(env)
    assert rows(env.database, "SELECT * FROM launchplane_runtime_environment_delete_events") == []


def test_apply_deletes_and_leaves_an_event(env):
    """ENV-07, ENV-12"""
    put(env, place("context", "shop"), B="1", A="2")
    digest = delete(env, "--dry-run").json()["plan_digest"]
    shown = delete(env, "--apply", "--plan-digest", digest, USER="shell-user").json()
    assert (shown["status"], shown["deleted"], stored(env)) == ("ok", True, None)
    event = rows(env.database, "SELECT payload FROM launchplane_runtime_environment_delete_events")[0][0]
    assert event == shown["event"]
    assert (event["actor"], event["env_keys"], event["context"]) == ("shell-user", ["A", "B"], "shop")
    assert event["event_id"].startswith("runtime-env-delete-") and len(event["event_id"]) == 35
    assert delete(env, "--apply").code == 1


@pytest.mark.parametrize("variables, actor", [
    ({"GITHUB_ACTOR": "a", "USER": "b"}, "a"), ({"USER": "b", "LOGNAME": "c"}, "b"), ({"LOGNAME": "c"}, "c"), ({}, "unknown")])
def test_the_actor_has_a_default(env, variables, actor):
    put(env, place("context", "shop"), A="1")
    assert delete(env, "--dry-run", **variables).json()["event"]["actor"] == actor


@pytest.mark.parametrize("where, tracked, guarded", [
    (("global",), [("other", "prod")], True), (("context", "shop"), [("shop", "prod")], True),
    (("context", "shop"), [("other", "prod")], False), (("instance", "shop", "testing"), [("shop", "prod")], False),
    (("instance", "shop", "testing"), [("shop", "testing")], True)])
def test_a_record_that_could_reach_a_tracked_target_is_guarded(env, where, tracked, guarded):
    """ENV-09, ENV-10"""
    put(env, place(*where), A="1")
    for lane in tracked:
        track(env.database, *lane)
    shown = env("delete-record", *place(*where), "--dry-run").json()
    assert shown["requires_allow_tracked_target"] is guarded
    assert [(row["context"], row["instance"]) for row in shown["protected_tracked_targets"]] == (tracked if guarded else [])
    refused = env("delete-record", *place(*where), "--apply")
    assert (refused.code == 1) is guarded
    if guarded:
        assert "/".join(tracked[0]) in refused.err and stored(env, where[0])
        assert env("delete-record", *place(*where), "--apply", "--allow-tracked-target").json()["deleted"] is True


@pytest.mark.parametrize("words", [[], ["--dry-run", "--apply"]])
def test_exactly_one_mode_is_said(env, words):
    put(env, place("context", "shop"), A="1")
    assert delete(env, *words).code == 2


@pytest.mark.parametrize("meanwhile", ["UPDATE launchplane_runtime_environments SET payload ="
                                       " (payload::jsonb || '{\"env\":{\"A\":\"changed\"}}')::json",
                                       "DELETE FROM launchplane_runtime_environments"])
def test_a_record_that_changed_after_it_was_read_is_not_deleted(env, meanwhile):
    """ENV-11: the command has read the old record and waits for the lock of somebody who is changing it"""
    put(env, place("context", "shop"), A="1")
    results = []
    with psycopg.connect(env.database) as other:
        other.execute(meanwhile)
        thread = threading.Thread(target=lambda: results.append(delete(env, "--apply")))
        thread.start()
        wait_until(lambda: rows(env.database, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                                              " AND wait_event_type = 'Lock'"), "the command to wait for the lock", 30)
        other.commit()
    thread.join(60)
    assert results[0].code == 1
    assert "again" in results[0].err or "gone" in results[0].err
    assert rows(env.database, "SELECT * FROM launchplane_runtime_environment_delete_events") == []


def test_a_pinned_plan_that_changed_is_refused(env):
    put(env, place("context", "shop"), A="1")
    digest = delete(env, "--dry-run").json()["plan_digest"]
    put(env, place("context", "shop"), A="2")
    refused = delete(env, "--apply", "--plan-digest", digest)
    assert refused.code == 1 and "plan_digest" in refused.err and stored(env)


# resolve

def test_later_layers_win(env):
    """ENV-23, config-health 2.3"""
    put(env, place("global"), LAYER="global", G="1")
    put(env, place("context", "shop"), LAYER="context", C="true")
    put(env, place("instance", "shop", "testing"), LAYER="instance", I="3")
    shown = env("resolve", "--context", "shop", "--instance", "testing", "--json-output").json()
    assert shown == {"context": "shop", "instance": "testing", "environment": {"C": "true", "G": "1", "I": "3", "LAYER": "instance"}}
    track(env.database, "shop")
    assert env("resolve", "--context", "shop", "--instance", "testing").out.splitlines() == [
        "C=true", "FROM_TARGET=target", "G=1", "I=3", "LAYER=target"]


@pytest.mark.parametrize("words", [["--context", "other"], ["--context", "shop", "--instance", "prod"], ["--context", "shop"]])
def test_what_is_not_recorded_is_an_error(env, words):
    """ENV-21: no file, no process environment steps in"""
    put(env, place("global"), G="1")
    put(env, place("instance", "shop", "testing"), I="1")
    result = env("resolve", *words, G="from the shell")
    assert result.code == 1 and "recorded" in result.err and result.out == ""


def test_secrets_are_hidden_unless_asked_for(plane, lane):
    """ENV-15, ENV-16, ENV-17; reading them leaves an audit event"""
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key}
    words = ["environments", "resolve", "--context", lane.context, "--instance", lane.instance, "--json-output", "--actor", "me"]
    reads = "SELECT payload FROM launchplane_secret_audit_events WHERE event_type = 'read' AND payload->>'actor' = 'me'"
    shown = bare(*words, **settings)
    plane.answers.append(shown.out)
    assert {shown.json()["environment"][name] for name in lane.secrets} == {"[redacted]"}
    assert plane.query(reads) == []
    opened = bare(*words, "--include-secret-values", **settings).json()["environment"]
    assert {name: opened[name] for name in lane.secrets} == lane.secrets
    assert {row["payload"]["metadata"]["binding_key"] for row in plane.query(reads)} == set(lane.secrets)
    del settings["LAUNCHPLANE_MASTER_ENCRYPTION_KEY"]
    without_key = bare(*words, "--include-secret-values", **settings)
    assert without_key.code == 1 and "LAUNCHPLANE_MASTER_ENCRYPTION_KEY" in without_key.err


def test_the_live_target_is_shown_by_its_build_keys(plane, lane):
    """ENV-18, ENV-19"""
    row = plane.doubles.dokploy.state.composes[lane.compose_id]
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key}
    words = ["environments", "show-live-target", "--context", lane.context, "--instance", lane.instance]
    row["env"] += "\nDOCKER_IMAGE_REFERENCE=registry.example.com/a@sha256:" + "0" * 64
    shown = bare(*words, **settings)
    plane.answers += [shown.out, shown.err]
    document = shown.json()
    assert document["tracked_target"]["target_id"] == lane.compose_id
    assert document["live_target"]["environment"].keys() == {"DOCKER_IMAGE_REFERENCE"}
    assert document["artifact_runtime_contract"]["artifact_ready"] is True
    row["env"] += "\nODOO_ADDON_REPOSITORIES=example-org/a@main,example-org/b@" + "a" * 40
    row["sourceType"] = "git"
    row.update(customGitUrl="https://robot:hidden-word@git.example.com/shop.git", customGitBranch="main", repository="shop", branch="stable")
    again = bare(*words, **settings)
    assert "hidden-word" not in again.out
    source = again.json()["live_target"]
    assert [source[name] for name in ("custom_git_url", "custom_git_branch", "repository", "branch")] == [
        "https://git.example.com/shop.git", "main", "shop", "stable"]
    contract = again.json()["artifact_runtime_contract"]
    assert contract["artifact_ready"] is False and len(contract["blockers"]) == 2
    assert contract["mutable_addon_refs"] == ["example-org/a@main"]
