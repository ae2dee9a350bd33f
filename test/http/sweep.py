"""Goes through an operation again and again from one prepared start, with a fault at one place each time.

The places come from a run without trouble that notes each one it passes (core/fault.h), so that none has to be written down.
What such a run leaves at the provider and in the database is what every other run must leave too.
"""
import collections
import contextlib
import copy
import os

from double import Rehearsal
from kinds import SCENARIOS, kind_of, operation_id_of
from plane import TERMINAL, Plane
from rehearsal import policy as policies
from rehearsal.waiting import wait_until

KILLED_AT = ("claim.after", "checkpoint.before", "checkpoint.after", "http.wait", "http.answer")
ALSO_KILLED_AT = ("db.wait", "db.answer")
SECONDS = 120
FULL = os.environ.get("FAULT_FULL") == "1"
# May differ from run to run: what was tried again, who looked, what was counted.
UNCOUNTED = ("launchplane_operation_events", "launchplane_secret_audit_events")
COPIED = ("projects", "environments", "servers", "composes", "applications", "domains", "schedules", "deployments", "mounts",
          "running", "logs", "created_with_key", "_next_config_key", "_last_created_ms")


def evenly(items, count):
    """At most count of them, the first and the last included."""
    if count >= len(items):
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


class Sweep:
    """One scenario's prepared start: a database to copy, and the provider's memory."""

    def __init__(self, name, cluster, template, directory):
        self.kind, self.cluster, self.directory = kind_of(name), cluster, directory
        self.scenario = SCENARIOS[name]
        self._template = template
        self._stack = contextlib.ExitStack()
        self._runs = 0

    def __enter__(self):
        self.doubles = self._stack.enter_context(Rehearsal(self.directory / "clock"))
        self.prepared = self.cluster.create(self._template)
        self._stack.callback(self.cluster.drop, self.prepared)
        plane = Plane(self.cluster.url(self.prepared), self.doubles, policies.for_lanes(), self.directory).start()
        self.world = self.scenario.prepare(plane)
        plane.check()
        self.base = plane
        state = self.doubles.dokploy.state
        self._state = copy.deepcopy({name: getattr(state, name) for name in COPIED})
        return self

    def __exit__(self, *_):
        self._stack.close()

    @contextlib.contextmanager
    def start(self, **settings):
        """A service on a copy of the prepared start."""
        dokploy = self.doubles.dokploy

        def forget():
            for name, value in copy.deepcopy(self._state).items():
                setattr(dokploy.state, name, value)
            for seen in (dokploy.requests, dokploy.schedule_runs, dokploy.queue.started):
                seen.clear()

        self.doubles.call(forget)
        database = self.cluster.create(self.prepared)
        plane = Plane(self.cluster.url(database), self.doubles, "", self.directory)
        plane.settings = {**self.base.settings, "LAUNCHPLANE_DATABASE_URL": plane.database_url, **settings}
        plane.secrets = self.base.secrets
        if hasattr(self.world, "plane"):
            self.world.plane = plane
        try:
            yield plane
            plane.log_lines[:] = [line for line in plane.log_lines if not line.startswith("launchplane: ")]   # of a refused start
            plane.check()
        finally:
            if plane.service is not None and plane.service.runs():
                plane.kill()
            self.cluster.drop(database)

    def revive(self, plane):
        """As systemd would."""
        if plane.service is None or not plane.service.runs():
            if plane.api is not None:
                plane.kill()
            plane.start()

    def submit(self, plane):
        """The operation's id; asks with the same key until the service, which may die or fail meanwhile, says accepted."""
        def answered():
            self.revive(plane)
            try:
                answer = self.scenario.submit(plane, self.world)
            except OSError:
                return None
            if answer.status_code != 202:
                assert answer.status_code in (500, 502, 503, 504), f"{answer.status_code} {answer.text}"
                return None
            return operation_id_of(plane, self.kind, answer)

        return wait_until(answered, "the submission to be accepted", SECONDS)

    def finish(self, plane, operation_id):
        def over():
            self.revive(plane)
            try:
                answer = plane.get(f"/v1/operations/{operation_id}")
            except OSError:
                return None
            if answer.status_code != 200:
                assert answer.status_code in (500, 502, 503, 504), f"{answer.status_code} {answer.text}"
                return None
            operation = answer.json()["operation"]
            if operation["status"] not in TERMINAL and not plane.skip_sleep(operation_id):
                self.doubles.clock.advance(0.5)
            return operation if operation["status"] in TERMINAL else None

        return wait_until(over, f"operation {operation_id} to end", SECONDS)

    def run(self, **settings):
        """(operation, what it left) of one run; the fault, if any, is in the settings."""
        with self.start(**settings) as plane:
            with contextlib.suppress(AssertionError):
                plane.start()                    # a fault may hit the start; revive() tries again
            operation = self.finish(plane, self.submit(plane))
            return operation, self.left(plane)

    def left(self, plane):
        """What is there now: at the provider by kind and number, in the database by table and number of rows."""
        dokploy = self.doubles.dokploy

        def outside():
            deploys = collections.Counter(service for service, _ in dokploy.queue.started)
            rows = {name: len(getattr(dokploy.state, name)) for name in COPIED if isinstance(getattr(dokploy.state, name), dict)}
            return {**rows, "deploys": sorted(deploys.values()), "schedule_runs": len(dokploy.schedule_runs)}

        inside = {name: rows for name, rows in plane.counts().items() if name not in UNCOUNTED}
        return {**self.doubles.call(outside), **inside}

    def measure(self):
        """The run without trouble: what it left, and {place: how often it is passed}."""
        trace = self.directory / "trace"
        operation, left = self.run(LAUNCHPLANE_TEST_FAULT_TRACE=str(trace))
        assert operation["status"] == "pass", operation
        by_process = collections.Counter(trace.read_text().splitlines())
        passes = collections.Counter()
        for line, count in by_process.items():
            place = line.split(" ", 1)[1]
            passes[place] = max(passes[place], count)
        trace.unlink()
        return left, passes

    def fault(self, place, number, action, **settings):
        """(operation, what it left, whether the fault happened)."""
        self._runs += 1
        done = self.directory / f"done-{self._runs}"
        operation, left = self.run(LAUNCHPLANE_TEST_FAULT=f"{place}:{number}:{action}", LAUNCHPLANE_TEST_FAULT_DONE=str(done),
                                   **settings)
        return operation, left, done.exists()


def points(passes, places):
    return [(place, number + 1) for place in places for number in range(passes[place])]
