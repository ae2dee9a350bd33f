"""The public face of the Odoo lanes that run in the Dokploy double.

    http://127.0.0.1:PORT/<public host>/launchplane/health

The first path segment stands for the public host name: routing follows the Traefik labels of the
snapshot that really runs, so a lane whose labels or domain rows are wrong is not reachable here.
"""
import dataclasses
import json

from aiohttp import web

from .faults import cut

# A transparent pixel.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c63000100000500010d0a2db40000000049454e44ae426082")
DEFAULT_PORT = "8069"


@dataclasses.dataclass
class Face:
    """How the endpoint shows itself; a test changes what it wants broken."""
    start_seconds: float = 0.0           # after a deploy, until the first healthy answer
    identity: str = "deployed"           # deployed, missing, malformed, or text to show instead
    identity_name: str = "runtime_identity"
    identity_as_text: bool = False
    identity_changes: dict = dataclasses.field(default_factory=dict)
    health_status: str = "ok"
    health_code: int = 200
    health_text: str = ""                # shown in place of JSON
    redirect: str = ""                   # where the page sends its visitors
    canonical: str = "base_url"          # base_url, missing, or another address
    page_code: int = 200
    page_extra: str = ""
    logo: str = "png"                    # png, html_404, missing
    unreachable: bool = False            # connections are cut


class Odoo:
    def __init__(self, clock, dokploy):
        self.clock, self.dokploy = clock, dokploy
        self.url = ""
        self.faces = {}
        self.requests = []               # (path, user agent, status)

    def face(self, host):
        return self.faces.setdefault(host.lower(), Face())

    def base_url(self, host):
        return f"{self.url}/{host}"

    def health_url(self, host):
        return f"{self.url}/{host}/launchplane/health"

    def application(self):
        app = web.Application()
        app.router.add_get("/{host}", self._serve)
        app.router.add_get("/{host}/{path:.*}", self._serve)
        return app

    async def _serve(self, http):
        host, path = http.match_info["host"].lower(), http.match_info.get("path", "").strip("/")
        if self._routed(http.url.host or "")[0] is not None:      # a route by the name that was really asked
            host, path = http.url.host, http.path.strip("/")
        face = self.faces.get(host, Face())
        if face.unreachable:
            cut(http)
            return web.Response()
        answer = self._answer(host, path, face)
        self.requests.append((http.path, http.headers.get("User-Agent", ""), answer.status))
        return answer

    def _answer(self, host, path, face):
        snapshot, port = self._routed(host)
        if snapshot is None:
            return web.Response(status=404, text="404 page not found")
        served = snapshot.services["web"].env.get("ODOO_HTTP_PORT") or DEFAULT_PORT
        if not snapshot.web_running or port != served:
            return web.Response(status=502, text="Bad Gateway")
        if self.clock.now() - snapshot.started_at < face.start_seconds:
            return web.Response(status=502, text="Bad Gateway")
        if path in ("launchplane/health", "web/health"):
            return self._health(path, snapshot, face)
        if path == "web/image/website/1/logo":
            return _logo(face)
        if path == "":
            return self._page(host, face)
        return web.Response(status=404, text="<html><h1>404</h1></html>", content_type="text/html")

    def _routed(self, host):
        for snapshot in list(self.dokploy.state.running.values()):
            port = snapshot.routes().get(host)
            if port is not None:
                return snapshot, port
        return None, ""

    def _health(self, path, snapshot, face):
        if face.health_text:
            return web.Response(status=face.health_code, text=face.health_text)
        document = {"status": face.health_status}
        if path == "launchplane/health":
            document.update(_identity(snapshot.services["web"].env, face))
        return web.json_response(document, status=face.health_code)

    def _page(self, host, face):
        if face.redirect:
            return web.Response(status=302, headers={"Location": face.redirect})
        address = {"base_url": self.base_url(host), "missing": ""}.get(face.canonical, face.canonical)
        link = f'<link rel="canonical" href="{address}/"/>' if address else ""
        logo = f'<img src="/{host}/web/image/website/1/logo" alt="Logo"/>'
        page = f"<!DOCTYPE html><html><head>{link}</head><body>{logo}{face.page_extra}</body></html>"
        return web.Response(status=face.page_code, text=page, content_type="text/html")


def _identity(env, face):
    if face.identity == "missing":
        return {}
    if face.identity == "malformed":
        return {face.identity_name: "{not json"}
    text = env.get("LAUNCHPLANE_RUNTIME_IDENTITY_JSON") if face.identity == "deployed" else face.identity
    if not text:
        return {}
    try:
        identity = {**json.loads(text), **face.identity_changes}
    except ValueError:
        return {face.identity_name: text}
    return {face.identity_name: json.dumps(identity) if face.identity_as_text else identity}


def _logo(face):
    if face.logo == "html_404":
        return web.Response(text="<html><title>404: Not Found</title></html>", content_type="text/html")
    if face.logo == "missing":
        return web.Response(status=404, text="not here")
    return web.Response(body=_PNG, content_type="image/png")
