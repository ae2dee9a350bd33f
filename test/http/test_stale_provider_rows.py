"""A provider target row that is out of date stops every change of a lane's target records, and stays as it is. PTGT-35, PTGT-41..46

The statements that write these tables come from storage/*.sql and the migrations, so that a new path cannot be forgotten here.
"""
import pathlib
import re

import pytest

from checks import assert_accepted
from test_context_moves import CLEANUP, CUTOVER, cleanup, move, rules
from test_onboarding import ONBOARD, manifest
from test_provider_targets import METADATA
from test_target_setup import SETUP, body as setup_body, create, prune, reconcile

pytestmark = pytest.mark.policy(rules())

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ("dokploy_targets", "dokploy_target_ids", "provider_targets")
STALE = "'{\"display_name\": \"as somebody else left it\"}'"


def metadata(operation, **more):
    return lambda lane: (METADATA, {"operation": operation, "context": lane.context, "instance": lane.instance, **more})


def setup(operation, **more):
    return lambda lane: (SETUP, setup_body(lane, operation, **more))


def onboarding(lane):
    target = {"context": lane.context, "instance": lane.instance, "target_id": "compose-1", "target_name": "site-testing"}
    lanes = [{"instance": lane.instance, "context": lane.context, "base_url": "https://testing.example.com"}]
    return ONBOARD, {"manifest": manifest(lane.context, lanes=lanes, provider_targets=[target], secret_bindings=[], runtime_environments=[])}


# path: the request. Each would change target, id or provider row if the row were true.
PATHS = {
    "onboarding": onboarding,
    "adopt": lambda lane: (SETUP, setup_body(lane, "adopt", target_id=lane.compose_id)),
    "create-compose": lambda lane: (SETUP, create(lane, instance=lane.instance)),
    "create-application": lambda lane: (SETUP, create(lane, "application", instance=lane.instance)),
    "reconcile-compose-domain": lambda lane: (SETUP, reconcile(lane, "new.example.com")),
    "prune-compose-domain": lambda lane: (SETUP, prune(lane, lane.host)),
    "cutover": lambda lane: (CUTOVER, move(lane, mode="apply")),
    "cleanup": lambda lane: (CLEANUP, cleanup(lane, mode="apply")),
    "put-shopify-protected-store-key": metadata("put-shopify-protected-store-key", key="main-store"),
    "unset-shopify-protected-store-key": metadata("unset-shopify-protected-store-key", key="old-store"),
    "relabel": metadata("relabel", source_label="somebody"),
}
# Statements that write the tables, and the paths they belong to; the function that all others go through has the guard itself.
WRITERS = {
    "launchplane_write_target": set(PATHS) - {"cleanup"},
    "launchplane_write_backfill": set(),         # inserts what is missing alone: test_provider_targets.py
    "provider_target_insert": set(),             # the same, of one lane
    "target_domains_write": {"reconcile-compose-domain", "prune-compose-domain"},   # beside the guarded write; hosts are no identity
    "cleanup_provider_rows": {"cleanup"}, "cleanup_target_ids": {"cleanup"}, "cleanup_targets": {"cleanup"},
}
WRITES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM)\s+launchplane_(?:%s)\b" % "|".join(TABLES), re.I)


def statements():
    for path in sorted((ROOT / "storage").glob("*.sql")):
        yield from re.findall(r"^-- name: (\w+)\n(.*?)(?=^-- name:|\Z)", path.read_text(), re.M | re.S)
    for path in sorted((ROOT / "migrations").glob("*.sql")):
        yield from re.findall(r"FUNCTION (\w+)\s*\((.*?)(?=^CREATE |\Z)", path.read_text(), re.M | re.S)


def test_every_writer_of_target_records_is_known_here():
    assert {name for name, text in statements() if WRITES.search(text)} == set(WRITERS)


def rows(plane):
    return {table: plane.query(f"SELECT payload::text AS p FROM launchplane_{table} ORDER BY context, instance") for table in TABLES}


@pytest.mark.parametrize("path", PATHS)
def test_a_stale_row_stops_it(plane, lane, path):
    if path == "cleanup":
        assert_accepted(plane.post(CUTOVER, move(lane, mode="apply")))
    route, request = PATHS[path](lane)
    plane.query(f"UPDATE launchplane_provider_targets SET payload = (payload::jsonb || {STALE})::json WHERE context = %s", lane.context)
    before, counted, mutations = rows(plane), plane.counts(), len(plane.doubles.dokploy.mutations())
    answer = plane.post(route, request, key="stale")
    assert answer.status_code in (400, 409), answer.text
    assert rows(plane) == before and plane.counts() == counted
    assert len(plane.doubles.dokploy.mutations()) == mutations


@pytest.mark.parametrize("path", ["onboarding", "adopt", "create-compose", "cutover", "relabel"])
def test_a_row_that_is_there_without_its_records_stops_it(plane, lane, path):
    """Nobody knows what such a row stands for"""
    route, request = PATHS[path](lane)
    plane.query("DELETE FROM launchplane_dokploy_target_ids")
    before = rows(plane)
    answer = plane.post(route, request, key="alone")
    if path in ("adopt", "onboarding", "create-compose"):
        assert answer.status_code in (202, 400, 409), answer.text    # the request brings the missing half: it has to agree
        if answer.status_code == 202:
            assert rows(plane)["provider_targets"][0]["p"].count(lane.compose_id) == 1
            return
    assert answer.status_code in (400, 409), answer.text
    assert rows(plane) == before
