"""SIGKILL before and after every commit and every provider call, for every kind of operation there is. F1, F2.

Here a few points of each scenario, spread evenly; all of them with FAULT_FULL=1, as `./ci/run fault` does, with one process and
with two.
"""
import pytest

from kinds import SCENARIOS, known_kinds
from sweep import FULL, KILLED_AT, LEASE_SECONDS, Sweep, differences, evenly, points, report

SAMPLE = 3
STOPPED_BEFORE, STOPPED_AFTER = (40, 10) if FULL else (1, 1)
PARTS = 4 if FULL else 1
GRACE_SECONDS = 1 if FULL else 5     # after a lease's end; ./ci/test shares its machine
TWO = {"LAUNCHPLANE_WORKERS": "2"}
UNSURE_AT_MOST = 4     # points between asking for a destructive run and knowing that it was asked for


def test_every_kind_has_a_scenario():
    """A new kind is swept as soon as it exists: kinds.py says how it is brought about."""
    assert set(known_kinds()) == {scenario.kind for scenario in SCENARIOS.values()}


@pytest.mark.parametrize("kind", sorted({scenario.kind for scenario in SCENARIOS.values()}) if FULL else ["secrets_rekey"])
def test_the_scenarios_of_a_kind_pass_each_of_its_phases(kind, cluster, template, state_dir):
    """A phase that none of them comes to would not be swept."""
    passed = set()
    for name in [name for name, scenario in SCENARIOS.items() if scenario.kind == kind]:
        (state_dir / name).mkdir()
        with Sweep(name, cluster, template, state_dir / name) as sweep:
            passed |= {place.removeprefix("phase.") for place in sweep.measure()[1] if place.startswith("phase.")}
    assert passed == set(known_kinds()[kind])


@pytest.fixture
def sweep(request, cluster, template, state_dir):
    with Sweep(request.param, cluster, template, state_dir) as made:
        yield made


def each(names=sorted(SCENARIOS)):
    return pytest.mark.parametrize("sweep", names, indirect=True)


class Found:
    """What went wrong, at which points, and what is worth telling at the end."""

    def __init__(self, sweep):
        self.sweep = sweep
        self.wrong, self.unsure, self.happened, self.tried = [], [], 0, 0

    def strike(self, act, place, number, reference, **settings):
        """act(place, number) -> (operation, what it left, whether it happened[, what changed afterwards]).

        How often a place is passed differs from run to run: who waits asks by the clock, and two processes share the work as
        it comes. A sampled point that was not reached gives way to an earlier one; in a full sweep that has its own turn.
        """
        self.tried += 1
        try:
            while True:
                operation, left, happened, *changed = act(place, number, **settings)
                self.judge(place, number, reference, operation, left)
                assert changed in ([], [[]]), f"the woken worker changed {changed}"
                if happened or FULL or number == 1:
                    break
                number = number * 3 // 4
            self.happened += happened
        except AssertionError as error:
            self.wrong.append(f"{place}:{number} {settings}: {error}")

    def judge(self, place, number, reference, operation, left):
        if operation["status"] == "fail" and operation["error_code"] in self.sweep.scenario.asks_a_person:
            self.unsure.append(f"{place}:{number}")
            assert left["schedule_runs"] <= reference["schedule_runs"] and left["deploys"] in ([], reference["deploys"]), left
            return
        assert self.sweep.ended_well(operation), f"{operation['status']} {operation['error_code']} {operation['error_message']}"
        differs = differences(reference, left)
        assert not differs, f"(without a kill, now) {differs}"

    def conclude(self, what):
        late = max(self.sweep.resumed, default=0)
        report(f"kill  {self.sweep.name}, {what}: {self.happened} kills at {self.tried} points, nothing lost, nothing twice;"
               f" resumed within {late:.2f} s" if not self.wrong else f"kill  {self.sweep.name}, {what}: {len(self.wrong)} WRONG")
        assert not self.wrong, "\n".join(self.wrong)
        assert len(self.unsure) <= UNSURE_AT_MOST, self.unsure
        assert late <= LEASE_SECONDS + GRACE_SECONDS, self.sweep.resumed
        assert self.happened


@pytest.mark.parametrize("part", range(PARTS))
@each()
def test_a_kill_anywhere_changes_nothing_in_the_end(sweep, part):
    reference, passes = sweep.measure()
    where = points(passes, KILLED_AT)
    assert len(where) > 10, passes
    found = Found(sweep)
    for place, number in where[part::PARTS] if FULL else evenly(where, SAMPLE):
        found.strike(sweep.kill, place, number, reference)
    assert found.happened > 0.8 * found.tried
    found.conclude(f"one process, part {part + 1} of {PARTS}")


@pytest.mark.parametrize("part", range(PARTS))
@each()
def test_one_of_two_processes_dies_anywhere(sweep, part):
    """The other one, or the one started in its place, goes on."""
    reference, passes = sweep.measure(**TWO)
    where = points(passes, KILLED_AT)
    found = Found(sweep)
    for place, number in where[part::PARTS] if FULL else evenly(where[:len(where) // 2], 1):
        found.strike(sweep.kill, place, number, reference, **TWO)
    found.conclude(f"two processes, part {part + 1} of {PARTS}")


@each(sorted(SCENARIOS) if FULL else ["bootstrap", "create", "replacement"])
def test_a_worker_that_is_stopped_past_its_lease_does_nothing_when_it_wakes(sweep):
    """Stopped right before it asks a provider, or with the answer in its hands: its successor has ended the operation meanwhile."""
    reference, passes = sweep.measure(**TWO)
    found = Found(sweep)
    where = [*evenly(points(passes, ("http.effect",)), STOPPED_BEFORE), *evenly(points(passes, ("http.answer",)), STOPPED_AFTER)]
    for place, number in where:
        found.strike(sweep.stop, place, number, reference)
    found.conclude("stopped past its lease and woken")
