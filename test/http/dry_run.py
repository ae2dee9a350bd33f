"""What a replacement passes through, found out by one run without trouble: the table of points for test_kill.py.

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
from replacement import replace

NOTE_STEPS = """
    CREATE TABLE steps (number serial, step text, phase text);
    CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO steps (step, phase) VALUES (TG_ARGV[0], NEW.phase);
        RETURN NEW;
    END $$;
    CREATE TRIGGER claimed AFTER UPDATE ON launchplane_operations
        FOR EACH ROW WHEN (NEW.fence <> OLD.fence) EXECUTE FUNCTION note_step('claim');
    CREATE TRIGGER checkpointed AFTER UPDATE OF state ON launchplane_operations
        FOR EACH ROW EXECUTE FUNCTION note_step('checkpoint');
"""


@dataclasses.dataclass
class Passed:
    calls: list              # [method, procedure, how many of the same came before], in order
    claims: int
    checkpoints: int
    phases: list             # names, in order


def prepare(dokploy):
    """Deploys and runs end at once: nothing has to be asked for twice, so that each run takes the same steps.

    The lane's route leads elsewhere, so that each kind of write is needed.
    """
    dokploy.queue_seconds = dokploy.deploy_seconds = dokploy.schedule_seconds = 0
    for row in dokploy.state.domains.values():
        row["port"] = 3000


def measure():
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lps", dir="/tmp")))
        cluster = Cluster()
        stack.callback(cluster.stop)
        url = cluster.start().url(cluster.create())
        code, out, err = run_to_end("storage", "migrate", settings={"LAUNCHPLANE_DATABASE_URL": url})
        assert code == 0, out + err
        doubles = stack.enter_context(Rehearsal(directory / "clock"))
        plane = Plane(url, doubles, policies.for_lanes(), directory).start()
        stack.callback(plane.check)
        lane = Lane(doubles)
        lane.create_in_dokploy()
        prepare(doubles.dokploy)
        lane.prepare(plane)
        plane.query(NOTE_STEPS)
        before = len(doubles.dokploy.requests)
        operation = replace(plane, lane)
        assert operation["status"] == "pass", operation
        calls = []
        for seen in doubles.dokploy.requests[before:]:
            earlier = sum(call[:2] == [seen.method, seen.procedure] for call in calls)
            calls.append([seen.method, seen.procedure, earlier])
        steps = plane.query("SELECT step, phase FROM steps ORDER BY number")
        phases = list(dict.fromkeys(step["phase"] for step in steps))
        count = [step["step"] for step in steps].count
        return Passed(calls, count("claim"), count("checkpoint"), phases)


def passed():
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return measure()
    path = pathlib.Path(tempfile.gettempdir()) / f"launchplane-dry-run-{run}.json"
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            text = json.dumps(dataclasses.asdict(measure()))
            file.write(text)
    return Passed(**json.loads(text))
