"""Leases under workers that stop, wake late, race and see the clock jump: a history, checked by a model of its own. F1, F9.

The engine's own statements (storage/operation.sql) are driven by workers that are only names here, so that thousands of rounds
take seconds. The model knows the rules alone: a fence goes up by one with each claim, only the newest fence writes, and only
while its lease holds; what is due is claimed by one.
"""
import concurrent.futures
import dataclasses
import itertools
import random
import time
import typing

import pytest

from engine import LEASE, Engine
from sweep import FULL

LATE = 10000 if FULL else 300       # tries of workers that were replaced, or too late
RACES = 500 if FULL else 60
SLACK = 0.02          # seconds: what rounding may do


class Time(typing.NamedTuple):
    """When a statement looked at the clock: the model reads its own before and after, and judges what holds for any time between."""
    first: float
    last: float

    def plus(self, seconds):
        return Time(self.first + seconds, self.last + seconds)


@dataclasses.dataclass
class Known:
    """What the model knows of an operation."""
    due: float                # when it may be claimed at the latest: its wake-up, or the end of its lease
    early: float = 0          # and at the earliest
    fence: int = 0
    leased: bool = False
    finished: bool = False
    steps: int = 0

    def wakes(self, at):
        self.early, self.due = at

    def goes_on(self, now):
        """A checkpoint under the same lease: it stays if three fifths of it are left, and is no longer than a lease may be."""
        enough, whole = now.plus(0.6 * LEASE / 1000), now.plus(LEASE / 1000)
        if self.due < enough.first - SLACK or self.early > whole.last + SLACK:
            self.wakes(whole)
        elif self.early < enough.last + SLACK or self.due > whole.first - SLACK:    # either
            self.early, self.due = min(self.early, whole.first), max(self.due, whole.last)


class Model:
    def __init__(self):
        self.operations = {}

    def submitted(self, operation, now):
        self.operations[operation] = Known(due=now.last, early=now.first)

    def claimed(self, got, limit, now):
        for operation, fence in got:
            known = self.operations[operation]
            assert not known.finished, f"{operation} is finished and was claimed"
            assert fence == known.fence + 1, f"{operation}: fence {known.fence} became {fence}"
            assert known.early <= now.last + SLACK, f"{operation} was claimed {known.early - now.last:.2f} s before it was due"
            known.fence, known.leased = fence, True
            known.wakes(now.plus(LEASE / 1000))
        if len(got) < limit:
            names = {operation for operation, _ in got}
            left = [name for name, known in self.operations.items()
                    if name not in names and not known.finished and known.due < now.first - SLACK]
            assert not left, f"due, and not claimed: {left}"

    def wrote(self, operation, fence, happened, now):
        """Whether the write counts; it must have happened if it was allowed, and only then."""
        known = self.operations[operation]
        holds = known.fence == fence and known.leased and not known.finished
        if happened:
            assert holds, f"{operation}: a write under fence {fence} while {known}"
            assert known.due > now.first - SLACK, f"{operation}: a write {now.first - known.due:.2f} s after the lease"
        elif holds:
            assert known.early < now.last + SLACK, f"{operation}: refused although the lease holds {known.early - now.last:.2f} s more"
        return happened


@pytest.mark.parametrize("seed", range(2 if FULL else 1))
def test_a_late_worker_writes_nothing_whatever_the_clock_does(database, seed):
    chance = random.Random(seed)
    engine, model = Engine(database), Model()
    held, offset, late_tries = [], 0, 0            # held: (operation, fence) that some worker believes to have

    def clock():
        return time.time() + offset / 1000

    def timed(statement, *values):
        """(what it gave, when)"""
        first = clock()
        return statement(*values), Time(first, clock())

    for turn in itertools.count():
        if late_tries == LATE:
            break
        if chance.random() < 0.15:                 # the clock jumps, now and then backwards
            offset += chance.choice([500, 4000, 9000, 16000, 40000, -3000, -12000])
        what = chance.random()
        if what < 0.1 and sum(not known.finished for known in model.operations.values()) < 12:
            _, now = timed(engine.submit, f"op-{turn}", offset)
            model.submitted(f"op-{turn}", now)
        elif what < 0.4:
            got, now = timed(engine.claim, f"worker-{turn}", offset, limit := chance.randint(1, 3))
            model.claimed(got, limit, now)
            held += got
        elif held:
            operation, fence = chance.choice(held)
            known = model.operations[operation]
            late_tries += fence != known.fence or known.due < clock()
            if what < 0.6:
                happened, now = timed(engine.heartbeat, operation, fence, offset)
                if model.wrote(operation, fence, happened, now):
                    known.wakes(now.plus(LEASE / 1000))
            elif what < 0.93:
                delay = chance.choice([None, 1000, 20000])
                happened, now = timed(engine.checkpoint, operation, fence, offset, delay)
                if model.wrote(operation, fence, happened, now):
                    known.steps += 1
                    known.leased = delay is None
                    if known.leased:
                        known.goes_on(now)
                    else:
                        known.wakes(now.plus(delay / 1000))
            else:
                happened, now = timed(engine.finish, operation, fence, offset)
                known.finished |= model.wrote(operation, fence, happened, now)
            if len(held) > 60:
                held.pop(0)
    assert turn < 20 * LATE
    stored = engine.connection.execute(
        "SELECT o.operation_id, fence, status = 'pass', (SELECT count(*) FROM launchplane_operation_events e"
        " WHERE e.operation_id = o.operation_id AND event = 'step') FROM launchplane_operations o").fetchall()
    assert {row[0]: tuple(row[1:]) for row in stored} == {
        name: (known.fence, known.finished, known.steps) for name, known in model.operations.items()}
    engine.connection.close()


def test_workers_race_for_each_claim_and_one_gets_it(database):
    engines = [Engine(database) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(engines)) as pool:
        for turn in range(RACES):
            engines[0].submit(f"op-{turn}", 0)
            got = list(pool.map(lambda engine: engine.claim("racer", 10), engines))
            assert [row for rows in got for row in rows] == [(f"op-{turn}", 1)]
            done = list(pool.map(lambda engine: engine.finish(f"op-{turn}", 1, 10), engines))   # pylint: disable=cell-var-from-loop
            assert sorted(done) == [False, False, False, True]
    for engine in engines:
        engine.connection.close()


def test_a_checkpoint_says_how_much_of_the_lease_is_left(database):
    """F9. A lease of which most is left stays as it is: the worker must not count on more."""
    engine = Engine(database)
    engine.submit("o")
    begun = time.monotonic()
    (_, fence), = engine.claim("worker", 0)

    def left(offset):
        row, = engine.run("operation_checkpoint", "o", fence, "work", "work", "{}", False, None, LEASE, 0, "", "", offset, 0, "[]", None)
        return row[-1]

    def spent(since):
        """Milliseconds, rounded up: the clock goes on between the statements."""
        return (time.monotonic() - since) * 1000 + 2

    first = left(1000)
    assert LEASE - 1000 - spent(begun) < first <= LEASE - 1000
    begun = time.monotonic()
    assert LEASE - 1 <= left(8000) <= LEASE     # renewed
    last = left(9000)
    assert LEASE - 1000 - spent(begun) < last <= LEASE - 1000
