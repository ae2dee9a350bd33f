"""Tokens and requests that nobody may accept: one row each, with the reason the log must give.

A row is (name, status, reason, make); make(forge) answers the request as a dict: token, or lines (raw headers).
"""
import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

from double.issuer import subject
from double.keys import SigningKey, b64url
from rehearsal.policy import render, workflow_rule

OWNER, NAME = "example-org", "pinned"
PINNED = f"{OWNER}/{NAME}"
WORKFLOW = f"{PINNED}/.github/workflows/deploy.yml"
REUSED = "example-org/ci/.github/workflows/deploy.yml"
PIN = workflow_rule(
    ["launchplane_service.read"], ["launchplane"], ["launchplane"], PINNED, repository_id="74", repository_owner_id="65",
    workflow_refs=[f"{WORKFLOW}@refs/heads/*"], job_workflow_refs=[f"{REUSED}@refs/tags/v1"],
    event_names=["push", "workflow_dispatch"], refs=["refs/heads/main"], environments=["pr\u00e9prod"],
    runner_environments=["github-hosted"])
SCOPED = workflow_rule(["launchplane_service.read"], ["launchplane"], ["launchplane"], "example-org/scoped")
STATIC = {
    "TERMINAL_AGENT": "agent-token-0001-of-the-refused", "LOCAL_OPERATOR": "operator-token-0002-of-the-refused",
    "LOCAL_ADMIN": "admin-token-0003-of-the-refused",
}
EVERYTHING = {"subjects": ["owner"], "token_labels": ["laptop"], "products": [], "contexts": [], "actions": []}
POLICY = render(github_actions=[PIN, SCOPED], terminal_agents=[EVERYTHING], local_operators=[EVERYTHING])


def settings():
    made = {}
    for name, token in STATIC.items():
        made[f"LAUNCHPLANE_{name}_READ_TOKEN" if name == "TERMINAL_AGENT" else f"LAUNCHPLANE_{name}_TOKEN"] = token
        made |= {f"LAUNCHPLANE_{name}_SUBJECT": "owner", f"LAUNCHPLANE_{name}_TOKEN_LABEL": "laptop"}
    return made


def encoded(document):
    text = document if isinstance(document, (str, bytes)) else json.dumps(document, separators=(",", ":"))
    return b64url(text if isinstance(text, bytes) else text.encode())


class Forge:
    """Makes tokens of the pinned workflow, and every way to spoil one."""
    other = SigningKey("other-key")
    small = SigningKey("small-key", bits=1024)

    def __init__(self, issuer):
        self.issuer, self.key = issuer, issuer.key

    def now(self):
        return int(self.issuer.clock.now())

    def claims(self, immutable=False, **changed):
        """A claim of None is left out; a sub that is not given fits the rest."""
        claims = self.issuer.claims(**{
            "repository": PINNED, "workflow_ref": f"{WORKFLOW}@refs/heads/main", "event_name": "push",
            "job_workflow_ref": f"{REUSED}@refs/tags/v1", "environment": "pr\u00e9prod", **changed})
        if immutable and "sub" not in changed:
            claims["sub"] = subject(claims, immutable=True)
        return claims

    def header(self, **changed):
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key.kid, **changed}
        return {name: value for name, value in header.items() if value is not None}

    def sign(self, header, claims, key=None, scheme=None, digest=None):
        text = f"{encoded(header)}.{encoded(claims)}"
        signature = (key or self.key).private.sign(text.encode(), scheme or padding.PKCS1v15(), digest or hashes.SHA256())
        return f"{text}.{b64url(signature)}"

    def token(self, **claims):
        return self.sign(self.header(), self.claims(**claims))

    def parts(self, **claims):
        return self.token(**claims).split(".")

    def signature_changed(self, change):
        head, body, signature = self.parts()
        raw = base64.urlsafe_b64decode(signature + "==")
        return f"{head}.{body}.{b64url(change(raw))}"

    def hmac(self, alg, secret, digest=hashlib.sha256):
        text = f"{encoded(self.header(alg=alg))}.{encoded(self.claims())}"
        return f"{text}.{b64url(hmac.new(secret, text.encode(), digest).digest())}"

    def public_der(self):
        return self.key.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def raw_signature(self, block):
        """The private key's bare operation on a block of our choice."""
        numbers = self.key.private.private_numbers()
        value = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
        return value.to_bytes(256, "big")

    def without_digest_info(self):
        head, body, _ = self.parts()
        digest = hashlib.sha256(f"{head}.{body}".encode()).digest()
        block = b"\x00\x01" + b"\xff" * 221 + b"\x00" + digest
        return f"{head}.{body}.{b64url(self.raw_signature(block))}"

    def with_short_padding(self):
        """PKCS #1 with eight bytes of padding and rubbish behind the digest: Bleichenbacher's forgery."""
        head, body, _ = self.parts()
        info = bytes.fromhex("3031300d060960864801650304020105000420")
        block = b"\x00\x01" + b"\xff" * 8 + b"\x00" + info + hashlib.sha256(f"{head}.{body}".encode()).digest()
        return f"{head}.{body}.{b64url(self.raw_signature(block.ljust(256, b'x')))}"


ROWS = []


def row(name, reason, make, status=401):
    ROWS.append((name, status, reason, make))


def token_row(name, reason, make, status=401):
    row(name, reason, lambda forge: {"token": make(forge)}, status)


def claims_row(name, reason, status=401, **claims):
    """Claims that are functions get the forge."""
    token_row(name, reason, lambda forge: forge.token(**{
        key: value(forge) if callable(value) else value for key, value in claims.items()}), status)


def header_row(name, reason, **header):
    token_row(name, reason, lambda forge: forge.sign(forge.header(**header), forge.claims()))


# ---- algorithms ----

for alg in ("none", "None", "NONE", "nOnE"):
    token_row(f"alg {alg} without signature", "alg_none",
              lambda forge, alg=alg: f"{encoded(forge.header(alg=alg))}.{encoded(forge.claims())}.")
    token_row(f"alg {alg} with the signature of RS256", "alg_none",
              lambda forge, alg=alg: forge.sign(forge.header(alg=alg), forge.claims()))
for alg in ("HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES256K", "ES384", "ES512", "EdDSA",
            "RSA1_5", "RSA-OAEP", "dir", "A128KW", "rs256", "Rs256", "RS256 ", " RS256", "RS256\t", "RS256\n", "RS-256", "RS25",
            "RS2566", "SHA256withRSA", "R\u0405256", "\uff32\uff33256", "", "null", "true"):
    header_row(f"alg {alg!r}", "alg_not_allowed", alg=alg)
for alg in (256, 1.5, True, False, [], ["RS256"], {}, {"RS256": 1}):
    header_row(f"alg as {json.dumps(alg)}", "alg_not_allowed", alg=alg)
token_row("alg null", "alg_not_allowed", lambda forge: forge.sign({**forge.header(), "alg": None}, forge.claims()))
header_row("no alg", "alg_missing", alg=None)
token_row("Alg instead of alg", "alg_missing",
          lambda forge: forge.sign({**forge.header(alg=None), "Alg": "RS256"}, forge.claims()))
for kind, secret in (("PEM", lambda forge: forge.key.public_pem()), ("DER", lambda forge: forge.public_der()),
                     ("PEM without its last line end", lambda forge: forge.key.public_pem().rstrip()),
                     ("modulus", lambda forge: forge.key.jwk()["n"].encode()), ("nothing", lambda forge: b"")):
    token_row(f"HS256 with the public key as {kind}", "alg_not_allowed",
              lambda forge, secret=secret: forge.hmac("HS256", secret(forge)))
    token_row(f"HMAC with the public key as {kind}, called RS256", "signature_invalid",
              lambda forge, secret=secret: forge.hmac("RS256", secret(forge)))
token_row("HS512 with the public key", "alg_not_allowed",
          lambda forge: forge.hmac("HS512", forge.key.public_pem(), hashlib.sha512))
token_row("RS384, truly signed", "alg_not_allowed",
          lambda forge: forge.sign(forge.header(alg="RS384"), forge.claims(), digest=hashes.SHA384()))
token_row("RS384 called RS256", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), digest=hashes.SHA384()))
token_row("RS512 called RS256", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), digest=hashes.SHA512()))
token_row("SHA-1 called RS256", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), digest=hashes.SHA1()))
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
token_row("PS256, truly signed", "alg_not_allowed",
          lambda forge: forge.sign(forge.header(alg="PS256"), forge.claims(), scheme=PSS))
token_row("PS256 called RS256", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), scheme=PSS))


def signed_by(sign):
    def make(forge):
        text = f"{encoded(forge.header())}.{encoded(forge.claims())}"
        return f"{text}.{b64url(sign(text.encode()))}"
    return make


EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
token_row("ES256 called RS256", "signature_invalid", signed_by(lambda text: EC_KEY.sign(text, ec.ECDSA(hashes.SHA256()))))
token_row("EdDSA called RS256", "signature_invalid", signed_by(ED_KEY.sign))
token_row("an ECDSA signature of zeros", "signature_invalid", signed_by(lambda text: utils.encode_dss_signature(0, 0)))

# ---- key ids ----

header_row("no kid", "key_id_missing", kid=None)
token_row("kid in another case", "key_id_missing",
          lambda forge: forge.sign({**forge.header(kid=None), "KID": forge.key.kid}, forge.claims()))
for kid in (7, 1.5, True, [], ["rehearsal-key"], {}, {"kid": "rehearsal-key"}, ""):
    header_row(f"kid as {json.dumps(kid)}", "key_id_invalid", kid=kid)
token_row("kid null", "key_id_invalid", lambda forge: forge.sign({**forge.header(), "kid": None}, forge.claims()))
header_row("kid of 257 bytes", "key_id_invalid", kid="k" * 257)
header_row("kid of 5000 bytes", "key_id_invalid", kid="k" * 5000)
for kid in ("nobody", "../../../../dev/null", "/dev/null", "file:///etc/passwd", "https://evil.example/key", "rehearsal-key/../other",
            "rehearsal-key'--", "' OR '1'='1", "rehearsal-key%00", "REHEARSAL-KEY", "Rehearsal-key", "rehearsal-key ", " rehearsal-key",
            "rehearsal-ke", "rehearsal-key2", "rehearsal\u2010key", "rehearsal-k\u0435y", "*", "0", "k" * 256, "\u0131", "\n"):
    header_row(f"kid {kid[:30]!r}", "unknown_key", kid=kid)
token_row("kid with a NUL", "header_not_json",
          lambda forge: forge.sign('{"alg":"RS256","kid":"rehearsal-key\\u0000x"}', forge.claims()))
token_row("kid twice", "header_not_json",
          lambda forge: forge.sign('{"alg":"RS256","kid":"x","kid":"rehearsal-key"}', forge.claims()))
token_row("alg twice", "header_not_json",
          lambda forge: forge.sign('{"alg":"none","alg":"RS256","kid":"rehearsal-key"}', forge.claims()))
token_row("alg twice, once escaped", "header_not_json",
          lambda forge: forge.sign('{"alg":"RS256","\\u0061lg":"none","kid":"rehearsal-key"}', forge.claims()))

# ---- headers that bring or demand something ----

for name in ("jku", "x5u"):
    for value in ("https://evil.example/keys.json", "", None, 7, [], "file:///etc/passwd"):
        token_row(f"{name} {json.dumps(value)}", "embedded_key",
                  lambda forge, name=name, value=value: forge.sign({**forge.header(), name: value}, forge.claims(), key=forge.other))
token_row("jku of the issuer itself", "embedded_key",
          lambda forge: forge.sign(forge.header(jku=forge.issuer.url + "/.well-known/jwks"), forge.claims()))
token_row("jwk of the signer", "embedded_key",
          lambda forge: forge.sign(forge.header(jwk=forge.other.jwk()), forge.claims(), key=forge.other))
token_row("jwk of the issuer", "embedded_key", lambda forge: forge.sign(forge.header(jwk=forge.key.jwk()), forge.claims()))
header_row("an empty jwk", "embedded_key", jwk={})
header_row("x5c", "embedded_key", x5c=["MIIB"])
header_row("an empty x5c", "embedded_key", x5c=[])
for crit in ([], ["exp"], ["b64"], "exp", {}, 7, True):
    header_row(f"crit {json.dumps(crit)}", "critical_header", crit=crit)
header_row("b64 false", "critical_header", b64=False)
header_row("b64 true", "critical_header", b64=True)
for typ in ("JWE", "at+jwt", "application/jwt", "", "JWT ", 7, [], True, {"JWT": 1}):
    header_row(f"typ {json.dumps(typ)}", "token_type_invalid", typ=typ)

# ---- claims: types ----

STRINGS = ("repository", "repository_owner", "repository_id", "repository_owner_id", "workflow_ref", "job_workflow_ref", "ref",
           "ref_type", "event_name", "environment", "runner_environment", "sub", "sha")
for name in STRINGS:
    for value in (74, 1.5, True, [], [PINNED], {"a": "b"}):
        if name == "environment" and not value:
            continue
        claims_row(f"{name} as {json.dumps(value)}", "claim_type", **{"sub": "" if name != "sub" else value, name: value})
for name in ("repository_id", "repository_owner_id"):
    for value in ("x", "-1", "7 4", "7.4", "0x4a", "\u0667\u0664", "+74", "74,65", "1e3"):
        claims_row(f"{name} {value!r}", "claim_type", sub="", **{name: value})
for name in ("exp", "nbf", "iat"):
    for value in ("1", "tomorrow", "", True, [], {}, -1, 1.5, 1e300, 2**62, 2**40 + 1):
        claims_row(f"{name} as {json.dumps(value)}", "claim_type", **{name: value})
    token_row(f"{name} null", "claim_type", lambda forge, name=name: forge.sign(forge.header(), {**forge.claims(), name: None}))
    token_row(f"{name} as a real of the right size", "claim_type",
              lambda forge, name=name: forge.sign(forge.header(), {**forge.claims(), name: float(forge.now())}))
    token_row(f"{name} beyond 64 bits", "claims_not_json",
              lambda forge, name=name: forge.sign(forge.header(), {**forge.claims(), name: 2**70}))
for value in (7, True, ["x"], {}):
    claims_row(f"iss as {json.dumps(value)}", "claim_type", iss=value)
for value in (7, True, {}, [7], [None], [["launchplane.test"]], ["launchplane.test", 7], [{"launchplane.test": 1}]):
    claims_row(f"aud as {json.dumps(value)}", "claim_type", aud=value)

# ---- claims: values ----

claims_row("no iss", "wrong_issuer", iss=None)
for change in (lambda url: url + "/", lambda url: url + ".evil.example", lambda url: url.upper(), lambda url: url + " ",
               lambda url: " " + url, lambda url: url[:-1], lambda url: url + "\n", lambda url: url.replace("http:", "https:"),
               lambda url: url.replace("127.0.0.1", "localhost"), lambda url: url + "?", lambda url: "",
               lambda url: "https://token.actions.githubusercontent.com", lambda url: url.replace("h", "\u04bb", 1)):
    shown = change("http://127.0.0.1:1")
    claims_row(f"iss {shown!r}", "wrong_issuer", iss=lambda forge, change=change: change(forge.issuer.url))
claims_row("no aud", "wrong_audience", aud=None)
for value in ("", "other", "LAUNCHPLANE.TEST", "launchplane.test ", " launchplane.test", "launchplane.test.", "launchplane.tes",
              "launchplane.test,other", "*", "launchplane.t\u0435st", "launch\u200bplane.test", "launchplane\u3002test",
              "https://launchplane.test", [], [""], ["other"], ["other", "LAUNCHPLANE.TEST"], ["launchplane.test "]):
    claims_row(f"aud {json.dumps(value)}", "wrong_audience", aud=value)
claims_row("no exp", "expiry_missing", exp=None)
claims_row("no iat", "issued_at_missing", iat=None)
for seconds in (0, 1, 30, 60, 300, 86400):
    claims_row(f"expired {seconds} s ago", "token_expired", exp=lambda forge, seconds=seconds: forge.now() - seconds)
claims_row("expired in 1970", "token_expired", exp=0)
for seconds in (60, 300, 86400, 10**9):
    claims_row(f"valid in {seconds} s", "token_not_yet_valid", nbf=lambda forge, seconds=seconds: forge.now() + seconds,
               exp=lambda forge, seconds=seconds: forge.now() + seconds + 300)
    claims_row(f"issued in {seconds} s", "token_from_the_future", iat=lambda forge, seconds=seconds: forge.now() + seconds, nbf=None,
               exp=lambda forge, seconds=seconds: forge.now() + seconds + 300)
claims_row("expired before it was issued", "token_expired", exp=lambda forge: forge.now() - 1, iat=lambda forge: forge.now() + 60)
for name, reason in (("repository", "repository_missing"), ("workflow_ref", "workflow_ref_missing")):
    for value in (None, "", " ", "\t\r\n"):
        claims_row(f"{name} {value!r}", reason, sub="", repository_owner="" if name == "repository" else OWNER, **{name: value})

# ---- sub against the other claims, in both forms ----

for other in ("other-org", "Example-Org", "example-or", "example-org2", "example\u2010org"):
    claims_row(f"repository_owner {other!r}", "owner_contradicts_repository", repository_owner=other)
TAIL = "environment:pr\u00e9prod"
for sub, reason in (
        (f"repo:evil/pinned:{TAIL}", "subject_contradicts_repository"), (f"repo:{OWNER}/other:{TAIL}", "subject_contradicts_repository"),
        (f"repo:{PINNED}2:{TAIL}", "subject_contradicts_repository"), (f"repo:{PINNED.upper()}:{TAIL}", "subject_contradicts_repository"),
        (f"repo:evil@65/{NAME}@74:{TAIL}", "subject_contradicts_repository"),
        (f"repo:{OWNER}@65/other@74:{TAIL}", "subject_contradicts_repository"),
        (f"repo:{OWNER}@65/{NAME}@75:{TAIL}", "subject_contradicts_id"), (f"repo:{OWNER}@66/{NAME}@74:{TAIL}", "subject_contradicts_id"),
        (f"repo:{OWNER}@74/{NAME}@65:{TAIL}", "subject_contradicts_id"), (f"repo:{OWNER}@065/{NAME}@74:{TAIL}", "subject_contradicts_id"),
        (f"repository_owner_id:65:repository_id:75:{TAIL}", "subject_contradicts_id"),
        (f"repo:{OWNER}@65/{NAME}:{TAIL}", "subject_malformed"), (f"repo:{OWNER}/{NAME}@74:{TAIL}", "subject_malformed"),
        (f"repo:{OWNER}@x/{NAME}@74:{TAIL}", "subject_malformed"), (f"repo:{OWNER}@/{NAME}@:{TAIL}", "subject_malformed"),
        (f"repo:{OWNER}@65/{NAME}@{'7' * 21}:{TAIL}", "subject_malformed"), (f"repo:{PINNED}/x:{TAIL}", "subject_malformed"),
        (f"repo:{OWNER}:{TAIL}", "subject_malformed"), ("repo:", "subject_malformed"), (f"repo:{PINNED}:ref", "subject_malformed"),
        (f"repo:{PINNED}:environment:production", "subject_contradicts_environment"),
        (f"repo:{OWNER}@65/{NAME}@74:environment:production", "subject_contradicts_environment"),
        (f"repo:{PINNED}:environment:pre\u0301prod", "subject_contradicts_environment"),
        (f"repo:{PINNED}:environment:Pr\u00e9prod", "subject_contradicts_environment"),
        (f"repo:{PINNED}:ref:refs/heads/other", "subject_contradicts_ref"),
        (f"repo:{OWNER}@65/{NAME}@74:ref:refs/heads/other", "subject_contradicts_ref"),
        (f"repo:{PINNED}:ref:refs/heads/Main", "subject_contradicts_ref"), (f"repo:{PINNED}:ref:main", "subject_contradicts_ref"),
        (f"repo:{PINNED}:pull_request", "subject_contradicts_event"),
        (f"repo:{OWNER}@65/{NAME}@74:pull_request", "subject_contradicts_event"),
        (f"repo:{PINNED}:event_name:schedule", "subject_contradicts_event"),
        (f"repo:{PINNED}:job_workflow_ref:{REUSED}@refs/tags/v2", "subject_contradicts_workflow"),
        (f"workflow_ref:{WORKFLOW}@refs/heads/evil", "subject_contradicts_workflow")):
    claims_row(f"sub {sub!r}", reason, sub=sub)
claims_row("sub of an environment, the job without one", "subject_contradicts_environment", sub=f"repo:{PINNED}:{TAIL}", environment="")
claims_row("sub of a pull request, the job with an environment", "subject_contradicts_environment", sub=f"repo:{PINNED}:pull_request",
           event_name="pull_request")

# ---- valid tokens of somebody else: each pin of the rule refuses alone ----

def pin_row(name, reason, immutable=False, **claims):
    token_row(name, reason, lambda forge: forge.token(immutable=immutable, **claims), 403)


for immutable in (False, True):
    form = "immutable" if immutable else "named"
    pin_row(f"a repository of the same name made anew ({form} sub)", "repository_id", immutable, repository_id="75")
    pin_row(f"a recycled owner ({form} sub)", "repository_owner_id", immutable, repository_owner_id="66")
    pin_row(f"another environment ({form} sub)", "environments", immutable, environment="production")
    pin_row(f"no environment ({form} sub)", "environments", immutable, environment="")
    pin_row(f"another ref ({form} sub)", "refs", immutable, ref="refs/heads/other")
    pin_row(f"a tag of the branch's name ({form} sub)", "refs", immutable, ref="refs/tags/main", ref_type="tag")
    pin_row(f"another repository ({form} sub)", "no_rule", immutable, repository="example-org/other")
    pin_row(f"a renamed repository ({form} sub)", "no_rule", immutable, repository="example-org/pinned-renamed")
    pin_row(f"a transferred repository ({form} sub)", "no_rule", immutable, repository="evil/pinned")
pin_row("a repository's number that starts like it", "repository_id", repository_id="740")
pin_row("a repository's number with a zero before", "repository_id", repository_id="074")
pin_row("no repository_id", "repository_id", repository_id=None)
pin_row("no repository_owner_id", "repository_owner_id", repository_owner_id=None)
for value in (f"{REUSED}@refs/tags/v2", f"{REUSED}@refs/heads/v1", f"{REUSED}@refs/tags/v11", f"{WORKFLOW}@refs/tags/v1", None, "",
              f"evil/ci/.github/workflows/deploy.yml@refs/tags/v1", f"{REUSED.upper()}@refs/tags/v1", f"{REUSED}@refs/tags/v1/x"):
    pin_row(f"reusable workflow {value!r}", "job_workflow_refs", job_workflow_ref=value)
for value in (f"{PINNED}/.github/workflows/other.yml@refs/heads/main", f"{WORKFLOW}@refs/pull/1/merge", f"{WORKFLOW}@refs/tags/v1",
              f"evil/pinned/.github/workflows/deploy.yml@refs/heads/main", f"x{WORKFLOW}@refs/heads/main", f"{WORKFLOW}",
              f"{WORKFLOW.upper()}@refs/heads/main"):
    pin_row(f"workflow {value!r}", "workflow_refs", workflow_ref=value)
for value in ("pull_request", "pull_request_target", "schedule", "workflow_run", "repository_dispatch", "Push", "push ish", "", None):
    pin_row(f"event {value!r}", "event_names", event_name=value)
pin_row("a pull request of a fork", "workflow_refs", event_name="pull_request", environment="", ref="refs/pull/7/merge",
        workflow_ref=f"{WORKFLOW}@refs/pull/7/merge", head_ref="evil:main", base_ref="main")
for value in ("refs/heads/Main", "refs/heads/main2", "refs/heads/mai", "refs/heads/m\u0430in", "main", "refs/heads/*", None):
    pin_row(f"ref {value!r}", "refs", ref=value, workflow_ref=f"{WORKFLOW}@refs/heads/main", sub="")
for value in ("pre\u0301prod", "preprod", "Pr\u00e9prod", "pr\u00c9prod", "pr\u00e9prod\u200b", "pr\u00e9prod/x", "*"):
    pin_row(f"environment {value!r}", "environments", environment=value)
for value in ("self-hosted", "Github-hosted", "github\u2010hosted", "", None):
    pin_row(f"runner {value!r}", "runner_environments", runner_environment=value)
for value in ("Example-org/pinned", "example-org/Pinned", "EXAMPLE-ORG/PINNED", "example-org/p\u0456nned", "\u0435xample-org/pinned",
              "example-org/pinned\u200b", "example-org/pinned\u00a0", "example-org/\uff50inned", "example-org/pi\u00f1ned", "example-org/pinne",
              "example-org/pinned.git", "example-org/pinned/", "example-org//pinned", "/pinned", "example-org/*", "*", "pinned"):
    pin_row(f"repository {value!r}", "no_rule", repository=value, repository_owner="", sub="")


def asked(method, path, reason, name, token):
    row(name, reason, lambda forge: {"method": method, "path": path, "token": token(forge)}, 403)


asked("GET", "/v1/inventory/other/testing", "actions", "a read that is not granted",
      lambda forge: forge.token(repository="example-org/scoped"))
asked("GET", "/v1/inventory/launchplane/testing", "actions", "a read of the service's own context",
      lambda forge: forge.token(repository="example-org/scoped"))
asked("POST", "/v1/evidence/deployments", "reads_only", "a terminal agent writes", lambda forge: STATIC["TERMINAL_AGENT"])
asked("POST", "/v1/authz/explain", "reads_only", "a terminal agent asks why", lambda forge: STATIC["TERMINAL_AGENT"])
asked("POST", "/v1/authz-policies/local-admins/grants", "reads_only", "a terminal agent grants", lambda forge: STATIC["TERMINAL_AGENT"])
asked("GET", "/v1/product-profiles/pinned", "caller", "a local operator reads a profile", lambda forge: STATIC["LOCAL_OPERATOR"])
asked("GET", "/v1/service/runtime", "no_rule", "a local admin without any rule", lambda forge: STATIC["LOCAL_ADMIN"])

# ---- the token's form ----

for name, spoil in (("two parts", lambda parts: parts[:2]), ("one part", lambda parts: parts[:1]), ("four parts", lambda parts: parts + ["e30"]),
                    ("five parts, as an encrypted token has", lambda parts: parts + ["e30", "e30"]),
                    ("a dot at the end", lambda parts: parts + [""]), ("a dot at the beginning", lambda parts: [""] + parts)):
    token_row(name, "token_malformed", lambda forge, spoil=spoil: ".".join(spoil(forge.parts())))
for token in ("x", "nonsense", "null", "undefined", ".", "...", "bearer", "Bearer", "0"):
    token_row(f"the token {token!r}", "token_malformed", lambda forge, token=token: token)
for place, part in enumerate(("header", "claims", "signature")):
    for name, spoil in (("padded", lambda text: text + "="), ("padded twice", lambda text: text + "=="), ("with a plus", lambda text: text + "+++A"),
                        ("with a slash", lambda text: text + "///A"), ("with a blank inside", lambda text: text[:8] + " " + text[8:]),
                        ("with a tab inside", lambda text: text[:8] + "\t" + text[8:]), ("with a percent sign", lambda text: text + "%3D"),
                        ("with a star", lambda text: "*" + text[1:]), ("with a letter beyond ASCII", lambda text: text[:-1] + "\u00e9")):
        def make(forge, place=place, spoil=spoil):
            parts = forge.parts()
            parts[place] = spoil(parts[place])
            return ".".join(parts)
        token_row(f"{part} {name}", "token_not_base64url", make)
token_row("signature with trailing bits", "token_not_base64url", lambda forge: forge.token()[:-1] + "B")   # 256 bytes end in 4 bits of 6
token_row("a signature that is no whole byte", "token_not_base64url", lambda forge: forge.token()[:-1] + "wA" + "AA")
token_row("an empty header", "header_not_json", lambda forge: "." + ".".join(forge.parts()[1:]))
token_row("empty claims", "claims_not_json", lambda forge: forge.sign(forge.header(), ""))
for part, reason in (("header", "header_not_json"), ("claims", "claims_not_json")):
    def spoiled(spoil, part=part):
        def make(forge):
            header, claims = json.dumps(forge.header()).encode(), json.dumps(forge.claims()).encode()
            return forge.sign(spoil(header), claims) if part == "header" else forge.sign(header, spoil(claims))
        return make
    for name, spoil in (
            ("a byte order mark", lambda text: b"\xef\xbb\xbf" + text), ("data behind it", lambda text: text + b"{}"),
            ("a NUL behind it", lambda text: text + b"\0"), ("a NUL before it", lambda text: b"\0" + text),
            ("a NUL in a string", lambda text: text[:-1] + b',"x":"a\\u0000b"}'), ("a raw NUL", lambda text: text[:-1] + b',"x":"a\0b"}'),
            ("bad UTF-8", lambda text: text[:-1] + b',"x":"\xff"}'), ("overlong UTF-8", lambda text: text[:-1] + b',"x":"\xc0\xae"}'),
            ("half a surrogate", lambda text: text[:-1] + b',"x":"\\ud800"}'), ("UTF-16", lambda text: text.decode().encode("utf-16")),
            ("a comma too many", lambda text: text[:-1] + b",}"), ("single quotes", lambda text: text.replace(b'"', b"'")),
            ("a comment", lambda text: b"/**/" + text), ("no end", lambda text: text[:-1]), ("an array", lambda text: b"[" + text + b"]"),
            ("a string", lambda text: json.dumps(text.decode()).encode()), ("null", lambda text: b"null"), ("true", lambda text: b"true"),
            ("NaN", lambda text: text[:-1] + b',"x":NaN}'), ("40 levels", lambda text: text[:-1] + b',"x":' + b"[" * 40 + b"]" * 40 + b"}"),
            ("1,000 levels", lambda text: text[:-1] + b',"x":' + b"[" * 1000 + b"]" * 1000 + b"}"),
            ("a member twice", lambda text: text[:-1] + b',"x":1,"x":1}'), ("a leading zero", lambda text: text[:-1] + b',"x":01}')):
        token_row(f"{part}: {name}", reason, spoiled(spoil))
for name in ("iss", "aud", "exp", "repository", "sub", "environment"):
    token_row(f"claim {name} twice", "claims_not_json", lambda forge, name=name: forge.sign(
        forge.header(), json.dumps(forge.claims())[:-1] + f',"{name}":"evil"}}'))

# ---- signatures ----

for name, change in (("cut by a byte", lambda raw: raw[:-1]), ("cut to half", lambda raw: raw[:128]), ("one byte", lambda raw: raw[:1]),
                     ("a byte longer", lambda raw: raw + b"\0"), ("a zero before", lambda raw: b"\0" + raw), ("zeros", lambda raw: bytes(256)),
                     ("ones", lambda raw: b"\xff" * 256), ("backwards", lambda raw: raw[::-1]), ("twice", lambda raw: raw + raw),
                     ("the first bit turned", lambda raw: bytes([raw[0] ^ 0x80]) + raw[1:]), ("the number one", lambda raw: bytes(255) + b"\1"),
                     ("the last bit turned", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))):
    token_row(f"signature: {name}", "signature_invalid", lambda forge, change=change: forge.signature_changed(change))


def malleable(forge):
    """The same number modulo n, which a careless verifier takes for the same signature."""
    modulus = forge.key.private.public_key().public_numbers().n
    return forge.signature_changed(lambda raw: (int.from_bytes(raw, "big") + modulus).to_bytes(257, "big"))


def negative(forge):
    modulus = forge.key.private.public_key().public_numbers().n
    return forge.signature_changed(lambda raw: (modulus - int.from_bytes(raw, "big")).to_bytes(256, "big"))


token_row("signature plus the modulus", "signature_invalid", malleable)
token_row("the modulus minus the signature", "signature_invalid", negative)
token_row("a signature without the digest's name", "signature_invalid", Forge.without_digest_info)
token_row("a signature with short padding", "signature_invalid", Forge.with_short_padding)
token_row("no signature", "signature_missing", lambda forge: ".".join(forge.parts()[:2]) + ".")
token_row("another key under a known kid", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), key=forge.other))
token_row("a small key under a known kid", "signature_invalid", lambda forge: forge.sign(forge.header(), forge.claims(), key=forge.small))
token_row("another key under its own kid", "unknown_key",
          lambda forge: forge.sign(forge.header(kid=forge.other.kid), forge.claims(), key=forge.other))
token_row("the signature of another token", "signature_invalid", lambda forge: ".".join(forge.parts()[:2] + forge.parts(sha="b" * 40)[2:]))
token_row("the claims of another token", "signature_invalid",
          lambda forge: ".".join([forge.parts()[0], encoded(forge.claims(repository_id="75")), forge.parts()[2]]))
token_row("the header of another token", "signature_invalid",
          lambda forge: ".".join([encoded({**forge.header(), "x": 1}), *forge.parts()[1:]]))
token_row("the same claims written otherwise", "signature_invalid",
          lambda forge: ".".join([forge.parts()[0], encoded(json.dumps(forge.claims(), indent=1)), forge.parts()[2]]))
token_row("signed without the dot", "signature_invalid", lambda forge: ".".join(forge.parts()[:2]) + "." + b64url(
    forge.key.private.sign("".join(forge.parts()[:2]).encode(), padding.PKCS1v15(), hashes.SHA256())))

# ---- sizes ----

claims_row("a token of 17 KiB", "token_too_large", extra="x" * 12600)
claims_row("a token of 20 KiB", "token_too_large", extra="x" * 15000)
token_row("16 KiB of As", "token_malformed", lambda forge: "A" * 16384)
token_row("16 KiB of As and one", "token_too_large", lambda forge: "A" * 16385)
token_row("16 KiB of dots", "token_malformed", lambda forge: "." * 16384)

# ---- how it is sent ----

GOOD = "Authorization: Bearer {good}"
for name, reason, lines in (
        ("no header", "no_credential", []), ("an empty header", "no_credential", ["Authorization:"]), ("blanks", "no_credential", ["Authorization:  \t "]),
        ("the scheme alone", "empty_credential", ["Authorization: Bearer"]), ("the scheme and a blank", "empty_credential", ["Authorization: Bearer "]),
        ("another scheme", "other_scheme", ["Authorization: Basic dXNlcjpwYXNz"]), ("Token", "other_scheme", ["Authorization: Token {good}"]),
        ("JWT", "other_scheme", ["Authorization: JWT {good}"]), ("DPoP", "other_scheme", ["Authorization: DPoP {good}"]),
        ("no scheme", "other_scheme", ["Authorization: {good}"]), ("no blank behind the scheme", "other_scheme", ["Authorization: Bearer{good}"]),
        ("a colon behind the scheme", "other_scheme", ["Authorization: Bearer: {good}"]),
        ("an equals sign behind the scheme", "other_scheme", ["Authorization: Bearer={good}"]),
        ("the scheme in quotes", "other_scheme", ['Authorization: "Bearer" {good}']), ("Bearers", "other_scheme", ["Authorization: Bearers {good}"]),
        ("twice the scheme", "token_not_base64url", ["Authorization: Bearer Bearer {good}"]),
        ("the token in quotes", "token_not_base64url", ['Authorization: Bearer "{good}"']),
        ("the token in angle brackets", "token_not_base64url", ["Authorization: Bearer <{good}>"]),
        ("a comma behind the token", "token_not_base64url", ["Authorization: Bearer {good},"]),
        ("the token and a parameter", "token_not_base64url", ["Authorization: Bearer {good}; x=1"]),
        ("two tokens", "token_malformed", ["Authorization: Bearer {good} {good}"]),
        ("two tokens with a comma", "token_malformed", ["Authorization: Bearer {good}, Bearer {good}"]),
        ("two equal headers", "several_credentials", [GOOD, GOOD]), ("a good header and a bad one", "several_credentials", [GOOD, "Authorization: Bearer x"]),
        ("a bad header and a good one", "several_credentials", ["Authorization: Bearer x", GOOD]),
        ("a good header and an empty one", "several_credentials", [GOOD, "Authorization:"]),
        ("two headers in different cases", "several_credentials", [GOOD, "AUTHORIZATION: Basic x"]),
        ("the token as a cookie", "no_credential", ["Cookie: launchplane_session={good}"]),
        ("the token for a proxy", "no_credential", ["Proxy-Authorization: Bearer {good}"]),
        ("the token in X-Authorization", "no_credential", ["X-Authorization: Bearer {good}"]),
        ("the token in Authorization-", "no_credential", ["Authorization-: Bearer {good}"]),
        ("forwarded headers of a proxy", "no_credential", ["X-Forwarded-User: owner", "X-Remote-User: owner", "X-Forwarded-For: 127.0.0.1"])):
    row(f"sent with {name}", reason, lambda forge, lines=lines: {
        "lines": [line.replace("{good}", forge.token()) for line in lines]})
row("the token in the query", "no_credential", lambda forge: {"path": f"/v1/service/runtime?access_token={forge.token()}", "lines": []})
for status, name, lines in (
        (400, "a line folded", ["Authorization: Bearer", " {good}"]), (400, "a NUL in the header", ["Authorization: Bearer {good}\0"]),
        (400, "a blank before the colon", ["Authorization : Bearer {good}"]), (431, "a header of 40 KiB", ["Authorization: Bearer " + "A" * 40000]),
        (431, "101 headers", [f"X-{i}: 1" for i in range(101)] + [GOOD])):
    row(f"sent with {name}", None, lambda forge, lines=lines: {
        "lines": [line.replace("{good}", forge.token()) for line in lines]}, status)

# ---- what looks like a configured token ----

for name, token in STATIC.items():
    for kind, spoil in (("cut", lambda text: text[:-1]), ("longer", lambda text: text + "x"), ("in capitals", str.upper), ("doubled", lambda text: text * 2),
                        ("without its first letter", lambda text: text[1:]), ("with a look-alike", lambda text: text.replace("o", "\u043e", 1)),
                        ("in base64", lambda text: b64url(text.encode())), ("with a dash of another kind", lambda text: text.replace("-", "\u2010", 1)),
                        ("as another of its length", lambda text: "x" * len(text)), ("named twice", lambda text: f"{text},{text}"),
                        ("with a NUL's escape", lambda text: text + "%00"), ("in the past", lambda text: text.replace("000", "001"))):
        token_row(f"{name.lower()} token {kind}", "token_malformed", lambda forge, token=token, spoil=spoil: spoil(token))

# Tokens that are let in, so that the rows above are refused for what they say and nothing else.
ACCEPTED = [
    ("named sub", lambda forge: forge.token()), ("immutable sub", lambda forge: forge.token(immutable=True)),
    ("a list of audiences", lambda forge: forge.token(aud=["other", "launchplane.test"])), ("no nbf", lambda forge: forge.token(nbf=None)),
    ("no typ", lambda forge: forge.sign(forge.header(typ=None), forge.claims())), ("no sub", lambda forge: forge.token(sub=None)),
    ("workflow_dispatch", lambda forge: forge.token(event_name="workflow_dispatch")),
    ("the other rule", lambda forge: forge.token(repository="example-org/scoped", environment="")),
    ("the other rule, for a pull request", lambda forge: forge.token(
        repository="example-org/scoped", environment="", event_name="pull_request", ref="refs/pull/7/merge")),
    ("ids from sub alone", lambda forge: forge.token(
        sub=f"repo:{OWNER}@65/{NAME}@74:{TAIL}", repository_id=None, repository_owner_id=None)),
]
