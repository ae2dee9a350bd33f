"""Goes through an operation again and again from one prepared start, with a fault at one place each time.

The places come from a run without trouble that notes each one it passes (core/fault.h), so that none has to be written down.
What such a run leaves at the provider and in the database is what every other run must leave too, and the scenario's judge has
to find it right. The database notes each change of the operation's row: when a dead worker's work was resumed is read there.
"""
import collections
import contextlib
import copy
import os
import pathlib
import signal
import time

from double import Rehearsal
from kinds import SCENARIOS, operation_id_of
from plane import FAST_STEP, PATIENCE, TERMINAL, Plane
from rehearsal import policy as policies
from rehearsal.waiting import wait_until

KILLED_AT = ("claim.after", "commit.before", "commit.after", "http.wait", "http.answer")
SECONDS = 120
LEASE_SECONDS = 15         # server/operations/runner.c
SILENT_SECONDS = 10        # a worker that lives renews its lease more often
FULL = os.environ.get("FAULT_FULL") == "1"
# May differ from run to run: what was tried again, who looked, what was counted.
UNCOUNTED = ("launchplane_operation_events", "launchplane_secret_audit_events", "noted_steps")
COPIED = ("projects", "environments", "servers", "composes", "applications", "domains", "schedules", "deployments", "mounts",
          "running", "logs", "created_with_key", "_next_config_key", "_last_created_ms")
# Each change of an operation's row, by the clock that leases are counted with. A lease is given back when its owner is known to
# be dead; that is no sign of life.
NOTE_STEPS = """
    CREATE TABLE noted_steps (number serial, at timestamptz, operation_id text, fence bigint, owner text, was_released boolean);
    CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO noted_steps (at, operation_id, fence, owner, was_released)
        VALUES (greatest(NEW.heartbeat_at, NEW.updated_at), NEW.operation_id, NEW.fence, NEW.lease_owner,
                coalesce(OLD.lease_owner <> '' AND NEW.lease_owner = '' AND NEW.updated_at = OLD.updated_at, false));
        RETURN NEW;
    END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE ON launchplane_operations FOR EACH ROW EXECUTE FUNCTION note_step();
"""


def evenly(items, count):
    """At most count of them, the first and the last included."""
    if count >= len(items):
        return list(items)
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def report(line):
    """A figure for the end of `./ci/run fault`."""
    path = os.environ.get("FAULT_REPORT")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def resumed_after(plane, operation_id):
    """Seconds from a dead worker's last sign of life to the next claim, for each time that a lease was taken over."""
    steps = plane.query("SELECT * FROM noted_steps WHERE operation_id = %s ORDER BY number", operation_id)
    alive, found = None, []
    for before, step in zip([None, *steps], steps):
        if before and step["fence"] > before["fence"] and alive is not None:
            found.append((step["at"] - alive).total_seconds())
        if not step["was_released"]:
            alive = step["at"] if step["owner"] else None
    return found


class Sweep:
    """One scenario's prepared start: a database to copy, and the provider's memory."""

    def __init__(self, name, cluster, template, directory, scenario=None):
        self.name, self.cluster, self.directory = name, cluster, directory
        self.scenario = scenario or SCENARIOS[name]
        self.resumed = []                # seconds, over all runs
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
        plane.query(NOTE_STEPS)
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
            return operation_id_of(plane, self.scenario.kind, answer)

        return wait_until(answered, "the submission to be accepted", SECONDS)

    def step(self, plane, operation_id):
        """Moves the clock while the operation sleeps, or when it is at work for long; true when it is over.

        Not for a worker that may be dead: how soon its work is resumed is measured. Asked of the database, so that the service
        passes no place on behalf of the one who watches.
        """
        self.revive(plane)
        row, = plane.query("SELECT status, extract(epoch FROM heartbeat_at)::float8 AS heard FROM launchplane_operations"
                           " WHERE operation_id = %s", operation_id)
        if row["status"] in TERMINAL:
            return True
        if plane.skip_sleep(operation_id):
            self._patient_until = time.monotonic() + PATIENCE
        elif time.monotonic() > self._patient_until and self.doubles.clock.now() < (row["heard"] or 0) + SILENT_SECONDS:
            self.doubles.clock.advance(FAST_STEP)
        return False

    def finish(self, plane, operation_id):
        """The operation, once it is over; its answer may have to be asked for more than once."""
        self._patient_until = time.monotonic() + PATIENCE
        wait_until(lambda: self.step(plane, operation_id), f"operation {operation_id} to end", SECONDS)

        def told():
            self.revive(plane)
            try:
                answer = plane.get(f"/v1/operations/{operation_id}")
            except OSError:
                return None
            if answer.status_code != 200:
                assert answer.status_code in (500, 502, 503, 504), f"{answer.status_code} {answer.text}"
                return None
            return answer.json()["operation"]

        operation = wait_until(told, "the operation's document", SECONDS)
        assert operation["status"] in TERMINAL, operation
        self.resumed += resumed_after(plane, operation_id)
        return operation

    def begin(self, plane):
        with contextlib.suppress(AssertionError):
            plane.start()                    # a fault may hit the start; revive() tries again
        return self.submit(plane)

    def run(self, at_end=lambda: None, **settings):
        """(operation, what it left) of one run; the fault, if any, is in the settings. at_end() is called when the operation is over."""
        with self.start(**settings) as plane:
            operation = self.finish(plane, self.begin(plane))
            at_end()
            left = self.left(plane)
            self.judge(plane, operation)
            return operation, left

    def judge(self, plane, operation):
        """As the scenario does; again, if the fault may have hit its own questions: that happens once, and nothing changes any more."""
        if not self.ended_well(operation):
            return
        try:
            self.scenario.judge(plane, self.world, operation)
        except (OSError, AssertionError):
            self.revive(plane)
            self.scenario.judge(plane, self.world, operation)

    def ended_well(self, operation):
        """As the scenario is meant to end."""
        return (operation["status"], operation["error_code"]) == (("fail", self.scenario.fails) if self.scenario.fails else ("pass", ""))

    def left(self, plane):
        """What is there now: at the provider by kind and number, in the database by table and number of rows."""
        dokploy = self.doubles.dokploy

        def outside():
            deploys = collections.Counter(service for service, _ in dokploy.queue.started)
            rows = {name: len(getattr(dokploy.state, name)) for name in COPIED if isinstance(getattr(dokploy.state, name), dict)}
            return {**rows, "deploys": sorted(deploys.values()), "schedule_runs": len(dokploy.schedule_runs)}

        inside = {name: rows for name, rows in plane.counts().items() if name not in UNCOUNTED}
        return {**self.doubles.call(outside), **inside}

    def measure(self, **settings):
        """The run without trouble: what it left, and {place: how often a process passes it up to the operation's end}."""
        trace, by_process = self.directory / "trace", collections.Counter()
        operation, left = self.run(lambda: by_process.update(trace.read_text().splitlines()),
                                   LAUNCHPLANE_TEST_FAULT_TRACE=str(trace), **settings)
        assert self.ended_well(operation), operation
        trace.unlink()
        passes = collections.Counter()
        for line, count in by_process.items():
            place = line.split(" ", 1)[1]
            passes[place] = max(passes[place], count)
        return left, passes

    def armed(self, place, number, action):
        """(settings that bring about the fault, the file that is there once it happened)."""
        self._runs += 1
        done = self.directory / f"done-{self._runs}"
        return {"LAUNCHPLANE_TEST_FAULT": f"{place}:{number}:{action}", "LAUNCHPLANE_TEST_FAULT_DONE": str(done)}, done

    def fault(self, place, number, action, **settings):
        """(operation, what it left, whether the fault happened)."""
        armed, done = self.armed(place, number, action)
        operation, left = self.run(**armed, **settings)
        return operation, left, done.exists()

    def kill(self, place, number, **settings):
        return self.fault(place, number, "kill", **settings)

    def stop(self, place, number):
        """Stops one of two workers there, until the other one has ended the operation; then wakes it.

        (operation, what it left, whether it happened, what the woken one changed)
        """
        armed, done = self.armed(place, number, "stop")
        with self.start(**armed, LAUNCHPLANE_WORKERS="2") as plane:
            operation_id = self.begin(plane)
            self._patient_until = time.monotonic() + PATIENCE
            wait_until(lambda: done.exists() or self.step(plane, operation_id), "the worker to stop", SECONDS)
            if not done.exists():
                return self.finish(plane, operation_id), self.left(plane), False, []
            stopped, = wait_until(lambda: [pid for pid in plane.workers() if is_stopped(pid)], "the stopped worker")
            held = self.lease(plane, operation_id)
            plane.api.close()                # a kept connection may be its own
            plane.pass_time(max(0, held["ends"] - self.doubles.clock.now()) if held["lease_owner"] else LEASE_SECONDS + 1)
            wait_until(lambda: self.step(plane, operation_id), f"operation {operation_id} to end", SECONDS)
            before, row = self.left(plane), self.row(plane, operation_id)
            wake(stopped)
            # It may have asked for something else, such as the keys that tokens are signed with: then nobody took its lease.
            if held["lease_owner"] and self.lease(plane, operation_id)["fence"] > held["fence"]:
                wait_until(lambda: plane.logged(event="operation.lease_lost"), "the woken worker to find itself replaced", SECONDS)
            operation = self.finish(plane, operation_id)
            assert plane.terminate() == 0
            left = self.left(plane)
            changed = [name for name in left if left[name] != before[name]] + ["the row"] * (self.row(plane, operation_id) != row)
            return operation, left, True, changed

    def lease(self, plane, operation_id):
        row, = plane.query("SELECT lease_owner, fence, extract(epoch FROM lease_expires_at)::float8 AS ends FROM launchplane_operations"
                           " WHERE operation_id = %s", operation_id)
        return row

    def row(self, plane, operation_id):
        return plane.query("SELECT o::text AS row FROM launchplane_operations o WHERE operation_id = %s", operation_id)


def is_stopped(process):
    return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def wake(process):
    os.kill(process, signal.SIGCONT)


def points(passes, places):
    return [(place, number + 1) for place in places for number in range(passes[place])]


def differences(reference, left):
    """{what: (without a fault, now)}"""
    return {name: (reference.get(name), left.get(name)) for name in reference.keys() | left.keys()
            if reference.get(name) != left.get(name)}
