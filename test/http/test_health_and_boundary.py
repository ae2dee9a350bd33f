"""The service's face to everybody: health, unknown paths, wrong methods, envelopes."""
import json

import pytest

from checks import TRACE, assert_ok, assert_rejected, assert_unauthenticated
from rehearsal.waiting import wait_until

READS = [
    "/v1/service/runtime", "/v1/deployments/deployment-1", "/v1/inventory/shop/testing",
    "/v1/product-profiles/odoo-tenant-shop", "/v1/product-profiles", "/v1/operations/op-1", "/v1/operations",
    "/v1/drivers/odoo/target-replacement/operations/op-1",
]
WRITES = [
    "/v1/evidence/deployments", "/v1/product-profiles", "/v1/product-config/apply", "/v1/dokploy-targets/setup",
    "/v1/runtime-key-safety/policies/apply", "/v1/drivers/odoo/artifact-publish",
    "/v1/drivers/odoo/target-replacement-plan", "/v1/drivers/odoo/target-replacement-apply",
]


def test_health_needs_no_token_and_names_the_storage(shared_plane):
    """SVC-23, SVC-24: exactly these three members."""
    body = assert_ok(shared_plane.get("/v1/health", token=None))
    assert set(body) == {"status", "trace_id", "storage_backend"}
    assert body["storage_backend"] == "postgres"


def test_each_answer_has_a_fresh_trace_id_never_the_callers(shared_plane):
    """core 1.6"""
    sent = "launchplane_req_" + "0" * 32
    headers = {"X-Trace-Id": sent, "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    seen = {shared_plane.get("/v1/health", token=None, headers=headers).json()["trace_id"] for _ in range(3)}
    assert len(seen) == 3 and sent not in seen
    assert all(TRACE.fullmatch(trace) for trace in seen)


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/", "/v1/nope", "/v1/health/", "/v1//health", "/v2/health"])
def test_an_unknown_path_is_a_404(shared_plane, path):
    """core 1.5; no tolerance for trailing slashes"""
    assert_rejected(shared_plane.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path, allowed", [("/v1/health", "GET"), ("/v1/evidence/deployments", "POST")])
def test_a_known_path_with_another_method_is_a_405(shared_plane, method, path, allowed):
    """core 1.1: GET and POST only"""
    answer = shared_plane.api.request(method, path)
    assert_rejected(answer, 405, "method_not_allowed")
    assert allowed in answer.headers["Allow"]


def test_get_on_a_write_route_is_a_405(shared_plane):
    assert_rejected(shared_plane.get("/v1/evidence/deployments"), 405, "method_not_allowed")


@pytest.mark.parametrize("path", READS)
def test_reads_want_a_token(shared_plane, path):
    """SVC-27"""
    assert_unauthenticated(shared_plane.get(path, token=None))


@pytest.mark.parametrize("path", WRITES)
def test_writes_want_a_token(shared_plane, path):
    """SVC-27"""
    before = shared_plane.counts()
    assert_unauthenticated(shared_plane.post(path, {}, token=None))
    assert shared_plane.counts() == before


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"text"', b"5", b"\xff\xfe", b'{"a":1}trailing', b"{'a':1}", b'{"a":\xff}',
    b'{"a":"\xed\xa0\x80"}', b'{"a":1,}', b"{\"a\":01}", b'{"a":NaN}', b'{"a":"\x01"}',
])
def test_a_body_that_is_not_a_json_object_is_a_400(shared_plane, path, body):
    """core 1.3"""
    answer = shared_plane.api.request("POST", path, data=body, headers={"Content-Type": "application/json"})
    assert_rejected(answer, 400, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/deployments/%20", "/v1/deployments/a%20b", "/v1/inventory/a%09b/testing"])
def test_white_space_in_a_path_parameter_is_a_400(shared_plane, path):
    """core 1.1"""
    assert_rejected(shared_plane.get(path), 400, "invalid_request")


def test_service_runtime_tells_what_is_in_force(plane):
    """core 1.8"""
    runtime = assert_ok(plane.get("/v1/service/runtime"))["runtime"]
    assert runtime["storage_backend"] == "postgres"
    assert runtime["service_audience"] == plane.issuer.audience
    assert runtime["authz_policy_source"] in ("db", "bootstrap_seeded_store")
    assert len(runtime["authz_policy_sha256"]) == len(runtime["bootstrap_authz_policy_sha256"]) == 64


def test_live_ready_metrics_and_openapi(plane):
    """architecture: conventions callers expect"""
    assert plane.get("/livez", token=None).status_code == 200
    assert plane.get("/readyz", token=None).status_code == 200
    metrics = plane.get("/metrics", token=None)
    assert metrics.status_code == 200
    assert "# TYPE" in metrics.text
    document = plane.get("/v1/openapi.json", token=None).json()
    assert document["openapi"].startswith("3.1")
    assert "post" in document["paths"]["/v1/drivers/odoo/target-replacement-apply"]


def test_the_log_is_json_lines_with_trace_ids(plane):
    trace = plane.get("/v1/nope").json()["trace_id"]
    lines = wait_until(lambda: [line for line in plane.log_lines if trace in line], "the request's log line")
    assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_a_killed_worker_is_replaced(plane):
    dead = plane.kill_worker()
    wait_until(lambda: len(children := plane.service.children()) == 2 and dead not in children, "a new worker", 60)
    for _ in range(8):
        assert_ok(wait_until(lambda: _try(plane), "an answer"))


def _try(plane):
    """A connection that the dead worker had accepted may still break once."""
    try:
        return plane.get("/v1/health", token=None)
    except OSError:
        return None
