"""What each scenario passes through, found out by one run without trouble: the table of points for test_kill.py.

It is made while pytest collects. Processes that share a run share one table, so that all of them see the same tests.
"""
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import tempfile

from double import Rehearsal
from plane import Plane
from postgres import Cluster
from rehearsal import policy as policies
from rehearsal.lane import Lane
from rehearsal.service import run_to_end
from scenarios import SCENARIOS

NOTE_STEPS = """
    CREATE TABLE steps (number serial, step text, phase text);
    CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO steps (step, phase) VALUES (TG_ARGV[0], NEW.phase);
        RETURN NEW;
    END $$;
    CREATE TRIGGER claimed AFTER UPDATE ON launchplane_operations
        FOR EACH ROW WHEN (NEW.fence <> OLD.fence) EXECUTE FUNCTION note_step('claim');
    CREATE TRIGGER claimed_at_once AFTER INSERT ON launchplane_operations
        FOR EACH ROW WHEN (NEW.fence > 0) EXECUTE FUNCTION note_step('claim');
    CREATE TRIGGER checkpointed AFTER UPDATE OF state ON launchplane_operations
        FOR EACH ROW EXECUTE FUNCTION note_step('checkpoint');
"""


@dataclasses.dataclass
class Passed:
    calls: list              # [method, procedure, how many of the same came before], in order
    claims: int
    checkpoints: int
    phases: list             # names, in order


def measure(name):
    """One run of a scenario."""
    with contextlib.ExitStack() as stack:
        cluster = Cluster()
        stack.callback(cluster.stop)
        cluster.start()
        return _measure(stack, cluster, SCENARIOS[name])


def _measure(stack, cluster, scenario):
    directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lps", dir="/tmp")))
    url = cluster.url(cluster.create())
    code, out, err = run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": url})
    assert code == 0, out + err
    doubles = stack.enter_context(Rehearsal(directory / "clock"))
    plane = Plane(url, doubles, policies.for_lanes(), directory).start()
    stack.callback(plane.check)
    lane = Lane(doubles)
    lane.create_in_dokploy()
    lane.prepare(plane)
    scenario.prepare(plane, lane)
    before = len(doubles.dokploy.requests)
    if scenario.ask:
        scenario.ask(plane, lane)
    asked = [(seen.method, seen.procedure) for seen in doubles.dokploy.requests[before:]]
    plane.query(NOTE_STEPS)
    before = len(doubles.dokploy.requests)
    operation = plane.finish(scenario.submit(plane, lane))
    assert operation["status"] == "pass", operation
    assert operation["kind"] == scenario.kind
    calls, made = [], []
    for seen in doubles.dokploy.requests[before:]:
        call = (seen.method, seen.procedure)
        earlier = made.count(call)
        made.append(call)
        if earlier >= asked.count(call):             # the first ones were the route's own, before there was an operation
            calls.append([*call, earlier])
    steps = plane.query("SELECT step, phase FROM steps ORDER BY number")
    phases = list(dict.fromkeys(step["phase"] for step in steps))
    count = [step["step"] for step in steps].count
    return Passed(calls, count("claim"), count("checkpoint"), phases)


def measure_all():
    with contextlib.ExitStack() as stack:
        cluster = Cluster()
        stack.callback(cluster.stop)
        cluster.start()
        found = {}
        for name, scenario in SCENARIOS.items():
            with contextlib.ExitStack() as inner:
                found[name] = _measure(inner, cluster, scenario)
        return found


def passed():
    """{scenario: Passed}"""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return measure_all()
    path = pathlib.Path(tempfile.gettempdir()) / f"launchplane-dry-run-{run}.json"
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            text = json.dumps({name: dataclasses.asdict(found) for name, found in measure_all().items()})
            file.write(text)
    return {name: Passed(**found) for name, found in json.loads(text).items()}
