"""The Dokploy double behaves as the facts about Dokploy's API say."""
import pytest

from rehearsal.waiting import wait_until

BOTH = pytest.mark.parametrize("doubles", ["0.29", "0.30"], indirect=True)


def test_a_missing_or_wrong_key_gets_the_401_without_code(doubles, client):
    answer = client.raw("GET", "project.all", {}, key="wrong")
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert client.raw("GET", "no.such.thing", {}, key="").json() == {"message": "Unauthorized"}
    assert doubles.dokploy.defects == ["GET project.all: no valid x-api-key", "GET no.such.thing: no valid x-api-key"]


def test_health_needs_no_key(doubles, client):
    assert client.raw("GET", "health", {}, key="").json() == {"ok": True}
    assert client.raw("GET", "settings.health", {}, key="").json() == {"status": "ok"}


def test_unknown_procedure_is_a_404_and_a_defect(doubles, client):
    answer = client.raw("GET", "compose.two", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert doubles.dokploy.defects == ["unknown procedure compose.two"]


def test_wrong_method_is_a_defect(doubles, client):
    answer = client.raw("GET", "compose.deploy", {"composeId": "x"})
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_SUPPORTED")
    assert doubles.dokploy.defects == ["compose.deploy called with GET"]


@pytest.mark.parametrize("sent, issue", [
    ({}, "required: composeId"),
    ({"composeId": 3}, "composeId: must be type string"),
    ({"composeId": ""}, "composeId: must be minLength 1"),
    ({"composeId": "x", "title": None}, "title: must be type string"),
])
def test_wrong_members_are_a_400_that_lists_them(doubles, client, sent, issue):
    answer = client.raw("POST", "compose.deploy", sent)
    assert answer.status_code == 400
    assert answer.json()["code"] == "BAD_REQUEST"
    assert answer.json()["issues"] == [{"message": issue}]
    assert doubles.dokploy.defects == [f"compose.deploy: {issue}"]


def test_nullable_members_must_still_be_present(doubles, client, lane):
    answer = client.raw("POST", "compose.saveEnvironment", {"composeId": lane.compose_id})
    assert answer.json()["issues"] == [{"message": "required: env"}]
    assert client.post("compose.saveEnvironment", composeId=lane.compose_id, env=None) is True
    assert client.get("compose.one", composeId=lane.compose_id)["env"] is None


def test_an_unknown_member_is_stripped_and_reported(doubles, client, lane):
    client.post("compose.update", composeId=lane.compose_id, composefile="typo")
    assert "typo" not in client.get("compose.one", composeId=lane.compose_id)["composeFile"]
    assert doubles.dokploy.defects == ["compose.update: unknown member composefile"]


def test_tolerated_extra_members_are_no_defects(doubles, client, lane):
    domain = doubles.dokploy.domains_of(lane.compose_id)[0]
    client.post("domain.update", domainId=domain["domainId"], host=lane.host, composeId="other", applicationId=None)
    assert doubles.dokploy.domains_of(lane.compose_id)[0]["composeId"] == lane.compose_id
    assert doubles.dokploy.defects == []


@BOTH
def test_source_type_at_create_is_known_since_030(doubles, client):
    _, environment = doubles.dokploy.add_project("p")
    row = client.post("compose.create", name="c", environmentId=environment, sourceType="raw")
    expected = {"0.29": ("github", ["compose.create: unknown member sourceType"]), "0.30": ("raw", [])}
    assert (row["sourceType"], doubles.dokploy.defects) == expected[doubles.dokploy.generation]


def test_a_missing_row_is_a_404_with_code(client):
    answer = client.raw("GET", "compose.one", {"composeId": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_app_name_gets_a_suffix_and_cannot_be_changed(doubles, client):
    _, environment = doubles.dokploy.add_project("p")
    row = client.post("compose.create", name="Shop", appName="Shop-Testing", environmentId=environment)
    assert row["appName"].startswith("shop-testing-") and len(row["appName"]) == len("shop-testing-") + 6
    changed = client.post("compose.update", composeId=row["composeId"], appName="mine", name="renamed")
    assert (changed["appName"], changed["name"]) == (row["appName"], "renamed")


def test_project_create_nests_its_ids_and_makes_an_environment(client):
    made = client.post("project.create", name="p")
    listed = client.get("project.one", projectId=made["project"]["projectId"])
    assert [item["environmentId"] for item in listed["environments"]] == [made["environment"]["environmentId"]]


def test_search_shows_only_what_this_key_created(doubles, client, lane):
    assert client.get("compose.search", name=lane.target_name) == {"items": [], "total": 0}
    client.post("compose.create", name="mine", environmentId=lane.environment_id)
    found = client.get("compose.search", q="min", limit=5)
    assert (found["total"], found["items"][0]["name"]) == (1, "mine")


def test_deploy_answers_before_a_row_exists(doubles, client, lane):
    doubles.dokploy.queue_seconds = 3600
    before = client.get("deployment.allByCompose", composeId=lane.compose_id)
    answer = client.post("compose.deploy", composeId=lane.compose_id, title="mine")
    assert answer == {"success": True, "message": "Deployment queued", "composeId": lane.compose_id}
    assert client.get("deployment.allByCompose", composeId=lane.compose_id) == before
    assert doubles.dokploy.deploys(lane.compose_id) == 0


def test_time_moves_a_deploy_from_queued_over_running_to_done(doubles, client, lane):
    doubles.dokploy.queue_seconds, doubles.dokploy.deploy_seconds = 100, 1000
    client.post("compose.deploy", composeId=lane.compose_id, title="mine", description="why")

    def newest(status):
        row = client.get("deployment.allByCompose", composeId=lane.compose_id)[0]
        return row["title"] == "mine" and row["status"] == status and row

    doubles.clock.advance(101)
    row = wait_until(lambda: newest("running"), "the row")
    assert (row["description"], row["finishedAt"]) == ("why", None)
    assert client.get("compose.one", composeId=lane.compose_id)["composeStatus"] == "running"
    doubles.clock.advance(1001)
    wait_until(lambda: newest("done"), "the end")
    assert client.get("compose.one", composeId=lane.compose_id)["composeStatus"] == "done"
    assert doubles.dokploy.deploys(lane.compose_id) == 1


def test_deploys_run_one_after_the_other_in_order(doubles, client, lane):
    doubles.dokploy.queue_seconds = 0
    for number in range(4):
        client.post("compose.deploy", composeId=lane.compose_id, title=f"n{number}")
    wait_until(lambda: doubles.dokploy.deploys(lane.compose_id) == 4, "four deploys")
    assert [title for _, title in doubles.dokploy.queue.started] == ["n0", "n1", "n2", "n3"]


def test_ten_rows_are_kept_and_compose_one_shows_them_unordered(doubles, client, lane):
    doubles.dokploy.queue_seconds = doubles.dokploy.deploy_seconds = 0
    for number in range(13):
        client.deployed(lane.compose_id, title=f"n{number}")
    listed = client.get("deployment.allByCompose", composeId=lane.compose_id)
    assert [row["title"] for row in listed] == [f"n{number}" for number in range(12, 2, -1)]
    unordered = client.get("compose.one", composeId=lane.compose_id)["deployments"]
    assert {row["title"] for row in unordered} == {row["title"] for row in listed}
    assert [row["title"] for row in unordered] != [row["title"] for row in listed]


def test_env_is_replaced_as_a_whole(client, lane):
    client.post("compose.update", composeId=lane.compose_id, env="ONLY=this")
    assert client.get("compose.one", composeId=lane.compose_id)["env"] == "ONLY=this"


def test_host_names_are_not_unique(doubles, client, lane):
    client.post("domain.create", host=lane.host, composeId=lane.compose_id, serviceName="web", domainType="compose")
    rows = client.get("domain.byComposeId", composeId=lane.compose_id)
    assert [row["host"] for row in rows] == [lane.host] * 2
    assert rows[0]["uniqueConfigKey"] != rows[1]["uniqueConfigKey"]


@BOTH
def test_host_names_are_checked_strictly_since_030(doubles, client, lane):
    answer = client.raw("POST", "domain.create", {"host": "with_underscore.example.com", "composeId": lane.compose_id})
    assert answer.status_code == {"0.29": 200, "0.30": 400}[doubles.dokploy.generation]


def test_a_compose_delete_is_seen_at_once(doubles, client, lane):
    client.post("compose.delete", composeId=lane.compose_id, deleteVolumes=False)
    assert client.raw("GET", "compose.one", {"composeId": lane.compose_id}).status_code == 404
    assert doubles.dokploy.running(lane.compose_id) is None


def test_containers_and_their_config_follow_what_runs(doubles, client, lane):
    app_name = doubles.dokploy.compose(lane.compose_id)["appName"]
    rows = client.get("docker.getContainersByAppNameMatch", appName=app_name, appType="docker-compose")
    assert sorted(row["name"] for row in rows) == [f"{app_name}-{name}-1" for name in ("database", "script-runner", "web")]
    web = next(row for row in rows if row["name"].endswith("-web-1"))
    config = client.get("docker.getConfig", containerId=web["containerId"])
    assert config["Config"]["Image"] == lane.old.image
    assert f"ODOO_DB_NAME={lane.environment['ODOO_DB_NAME']}" in config["Config"]["Env"]
    assert client.get("docker.getConfig", containerId="unknown") == {}


def test_no_request_of_these_tests_was_answered_against_the_facts(doubles, client, lane):
    """The double checks its own answers too; a wrong one shows up among the defects."""
    for procedure, members in [
        ("project.all", {}), ("environment.one", {"environmentId": lane.environment_id}),
        ("server.all", {}), ("user.session", {}), ("settings.getDokployVersion", {}),
        ("compose.one", {"composeId": lane.compose_id}), ("domain.byComposeId", {"composeId": lane.compose_id}),
        ("compose.getConvertedCompose", {"composeId": lane.compose_id}),
        ("environment.byProjectId", {"projectId": lane.project_id}),
    ]:
        client.get(procedure, **members)
    assert doubles.dokploy.defects == []


def test_the_application_calls_of_the_client_work(doubles, client, lane):
    row = client.post("application.create", name="site", appName="site", environmentId=lane.environment_id)
    key = {"applicationId": row["applicationId"]}
    client.post("application.saveDockerProvider", dockerImage="example/site@sha256:1", username=None, password=None,
                registryUrl=None, **key)
    client.post("application.saveEnvironment", env="A=1", buildArgs=None, buildSecrets=None, createEnvFile=True, **key)
    client.post("application.deploy", title="first", **key)
    done = wait_until(
        lambda: [row for row in client.get("deployment.all", **key) if row["status"] == "done"], "the deploy")
    assert done[0]["title"] == "first"
    assert doubles.dokploy.running(row["applicationId"]).services["web"].env["A"] == "1"
    assert doubles.dokploy.defects == []


def test_mounts_are_kept(doubles, client, lane):
    row = client.post("mounts.create", type="volume", mountPath="/data", volumeName="v", serviceId=lane.compose_id,
                      serviceType="compose")
    listed = client.get("mounts.listByServiceId", serviceId=lane.compose_id, serviceType="compose")
    assert [item["mountId"] for item in listed] == [row["mountId"]]
    client.post("mounts.remove", mountId=row["mountId"])
    assert client.raw("GET", "mounts.one", {"mountId": row["mountId"]}).status_code == 404
