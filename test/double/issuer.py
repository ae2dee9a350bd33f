"""An OIDC issuer like GitHub Actions': discovery, keys, tokens, and every kind of bad token."""
import asyncio
import hashlib
import hmac
import json
import threading
import uuid

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from .faults import cut
from .keys import SigningKey, b64url, first_key

AUDIENCE = "launchplane.test"
LIFETIME = 300


class Issuer:
    def __init__(self, clock, audience=AUDIENCE):
        self.clock, self.audience = clock, audience
        self.url = ""
        self.keys = [first_key()]
        self.discovery_fetches = 0
        self.jwks_fetches = 0
        self.stopping = threading.Event()
        self._trouble = {}           # path -> {"kind": ..., ...}

    # keys and trouble

    @property
    def key(self):
        return self.keys[-1]

    def rotate(self, keep_old=True):
        """A new key signs from now on; the old one stays published or is withdrawn."""
        made = SigningKey()
        self.keys = [*(self.keys if keep_old else []), made]
        return made

    def fail(self, status=500, path="jwks"):
        self._trouble[path] = {"kind": "status", "status": status}

    def garbage(self, path="jwks"):
        self._trouble[path] = {"kind": "garbage"}

    def slow(self, seconds, path="jwks"):
        self._trouble[path] = {"kind": "slow", "seconds": seconds}

    def down(self, path="jwks"):
        """Every connection is cut."""
        self._trouble[path] = {"kind": "down"}

    def heal(self):
        self._trouble.clear()

    # tokens

    def claims(self, **changed):
        """GitHub-like claims; a value of None leaves the claim out."""
        now = int(self.clock.now())
        repository = changed.get("repository") or "example-org/odoo-tenant-shop"
        owner, _, _ = str(repository).partition("/")
        ref = changed.get("ref") or "refs/heads/main"
        workflow = f"{repository}/.github/workflows/odoo-target-replacement-apply.yml@{ref}"
        claims = {
            "iss": self.url, "aud": self.audience,
            "iat": now, "nbf": now, "exp": now + LIFETIME, "jti": str(uuid.uuid4()),
            "repository": repository, "repository_id": "74", "repository_visibility": "private",
            "repository_owner": owner, "repository_owner_id": "65", "ref": ref, "ref_type": "branch",
            "ref_protected": "true", "sha": "a" * 40, "event_name": "workflow_dispatch",
            "workflow": "Odoo Target Replacement Apply", "workflow_ref": workflow, "workflow_sha": "a" * 40,
            "job_workflow_ref": workflow, "job_workflow_sha": "a" * 40, "run_id": "1001",
            "run_number": "7", "run_attempt": "1", "actor": "octocat", "actor_id": "1",
            "base_ref": "", "head_ref": "", "runner_environment": "github-hosted", "environment": "",
        }
        claims.update(changed)
        claims.setdefault("sub", subject({**claims, "repository": repository, "ref": ref}))
        return {name: value for name, value in claims.items() if value is not None}

    def mint(self, **claims):
        return sign(self.claims(**claims), self.key)

    # tokens that must be refused

    def mint_unsigned(self, **claims):
        head = {"alg": "none", "typ": "JWT"}
        return f"{_part(head)}.{_part(self.claims(**claims))}."

    def mint_hs256_with_public_key(self, **claims):
        """The classic confusion: the public key taken for a shared secret."""
        head = {"alg": "HS256", "typ": "JWT", "kid": self.key.kid}
        text = f"{_part(head)}.{_part(self.claims(**claims))}"
        digest = hmac.new(self.key.public_pem(), text.encode(), hashlib.sha256).digest()
        return f"{text}.{b64url(digest)}"

    def mint_unknown_kid(self, **claims):
        return sign(self.claims(**claims), self.key, kid="nobody-knows-this-key")

    def mint_without_kid(self, **claims):
        return sign(self.claims(**claims), self.key, kid=None)

    def mint_with_other_key(self, **claims):
        """A known kid, but another key signed."""
        return sign(self.claims(**claims), SigningKey(), kid=self.key.kid)

    def mint_expired(self, seconds=1, **claims):
        now = int(self.clock.now())
        return self.mint(**{"iat": now - 600, "nbf": now - 600, "exp": now - seconds, **claims})

    def mint_not_yet_valid(self, seconds=120, **claims):
        return self.mint(**{"nbf": int(self.clock.now()) + seconds, **claims})

    def mint_from_the_future(self, seconds=120, **claims):
        return self.mint(**{"iat": int(self.clock.now()) + seconds, **claims})

    def mint_tampered(self, **changed):
        """Claims exchanged after signing."""
        head, _, signature = self.mint().split(".")
        return f"{head}.{_part(self.claims(**changed))}.{signature}"

    # transport

    def application(self):
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/.well-known/jwks", self._jwks)
        return app

    async def _discovery(self, http):
        self.discovery_fetches += 1
        document = {
            "issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"], "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid"],
            "claims_supported": sorted(self.claims()),
        }
        return await self._answer(http, "discovery", document)

    async def _jwks(self, http):
        self.jwks_fetches += 1
        return await self._answer(http, "jwks", {"keys": [key.jwk() for key in self.keys]})

    async def _answer(self, http, path, document):
        trouble = self._trouble.get(path, {})
        kind = trouble.get("kind")
        if kind == "status":
            return web.Response(status=trouble["status"], text="trouble")
        if kind == "garbage":
            return web.Response(text="<html>not keys</html>", content_type="application/json")
        if kind == "slow":
            await asyncio.wait({asyncio.ensure_future(self.clock.sleep(trouble["seconds"]))})
        if kind == "down":
            cut(http)
            return web.Response()
        return web.json_response(document)


def subject(claims, immutable=False):
    """GitHub's default sub: by names, or by names and the numbers that no other owner or repository ever gets."""
    repository = claims["repository"]
    if immutable:
        owner, _, name = repository.partition("/")
        repository = f"{owner}@{claims['repository_owner_id']}/{name}@{claims['repository_id']}"
    if claims.get("environment"):
        what = "environment:" + str(claims["environment"]).replace(":", "%3A")
    else:
        what = "pull_request" if claims.get("event_name") == "pull_request" else f"ref:{claims['ref']}"
    return f"repo:{repository}:{what}"


def sign(claims, key, **head):
    """RS256; head(kid=None) leaves the key id out."""
    header = {"alg": "RS256", "typ": "JWT", "kid": key.kid, **head}
    header = {name: value for name, value in header.items() if value is not None}
    text = f"{_part(header)}.{_part(claims)}"
    signature = key.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{b64url(signature)}"


def _part(document):
    return b64url(json.dumps(document, separators=(",", ":")).encode())
