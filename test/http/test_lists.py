"""The list of every record family: filters, bounds, order, cursors, and who may see what."""
import base64
import json

import pytest

from checks import assert_ok, assert_rejected
from rehearsal import policy as policies

LISTS = {
    "/v1/deployments": ("deployments", "deployment.read", "record_id"),
    "/v1/promotions": ("promotions", "promotion.read", "record_id"),
    "/v1/backup-gates": ("backup_gates", "backup_gate.read", "record_id"),
    "/v1/previews": ("previews", "preview.read", "preview_id"),
    "/v1/inventory": ("inventory", "inventory.read", "instance"),
    "/v1/release-tuples": ("release_tuples", "release_tuple.read", "tuple_id"),
    "/v1/artifacts": ("artifacts", "artifact.read", "artifact_id"),
}
ACTIONS = [action for _, action, _ in LISTS.values()]
WHOLE = policies.workflow_rule(ACTIONS, ["launchplane"], ["*"])
ONE = policies.workflow_rule(ACTIONS, ["launchplane"], ["shop"], repository="example-org/shop-only")
POLICY = policies.render(github_actions=[WHOLE, ONE])
pytestmark = pytest.mark.policy(POLICY)

ROWS = """
INSERT INTO launchplane_deployments
SELECT 'dep-' || n, context, CASE n % 2 WHEN 0 THEN 'prod' ELSE 'testing' END, 'a-' || n % 3, 'abc',
       to_char(n / 2, 'FM0000'), CASE WHEN n = 7 THEN '' ELSE to_char(n / 2, 'FM0000') END,
       json_build_object('record_id', 'dep-' || n, 'context', context,
                         'deploy', json_build_object('status', CASE n % 4 WHEN 0 THEN 'fail' ELSE 'pass' END))
  FROM generate_series(1, 9) n, unnest(ARRAY['shop', 'other']) context WHERE context = 'shop' OR n < 1;
INSERT INTO launchplane_deployments
SELECT 'other-' || n, 'other', 'prod', 'a-9', 'abc', '0100', '0100', json_build_object('record_id', 'other-' || n)
  FROM generate_series(1, 2) n;
INSERT INTO launchplane_promotions
SELECT 'pro-' || n, 'shop', 'testing', 'prod', 'a-' || n, '0001', to_char(n, 'FM0000'),
       json_build_object('record_id', 'pro-' || n, 'deploy', json_build_object('status', 'pass'))
  FROM generate_series(1, 5) n;
INSERT INTO launchplane_backup_gates
SELECT 'gate-' || n, 'shop', 'prod', '0001', 'pass', json_build_object('record_id', 'gate-' || n)
  FROM generate_series(1, 5) n;
INSERT INTO launchplane_preview_records
SELECT 'preview-' || n, 'shop', 'repo', n, CASE n WHEN 2 THEN 'destroyed' ELSE 'active' END, '0001',
       json_build_object('preview_id', 'preview-' || n)
  FROM generate_series(1, 5) n;
INSERT INTO launchplane_inventory
SELECT 'shop', 'lane-' || n, 'a-' || n, 'abc', '0001', 'dep-1', '', '', json_build_object('instance', 'lane-' || n)
  FROM generate_series(1, 5) n;
INSERT INTO launchplane_release_tuples
SELECT 'shop', channel, 'shop-' || channel, 'a-1', '0001', 'ship', json_build_object('tuple_id', 'shop-' || channel)
  FROM unnest(ARRAY['testing', 'prod']) channel;
INSERT INTO launchplane_artifact_manifests
SELECT 'a-' || n, 'c-' || n % 2, 'repo', 'sha256:' || n, json_build_object('artifact_id', 'a-' || n)
  FROM generate_series(1, 5) n;
"""


@pytest.fixture
def filled(plane):
    plane.query(ROWS)
    return plane


def page(plane, path, **query):
    token = query.pop("token", None)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    body = assert_ok(plane.get(f"{path}?{text}", **({"token": token} if token else {})))
    member, _, key = LISTS[path]
    return [item[key] for item in body[member]], body["next_cursor"]


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_list_is_empty(plane, path):
    assert page(plane, path) == ([], None)


def test_every_list_comes_in_its_order(filled):
    """core 7.1; what has not finished comes last"""
    assert page(filled, "/v1/deployments", context="shop")[0] == [
        "dep-9", "dep-8", "dep-6", "dep-5", "dep-4", "dep-3", "dep-2", "dep-1", "dep-7"]
    for path, first in (("/v1/promotions", "pro-5"), ("/v1/backup-gates", "gate-5"), ("/v1/previews", "preview-5"),
                        ("/v1/inventory", "lane-1"), ("/v1/release-tuples", "shop-prod"), ("/v1/artifacts", "a-5")):
        found, cursor = page(filled, path)
        assert (found[0], cursor) == (first, None), path
        assert found == sorted(found, reverse=path not in ("/v1/inventory", "/v1/release-tuples"))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_add_up_to_the_list(filled, path, size):
    whole, _ = page(filled, path)
    assert len(whole) >= 2
    seen, cursor = [], None
    while True:
        found, cursor = page(filled, path, limit=size, **({"cursor": cursor} if cursor else {}))
        assert len(found) == size or cursor is None
        seen += found
        if cursor is None:
            break
    assert seen == whole


def test_rows_that_come_between_two_pages_neither_repeat_nor_hide_others(filled):
    first, cursor = page(filled, "/v1/artifacts", limit=2)
    filled.query("INSERT INTO launchplane_artifact_manifests VALUES ('a-6', '', '', '', '{\"artifact_id\": \"a-6\"}')")
    filled.query("DELETE FROM launchplane_artifact_manifests WHERE artifact_id = 'a-5'")
    assert (first, page(filled, "/v1/artifacts", cursor=cursor)[0]) == (["a-5", "a-4"], ["a-3", "a-2", "a-1"])


@pytest.mark.parametrize("path, query, expected", [
    ("/v1/deployments", {"instance": "prod", "context": "shop"}, ["dep-8", "dep-6", "dep-4", "dep-2"]),
    ("/v1/deployments", {"status": "fail"}, ["dep-8", "dep-4"]),
    ("/v1/deployments", {"artifact_id": "a-1"}, ["dep-4", "dep-1", "dep-7"]),
    ("/v1/deployments", {"since": "0004"}, ["other-2", "other-1", "dep-9", "dep-8"]),
    ("/v1/promotions", {"artifact_id": "a-2", "to_instance": "prod", "from_instance": "testing"}, ["pro-2"]),
    ("/v1/promotions", {"status": "fail"}, []),
    ("/v1/backup-gates", {"instance": "testing"}, []),
    ("/v1/previews", {"state": "destroyed"}, ["preview-2"]),
    ("/v1/previews", {"anchor_repo": "none"}, []),
    ("/v1/inventory", {"instance": "lane-3"}, ["lane-3"]),
    ("/v1/inventory", {"artifact_id": "a-4"}, ["lane-4"]),
    ("/v1/release-tuples", {"channel": "prod"}, ["shop-prod"]),
    ("/v1/artifacts", {"source_commit": "c-0"}, ["a-4", "a-2"]),
    ("/v1/artifacts", {"image_digest": "sha256:3"}, ["a-3"]),
])
def test_filters(filled, path, query, expected):
    assert page(filled, path, **query)[0] == expected


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


BAD = ["limit=0", "limit=201", "limit=x", "limit=-1", "surprise=1", "cursor=nonsense!", f"cursor={encoded([])}",
       f"cursor={encoded({'a': 1})}", f"cursor={encoded(['another list', '1', '2', '3'])}", "cursor=" + "A" * 5000,
       f"cursor={encoded(['deployments', 1, 2, 3])}", "context=a&context=b"]


@pytest.mark.parametrize("query", BAD)
@pytest.mark.parametrize("path", LISTS)
def test_a_bad_query_says_what_is_wrong(plane, path, query):
    if path == "/v1/artifacts" and query.startswith("context"):
        return                                          # surprise=1 is that case
    message = assert_rejected(plane.get(f"{path}?{query}"), 400, "invalid_query")["error"]["message"]
    assert query.split("=")[0] in message


def test_a_cursor_belongs_to_its_list(filled):
    _, cursor = page(filled, "/v1/promotions", limit=1)
    assert_rejected(filled.get(f"/v1/deployments?cursor={cursor}"), 400, "invalid_query")
    cursor = encoded(["operations", "1' OR true", "x"])
    answer = filled.get(f"/v1/operations?product=launchplane&cursor={cursor}")
    assert_rejected(answer, 400, "invalid_query")


@pytest.mark.parametrize("path", sorted(set(LISTS) - {"/v1/artifacts"}))
def test_a_grant_for_one_context_shows_that_context_alone(filled, path):
    """AUTH: a list without a context asks for all of them"""
    mine = filled.token(repository="example-org/shop-only")
    assert page(filled, path, context="shop", token=mine)[0]
    for query in ("", "?context=other", "?context=*", "?context=sho?"):
        assert_rejected(filled.get(path + query, token=mine), 403, "authorization_denied")


def test_a_list_has_an_etag(filled):
    first = filled.get("/v1/deployments?context=shop")
    again = filled.get("/v1/deployments?context=shop", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")
    filled.query("DELETE FROM launchplane_deployments WHERE record_id = 'dep-1'")
    assert filled.get("/v1/deployments?context=shop", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
