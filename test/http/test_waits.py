"""The n-th wait for the database, a provider or a time fails, and the n-th growth of a task's memory, in the main job.

No crash, no 2xx that is not true, nothing twice; the operation passes, or ends with a cause that a person understands. Here
some of the waits, spread evenly; all of them with FAULT_FULL=1, as `./ci/run fault` does.
"""
import pytest

from sweep import FULL, Sweep, evenly, points

KIND = "odoo_stable_target_replacement"
WAITS = {"database": ("db.wait", "db.answer"), "provider": ("http.wait", "http.answer"), "time": ("task.sleep",)}
SAMPLE = 5
PARTS = 4 if FULL else 1
VAGUE = ("", "internal_error")


@pytest.fixture
def sweep(cluster, template, state_dir):
    with Sweep(KIND, cluster, template, state_dir) as made:
        yield made


def chosen(where, part, count=SAMPLE):
    assert where
    return where[part::PARTS] if FULL else evenly(where, count)


def trouble(reference, operation, left):
    if operation["status"] == "pass":
        differs = {name: (reference.get(name), left.get(name)) for name in reference.keys() | left.keys()
                   if reference.get(name) != left.get(name)}
        return f"(without a fault, now) {differs}" if differs else None
    if operation["error_code"] in VAGUE or not operation["error_message"]:
        return f"no clear cause: {operation['error_code']} {operation['error_message']}"
    twice = {name: left[name] for name in ("schedules", "domains", "schedule_runs") if left[name] > reference[name]}
    if twice or left["deploys"] not in ([], reference["deploys"]):
        return f"failed, and did more than it should: {left}"
    return None


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("what", WAITS)
def test_each_wait_fails_once(sweep, what, part):
    reference, passes = sweep.measure()
    found, happened = [], 0
    for place, number in chosen(points(passes, WAITS[what]), part):
        operation, left, reached = sweep.fault(place, number, "fail")
        happened += reached
        wrong = trouble(reference, operation, left)
        found += [f"{place}:{number}: {wrong}"] if wrong else []
    assert found == []
    assert happened


@pytest.mark.parametrize("part", range(PARTS))
def test_a_worker_that_runs_out_of_memory_loses_nothing(sweep, part):
    """It aborts by decision (docs/task-model.md); the supervisor starts another one, and the operation goes on."""
    reference, passes = sweep.measure()
    found, happened = [], 0
    for place, number in chosen(points(passes, ("arena.grow",)), part, 4):
        operation, left, reached = sweep.fault(place, number, "fail")
        happened += reached
        wrong = operation["error_message"] if operation["status"] != "pass" else trouble(reference, operation, left)
        found += [f"{place}:{number}: {wrong}"] if wrong else []
    assert found == []
    assert happened
