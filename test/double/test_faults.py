"""Scripted misbehaviour."""
import pytest
import requests

from rehearsal.waiting import wait_until


def newest(client, lane):
    return client.get("deployment.allByCompose", composeId=lane.compose_id)[0]


def test_an_answer_is_given_so_many_times_and_nothing_happens(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.deploy").answer(500).times(2)
    for _ in range(2):
        answer = client.raw("POST", "compose.deploy", {"composeId": lane.compose_id})
        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_SERVER_ERROR")
    client.deployed(lane.compose_id)
    assert doubles.dokploy.calls("POST", "compose.deploy") == 3
    assert doubles.dokploy.effects("POST", "compose.deploy") == 1
    assert doubles.dokploy.deploys(lane.compose_id) == 1


def test_after_lets_calls_pass_first(doubles, client):
    doubles.dokploy.on("GET", "project.*").after(1).answer(502, {"raw": "gateway"})
    assert client.raw("GET", "project.all", {}).status_code == 200
    assert client.raw("GET", "project.all", {}).json() == {"raw": "gateway"}


def test_having_strikes_only_calls_with_that_member(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.update").having("env").answer(400)
    client.post("compose.update", composeId=lane.compose_id, name="other")
    assert client.raw("POST", "compose.update", {"composeId": lane.compose_id, "env": ""}).status_code == 400


def test_both_forms_of_401(doubles, client):
    doubles.dokploy.on("GET", "project.all").unauthorized().times(1)
    doubles.dokploy.on("GET", "project.all").unauthorized(code=True).times(1)
    assert client.raw("GET", "project.all", {}).json() == {"message": "Unauthorized"}
    assert client.raw("GET", "project.all", {}).json() == {"message": "Unauthorized", "code": "UNAUTHORIZED"}


@pytest.mark.parametrize("cut, effects", [("drop_before", 0), ("drop_after", 1)])
def test_a_cut_connection_before_and_after_the_effect(doubles, client, lane, cut, effects):
    getattr(doubles.dokploy.on("POST", "compose.deploy"), cut)().times(1)
    with pytest.raises(requests.exceptions.RequestException):
        client.raw("POST", "compose.deploy", {"composeId": lane.compose_id})
    assert doubles.dokploy.effects("POST", "compose.deploy") == effects


def test_half_a_body_is_sent_with_the_length_of_the_whole(doubles, client, lane):
    doubles.dokploy.on("GET", "compose.one").truncate().times(1)
    answer = client.raw("GET", "compose.one", {"composeId": lane.compose_id})
    assert answer.content and len(answer.content) < int(answer.headers["Content-Length"])


def test_a_hang_ends_with_the_double_or_the_callers_patience(doubles):
    doubles.dokploy.on("GET", "project.all").hang()
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{doubles.dokploy.url}/api/project.all", timeout=0.2)


def test_a_held_call_shows_that_its_effect_happened(doubles, client, lane):
    rule = doubles.dokploy.on("POST", "compose.update").hold_after().times(1)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{doubles.dokploy.url}/api/compose.update", timeout=0.3,
                      headers={"x-api-key": doubles.token}, json={"composeId": lane.compose_id, "name": "held"})
    assert rule.reached.wait(60)
    assert doubles.dokploy.compose(lane.compose_id)["name"] == "held"
    rule.release()


def test_a_delay_follows_the_test_clock(doubles, client):
    doubles.dokploy.on("GET", "project.all").delay(3600)
    session = requests.Session()
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.get(f"{doubles.dokploy.url}/api/project.all", timeout=0.2)
    # Again and again: the call may have come to the double after the first time.
    wait_until(lambda: doubles.clock.advance(3601) or doubles.dokploy.requests and doubles.dokploy.requests[0].status == 401,
               "the delayed answer")


def test_lies_are_known_by_name(doubles):
    with pytest.raises(ValueError):
        doubles.dokploy.on("POST", "compose.deploy").lie("env_not_persisted")


def test_done_while_the_old_snapshot_runs(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.deploy").lie("old_snapshot")
    client.post("compose.update", composeId=lane.compose_id, composeFile="services: {web: {image: new}}")
    assert client.deployed(lane.compose_id)["status"] == "done"
    assert doubles.dokploy.running(lane.compose_id).services["web"].image == lane.old.image


@pytest.mark.parametrize("lie, status", [("deploy_error", "error"), ("deploy_cancelled", "cancelled")])
def test_a_deploy_that_ends_badly(doubles, client, lane, lie, status):
    doubles.dokploy.on("POST", "compose.deploy").lie(lie)
    assert client.deployed(lane.compose_id)["status"] == status


def test_a_lost_job_never_gets_a_row(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.deploy").lie("lost_job").times(1)
    client.post("compose.deploy", composeId=lane.compose_id, title="lost")
    client.deployed(lane.compose_id, title="next")
    titles = [row["title"] for row in client.get("deployment.allByCompose", composeId=lane.compose_id)]
    assert "lost" not in titles
    assert doubles.dokploy.deploys(lane.compose_id) == 1


def test_a_foreign_deploy_in_between(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.deploy").lie("foreign_deploy")
    client.post("compose.deploy", composeId=lane.compose_id, title="mine")
    wait_until(lambda: doubles.dokploy.deploys(lane.compose_id) == 2, "both deploys")
    assert [title for _, title in doubles.dokploy.queue.started] == ["Manual deployment", "mine"]


def test_env_not_persisted_and_member_stripped(doubles, client, lane):
    doubles.dokploy.on("POST", "compose.update").having("env").lie("env_not_persisted")
    doubles.dokploy.on("POST", "compose.update").lie("member_stripped", member="composeFile")
    before = doubles.dokploy.compose(lane.compose_id)
    client.post("compose.update", composeId=lane.compose_id, env="NEW=1")
    client.post("compose.update", composeId=lane.compose_id, composeFile="new", name="new")
    after = doubles.dokploy.compose(lane.compose_id)
    assert (after["env"], after["composeFile"], after["name"]) == (before["env"], before["composeFile"], "new")


def test_duplicate_domain_rows_and_no_containers(doubles, client, lane):
    doubles.dokploy.on("POST", "domain.create").lie("duplicate_row")
    doubles.dokploy.on("GET", "docker.getContainersByAppNameMatch").lie("no_containers")
    client.post("domain.create", host="two.example.com", composeId=lane.compose_id)
    hosts = [row["host"] for row in doubles.dokploy.domains_of(lane.compose_id)]
    assert hosts.count("two.example.com") == 2
    app_name = doubles.dokploy.compose(lane.compose_id)["appName"]
    assert client.get("docker.getContainersByAppNameMatch", appName=app_name) == []


def test_a_restart_forgets_the_queue_and_cancels_what_runs(doubles, client, lane):
    doubles.dokploy.queue_seconds, doubles.dokploy.deploy_seconds = 0, 3600
    client.post("compose.deploy", composeId=lane.compose_id, title="running")
    client.post("compose.deploy", composeId=lane.compose_id, title="queued")
    wait_until(lambda: newest(client, lane)["title"] == "running", "the first to run")
    doubles.dokploy.restart()
    doubles.clock.advance(7200)
    doubles.dokploy.deploy_seconds = 0
    client.deployed(lane.compose_id, title="later")
    rows = {row["title"]: row["status"] for row in client.get("deployment.allByCompose", composeId=lane.compose_id)}
    assert (rows["running"], rows["later"]) == ("cancelled", "done")
    assert "queued" not in rows


def test_a_restart_may_leave_the_work_done_on_the_host(doubles, client, lane):
    doubles.dokploy.queue_seconds, doubles.dokploy.deploy_seconds = 0, 3600
    client.post("compose.update", composeId=lane.compose_id, composeFile="services: {web: {image: new}}")
    client.post("compose.deploy", composeId=lane.compose_id, title="mine")
    wait_until(lambda: newest(client, lane)["title"] == "mine", "the deploy to run")
    doubles.dokploy.restart(effect=True)
    assert newest(client, lane)["status"] == "cancelled"
    assert doubles.dokploy.running(lane.compose_id).services["web"].image == "new"


def test_the_control_endpoint_scripts_the_same_faults(doubles, client):
    control = f"{doubles.dokploy.url}/_control"
    rule = {"method": "GET", "procedure": "project.all", "answer": {"status": 503}, "times": 1}
    assert requests.post(f"{control}/faults", json=rule, timeout=30).json() == {"rules": 1}
    assert client.raw("GET", "project.all", {}).status_code == 503
    assert requests.delete(f"{control}/faults", timeout=30).json() == {"rules": 0}
    assert requests.get(f"{control}/defects", timeout=30).json() == []
    assert "GET project.all -> 503" in requests.get(f"{control}/requests", timeout=30).json()[0]
    bad = requests.post(f"{control}/faults", json={"method": "GET", "procedure": "x", "lies": ["y"]}, timeout=30)
    assert bad.status_code == 400


def test_the_log_never_holds_the_key(doubles, client):
    client.get("project.all")
    assert doubles.token not in repr(doubles.dokploy.requests)
