"""Inventory and tuples are a fold of the evidence: random sequences, folded here independently. DERIV-01 to DERIV-04, F4."""
import random

import pytest

from evidence import ARTIFACT, DEPLOYMENTS, PROMOTIONS, deployment, inventory_of, promotion, put_tuple, send, tuple_rows
from rehearsal.policy import PRODUCT, render, workflow_rule

SEQUENCES, LENGTH, PARTS = 300, 14, 10
ALL = render(github_actions=[workflow_rule(["deployment.write", "promotion.write"], [PRODUCT], ["fold-*"]),
                             workflow_rule(["inventory.read"], ["launchplane"], ["fold-*"])])


class Fold:
    """What a lane's records must be, computed the slow and obvious way."""

    def __init__(self, source_artifact):
        self.source_artifact = source_artifact
        self.deployments, self.promotions, self.lanes, self.tuple = {}, {}, {}, None

    @staticmethod
    def times(record):
        return record["deploy"]["started_at"], record["deploy"]["finished_at"]

    def takes(self, lane, record):
        """A lane follows a deployment unless the one it names certainly came later."""
        named = self.lanes.get(lane)
        if named is None or named["deployment"] == record["record_id"]:
            return True
        (old_start, old_end), (start, end) = named["times"], self.times(record)
        later = old_start > start or (old_start == start and old_end and end and old_end > end)
        return not (later and start and old_start)

    def deployment(self, record):
        lane, known = record["instance"], self.deployments.get(record["record_id"])
        if known == record or (known is not None and self.times(known) > self.times(record)):
            return
        self.deployments[record["record_id"]] = record
        if self.takes(lane, record):
            named = self.lanes.get(lane)
            same = named is not None and named["deployment"] == record["record_id"]
            self.lanes[lane] = {"deployment": record["record_id"], "times": self.times(record), "ref": record["source_git_ref"],
                                "promotion": named["promotion"] if same else ""}

    def promotion(self, record):
        known, linked = self.promotions.get(record["record_id"]), self.deployments.get(record["deployment_record_id"])
        if known == record or (known is not None and self.times(known) > self.times(record)):
            return
        self.promotions[record["record_id"]] = record
        if linked is None or not self.takes("prod", linked):
            return
        self.lanes["prod"] = {"deployment": linked["record_id"], "times": self.times(linked), "ref": linked["source_git_ref"],
                              "promotion": record["record_id"]}
        if record["deploy"]["status"] == "pass" and record["artifact_identity"]["artifact_id"] == self.source_artifact:
            self.tuple = {"promotion": record["record_id"], "deployment": linked["record_id"]}


@pytest.fixture(scope="module")
def fold_plane(cluster, template):
    import contextlib
    from conftest import database_from, short_directory
    from double import Rehearsal
    from plane import Plane
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        doubles = stack.enter_context(Rehearsal(directory / "clock"))
        plane = Plane(stack.enter_context(database_from(cluster, template)), doubles, ALL, directory).start()
        stack.callback(plane.check)
        yield plane


def random_deployment(rng, context):
    body = deployment(f"{context}-d{rng.randrange(5)}", rng.randrange(6), rng.choice(["testing", "prod"]), context=context,
                      status=rng.choice(["pass", "pass", "pending", "fail"]), source_git_ref=rng.choice("abc") * 40)
    record = body["deployment"]
    record["record_id"] += record["instance"]          # a record never changes its lane
    if rng.random() < 0.1:
        record["deploy"]["started_at"] = record["deploy"]["finished_at"] = ""
    return body


def random_promotion(rng, context, fold):
    links = [record for record in fold.deployments.values() if record["instance"] == "prod"]
    link = rng.choice(links)["record_id"] if links and rng.random() < 0.8 else ""
    return promotion(f"{context}-p{rng.randrange(4)}", rng.randrange(6), link, context=context,
                     status=rng.choice(["pass", "pass", "fail"]))


@pytest.mark.parametrize("part", range(PARTS))
def test_inventory_and_tuple_are_the_fold_of_the_evidence(fold_plane, part):
    for seed in range(part * SEQUENCES // PARTS, (part + 1) * SEQUENCES // PARTS):
        rng, context = random.Random(seed), f"fold-{seed}"
        source = rng.choice([ARTIFACT, "artifact-shop-0009"])
        fold, sent = Fold(source), []
        put_tuple(fold_plane, artifact=source, context=context)
        for _ in range(LENGTH):
            if sent and rng.random() < 0.2:
                path, body = rng.choice(sent)          # somebody sends it again
            elif rng.random() < 0.6:
                path, body = DEPLOYMENTS, random_deployment(rng, context)
            else:
                path, body = PROMOTIONS, random_promotion(rng, context, fold)
            send(fold_plane, path, body)
            sent.append((path, body))
            if path == DEPLOYMENTS:
                fold.deployment(body["deployment"])
            else:
                fold.promotion(body["promotion"])
        for lane in ("testing", "prod"):
            shown, expected = inventory_of(fold_plane, lane, context), fold.lanes.get(lane)
            if expected is None:
                assert shown is None, (seed, lane)
                continue
            assert (shown["deployment_record_id"], shown["promotion_record_id"], shown["source_git_ref"]) == (
                expected["deployment"], expected["promotion"], expected["ref"]), (seed, lane, sent)
        minted = tuple_rows(fold_plane, "prod", context)
        assert (minted[0]["payload"]["promotion_record_id"] if minted else None) == (
            fold.tuple["promotion"] if fold.tuple else None), (seed, sent)
