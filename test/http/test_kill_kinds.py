"""SIGKILL around every commit and every provider call, for every kind of operation there is. F1, F2.

Here a few points of each kind, spread evenly; all of them with FAULT_FULL=1, as `./ci/run fault` does.
"""
import pytest

from kinds import SCENARIOS, kind_of, known_kinds
from sweep import ALSO_KILLED_AT, FULL, KILLED_AT, Sweep, evenly, points

SAMPLE, SAMPLE_OF_TWO = 4, 1
PARTS = 4 if FULL else 1


def test_every_kind_has_a_scenario():
    """A new kind is swept as soon as it exists: kinds.py says how it is brought about."""
    assert set(known_kinds()) == {kind_of(name) for name in SCENARIOS}


@pytest.fixture
def sweep(request, cluster, template, state_dir):
    with Sweep(request.param, cluster, template, state_dir) as made:
        yield made


def trouble(sweep, reference, place, number, **settings):
    """What is wrong after a kill there; None when nothing is."""
    operation, left, happened = sweep.fault(place, number, "kill", **settings)
    if operation["status"] == "fail" and operation["error_code"] in sweep.scenario.asks_a_person:
        return None
    if operation["status"] != "pass":
        return f"{place}:{number}: {operation['status']} {operation['error_code']} {operation['error_message']}"
    differs = {name: (reference.get(name), left.get(name)) for name in reference.keys() | left.keys()
               if reference.get(name) != left.get(name)}
    if differs:
        return f"{place}:{number}: (without a kill, now) {differs}"
    if not happened and place in KILLED_AT and not settings:
        return f"{place}:{number}: was not reached"
    return None


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("sweep", sorted(SCENARIOS), indirect=True)
def test_a_kill_anywhere_changes_nothing_in_the_end(sweep, part):
    reference, passes = sweep.measure()
    where = points(passes, KILLED_AT + ALSO_KILLED_AT if FULL else KILLED_AT)
    assert len(where) >= 4, passes
    chosen = where[part::PARTS] if FULL else evenly(where, SAMPLE)
    found = [trouble(sweep, reference, *point) for point in chosen]
    two = {"LAUNCHPLANE_WORKERS": "2"}
    found += [trouble(sweep, reference, *point, **two) for point in evenly(chosen, len(chosen) // 8 if FULL else 2)[-SAMPLE_OF_TWO:]]
    assert [line for line in found if line] == []
