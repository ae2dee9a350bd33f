"""Everything the simulated Dokploy server remembers: rows by id, and what is running."""
import random
import threading

from .clock import iso_ms
from .errors import not_found

_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
KEPT_DEPLOYMENTS = 10

TABLES = (
    "projects", "environments", "servers", "composes", "applications",
    "domains", "schedules", "deployments", "mounts",
)


class State:
    def __init__(self, clock, seed=None):
        self.clock = clock
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.user_id = self.new_id()
        self.organization_id = self.new_id()
        self.running = {}            # service id -> render.Snapshot
        self.logs = {}               # deployment id -> text
        self.created_with_key = set()
        self._next_config_key = 1
        self._last_created_ms = 0
        for table in TABLES:
            setattr(self, table, {})

    # ids and names

    def new_id(self):
        return "".join(self.random.choices(_ID_ALPHABET, k=21))

    def app_name(self, wish):
        """Never the wished name: lower-cased plus six random characters."""
        return f"{wish.lower()}-{''.join(self.random.choices(_SUFFIX_ALPHABET, k=6))}"

    def config_key(self):
        self._next_config_key += 1
        return self._next_config_key - 1

    def created_at(self):
        """Distinct and ascending, as rows of one server are in practice."""
        self._last_created_ms = max(int(self.clock.now() * 1000), self._last_created_ms + 1)
        return iso_ms(self._last_created_ms / 1000)

    # rows

    def get(self, table, row_id, kind):
        row = getattr(self, table).get(row_id)
        if row is None:
            raise not_found(kind)
        return row

    def where(self, table, **members):
        rows = getattr(self, table).values()
        return [row for row in rows if all(row.get(name) == value for name, value in members.items())]

    def shuffled(self, rows):
        return self.random.sample(rows, len(rows))

    @staticmethod
    def newest_first(rows):
        return sorted(rows, key=lambda row: row["createdAt"], reverse=True)

    # deployments

    def start_deployment(self, owner, owner_id, title, description):
        """A new running row; with it at most ten rows of this owner are left."""
        older = self.newest_first(self.where("deployments", **{owner: owner_id}))
        for row in older[KEPT_DEPLOYMENTS - 1:]:
            del self.deployments[row["deploymentId"]]
        row = {
            "deploymentId": self.new_id(), "title": title, "description": description,
            "status": "running", "pid": None, "applicationId": None, "composeId": None,
            "serverId": None, "scheduleId": None, "isPreviewDeployment": False,
            "previewDeploymentId": None, "createdAt": self.created_at(),
            "startedAt": self.clock.iso(), "finishedAt": None, "errorMessage": None,
            "backupId": None, "rollbackId": None, "volumeBackupId": None, "buildServerId": None,
        }
        row[owner] = owner_id
        row["logPath"] = f"/etc/dokploy/logs/{owner_id}/{row['deploymentId']}.log"
        self.deployments[row["deploymentId"]] = row
        return row

    def finish_deployment(self, row, status, error=None, log=""):
        row.update(status=status, finishedAt=self.clock.iso(), errorMessage=error)
        self.logs[row["deploymentId"]] = log

    def deployments_of(self, owner, owner_id):
        return self.newest_first(self.where("deployments", **{owner: owner_id}))
