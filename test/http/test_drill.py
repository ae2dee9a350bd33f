"""The whole life of a product's lanes, as docs/drill.md shows it. ODOO-30 to 45"""
import json

import pytest

from rehearsal.drill import short
from rehearsal.tenant import Life, Tenant


@pytest.fixture
def tenant(doubles, plane):
    made = Tenant(doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    return made.prepare(plane)


RECORDS = {"launchplane_deployments": "record_id", "launchplane_promotions": "record_id", "launchplane_backup_gates": "record_id",
           "launchplane_artifact_manifests": "artifact_id", "launchplane_promotion_holds": "record_id",
           "launchplane_product_profiles": "product", "launchplane_dokploy_target_ids": "target_id",
           "launchplane_release_tuples": "tuple_id"}


def made(plane):
    """{table: ids} of what is stored now."""
    return {table: {row["id"] for row in plane.query(f"SELECT {column} AS id FROM {table}")} for table, column in RECORDS.items()}


def test_the_life_of_a_lane_with_the_records_of_each_step(plane, tenant):
    life = Life(tenant, plane, plane.finish)
    titles, before = [], {table: set() for table in RECORDS}
    for title, records in life.whole():
        titles.append(title)
        shown, now = json.dumps(records), made(plane)
        missing = {table: sorted(id for id in now[table] - before[table] if f'"{id}"' not in shown) for table in RECORDS}
        assert not any(missing.values()), (title, missing)
        assert all(short(record, plane.doubles) for record in records.values()), title
        before = now
    assert len(titles) == 14
    assert before["launchplane_promotions"] and len(before["launchplane_promotion_holds"]) == 2
    dokploy = plane.doubles.dokploy
    assert dokploy.running(tenant.prod.compose_id).services["web"].image == tenant.third.image
    assert all(dokploy.running(lane.compose_id).web_running for lane in tenant.lanes)
    assert not life.newest_hold()["is_held"]
