"""Marker secrets planted in every input that takes one: they come out at the envelope and the provider's env, nowhere else.

plane.check() searches log, answers, database and the doubles' traffic for them after each test.
"""
import base64
import json
import os
import pathlib
import re

import pytest

import live
from browser import settings as signed_settings
from checks import assert_accepted
from cli import Cli, bare, input_file
from rehearsal.service import run_to_end
from replacement import env_of, replace

CONFIG = "/v1/product-config/apply"
# Every member of a request body that the description of the routes marks as a secret.
TAKEN = {("POST", CONFIG, "secrets[].value")}


def secret_members(schema, path=""):
    if schema.get("writeOnly"):
        yield path
    for name, member in schema.get("properties", {}).items():
        yield from secret_members(member, f"{path}.{name}" if path else name)
    for member in [schema["items"]] if isinstance(schema.get("items"), dict) else []:
        yield from secret_members(member, path + "[]")
    for member in schema.get("anyOf", []) + schema.get("oneOf", []) + schema.get("allOf", []):
        yield from secret_members(member, path)


def described(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for kind in operation.get("requestBody", {}).get("content", {}).values():
                for member in secret_members(kind["schema"]):
                    yield method.upper(), path, member


def test_every_input_that_takes_a_secret_is_planted_here(shared_plane):
    """A new SECRET member belongs into TAKEN and into the tests below"""
    found = set(described(shared_plane.get("/v1/openapi.json", token=None).json()))
    assert {entry for entry in found if not entry[2].endswith("target_reference")} == TAKEN


@pytest.fixture
def planted(plane, lane):
    """canary(text) makes a marker that plane.check() then looks for."""
    def canary(text):
        marker = f"canary/{text}/c4n4ry"
        plane.secrets.append(marker)
        return marker
    return canary


@pytest.mark.settings(LAUNCHPLANE_LOG_LEVEL="debug")
def test_canaries_of_the_main_job(plane, lane, planted):
    """Written, compared, rotated, brought to the target, deployed, sealed anew"""
    lane.secrets = {name: planted(name) for name in lane.secrets}
    before = assert_accepted(plane.post(CONFIG, lane.lane_config()))["result"]
    assert {secret["action"] for secret in before["secrets"]} == {"rotated"}
    assert_accepted(plane.post(CONFIG, {**lane.lane_config(), "mode": "dry-run"}))
    live.look(plane, lane)
    assert_accepted(live.apply(plane, lane))
    assert replace(plane, lane)["status"] == "pass"
    assert_accepted(plane.post("/v1/secrets/rekey", {"reason": "canaries"}, key="rekey"))
    env = env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])
    assert {name: env[name] for name in lane.secrets} == lane.secrets, "where they are meant to be"


WRONG = {
    "no-such-scope": lambda body: body["secrets"][0].update(scope="nonsense"),
    "other-place": lambda body: body["secrets"][0].update(instance="prod"),
    "unknown-member": lambda body: body["secrets"][0].update(valeu="x"),
    "unclassified": lambda body: body["secrets"][0].update(name="UNKNOWN_TOKEN", binding_key="UNKNOWN_TOKEN"),
    "twice": lambda body: body["secrets"].append(dict(body["secrets"][0])),
    "also-plain": lambda body: body.update(runtime_env={"DSN": "x"}),
    "in-the-plain-values": lambda body: body.update(runtime_env={"DB_PASSWORD": body["secrets"][0]["value"]}),
    "as-a-key": lambda body: body["secrets"][0].update(binding_key=body["secrets"][0]["value"]),
    "as-a-name": lambda body: body["secrets"][0].update(name="/"),
    "as-a-number": lambda body: body["secrets"][0].update(value=5),
    "wrong-plan": lambda body: body.update(plan_digest="0" * 64),
    "wrong-version": lambda body: body.update(schema_version=2),
}


@pytest.mark.settings(LAUNCHPLANE_LOG_LEVEL="debug")
@pytest.mark.parametrize("mode", ["dry-run", "apply"])
@pytest.mark.parametrize("wrong", WRONG)
def test_canaries_of_refused_bundles(plane, lane, planted, mode, wrong):
    value = planted(wrong)
    body = {**lane.lane_config(), "mode": mode, "secrets": [{"name": "DSN", "value": value}]}
    body["secrets"][0]["name"] = "ODOO_DB_PASSWORD" if wrong != "also-plain" else "DSN"
    WRONG[wrong](body)
    before = plane.counts()
    answer = plane.post(CONFIG, body)
    if (wrong, mode) != ("wrong-plan", "dry-run"):
        assert 400 <= answer.status_code < 500, answer.text
        assert plane.counts() == before


def test_canaries_in_bodies_that_are_no_json(plane, lane, planted):
    value = planted("broken")
    for body in (f'{{"secrets": [{{"value": "{value}"', f'{{"secrets": "{value}"}}', f'"{value}"', f'{{"secrets": [{{"value": "{value}\\u0000"}}]}}'):
        status, _ = plane.post_raw(CONFIG, body, "Content-Type: application/json")
        assert status == 400


@pytest.mark.settings(LAUNCHPLANE_LOG_LEVEL="debug")
def test_canaries_of_the_command_line(plane, lane, planted, tmp_path):
    value = planted("command-line")
    cli = Cli(plane)
    body = {**lane.lane_config(), "secrets": [{"name": "ODOO_DB_PASSWORD", "value": value}]}
    del body["mode"]
    path = input_file(tmp_path, body)
    for mode in ("--dry-run", "--apply"):
        assert cli("product-config", "apply", mode, "--input-file", path).code == 0
    assert cli("live-target-runtime", "apply", "--apply", "--product", lane.product, "--context", lane.context,
               "--instance", lane.instance).code == 0
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key}
    for words in (["resolve", "--context", lane.context, "--instance", lane.instance], ["list"],
                  ["show-live-target", "--context", lane.context, "--instance", lane.instance]):
        shown = bare("environments", *words, **settings)
        assert shown.code == 0, shown
        plane.answers += [shown.out, shown.err]
    refused = bare("environments", "put", "--scope", "global", "--set", f"A_TOKEN={value}", **settings)
    plane.answers += [refused.out, refused.err]
    assert refused.code == 1


def test_canaries_while_the_provider_echoes_and_fails(plane, lane, planted):
    """What a provider sends back in an error is redacted or left out"""
    value = planted("echoed")
    lane.secrets["ODOO_DB_PASSWORD"] = value
    assert_accepted(plane.post(CONFIG, lane.lane_config()))
    plane.doubles.dokploy.on("POST", "compose.update").answer(500, {"message": f"cannot write ODOO_DB_PASSWORD={value}"})
    answer = live.beside(plane, lane, "echo")
    operation = plane.finish(live.operation_id_of(plane))
    assert operation["status"] == "fail"
    assert answer().status_code in (202, 502)


def test_no_canary_in_the_arguments_of_a_process(plane):
    """argv shows in process lists: the keys come by the environment alone"""
    lines = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in [os.getpid(), *plane.workers()]]
    assert not any(secret in line for secret in plane.secrets for line in lines)
    assert json.dumps(plane.settings).count(plane.master_key) == 1


def secret_settings():
    """The names that the program's own reference marks as secret."""
    code, out, err = run_to_end("docs", "print", "settings", settings={})
    assert code == 0, err
    return {name for name in re.findall(r"^\| `(LAUNCHPLANE_\w+)`.*\(secret\) \|$", out, re.M)}


def key_of(letter):
    return base64.urlsafe_b64encode(letter.encode() * 32).decode()


# A marker for every secret setting; those of the last row are the command line's.
SETTINGS = {
    "LAUNCHPLANE_AUDIT_SIGNING_KEY": key_of("a"), "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": key_of("m"),
    "LAUNCHPLANE_PREVIOUS_MASTER_ENCRYPTION_KEYS": f"{key_of('p')},{key_of('q')}",
    "LAUNCHPLANE_TERMINAL_AGENT_READ_TOKEN": "canary-terminal-agent-c4n4ry-0001", "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN": "canary-operator-c4n4ry-0002",
    "LAUNCHPLANE_LOCAL_ADMIN_TOKEN": "canary-admin-c4n4ry-000000003", "LAUNCHPLANE_GITHUB_CLIENT_SECRET": "canary-client-c4n4ry-000000004",
    "LAUNCHPLANE_SESSION_SECRET": "canary-session-c4n4ry-000000005",
}
OF_COMMANDS = {"LAUNCHPLANE_TOKEN": "canary-token-c4n4ry-000000006", "LAUNCHPLANE_SESSION_COOKIE": "canary-cookie-c4n4ry-000000007"}


def test_every_secret_setting_is_planted_here():
    """A new one belongs into SETTINGS or OF_COMMANDS"""
    assert secret_settings() == set(SETTINGS) | set(OF_COMMANDS)


def test_canaries_of_the_settings(make_plane, doubles):
    """Started with them, asked with them, refused with them, restarted, and shown by every help and reference"""
    needed = {name: value for name, value in signed_settings(doubles).items() if name not in SETTINGS}
    plane = make_plane(None, **needed, **SETTINGS, LAUNCHPLANE_LOG_LEVEL="debug")
    plane.secrets += [*",".join(SETTINGS.values()).split(","), *OF_COMMANDS.values()]
    tokens = [value for name, value in {**SETTINGS, **OF_COMMANDS}.items() if name.endswith("_TOKEN")]
    for token in [*tokens, SETTINGS["LAUNCHPLANE_SESSION_SECRET"]]:
        for path in ("/v1/service/runtime", "/v1/product-profiles", "/v1/nowhere"):
            plane.get(path, token=token)
        plane.post(CONFIG, {"product": "launchplane"}, token=token)
    plane.get("/auth/login", token=None)
    plane.restart()
    cli = Cli(plane)
    cli("product-profiles", "list", token=OF_COMMANDS["LAUNCHPLANE_TOKEN"])
    cli("product-profiles", "list", token=None, LAUNCHPLANE_SESSION_COOKIE=OF_COMMANDS["LAUNCHPLANE_SESSION_COOKIE"])
    for words in (["--help"], ["service", "serve", "--help"], ["docs", "print", "settings"], ["service", "serve", "--listen", "nonsense"],
                  ["storage", "status"]):
        shown = bare(*words, **{**plane.settings, **OF_COMMANDS})
        plane.answers += [shown.out, shown.err]


@pytest.mark.settings(LAUNCHPLANE_MASTER_ENCRYPTION_KEY="short")
def test_a_short_master_key_is_a_passphrase(plane, unprepared_lane):
    """config-health 4.3"""
    plane.secrets = [secret for secret in plane.secrets if secret != "short"]
    unprepared_lane.prepare(plane)
    assert plane.tables_with_secrets() == []
