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

    # what a step has made

    def tuple(self, channel):
        return self.read(f"/v1/release-tuples/{self.tenant.context}/{channel}")

    def deployment(self, record_id):
        return self.read(f"/v1/deployments/{record_id}")

    def promotion(self, record_id):
        return self.read(f"/v1/promotions/{record_id}")

    def newest_hold(self):
        return ok(self.api.get(f"{ODOO}/promotion-holds/{self.tenant.context}/prod"))["records"][0]

    def onboarded(self):
        t = self.tenant
        made = {"product profile": ok(self.api.get(f"/v1/product-profiles/{t.product}"))["profile"]}
        for lane in t.lanes:
            place = f"{t.context}/instances/{lane.instance}"
            made[f"target {lane.instance}"] = ok(self.api.get(f"/v1/dokploy-targets/{t.context}/{lane.instance}"))["target"]
            made[f"secrets {lane.instance}"] = {
                secret["secret_id"]: secret["name"] for secret in ok(self.api.get(f"/v1/contexts/{place}/secrets"))["secrets"]}
            inventory = made[f"inventory {lane.instance}"] = self.inventory(lane.instance)
            made[f"deployment {lane.instance}"] = self.deployment(inventory["deployment_record_id"])
        for artifact in (t.first, t.second, t.third):
            made[f"artifact {artifact.artifact_id}"] = self.read(f"/v1/artifacts/{artifact.artifact_id}")
        return made

    def replaced(self, artifact):
        operation = self.replace(artifact)
        assert operation["status"] == "pass", operation
        return {"deployment": self.deployment(operation["deployment_record_id"]), "inventory testing": self.inventory("testing"),
                "release tuple testing": self.tuple("testing")}

    def gated(self, request_id):
        inputs = self.inputs(request_id)
        assert inputs["input_status"] == "ready", inputs
        gate = self.capture(inputs["backup_record_id"])
        assert gate["backup_status"] == "pass", gate
        return {"promotion inputs": inputs, "result": gate, "backup gate": self.read(f"/v1/backup-gates/{inputs['backup_record_id']}")}

    def promoted(self, artifact, gated):
        result = self.promote(artifact, gated["backup gate"]["record_id"])
        assert result["promotion_status"] == "pass", result
        return {"result": result, "promotion": self.promotion(result["promotion_record_id"]), **self.of_prod(result)}

    def rolled_back(self, artifact, to=None):
        result = self.roll_back(to)
        assert result["rollback_status"] == "pass" and result["artifact_id"] == artifact.artifact_id, result
        return {"result": result, "promotion.rollback": self.promotion(result["promotion_record_id"])["rollback"],
                **self.of_prod(result), "hold": self.newest_hold()}

    def of_prod(self, result):
        return {"deployment": self.deployment(result["deployment_record_id"]), "inventory prod": self.inventory("prod"),
                "release tuple prod": self.tuple("prod")}

    def whole(self):
        """The life of a lane, step by step: yields (title, {what: record}) of each; asserts that it went well."""
        t = self.tenant
        yield "onboard: profile, targets, secrets, artifacts, first deployments", self.onboarded()
        operation = self.bootstrap()
        assert operation["status"] == "pass", operation
        yield "bootstrap testing", {
            "operation.result": operation["result"], "deployment": self.deployment(operation["deployment_record_id"]),
            "inventory testing": self.inventory("testing")}
        yield "replace testing with the second artifact", self.replaced(t.second)
        gated = self.gated("release 2")
        yield "capture the backup gate of prod", gated
        yield "promote to prod", self.promoted(t.second, gated)
        yield "roll back, harmlessly: to what testing runs", self.rolled_back(t.second)
        yield "the hold is lifted", {"hold": self.lift("the harmless drill is over")}
        yield "replace testing with the third artifact", self.replaced(t.third)
        gated = self.gated("release 3")
        yield "capture a gate of its own", gated
        yield "promote the third artifact", self.promoted(t.third, gated)
        yield "roll back to the second artifact", self.rolled_back(t.second, to=t.second)
        held = self.inputs("release 3 again")
        assert held["input_status"] == "blocked", held
        yield "promotion is held now", {"promotion inputs": held, "hold": self.lift("the third artifact is mended")}
        gated = self.gated("release 3 again")
        yield "capture a fresh gate", gated
        yield "promote again", self.promoted(t.third, gated)
