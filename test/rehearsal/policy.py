"""Bootstrap policy texts. A rule is a dict; render() writes the TOML the service starts with."""
import json

REPOSITORY = "example-org/odoo-tenant-shop"
PRODUCT = "odoo-tenant-shop"
CONTEXT = "shop"


def workflow_rule(actions, products=(), contexts=(), repository=REPOSITORY, **more):
    return {
        "repository": repository, "products": list(products), "contexts": list(contexts),
        "actions": list(actions), **more,
    }


def render(**sections):
    """render(github_actions=[rule, ...], local_operators=[...]) -> TOML text."""
    lines = ["schema_version = 1", ""]
    for section, rules in sections.items():
        for rule in rules:
            lines.append(f"[[{section}]]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in rule.items()]
            lines.append("")
    return "\n".join(lines)


def lane_rules(product=PRODUCT, context=CONTEXT, repository=REPOSITORY):
    """What the workflow of one product needs for the main job, each grant as narrow as it can be."""
    def rule(actions, products, contexts):
        return workflow_rule(actions, products, contexts, repository)

    return [
        rule(["product_profile.write", "product_profile.read"], [product], ["launchplane"]),
        rule(["product_config.plan", "product_config.apply", "live_target_runtime.plan",
              "live_target_runtime.apply"], [product], [context]),
        rule(["odoo_artifact_publish.write", "odoo_artifact_publish_inputs.read", "deployment.write", "odoo_target_replacement_plan.read",
              "odoo_target_replacement_apply.execute", "operations.read", "operations.cancel",
              "odoo_stable_bootstrap.execute", "odoo_post_deploy.execute", "odoo_prod_backup_gate.execute",
              "odoo_prod_promotion_inputs.read", "odoo_prod_promotion.execute", "odoo_prod_rollback.execute",
              "odoo_config_parameter_override.write", "odoo_website_bootstrap_override.write",
              "odoo_promotion_hold.lift"],
             [product], [context]),
        rule(["backup_gate.write", "promotion.write", "preview_generation.write", "preview_destroyed.write", "preview.write", "preview_enablement.write",
              "artifact.write", "inventory.write", "release_tuple.write",
              "artifact_protection.read", "ship.plan", "ship.execute", "promote.plan", "promote.execute"],
             [product], [context]),
        rule(["deployment.read", "inventory.read", "secret.list", "secret.read", "target_logs.read",
              "operations.read", "operations.cancel", "backup_gate.read", "promotion.read", "preview.read",
              "release_tuple.read", "odoo_promotion_hold.read", "odoo_override.read", "odoo_override.write"],
             ["launchplane"], [context]),
        rule(["secret.rekey", "product_onboarding.apply", "operations.read", "runtime_key_safety.write",
              "dokploy_target.setup", "dokploy_target.inspect", "odoo_override.read",
              "provider_target.audit", "provider_target.backfill", "launchplane_service.read", "artifact.read"],
             ["launchplane"], ["launchplane"]),
        rule(["odoo_preview_apply_inputs.read", "odoo_preview_apply.execute", "odoo_preview_inventory.read", "product_config.plan", "product_config.apply",
              "operations.read", "operations.cancel"], [product], [f"{context}-preview"]),
        # Global secrets have no context, and only an empty list or a star matches that.
        rule(["product_config.plan", "product_config.apply"], ["launchplane"], ["*"]),
    ]


def for_lanes(*lanes):
    """The policy text for lanes given as (product, context) pairs; without any, the usual lane's."""
    rules = []
    for product, context in lanes or [(PRODUCT, CONTEXT)]:
        rules += [rule for rule in lane_rules(product, context) if rule not in rules]
    return render(github_actions=rules)
