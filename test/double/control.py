"""The doubles' own endpoint, for people who try things by hand: /_control/..."""
import json

from aiohttp import web

from .faults import rule_from_json


def add_routes(app, rehearsal):
    dokploy = rehearsal.dokploy

    async def body_of(http):
        text = await http.text()
        return json.loads(text) if text else {}

    async def addresses(http):
        return web.json_response(rehearsal.addresses())

    async def state(http):
        return web.json_response(_summary(dokploy))

    async def requests(http):
        return web.json_response([str(seen) for seen in dokploy.requests])

    async def defects(http):
        return web.json_response(dokploy.defects)

    async def add_fault(http):
        try:
            rule_from_json(dokploy.faults, await body_of(http))
        except (KeyError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"rules": len(dokploy.faults.rules)})

    async def clear_faults(http):
        dokploy.faults.clear()
        return web.json_response({"rules": 0})

    async def restart(http):
        dokploy.restart(effect=bool((await body_of(http)).get("effect")))
        return web.json_response({"restarted": True})

    async def advance(http):
        rehearsal.clock.advance((await body_of(http))["seconds"])
        return web.json_response({"now": rehearsal.clock.iso()})

    async def mint(http):
        return web.json_response({"token": rehearsal.issuer.mint(**await body_of(http))})

    async def face(http):
        for name, value in (await body_of(http)).items():
            setattr(rehearsal.odoo.face(http.match_info["host"]), name, value)
        return web.json_response(vars(rehearsal.odoo.face(http.match_info["host"])))

    app.router.add_get("/_control/addresses", addresses)
    app.router.add_get("/_control/state", state)
    app.router.add_get("/_control/requests", requests)
    app.router.add_get("/_control/defects", defects)
    app.router.add_post("/_control/faults", add_fault)
    app.router.add_delete("/_control/faults", clear_faults)
    app.router.add_post("/_control/restart", restart)
    app.router.add_post("/_control/clock", advance)
    app.router.add_post("/_control/mint", mint)
    app.router.add_post("/_control/odoo/{host}", face)


def _summary(dokploy):
    with dokploy.state.lock:
        return {
            "generation": dokploy.generation,
            "composes": [_compose(dokploy, row) for row in dokploy.state.composes.values()],
            "schedules": [row["name"] for row in dokploy.state.schedules.values()],
            "schedule_runs": [vars(run) for run in dokploy.schedule_runs],
            "deploys_started": [title for _, title in dokploy.queue.started],
        }


def _compose(dokploy, row):
    snapshot = dokploy.running(row["composeId"])
    return {
        "composeId": row["composeId"], "name": row["name"], "appName": row["appName"],
        "composeStatus": row["composeStatus"], "env_keys": sorted(line.split("=")[0] for line in row["env"].splitlines()),
        "running_image": snapshot.services["web"].image if snapshot and "web" in snapshot.services else None,
        "routes": snapshot.routes() if snapshot else {},
        "deployments": [
            {name: item[name] for name in ("title", "status", "createdAt", "finishedAt")}
            for item in dokploy.state.deployments_of("composeId", row["composeId"])
        ],
    }
