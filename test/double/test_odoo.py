"""The public Odoo endpoint follows what runs."""
import json

import pytest
import requests

IDENTITY = {"schema_version": 1, "context": "shop", "instance": "testing", "artifact_id": "artifact-shop-0002"}


def get(url):
    return requests.get(url, timeout=30)


@pytest.fixture
def running(client, lane):
    env = client.get("compose.one", composeId=lane.compose_id)["env"]
    text = json.dumps(IDENTITY, separators=(",", ":"))
    client.post("compose.update", composeId=lane.compose_id, env=f"{env}\nLAUNCHPLANE_RUNTIME_IDENTITY_JSON={text}")
    client.deployed(lane.compose_id)
    return lane


def test_health_shows_the_identity_of_what_runs(running):
    assert get(running.health_url).json() == {"status": "ok", "runtime_identity": IDENTITY}
    assert get(f"{running.base_url}/web/health").json() == {"status": "ok"}


def test_the_page_has_a_canonical_link_and_a_logo(running):
    page = get(running.base_url)
    assert f'rel="canonical" href="{running.base_url}/"' in page.text
    logo = get(f"{running.base_url}/web/image/website/1/logo")
    assert (logo.status_code, logo.headers["Content-Type"]) == (200, "image/png")
    assert f'src="/{running.host}/web/image/website/1/logo"' in page.text


def test_a_host_without_router_is_unknown(doubles, running):
    assert get(f"{doubles.odoo.url}/other.example.com/launchplane/health").status_code == 404


def test_a_router_to_the_wrong_port_is_a_bad_gateway(doubles, client, running):
    domain = doubles.dokploy.domains_of(running.compose_id)[0]
    client.post("domain.update", domainId=domain["domainId"], host=running.host, port=3000)
    client.deployed(running.compose_id)
    assert get(running.health_url).status_code == 502


def test_stopped_web_is_a_bad_gateway(doubles, running):
    doubles.dokploy.running(running.compose_id).web_running = False
    assert get(running.health_url).status_code == 502


def test_a_slow_start_follows_the_test_clock(doubles, running):
    doubles.odoo.face(running.host).start_seconds = 3600
    assert get(running.health_url).status_code == 502
    doubles.clock.advance(3601)
    assert get(running.health_url).status_code == 200


@pytest.mark.parametrize("changes, shown", [
    ({"identity": "missing"}, {"status": "ok"}),
    ({"identity": "malformed"}, {"status": "ok", "runtime_identity": "{not json"}),
    ({"identity_changes": {"artifact_id": "other"}}, {"status": "ok", "runtime_identity": {**IDENTITY, "artifact_id": "other"}}),
    ({"identity_name": "launchplaneRuntimeIdentity"}, {"status": "ok", "launchplaneRuntimeIdentity": IDENTITY}),
    ({"identity_as_text": True}, {"status": "ok", "runtime_identity": json.dumps(IDENTITY)}),
    ({"health_status": "fail", "identity": "missing"}, {"status": "fail"}),
])
def test_faces_of_health(doubles, running, changes, shown):
    vars(doubles.odoo.face(running.host)).update(changes)
    assert get(running.health_url).json() == shown


def test_faces_of_page_and_logo(doubles, running):
    face = doubles.odoo.face(running.host)
    face.canonical, face.logo = "https://elsewhere.example.com", "html_404"
    assert 'href="https://elsewhere.example.com/"' in get(running.base_url).text
    assert get(f"{running.base_url}/web/image/website/1/logo").headers["Content-Type"].startswith("text/html")
    face.unreachable = True
    with pytest.raises(requests.exceptions.ConnectionError):
        get(running.base_url)
