"""A Dokploy server for tests: keeps state, refuses what the real one refuses, misbehaves on request.

Facts and quirks it follows are listed in dokploy-openapi.json; each request is checked against them and
whatever the client gets wrong is collected in `defects`, which a test asserts to be empty.
"""
import asyncio
import dataclasses
import inspect
import json
import threading

from aiohttp import web

from .errors import ApiError
from .faults import Faults, cut
from .jobs import DeployQueue, TITLES
from .procedures import TABLE, domains, services, structure
from .spec import Spec
from .state import State

WITHOUT_KEY = ("health", "settings.health")


@dataclasses.dataclass
class Request:
    """One call as it arrived; the key is never kept."""
    number: int
    at: str
    method: str
    procedure: str
    sent: dict
    status: int = 0              # 0: no answer left this server
    effect: bool = False         # the procedure ran to its end
    traceparent: str = ""

    def __str__(self):
        return f"{self.number:4} {self.at} {self.method} {self.procedure} -> {self.status or 'cut'}"


class Dokploy:
    def __init__(self, clock, token, generation="0.30", seed=None):
        self.clock, self.token = clock, token
        self.state = State(clock, seed)
        self.faults = Faults()
        self.queue = DeployQueue(self)
        self.requests = []
        self.defects = []
        self.schedule_runs = []
        self.log_lines = {}               # service name -> lines of its log
        self.missing_images = set()       # references that cannot be pulled
        self.queue_seconds = 0.05
        self.deploy_seconds = 0.1
        self.schedule_seconds = 0.05
        self.url = ""
        self.stopping = threading.Event()
        self.call = lambda function: function()      # replaced by Rehearsal: runs on the loop's thread
        self.set_generation(generation)

    def set_generation(self, generation):
        """0.29 and 0.30 differ in members, queue, env file and in what runManually answers."""
        self.generation = generation
        self.spec = Spec(generation)
        self.schedule_answers_row = generation == "0.30"

    # for tests: misbehaviour and what happened

    def on(self, method, procedure):
        return self.faults.on(method, procedure)

    def calls(self, method, procedure):
        """How often this was called, answered or not."""
        return sum(1 for seen in list(self.requests) if (seen.method, seen.procedure) == (method, procedure))

    def effects(self, method, procedure):
        """How often this was carried out."""
        found = [seen for seen in list(self.requests) if (seen.method, seen.procedure) == (method, procedure)]
        return sum(1 for seen in found if seen.effect)

    def mutations(self):
        return [seen for seen in list(self.requests) if seen.method == "POST"]

    def sent(self, method, procedure):
        """The bodies (or queries) of these calls, oldest first."""
        return [seen.sent for seen in list(self.requests) if (seen.method, seen.procedure) == (method, procedure)]

    def deploys(self, service_id):
        """Deploys which really started."""
        return sum(1 for started, _ in list(self.queue.started) if started == service_id)

    def deployments(self, service_id):
        with self.state.lock:
            table = "composeId" if service_id in self.state.composes else "applicationId"
            return [dict(row) for row in self.state.deployments_of(table, service_id)]

    def running(self, service_id):
        """The snapshot that runs, or None."""
        return self.state.running.get(service_id)

    def compose(self, compose_id):
        return dict(self.state.composes[compose_id])

    def domains_of(self, compose_id):
        with self.state.lock:
            return [dict(row) for row in self.state.where("domains", composeId=compose_id)]

    # for tests: what people do in the web interface

    def add_project(self, name, environment="production"):
        """Returns (project id, environment id)."""
        with self.state.lock:
            project = structure.new_project(self.state, name)
            made = structure.new_environment(self.state, project["projectId"], environment, is_default=True)
            return project["projectId"], made["environmentId"]

    def add_server(self, name="host-1"):
        with self.state.lock:
            server_id = self.state.new_id()
            self.state.servers[server_id] = {
                "serverId": server_id, "name": name, "description": None, "ipAddress": "192.0.2.10",
                "port": 22, "username": "root", "appName": self.state.app_name(name),
                "serverStatus": "active", "serverType": "deploy", "sshKeyId": None, "totalSum": 0,
                "createdAt": self.state.created_at(), "organizationId": self.state.organization_id,
            }
            return server_id

    def add_compose(self, name, environment_id, **members):
        with self.state.lock:
            return services.new_compose(self.state, name, environment_id, **members)["composeId"]

    def add_application(self, name, environment_id, **members):
        with self.state.lock:
            return services.new_application(self.state, name, environment_id, **members)["applicationId"]

    def add_domain(self, compose_id, host, **members):
        with self.state.lock:
            settings = {"serviceName": "web", "port": 8069, "domainType": "compose", **members}
            return domains.new_domain(self.state, composeId=compose_id, host=host, **settings)["domainId"]

    def deploy_at_once(self, compose_id, title=TITLES["deploy"]):
        """A finished deploy of the past: the rows as they are now run. Not counted by deploys()."""
        with self.state.lock:
            row = self.state.start_deployment("composeId", compose_id, title, "")
            self.queue.render(row)
            self.state.finish_deployment(row, "done", log="Docker deployed: done\n")
            self.state.composes[compose_id]["composeStatus"] = "done"

    def deploy_by_somebody_else(self, compose_id):
        """Queues a deploy without our title, as the web interface does."""
        self.call(lambda: self.queue.put("compose", compose_id, TITLES["deploy"], "", {}))

    def restart(self, effect=False):
        """Dokploy itself restarts: the queue is forgotten, running rows become cancelled."""
        def forget():
            with self.state.lock:
                self.queue.restart(effect)
                for row in self.state.deployments.values():
                    if row["status"] == "running" and not self._survives_restart(row):
                        self.state.finish_deployment(row, "cancelled")
                for service in self.state.composes.values():
                    if service["composeStatus"] == "running":
                        service["composeStatus"] = "idle"
        self.call(forget)

    def _survives_restart(self, row):
        """Since August 2026 runs of schedules on other hosts are left alone."""
        schedule = self.state.schedules.get(row["scheduleId"])
        return self.generation == "0.30" and schedule is not None and schedule["scheduleType"] != "dokploy-server"

    # transport

    def application(self):
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/api/{procedure}", self._serve)
        return app

    async def _serve(self, http):
        procedure = http.match_info["procedure"]
        sent, malformed = await self._read(http)
        seen = Request(len(self.requests) + 1, self.clock.iso(), http.method, procedure, sent,
                       traceparent=http.headers.get("traceparent", ""))
        self.requests.append(seen)
        rule = self.faults.pick(http.method, procedure, sent)
        if rule is not None and not await self._before(rule, seen, http):
            return web.Response()
        if rule is not None and rule.transport == "drop_late":
            return await asyncio.shield(asyncio.ensure_future(self._land_late(rule, seen, http, malformed)))
        status, body = await self._answer(http, seen, malformed, rule)
        seen.status = status
        return await self._after(rule, seen, http, status, body)

    async def _land_late(self, rule, seen, http, malformed):
        cut(http)
        await self._held(rule)
        await self._answer(http, seen, malformed, rule)
        return web.Response()

    async def _read(self, http):
        if http.method == "GET":
            return dict(http.query), None
        text = await http.text()
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            return {}, "body is not JSON"
        if http.content_type != "application/json":
            self.defects.append(f"content type of {http.path} is {http.content_type}")
        return (body, None) if isinstance(body, dict) else ({}, "body is not an object")

    async def _before(self, rule, seen, http):
        """False when the connection was cut before anything happened."""
        if rule.delay_seconds:
            await self.clock.sleep(rule.delay_seconds)
        if rule.hold == "before":
            await self._held(rule)
        if rule.transport == "hang":
            rule.reached.set()
            await self._wait_for(rule.released)
        if rule.transport in ("drop_before", "hang"):
            cut(http)
            return False
        return True

    async def _answer(self, http, seen, malformed, rule):
        if not self._key_is_good(http, seen.procedure):
            self.defects.append(f"{seen.method} {seen.procedure}: no valid x-api-key")
            return 401, {"message": "Unauthorized"}
        if rule is not None and rule.status is not None:
            return rule.status, _scripted_body(rule)
        try:
            body = await self._perform(seen, malformed, rule.lies if rule else {})
        except ApiError as error:
            return error.status, error.body()
        seen.effect = True
        return 200, body

    def _key_is_good(self, http, procedure):
        return procedure in WITHOUT_KEY or http.headers.get("x-api-key") == self.token

    async def _perform(self, seen, malformed, lies):
        endpoint = self.spec.find(seen.procedure)
        if endpoint is None:
            self.defects.append(f"unknown procedure {seen.procedure}")
            raise ApiError("NOT_FOUND", f'No procedure found on path "{seen.procedure}"')
        if endpoint["method"] != seen.method:
            self.defects.append(f"{seen.procedure} called with {seen.method}")
            raise ApiError("METHOD_NOT_SUPPORTED", f"Unsupported {seen.method} request")
        if malformed:
            self.defects.append(f"{seen.procedure}: {malformed}")
            raise ApiError("BAD_REQUEST", malformed)
        kept, issues, defects = self.spec.check(endpoint, seen.sent)
        self.defects += defects
        if issues:
            raise ApiError("BAD_REQUEST", "Input validation failed", issues)
        body = await self._run(TABLE[seen.procedure], kept, lies)
        wrong = self.spec.answer_defects(endpoint, body)
        self.defects += [f"the double's own answer to {seen.procedure}: {text}" for text in wrong]
        return body

    async def _run(self, function, kept, lies):
        if inspect.iscoroutinefunction(function):
            # A caller that goes away does not stop what runs on the host.
            return await asyncio.shield(asyncio.ensure_future(function(self, kept, lies)))
        with self.state.lock:
            return json.loads(json.dumps(function(self, kept, lies)))

    async def _after(self, rule, seen, http, status, body):
        if rule is not None and rule.hold == "after":
            await self._held(rule)
        if rule is not None and rule.transport == "drop_after":
            seen.status = 0
            cut(http)
            return web.Response()
        text = json.dumps(body)
        if rule is not None and rule.transport == "truncate":
            seen.status = 0
            return await _half(http, status, text)
        return web.Response(status=status, text=text, content_type="application/json")

    async def _held(self, rule):
        rule.reached.set()
        await self._wait_for(rule.released)

    async def _wait_for(self, event):
        while not event.is_set() and not self.stopping.is_set():
            await asyncio.sleep(0.005)


def _scripted_body(rule):
    if rule.body is not None:
        return rule.body
    code = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT"}
    return {"message": "scripted answer", "code": code.get(rule.status, "INTERNAL_SERVER_ERROR")}


async def _half(http, status, text):
    """Promises the whole body, sends half of it, cuts the connection."""
    data = text.encode()
    answer = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    answer.content_length = max(len(data), 2)
    await answer.prepare(http)
    await answer.write(data[: len(data) // 2])
    http.transport.close()
    return answer
