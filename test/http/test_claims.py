"""Who works on an operation, and when it is found: taken along by who submits it, claimed when due, wherever its wake-up lies."""
from engine import Engine
from rehearsal.waiting import wait_until
from replacement import replace, submit

# In one statement, as a submission does it: a claim may come at once.
AGAIN = """WITH made AS (
    INSERT INTO launchplane_operations
           (operation_id, kind, product, context, instance, holds_lane, status, phase, request, state, created_at, updated_at, next_run_at)
    SELECT %s, kind, product, context, instance, true, 'pending', %s, request, '{}', now(), now(), now() - %s::interval
      FROM launchplane_operations WHERE operation_id = %s
    RETURNING operation_id)
INSERT INTO launchplane_operation_events (operation_id, seq, event) SELECT operation_id, 1, 'submitted' FROM made"""
CLAIMED = "SELECT fence FROM launchplane_operations WHERE operation_id = %s AND fence > 0"


def test_who_submits_over_http_takes_the_operation_in_the_same_commit(plane, lane):
    operation = plane.finish(submit(plane, lane))
    row = plane.query("SELECT attempt, fence, created_at, started_at FROM launchplane_operations WHERE operation_id = %s",
                      operation["operation_id"])[0]
    assert row["started_at"] == row["created_at"], "another statement claimed it"
    assert operation["status"] == "pass" and row["fence"] == row["attempt"]


def test_a_worker_without_the_operation_s_lease_leaves_it_alone(plane, lane):
    """Claims of others find nothing while the lease of who submitted it holds."""
    held = plane.doubles.dokploy.on("POST", "compose.deploy").hold_before().times(1)
    identity = submit(plane, lane)
    assert held.reached.wait(60)
    engine = Engine(plane.database_url)
    kind = plane.query("SELECT kind FROM launchplane_operations WHERE operation_id = %s", identity)[0]["kind"]
    before = plane.query("SELECT fence FROM launchplane_operations WHERE operation_id = %s", identity)
    assert engine.run("operation_claim", 5, "another", 15000, plane.clock.offset_ms(), kind, None) == []
    assert plane.query("SELECT fence FROM launchplane_operations WHERE operation_id = %s", identity) == before
    engine.connection.close()
    held.release()
    assert plane.finish(identity)["status"] == "pass"


def test_a_wake_up_far_behind_the_last_claim_is_found(plane, lane):
    """Claims begin where the last one ended; now and then they look at everything."""
    first = replace(plane, lane)
    phase = plane.query("SELECT phase FROM launchplane_operation_events WHERE operation_id = %s AND event = 'phase_done' ORDER BY seq LIMIT 1",
                        first["operation_id"])[0]["phase"]
    for number in range(3):                            # each behind what was claimed before
        name = f"late-{number}"
        plane.query(AGAIN, name, phase, f"{number + 1} hours", first["operation_id"])
        wait_until(lambda: plane.query(CLAIMED, name), "the claim", seconds=60)   # pylint: disable=cell-var-from-loop
        plane.finish(name)
