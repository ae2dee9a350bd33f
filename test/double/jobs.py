"""The deploy queue: answers come before the work, work comes in order, a restart forgets the queue."""
import asyncio
import dataclasses

from . import render
from .errors import DeployError

TITLES = {"deploy": "Manual deployment", "redeploy": "Rebuild deployment"}


@dataclasses.dataclass
class Job:
    kind: str                  # compose or application
    service_id: str
    title: str
    description: str
    lies: dict
    queued_at: float


class DeployQueue:
    """One job at a time: for all services in 0.29, per server in 0.30."""

    def __init__(self, dokploy):
        self.dokploy = dokploy
        self.waiting = []
        self.workers = {}          # lane name -> task
        self.current = {}          # lane name -> deployment row
        self.started = []          # (service id, title) of every deploy that really began

    def put(self, kind, service_id, title, description, lies):
        job = Job(kind, service_id, title, description, lies, self.dokploy.clock.now())
        if "lost_job" in lies:
            return
        if "foreign_deploy" in lies:
            self.waiting.append(dataclasses.replace(job, title=TITLES["deploy"], description="", lies={}))
        self.waiting.append(job)
        self._wake(self._lane_of(job))

    def restart(self, effect=False):
        """Dokploy starts anew: queued jobs are gone, running rows are cancelled.

        With effect the command on the host ended well although Dokploy no longer watched it.
        """
        self.waiting.clear()
        for lane, task in list(self.workers.items()):
            task.cancel()
            row = self.current.pop(lane, None)
            if row is not None and effect:
                self._try_render(row)
        self.workers.clear()

    # inside

    def _lane_of(self, job):
        if self.dokploy.generation == "0.29":
            return "all"
        row = self._service_row(job)
        return (row or {}).get("serverId") or "host"

    def _service_row(self, job):
        table = self.dokploy.state.composes if job.kind == "compose" else self.dokploy.state.applications
        return table.get(job.service_id)

    def _wake(self, lane):
        task = self.workers.get(lane)
        if task is None or task.done():
            self.workers[lane] = asyncio.get_running_loop().create_task(self._work(lane))

    async def _work(self, lane):
        while True:
            job = next((job for job in self.waiting if self._lane_of(job) == lane), None)
            if job is None:
                return
            waited = self.dokploy.clock.now() - job.queued_at
            await self.dokploy.clock.sleep(self.dokploy.queue_seconds - waited)
            self.waiting.remove(job)
            await self._run(lane, job)

    async def _run(self, lane, job):
        state, service = self.dokploy.state, self._service_row(job)
        if service is None:
            return
        with state.lock:
            row = state.start_deployment(f"{job.kind}Id", job.service_id, job.title, job.description)
            service[f"{job.kind}Status"] = "running"
            self.started.append((job.service_id, job.title))
            self.current[lane] = row
        await self.dokploy.clock.sleep(self.dokploy.deploy_seconds)
        with state.lock:
            self.current.pop(lane, None)
            self._finish(job, service, row)

    def _finish(self, job, service, row):
        state = self.dokploy.state
        status, error = "done", None
        if "deploy_cancelled" in job.lies:
            status = "cancelled"
        elif "deploy_error" in job.lies:
            status, error = "error", "Error: Command failed: docker compose up -d"
        elif "old_snapshot" not in job.lies:
            error = self._try_render(row)
            status = "error" if error else "done"
        service[f"{job.kind}Status"] = {"cancelled": "idle"}.get(status, status)
        log = f"Docker deployed: {status}\n" if not error else f"{error}\nDeployment failed\n"
        state.finish_deployment(row, status, error, log)

    def _try_render(self, row):
        """Lets the row's service run what its rows say now; returns the error text of a refusal."""
        try:
            self.render(row)
        except DeployError as error:
            return str(error)
        return None

    def render(self, deployment):
        """Replaces what runs by a snapshot of the rows as they are now."""
        state = self.dokploy.state
        if deployment["composeId"]:
            service = state.composes.get(deployment["composeId"])
            snapshot = self._compose_snapshot(service, deployment)
        else:
            service = state.applications.get(deployment["applicationId"])
            snapshot = self._application_snapshot(service, deployment)
        state.running[deployment["composeId"] or deployment["applicationId"]] = snapshot

    def _env_of(self, service):
        environment = self.dokploy.state.environments[service["environmentId"]]
        project = self.dokploy.state.projects[environment["projectId"]]
        return render.resolve_references(service["env"], project["env"], environment["env"])

    def _compose_snapshot(self, row, deployment):
        if row["sourceType"] != "raw":
            raise DeployError(f"Error: no {row['sourceType']} provider configured")
        state = self.dokploy.state
        domains = state.where("domains", composeId=row["composeId"])
        made = render.snapshot(
            row, domains, self._env_of(row), deployment, self.dokploy.generation, state.new_id,
            self.dokploy.clock.now(),
        )
        for service in made.services.values():
            if service.image in self.dokploy.missing_images:
                raise DeployError(f"manifest for {service.image} not found: manifest unknown")
        return made

    def _application_snapshot(self, row, deployment):
        env, image = self._env_of(row), row["dockerImage"]
        if not image or image in self.dokploy.missing_images:
            raise DeployError(f"pull access denied for {image}")
        web = render.Service(
            "web", image, env, {}, [render.NETWORK], None, self.dokploy.state.new_id().lower(),
            f"{row['appName']}.1.{self.dokploy.state.new_id().lower()}",
        )
        return render.Snapshot(
            deployment["deploymentId"], deployment["title"], row["appName"], "", "", env,
            {"web": web}, self.dokploy.clock.now(),
        )
