"""GitHub as an OAuth app sees it: the authorize page, the code's exchange, and who the person is.

    github.app("client-id", "client-secret", "https://launchplane.example/auth/github/callback")
    github.person("octocat", id=583231, teams=[("big-org", "crew")], emails=[("octo@example.com", True, True)])
    github.signed_in = "octocat"      # whoever the browser belongs to; None: gives up at the authorize page

Codes are good once and for ten minutes; tokens carry the scopes that were granted. What the real one refuses is
refused here in its words; what it would tolerate although it is wrong ends up in `defects`.
"""
import asyncio
import base64
import dataclasses
import hashlib
import re
import secrets
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from .faults import Faults, cut

CODE_SECONDS = 600
API_VERSIONS = {"2022-11-28"}
DOCS = "https://docs.github.com"


@dataclasses.dataclass
class App:
    client_id: str
    client_secret: str
    callback: str


@dataclasses.dataclass
class Person:
    login: str
    id: int
    name: str | None = None
    email: str | None = None              # the public one of the profile
    organizations: list = dataclasses.field(default_factory=list)
    teams: list = dataclasses.field(default_factory=list)          # (organization, slug)
    emails: list = dataclasses.field(default_factory=list)         # (address, primary, verified)


@dataclasses.dataclass
class Code:
    app: App
    login: str
    scopes: list
    challenge: str
    redirect_uri: str
    made_at: float
    used: bool = False


class Github:
    def __init__(self, clock):
        self.clock = clock
        self.url = ""
        self.apps, self.people, self.codes, self.tokens = {}, {}, {}, {}
        self.signed_in = None
        self.scopes_granted = None       # a list: what the person allows, instead of what was asked
        self.requests = []               # (method, path)
        self.defects = []
        self.secrets = []                # codes, verifiers and tokens: nobody else may keep them
        self.faults = Faults()

    # what exists

    def app(self, client_id, client_secret, callback):
        self.apps[client_id] = App(client_id, client_secret, callback)

    def person(self, login, id, **more):
        made = Person(login, id, **more)
        made.organizations = sorted({*made.organizations, *(organization for organization, _ in made.teams)})
        self.people[login] = made
        return made

    def revoke_tokens(self):
        self.tokens.clear()

    def on(self, method, path):
        """The rules of faults.py; path as in the real API: "/user", "/login/oauth/access_token"."""
        return self.faults.on(method, path)

    # transport

    def application(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, http):
        handlers = {
            ("GET", "/login/oauth/authorize"): self._authorize,
            ("POST", "/login/oauth/access_token"): self._access_token,
            ("GET", "/user"): self._user, ("GET", "/user/orgs"): self._orgs,
            ("GET", "/user/teams"): self._teams, ("GET", "/user/emails"): self._emails,
        }
        self.requests.append((http.method, http.path))
        handler = handlers.get((http.method, http.path))
        if handler is None:
            self.defects.append(f"{http.method} {http.path} is not GitHub's")
            return _message(404, "Not Found")
        rule = self.faults.pick(http.method, http.path, {})
        if rule is None:
            return await handler(http)
        return await self._strike(rule, http, handler)

    async def _strike(self, rule, http, handler):
        if rule.delay_seconds:
            await self.clock.sleep(rule.delay_seconds)
        if rule.hold == "before":
            rule.reached.set()
            while not rule.released.is_set():
                await asyncio.sleep(0.01)
        if rule.transport == "drop_before":
            cut(http)
            return web.Response()
        if rule.status is not None:
            body = rule.body if rule.body is not None else {"message": "trouble"}
            if isinstance(body, str):
                return web.Response(status=rule.status, text=body, content_type="application/json")
            return web.json_response(body, status=rule.status)
        answer = await handler(http)
        if rule.transport in ("drop_after", "truncate", "hang"):
            cut(http)
        return answer

    # the web side

    async def _authorize(self, http):
        asked = http.query
        app = self.apps.get(asked.get("client_id", ""))
        if app is None:
            return web.Response(status=404, text="Not Found")
        redirect_uri = asked.get("redirect_uri", app.callback)
        if redirect_uri != app.callback:
            return _back(app.callback, asked, error="redirect_uri_mismatch",
                         error_description="The redirect_uri MUST match the registered callback URL for this application.",
                         error_uri=f"{DOCS}/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/")
        challenge = asked.get("code_challenge", "")
        if challenge and asked.get("code_challenge_method") != "S256":
            self.defects.append("GitHub takes only the challenge method S256")
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", challenge):
            self.defects.append("the code challenge is no SHA-256")
        if len(asked.get("state", "")) < 43:
            self.defects.append("the state is missing or can be guessed")
        if self.signed_in is None:
            return _back(redirect_uri, asked, error="access_denied",
                         error_description="The user has denied your application access.",
                         error_uri=f"{DOCS}/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/")
        code = secrets.token_hex(10)
        scopes = self.scopes_granted if self.scopes_granted is not None else asked.get("scope", "").split()
        self.codes[code] = Code(app, self.signed_in, scopes, challenge, redirect_uri, self.clock.now())
        self.secrets.append(code)
        return _back(redirect_uri, asked, code=code)

    async def _access_token(self, http):
        """Refusals have status 200, and the form's coding unless JSON is asked for."""
        if http.content_type != "application/x-www-form-urlencoded":
            self.defects.append(f"the exchange was sent as {http.content_type}")
        if http.query:
            self.defects.append("a secret stands in a query")
        sent = dict(parse_qsl(await http.text()))
        self.secrets += [sent[name] for name in ("code_verifier",) if name in sent]
        answer = self._exchange(sent)
        if http.headers.get("Accept") == "application/json":
            return web.json_response(answer)
        return web.Response(text=urlencode(answer), content_type="application/x-www-form-urlencoded")

    def _exchange(self, sent):
        app = self.apps.get(sent.get("client_id", ""))
        if app is None or sent.get("client_secret") != app.client_secret:
            return _refusal("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
        code = self.codes.get(sent.get("code", ""))
        if code is None or code.used or code.app is not app or self.clock.now() > code.made_at + CODE_SECONDS:
            return _refusal("bad_verification_code", "The code passed is incorrect or expired.")
        if sent.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            return _refusal("redirect_uri_mismatch",
                            "The redirect_uri MUST match the registered callback URL for this application.")
        if code.challenge and _challenge(sent.get("code_verifier", "")) != code.challenge:
            return _refusal("bad_verification_code", "The code passed is incorrect or expired.")
        if not 43 <= len(sent.get("code_verifier", "")) <= 128:
            self.defects.append("the code verifier has a wrong length")
        code.used = True
        token = "gho_" + secrets.token_hex(18)
        self.tokens[token] = (code.login, code.scopes)
        self.secrets.append(token)
        return {"access_token": token, "scope": ",".join(sorted(code.scopes)), "token_type": "bearer"}

    # the API

    def _who(self, http, *any_of):
        """(person, None), or (None, the refusal)."""
        if not http.headers.get("User-Agent"):
            return None, _message(403, "Request forbidden by administrative rules. Please make sure your request has a"
                                       " User-Agent header")
        version = http.headers.get("X-GitHub-Api-Version")
        if version is None:
            self.defects.append(f"{http.path} without an API version")
        elif version not in API_VERSIONS:
            return None, _message(400, "Bad Request")
        if http.headers.get("Accept") not in ("application/vnd.github+json", "application/json"):
            self.defects.append(f"{http.path} accepts {http.headers.get('Accept')}")
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token") or token not in self.tokens:
            return None, _message(401, "Bad credentials")
        login, scopes = self.tokens[token]
        if any_of and not set(any_of) & set(scopes):
            return None, _message(404 if http.path == "/user/emails" else 403, "Not Found")
        return self.people[login], None

    async def _user(self, http):
        person, refusal = self._who(http)
        return refusal if person is None else web.json_response({
            "login": person.login, "id": person.id, "node_id": "MDQ6VXNlcjE=", "type": "User", "site_admin": False,
            "name": person.name, "email": person.email, "company": None, "created_at": "2011-01-25T18:44:36Z"})

    async def _orgs(self, http):
        person, refusal = self._who(http, "user", "read:org", "write:org", "admin:org")
        return refusal if person is None else self._page(http, [
            {"login": name, "id": 1000 + i, "node_id": "x", "description": None}
            for i, name in enumerate(person.organizations)])

    async def _teams(self, http):
        person, refusal = self._who(http, "read:org", "write:org", "admin:org", "user", "repo")
        return refusal if person is None else self._page(http, [
            {"id": 2000 + i, "name": slug.title(), "slug": slug, "privacy": "closed", "parent": None,
             "organization": {"login": organization, "id": 1}}
            for i, (organization, slug) in enumerate(person.teams)])

    async def _emails(self, http):
        person, refusal = self._who(http, "user", "user:email")
        return refusal if person is None else self._page(http, [
            {"email": address, "primary": primary, "verified": verified, "visibility": "private" if primary else None}
            for address, primary, verified in person.emails])

    def _page(self, http, items):
        size, page = min(int(http.query.get("per_page", "30")), 100), int(http.query.get("page", "1"))
        shown = items[(page - 1) * size:page * size]
        headers = {}
        if page * size < len(items):
            headers["Link"] = f'<{self.url}{http.path}?per_page={size}&page={page + 1}>; rel="next"'
        return web.json_response(shown, headers=headers)


def _challenge(verifier):
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refusal(error, description):
    return {"error": error, "error_description": description,
            "error_uri": f"{DOCS}/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/"}


def _message(status, text):
    return web.json_response({"message": text, "documentation_url": f"{DOCS}/rest", "status": str(status)}, status=status)


def _back(redirect_uri, asked, **members):
    if "state" in asked:
        members["state"] = asked["state"]
    return web.Response(status=302, headers={"Location": f"{redirect_uri}?{urlencode(members)}"})
