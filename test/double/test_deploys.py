"""What a deploy makes of file, environment and domain rows."""
import pytest
import yaml

from double import dotenv, render
from double.errors import DeployError

BOTH = pytest.mark.parametrize("doubles", ["0.29", "0.30"], indirect=True)


def compose(client, lane, text):
    client.post("compose.update", composeId=lane.compose_id, sourceType="raw", composeFile=text)


def test_the_snapshot_changes_only_with_a_deploy(doubles, client, lane):
    compose(client, lane, "services: {web: {image: 'example/new:1'}}")
    assert doubles.dokploy.running(lane.compose_id).services["web"].image == lane.old.image
    client.deployed(lane.compose_id)
    assert doubles.dokploy.running(lane.compose_id).services["web"].image == "example/new:1"


@BOTH
def test_converted_compose_is_the_old_file_in_029_and_the_stored_one_in_030(doubles, client, lane):
    compose(client, lane, "services: {web: {image: 'example/new:1'}}")
    converted = yaml.safe_load(client.get("compose.getConvertedCompose", composeId=lane.compose_id))
    expected = {"0.29": lane.old.image, "0.30": "example/new:1"}[doubles.dokploy.generation]
    assert converted["services"]["web"]["image"] == expected


def test_domain_rows_become_labels_and_networks(doubles, client, lane):
    converted = yaml.safe_load(client.get("compose.getConvertedCompose", composeId=lane.compose_id))
    row = doubles.dokploy.compose(lane.compose_id)
    domain = doubles.dokploy.domains_of(lane.compose_id)[0]
    stem = f"traefik.http.routers.{row['appName']}-{domain['uniqueConfigKey']}"
    web = converted["services"]["web"]
    assert f"{stem}-web.rule=Host(`{lane.host}`)" in web["labels"]
    assert f"{stem}-web.middlewares=redirect-to-https@file" in web["labels"]
    assert f"{stem}-websecure.tls=true" in web["labels"]
    assert set(web["networks"]) == {"dokploy-network", "default"}
    assert converted["networks"]["dokploy-network"] == {"external": True}


def test_labels_in_a_mapping_get_lost(doubles, client, lane):
    compose(client, lane, "services: {web: {image: x, labels: {a: b}}}")
    client.deployed(lane.compose_id)
    assert doubles.dokploy.running(lane.compose_id).services["web"].labels == {"a": "b"}
    assert doubles.dokploy.running(lane.compose_id).routes() == {}


@pytest.mark.parametrize("text, reason", [
    ("services: {other: {image: x}}", "The service web not found in the compose"),
    ("services: {web: {environment: {A: '${NEEDED:?must be set}'}, image: x}}", "required variable NEEDED"),
    ("services: {web: {command: x}}", "neither an image nor a build"),
    ("services: {web: {image: x, depends_on: [db]}}", "undefined service db"),
    ("services: {web: {image: x, volumes: ['data:/data']}}", "undefined volume data"),
    ("services: {web: {image: x, networks: [inner]}}", "undefined network inner"),
    ("services: {web: {image: x, env_file: [other.env]}}", "env file other.env not found"),
    ("services: [", "not YAML"),
    ("{}", "no services"),
])
def test_a_bad_compose_file_ends_in_error_and_the_old_containers_stay(doubles, client, lane, text, reason):
    compose(client, lane, text)
    row = client.deployed(lane.compose_id)
    assert row["status"] == "error"
    assert reason in row["errorMessage"]
    assert reason in client.get("deployment.readLogs", deploymentId=row["deploymentId"])
    assert client.get("compose.one", composeId=lane.compose_id)["composeStatus"] == "error"
    assert doubles.dokploy.running(lane.compose_id).services["web"].image == lane.old.image


def test_an_image_that_cannot_be_pulled_ends_in_error(doubles, client, lane):
    doubles.dokploy.missing_images.add("example/gone:1")
    compose(client, lane, "services: {web: {image: 'example/gone:1'}}")
    assert "manifest unknown" in client.deployed(lane.compose_id)["errorMessage"]


def test_a_compose_without_raw_source_cannot_be_deployed(client, lane):
    client.post("compose.update", composeId=lane.compose_id, sourceType="github")
    assert client.deployed(lane.compose_id)["status"] == "error"


@BOTH
def test_environment_reaches_containers_only_where_the_file_says_so(doubles, client, lane):
    compose(client, lane, """
services:
  web: {image: x, env_file: [{path: .env, required: false}], environment: [B=two, 'C=${A}-c', A]}
  quiet: {image: x}
""")
    client.post("compose.update", composeId=lane.compose_id, env='A=one\nJSON={"k":"v"}')
    client.deployed(lane.compose_id)
    services = doubles.dokploy.running(lane.compose_id).services
    web = services["web"].env
    assert (web["A"], web["B"], web["C"], web["JSON"]) == ("one", "two", "one-c", '{"k":"v"}')
    assert web["COMPOSE_PROJECT_NAME"] == doubles.dokploy.compose(lane.compose_id)["appName"]
    assert services["quiet"].env == {}


@BOTH
def test_a_dollar_is_expanded_once_more_by_029(doubles, client, lane):
    compose(client, lane, "services: {web: {image: x, env_file: .env}}")
    client.post("compose.update", composeId=lane.compose_id, env="A=one\nB=a$A")
    client.deployed(lane.compose_id)
    expected = {"0.29": "aone", "0.30": "a$A"}[doubles.dokploy.generation]
    assert doubles.dokploy.running(lane.compose_id).services["web"].env["B"] == expected


def test_references_are_replaced_and_unknown_ones_abort():
    assert render.resolve_references("A=${{project.P}}\nB=${{A}}", "P=1", "") == {"A": "1", "B": "${{project.P}}"}
    with pytest.raises(DeployError):
        render.resolve_references("A=${{project.NOPE}}", "P=1", "")


@pytest.mark.parametrize("text, values", [
    ("A=1\nA=2", {"A": "2"}),
    ("export A=1\n# A=2\n\nB", {"A": "1"}),
    ("A='x # y' # z", {"A": "x # y"}),
    ("A=x # y", {"A": "x"}),
    ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
    ("A=", {"A": ""}),
])
def test_dotenv_rules(text, values):
    assert dotenv.parse(text) == values


@pytest.mark.parametrize("text, result", [
    ("${A:-d}", "a"), ("${E:-d}", "d"), ("${E-d}", ""), ("${N-d}", "d"), ("$A/$$A", "a/$A"),
    ("${A:+set}", "set"), ("${N:+set}", ""),
])
def test_interpolation(text, result):
    assert dotenv.interpolate(text, {"A": "a", "E": ""}) == result
