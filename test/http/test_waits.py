"""The n-th wait for the database, a provider or a time fails, and the n-th growth of a task's memory, in each way the main job takes.

No crash, no 2xx that is not true, nothing twice; the operation ends as it does without a fault, or with a cause that a person
understands. Here some of the waits, spread evenly; all of them with FAULT_FULL=1, as `./ci/run fault` does, on a build with
sanitizers: nothing leaks.
"""
import pytest

from kinds import MAIN_JOB
from sweep import FULL, Sweep, differences, evenly, points, report

WAITS = {"database": ("db.wait", "db.answer"), "provider": ("http.wait", "http.answer"), "time": ("task.sleep",),
         "memory": ("arena.grow", "memory.take")}
SAMPLE = 4
PARTS = 2 if FULL else 1
VAGUE = ("", "internal_error")


@pytest.fixture
def sweep(request, cluster, template, state_dir):
    with Sweep(request.param, cluster, template, state_dir) as made:
        yield made


def trouble(sweep, reference, operation, left):
    """What is wrong after a fault; None when nothing is."""
    if sweep.ended_well(operation):
        differs = differences(reference, left)
        return f"(without a fault, now) {differs}" if differs else None
    if operation["status"] == "pass":
        return "passed, although its deploy failed"
    if operation["error_code"] in VAGUE or not operation["error_message"]:
        return f"no clear cause: {operation['error_code']} {operation['error_message']}"
    twice = {name: left[name] for name in ("schedules", "domains", "schedule_runs") if left[name] > reference[name]}
    if twice or left["deploys"] not in ([], reference["deploys"]):
        return f"failed, and did more than it should: {left}"
    return None


def each():
    """(scenario, what, part); in ./ci/test each kind of wait in the plain main job and in one of its other ways."""
    names = list(MAIN_JOB)
    return [(name, what, part) for i, name in enumerate(names) for j, what in enumerate(WAITS) for part in range(PARTS)
            if FULL or i in (0, 1 + j % (len(names) - 1))]


@pytest.mark.parametrize("sweep, what, part", each(), indirect=["sweep"])
def test_each_wait_fails_once(sweep, what, part):
    reference, passes = sweep.measure()
    where = points(passes, WAITS[what])
    chosen = where[part::PARTS] if FULL else evenly(where, SAMPLE)
    found, happened = [], 0
    for place, number in chosen:
        operation, left, reached = sweep.fault(place, number, "fail")
        happened += reached
        wrong = trouble(sweep, reference, operation, left)
        if what == "memory" and not sweep.ended_well(operation):
            # It aborts by decision (docs/task-model.md); the supervisor starts another worker, and the operation goes on.
            wrong = f"did not go on: {operation['error_message']}"
        found += [f"{place}:{number}: {wrong}"] if wrong else []
    report(f"waits {sweep.name}, {what}, part {part + 1} of {PARTS}: {happened} of {len(chosen)} failed once, {len(found)} times wrong")
    assert found == []
    assert happened
