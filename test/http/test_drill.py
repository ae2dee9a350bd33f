"""The whole life of a product's lanes, as docs/drill.md shows it. ODOO-30 to 45"""
import pytest

from rehearsal.tenant import Life, Tenant


@pytest.fixture
def tenant(doubles, plane):
    made = Tenant(doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    return made.prepare(plane)


def test_the_life_of_a_lane(plane, tenant):
    life = Life(tenant, plane, plane.finish)
    titles = [title for title, records in life.whole()]
    assert len(titles) == 10
    dokploy = plane.doubles.dokploy
    assert dokploy.running(tenant.prod.compose_id).services["web"].image == tenant.third.image
    assert all(dokploy.running(lane.compose_id).web_running for lane in tenant.lanes)
    holds = plane.get("/v1/drivers/odoo/promotion-holds/shop/prod")
    assert holds.status_code in (200, 403)
