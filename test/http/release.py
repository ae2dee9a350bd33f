"""A product with both stable lanes, and releasing artifacts to them."""
from checks import assert_accepted
from evidence import GATES, gate, send
from rehearsal.lane import Lane

SHIP, PROMOTE = "/v1/ship/execute", "/v1/promote/execute"


class Product:
    def __init__(self, plane, doubles):
        self.plane = plane
        self.testing, self.prod = Lane(doubles), Lane(doubles, instance="prod")
        self.new, self.old = self.testing.new, self.testing.old

    def create(self):
        for lane in (self.testing, self.prod):
            if not lane.compose_id:
                lane.create_in_dokploy()
            self.plane.secrets += lane.secret_values()
        profile = self.testing.profile()
        for member in ("lanes", "expected_config"):
            other = self.prod.profile()[member]
            if member == "lanes":
                profile[member] += other
            else:
                profile[member]["managed_secret_bindings"] += other["managed_secret_bindings"]
        self.testing.profile = self.prod.profile = lambda: profile
        safety = self.testing.key_safety()
        for rule in safety["rules"]:
            rule.update(secret_class="shared_safe", allowed_instances=["testing", "prod"])
        self.testing.key_safety = self.prod.key_safety = lambda: safety
        return self

    def prepare(self):
        for lane in (self.testing, self.prod):
            lane.prepare(self.plane)
        return self

    def request(self, **changes):
        return {"product": self.testing.product, "context": self.testing.context, "artifact_id": self.new.artifact_id, **changes}

    def ship_request(self, instance="testing", **changes):
        return self.request(instance=instance, **changes)

    def promote_request(self, backup_record_id="gate-1", **changes):
        return self.request(from_instance="testing", to_instance="prod", backup_record_id=backup_record_id, **changes)

    def execute(self, path, body, key):
        return assert_accepted(self.plane.post(path, body, key=key))["records"]["operation_id"]

    def ship(self, key="ship-1", **changes):
        """The operation's id."""
        return self.execute(SHIP, self.ship_request(**changes), key)

    def promote(self, key="promote-1", **changes):
        return self.execute(PROMOTE, self.promote_request(**changes), key)

    def gate(self, record_id="gate-1", **changes):
        return send(self.plane, GATES, gate(record_id, **changes))

    def shipped(self):
        """The new artifact runs in testing, proved, and a gate of prod has passed."""
        operation = self.plane.finish(self.ship(key="before"))
        assert operation["status"] == "pass", operation
        self.gate()
        return self
