"""One Odoo lane: what people made in Dokploy before, and the records that Launchplane needs for it."""
import copy
import hashlib
import secrets

from .api import accepted
from .policy import CONTEXT, PRODUCT, REPOSITORY

IMAGE_REPOSITORY = "registry.example.com/example-org/odoo-tenant-shop"
REQUIRED_MODULES = ["launchplane_settings", "disable_odoo_online"]
CONFIRM_SETUP = "APPLY DOKPLOY TARGET SETUP"
RUNTIME_PORT = 8069

OLD_COMPOSE = """\
services:
  web:
    image: {image}
    env_file: .env
    depends_on: [database]
    labels:
      - traefik.enable=true
    volumes: [odoo_data:/volumes/data]
  database:
    image: postgres:17
    volumes: [odoo_db:/var/lib/postgresql/data]
  script-runner:
    image: {image}
    env_file: .env
    command: tail -f /dev/null
volumes:
  odoo_data: {{name: "${{ODOO_DATA_VOLUME:?}}"}}
  odoo_db: {{name: "${{ODOO_DB_VOLUME:?}}"}}
"""


class Artifact:
    """An immutable image that some workflow has built and published."""

    def __init__(self, context, number, modules=REQUIRED_MODULES, repository=IMAGE_REPOSITORY):
        self.artifact_id = f"artifact-{context}-{number:04d}"
        self.source_commit = hashlib.sha1(self.artifact_id.encode()).hexdigest()
        self.digest = "sha256:" + hashlib.sha256(self.artifact_id.encode()).hexdigest()
        self.repository, self.modules = repository, list(modules)

    @property
    def image(self):
        return f"{self.repository}@{self.digest}"

    def manifest(self):
        return {
            "schema_version": 1, "artifact_id": self.artifact_id, "source_commit": self.source_commit,
            "enterprise_base_digest": "sha256:" + "e" * 64,
            "addon_sources": [{"repository": "example-org/odoo-shared-addons", "ref": "c" * 40}],
            "odoo_install_modules": self.modules,
            "image": {"repository": self.repository, "digest": self.digest, "tags": ["testing"]},
        }


class Lane:
    """Change attributes before prepare() to get a lane that is wrong in one way."""

    def __init__(self, doubles, product=PRODUCT, context=CONTEXT, instance="testing", host=None):
        self.doubles = doubles
        self.product, self.context, self.instance = product, context, instance
        self.host = host or f"{context}-{instance}.example.com"
        self.target_name = f"{context}-{instance}"
        self.old, self.new = Artifact(context, 1), Artifact(context, 2)
        self.base_url = doubles.odoo.base_url(self.host)
        self.health_url = doubles.odoo.health_url(self.host)
        self.policies = {}                   # odoo_* members of the profile's lane
        self.secrets = {
            name: f"{name.lower()}-{secrets.token_urlsafe(18)}"
            for name in ("ODOO_DB_PASSWORD", "ODOO_ADMIN_PASSWORD", "ODOO_MASTER_PASSWORD")
        }
        self.volumes = {
            "ODOO_DATA_VOLUME": f"{self.target_name}_data", "ODOO_LOG_VOLUME": f"{self.target_name}_logs",
            "ODOO_DB_VOLUME": f"{self.target_name}_db",
        }
        self.environment = {
            "ODOO_DB_NAME": f"{context}_{instance}", "ODOO_DB_USER": "odoo",
            "ODOO_PROJECT_NAME": self.target_name, "ODOO_ADMIN_LOGIN": "admin", **self.volumes,
        }
        self.live_env = {
            **self.environment, **self.secrets, "LEGACY_SETTING": "kept as it is",
            "ODOO_WEB_COMMAND": "/odoo/odoo-bin",
        }
        self.compose_id = self.project_id = self.environment_id = ""
        self.server_id = None

    def secret_values(self):
        return [*self.secrets.values(), self.doubles.token]

    # in Dokploy, by hand, long ago

    def create_in_dokploy(self, source_type="raw", running=True, domain=True):
        dokploy = self.doubles.dokploy
        self.project_id, self.environment_id = dokploy.add_project(self.context)
        self.compose_id = dokploy.add_compose(
            self.target_name, self.environment_id, appName=self.target_name, serverId=self.server_id,
            sourceType="raw", composePath="./docker-compose.yml", autoDeploy=False,
            composeFile=OLD_COMPOSE.format(image=self.old.image),
            env="\n".join(f"{name}={value}" for name, value in self.live_env.items()),
        )
        if domain:
            dokploy.add_domain(self.compose_id, self.host, https=True, port=RUNTIME_PORT)
        if running:
            dokploy.deploy_at_once(self.compose_id)
        if source_type != "raw":
            dokploy.state.composes[self.compose_id]["sourceType"] = source_type
        return self.compose_id

    # requests that create the records, in the order in which they are needed

    def profile(self):
        return {
            "schema_version": 1, "product": self.product, "display_name": "Shop", "repository": REPOSITORY,
            "driver_id": "odoo", "image": {"repository": IMAGE_REPOSITORY}, "runtime_port": RUNTIME_PORT,
            "health_path": "/launchplane/health", "lanes": [self.profile_lane()],
            "expected_config": {
                "managed_secret_bindings": [
                    {"binding_key": name, "context": self.context, "instance": self.instance}
                    for name in self.secrets
                ],
            },
            "updated_at": "2026-01-01T00:00:00Z", "source": "rehearsal",
        }

    def profile_lane(self):
        return {
            "instance": self.instance, "context": self.context, "base_url": self.base_url,
            "health_url": self.health_url, **copy.deepcopy(self.policies),
        }

    def key_safety(self):
        secret_class = "prod_only" if self.instance == "prod" else "testing"
        return {
            "schema_version": 1, "product": "launchplane",
            "rules": [
                {"binding_key": name, "secret_class": secret_class, "allowed_contexts": [self.context],
                 "allowed_instances": [self.instance]}
                for name in self.secrets
            ],
        }

    def provider_config(self):
        values = {"DOKPLOY_HOST": self.doubles.dokploy.url, "DOKPLOY_TOKEN": self.doubles.token}
        return {
            "schema_version": 1, "product": "launchplane", "mode": "apply", "reason": "rehearsal",
            "secrets": [
                {"name": name, "binding_key": name, "value": value, "scope": "global", "integration": "dokploy"}
                for name, value in values.items()
            ],
        }

    def lane_config(self):
        return {
            "schema_version": 1, "product": self.product, "context": self.context, "instance": self.instance,
            "mode": "apply", "reason": "rehearsal", "runtime_env": dict(self.environment),
            "secrets": [
                {"name": name, "binding_key": name, "value": value, "scope": "context_instance",
                 "context": self.context, "instance": self.instance}
                for name, value in self.secrets.items()
            ],
        }

    def target_setup(self):
        return {
            "mode": "apply", "operation": "adopt", "product": "launchplane", "context": self.context,
            "instance": self.instance, "target_type": "compose", "target_id": self.compose_id,
            "target_name": self.target_name, "domains": [self.host], "confirmation": CONFIRM_SETUP,
            "reason": "rehearsal",
        }

    def publish(self, artifact):
        return {
            "product": self.product,
            "publish": {"context": self.context, "instance": self.instance, "manifest": artifact.manifest()},
        }

    def deployment(self, record_id=None, artifact=None):
        """Evidence of the deploy that people made by hand."""
        artifact = artifact or self.old
        return {
            "schema_version": 1, "product": self.product,
            "deployment": {
                "record_id": record_id or f"deployment-20260101T000000Z-{self.target_name}",
                "artifact_identity": {"artifact_id": artifact.artifact_id},
                "context": self.context, "instance": self.instance, "source_git_ref": artifact.source_commit,
                "resolved_target": {
                    "target_type": "compose", "target_id": self.compose_id or "compose-by-hand",
                    "target_name": self.target_name,
                },
                "deploy": {
                    "target_name": self.target_name, "target_type": "compose",
                    "deploy_mode": "dokploy-compose-api", "deployment_id": "by-hand", "status": "pass",
                    "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z",
                },
            },
        }

    def steps(self):
        """(title, path, body, Idempotency-Key or None) of every request that prepare() makes."""
        setup_key = f"setup-{self.context}-{self.instance}"
        return [
            ("product profile", "/v1/product-profiles", self.profile(), None),
            ("runtime key-safety policy", "/v1/runtime-key-safety/policies/apply", self.key_safety(), None),
            ("Dokploy host and token", "/v1/product-config/apply", self.provider_config(), None),
            ("runtime values and secrets", "/v1/product-config/apply", self.lane_config(), None),
            ("Dokploy target", "/v1/dokploy-targets/setup", self.target_setup(), setup_key),
            ("current artifact", "/v1/drivers/odoo/artifact-publish", self.publish(self.old), None),
            ("new artifact", "/v1/drivers/odoo/artifact-publish", self.publish(self.new), None),
            ("first deployment and inventory", "/v1/evidence/deployments", self.deployment(), None),
        ]

    def prepare(self, api, without=()):
        """Creates all records through the API, except the titles in without."""
        for title, path, body, key in self.steps():
            if title not in without:
                accepted(api.post(path, body, key=key))
        return self

    # the job itself

    def replacement(self, **changes):
        return {
            "product": self.product,
            "replacement": {
                "product": self.product, "instance": self.instance, "artifact_id": self.new.artifact_id,
                "source_git_ref": self.new.source_commit, **changes,
            },
        }

    def plan_request(self, **changes):
        """The plan takes fewer members than apply does."""
        return self.replacement(**changes)
