"""Previews of a lane's pull requests: the profile, the records, and the two requests."""
from checks import assert_accepted

INPUTS = "/v1/drivers/odoo/preview-apply-inputs"
APPLY = "/v1/drivers/odoo/preview-apply"
INVENTORY = "/v1/drivers/odoo/preview-inventory"
CONTEXT = "shop-preview"
BASE_URL = "https://previews.example.com"


def codes(plan):
    """Of what blocks a plan."""
    return {blocker["code"] for blocker in plan["blockers"]}


def odoo_url(lane):
    """Where a preview answers: by another name than the lane, whose host no preview may have."""
    return lane.doubles.odoo.url.replace("127.0.0.1", "localhost")


class Previews:
    def __init__(self, plane, lane, staged=False):
        self.plane, self.lane, self.dokploy = plane, lane, lane.doubles.dokploy
        self.staged = staged
        self.members = {
            "enabled": True, "context": CONTEXT, "template_instance": lane.instance,
            "data_transport_mode": "bootstrap" if staged else "none",
            "override_env": {"ODOO_INSTALL_MODULES": "preview_tools"},
            "preview_url_env_keys": ["ODOO_PREVIEW_URL"], "preview_domain_env_keys": ["ODOO_PREVIEW_DOMAIN"],
        }

    def prepare(self, **members):
        """The profile has previews; their context knows where they live; the lane's secrets may reach them."""
        lane, plane = self.lane, self.plane
        self.members.update(members)
        profile = lane.profile()
        profile["preview"] = self.members
        assert_accepted(plane.post("/v1/product-profiles", profile))
        assert_accepted(plane.post("/v1/product-config/apply", {
            "schema_version": 1, "product": lane.product, "context": CONTEXT, "mode": "apply", "reason": "rehearsal",
            "runtime_env": {"LAUNCHPLANE_PREVIEW_BASE_URL": BASE_URL, "DOKPLOY_ENVIRONMENT_ID": lane.environment_id}}))
        assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", {
            "schema_version": 1, "product": "launchplane",
            "rules": [{"binding_key": name, "secret_class": "non_prod", "allowed_contexts": [lane.context, CONTEXT], "allowed_instances": []}
                      for name in lane.secrets]}))
        return self

    def inputs(self, operation="refresh", number=7, artifact=None, **changes):
        """The result of planning."""
        body = {"product": self.lane.product, "operation": operation, "pr_number": number, **changes}
        if operation == "refresh" and "image_reference" not in changes:
            body["manifest"] = (artifact or self.lane.new).manifest()
        return assert_accepted(self.plane.post(INPUTS, {"product": self.lane.product, "inputs": body}))["result"]

    def request(self, plan, artifact=None, **changes):
        apply = {"dry_run_plan": plan, "smoke_check": False, **changes}
        if plan["operation"] == "refresh" and "image_reference" not in changes:
            apply.setdefault("manifest", (artifact or self.lane.new).manifest())
        return {"product": self.lane.product, "apply": apply}

    def apply(self, plan, key=None, prefer=None, artifact=None, **changes):
        """The answer itself."""
        headers = {"Prefer": prefer} if prefer else {}
        return self.plane.post(APPLY, self.request(plan, artifact, **changes), key=key, headers=headers)

    def submit(self, plan, key=None, **changes):
        """The operation's id, without waiting."""
        answer = self.apply(plan, key, "respond-async", **changes)
        return assert_accepted(answer)["records"].get("operation_id") or answer.headers["Location"].rsplit("/", 1)[1]

    def refresh(self, number=7, key=None, artifact=None, **changes):
        """The finished operation."""
        plan = self.inputs("refresh", number, artifact)["dry_run_plan"]
        return self.plane.finish(self.submit(plan, key, artifact=artifact, **changes))

    def destroy(self, number=7, key=None):
        return self.plane.finish(self.submit(self.inputs("destroy", number)["dry_run_plan"], key))

    def compose(self, number=7):
        """The preview's row in Dokploy, or None."""
        name = f"{self.lane.product}-pr-{number}"
        rows = [row for row in self.dokploy.state.composes.values() if row["name"] == name]
        assert len(rows) <= 1
        return rows[0] if rows else None

    def records(self):
        return {row["anchor_pr_number"]: row["payload"] for row in self.plane.query(
            "SELECT anchor_pr_number, payload FROM launchplane_preview_records")}

    def generations(self):
        return [row["payload"] for row in self.plane.query("SELECT payload FROM launchplane_preview_generations ORDER BY sequence")]
