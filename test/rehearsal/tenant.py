"""A product with a testing and a prod lane, and what people and workflows ask for in the life of both."""
from .api import accepted, ok
from .lane import Artifact, Lane

ODOO = "/v1/drivers/odoo"
ASYNC = {"Prefer": "respond-async"}
PHRASE = "build shop testing anew"
BACKUP_ROOT = "/volumes/data/backups/launchplane"


class TenantLane(Lane):
    """One of the two lanes: the profile names both, and the same secrets may reach both."""

    siblings = ()

    def profile(self):
        profile = super().profile()
        profile["lanes"] = [lane.profile_lane() for lane in self.siblings]
        profile["expected_config"]["managed_secret_bindings"] = [
            {"binding_key": name, "context": lane.context, "instance": lane.instance}
            for lane in self.siblings for name in lane.secrets]
        return profile

    def key_safety(self):
        body = super().key_safety()
        for rule in body["rules"]:
            rule.update(secret_class="shared_safe", allowed_instances=[lane.instance for lane in self.siblings])
        return body


class Tenant:
    def __init__(self, doubles):
        self.doubles = doubles
        self.testing, self.prod = TenantLane(doubles), TenantLane(doubles, instance="prod")
        self.lanes = [self.testing, self.prod]
        for lane in self.lanes:
            lane.siblings = self.lanes
        self.prod.environment["ODOO_BACKUP_ROOT"] = BACKUP_ROOT
        self.product, self.context = self.testing.product, self.testing.context
        self.first, self.second = self.testing.old, self.testing.new
        self.third = Artifact(self.context, 3)
        self.testing.policies = {
            "odoo_stable_bootstrap": {
                "enabled": True, "approval_issue_url": "https://github.com/example-org/shop/issues/7",
                "data_source_mode": "empty", "confirmation": PHRASE, "expected_target_name": self.testing.target_name,
                "expected_domains": [self.testing.host],
            },
            "odoo_data_policy": {"data_authority": "resettable", "allowed_rebuild_sources": ["empty"]},
        }

    def secret_values(self):
        return [secret for lane in self.lanes for secret in lane.secret_values()]

    def create_in_dokploy(self):
        for lane in self.lanes:
            lane.create_in_dokploy()

    def prepare(self, api):
        for lane in self.lanes:
            lane.prepare(api)
        accepted(api.post(f"{ODOO}/artifact-publish", self.testing.publish(self.third)))
        return self

    # requests

    def bootstrap(self):
        lane = self.testing
        return {"product": self.product, "bootstrap": {
            "product": self.product, "context": lane.context, "instance": lane.instance, "confirmation": PHRASE}}

    def replacement(self, artifact):
        return self.testing.replacement(artifact_id=artifact.artifact_id, source_git_ref=artifact.source_commit)

    def inputs(self, request_id):
        return {"product": self.product, "inputs": {"context": self.context, "request_id": request_id}}

    def gate(self, backup_record_id, **changes):
        return {"product": self.product, "backup_gate": {
            "context": self.context, "instance": "prod", "backup_record_id": backup_record_id, **changes}}

    def promotion(self, artifact, backup_record_id, **changes):
        return {"product": self.product, "promotion": {
            "context": self.context, "from_instance": "testing", "to_instance": "prod",
            "artifact_id": artifact.artifact_id, "backup_record_id": backup_record_id, **changes}}

    def rollback(self, artifact=None, **changes):
        wanted = {"artifact_id": artifact.artifact_id} if artifact else {}
        return {"product": self.product, "rollback": {
            "context": self.context, "instance": "prod", "reason": "drill", **wanted, **changes}}

    def lift(self, reason="the drill goes on"):
        return {"product": self.product, "lift": {"context": self.context, "instance": "prod", "reason": reason}}


class Life:
    """Works through the routes: api asks, finish(operation_id) waits for an operation's end in its own way."""

    def __init__(self, tenant, api, finish):
        self.tenant, self.api, self.finish = tenant, api, finish
        self.count = 0

    def operate(self, path, body, key=None):
        """The driver's answer of a route that waits."""
        self.count += 1
        key = key or f"life-{self.count}"
        first = accepted(self.api.post(f"{ODOO}/{path}", body, key=key, headers=ASYNC))
        if "operation_id" in first["records"]:
            self.finish(first["records"]["operation_id"])
        return accepted(self.api.post(f"{ODOO}/{path}", body, key=key))

    def submit(self, path, body, record):
        """The finished operation of a route that answers at once."""
        self.count += 1
        answer = accepted(self.api.post(f"{ODOO}/{path}", body, key=f"life-{self.count}"))
        return self.finish(answer["records"][record])

    def read(self, path):
        return ok(self.api.get(path))["record"]

    def inventory(self, instance):
        return self.read(f"/v1/inventory/{self.tenant.context}/{instance}")

    # steps

    def bootstrap(self):
        return self.submit("stable-bootstrap", self.tenant.bootstrap(), "odoo_stable_bootstrap_operation_id")

    def replace(self, artifact):
        return self.submit("target-replacement-apply", self.tenant.replacement(artifact),
                           "odoo_stable_target_replacement_operation_id")

    def inputs(self, request_id):
        return accepted(self.api.post(f"{ODOO}/prod-promotion-inputs", self.tenant.inputs(request_id)))["result"]

    def capture(self, backup_record_id):
        return self.operate("prod-backup-gate", self.tenant.gate(backup_record_id))["result"]

    def promote(self, artifact, backup_record_id):
        return self.operate("prod-promotion", self.tenant.promotion(artifact, backup_record_id))["result"]

    def roll_back(self, artifact=None):
        return self.operate("prod-rollback", self.tenant.rollback(artifact))["result"]

    def lift(self, reason="the drill goes on"):
        return accepted(self.api.post(f"{ODOO}/promotion-hold-lift", self.tenant.lift(reason)))["result"]

    def whole(self):
        """The life of a lane, step by step: yields (title, {what: record}) of each; asserts that it went well."""
        t = self.tenant
        operation = self.bootstrap()
        assert operation["status"] == "pass", operation
        yield "bootstrap testing", {
            "operation.result": operation["result"], "inventory testing": self.inventory("testing")}
        operation = self.replace(t.second)
        assert operation["status"] == "pass", operation
        yield "replace testing with the second artifact", {
            "deployment": self.read(f"/v1/deployments/{operation['deployment_record_id']}"),
            "inventory testing": self.inventory("testing")}
        inputs = self.inputs("release 2")
        assert inputs["input_status"] == "ready", inputs
        gate = self.capture(inputs["backup_record_id"])
        assert gate["backup_status"] == "pass", gate
        yield "capture the backup gate of prod", {"promotion inputs": inputs, "backup gate": gate}
        promoted = self.promote(t.second, inputs["backup_record_id"])
        assert promoted["promotion_status"] == "pass", promoted
        yield "promote to prod", {
            "result": promoted, "promotion": self.promotion(promoted["promotion_record_id"]),
            "inventory prod": self.inventory("prod")}
        back = self.roll_back()
        assert back["rollback_status"] == "pass" and back["artifact_id"] == t.second.artifact_id, back
        yield "roll back, harmlessly: to what testing runs", {
            "result": back, "promotion.rollback": self.promotion(promoted["promotion_record_id"])["rollback"]}
        yield "the hold is lifted", {"hold": self.lift("the harmless drill is over")}
        assert self.replace(t.third)["status"] == "pass"
        inputs = self.inputs("release 3")
        assert self.capture(inputs["backup_record_id"])["backup_status"] == "pass"
        promoted = self.promote(t.third, inputs["backup_record_id"])
        assert promoted["promotion_status"] == "pass", promoted
        yield "testing gets the third artifact, and prod after a gate of its own", {"inventory prod": self.inventory("prod")}
        back = self.roll_back(t.second)
        assert back["rollback_status"] == "pass" and back["artifact_id"] == t.second.artifact_id, back
        yield "roll back to the second artifact", {
            "result": back, "promotion": self.promotion(promoted["promotion_record_id"]),
            "inventory prod": self.inventory("prod")}
        held = self.inputs("release 3 again")
        assert held["input_status"] == "blocked", held
        yield "promotion is held now", {"promotion inputs": held, "hold": self.lift("the third artifact is mended")}
        inputs = self.inputs("release 3 again")
        assert self.capture(inputs["backup_record_id"])["backup_status"] == "pass"
        promoted = self.promote(t.third, inputs["backup_record_id"])
        assert promoted["promotion_status"] == "pass", promoted
        yield "promote again, behind a fresh gate", {
            "result": promoted, "inventory prod": self.inventory("prod")}

    def promotion(self, record_id):
        return self.read(f"/v1/promotions/{record_id}")
