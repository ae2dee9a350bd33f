"""What a schedule's script would do on the docker host, deduced loosely from its text.

Nothing is executed. The script names a compose project (an appName), stops and starts service web,
asserts environment keys of script-runner and runs the image's data workflow, which prints markers.
"""
import base64
import dataclasses
import json
import re

_REQUIRED_KEYS = re.compile(r"required[_a-z]*=(?:\(([^)]*)\)|'([^']*)'|\"([^\"]*)\"|(\S+))", re.I)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STOPS_WEB = re.compile(r"docker\s+(?:container\s+)?stop\b|compose\b.*\bstop\b.*\bweb\b")
_LAST_WORDS = re.compile(r'^echo "([^"$]*)"\s*\Z', re.M)
_STARTS_WEB = re.compile(r"docker\s+(?:container\s+)?start\b|compose\b.*\bstart\b.*\bweb\b")


@dataclasses.dataclass
class Run:
    """One execution, kept for the tests."""
    schedule: str
    app_name: str
    mode: str                # maintenance, bootstrap, restore, backup, web-start
    compose_id: str = ""
    exit_code: int = 0
    lines: list = dataclasses.field(default_factory=list)
    stopped_web: bool = False


def run(dokploy, schedule):
    """Returns the Run; state changes (web stopped and started again) are already made."""
    text = schedule["script"] or schedule["command"]
    done = Run(schedule["name"], schedule["appName"], _mode(schedule, text))
    compose_id = _compose_named_in(dokploy.state, text)
    snapshot = dokploy.state.running.get(compose_id)
    if snapshot is None:
        return _failed(done, "no container of service script-runner")
    done.compose_id = compose_id
    runner = snapshot.services.get("script-runner")
    if runner is None or "database" not in snapshot.services:
        return _failed(done, "missing container")
    missing = [key for key in _required_keys(text) if not runner.env.get(key)]
    if missing:
        return _failed(done, f"missing environment key {missing[0]}")
    done.stopped_web = bool(_STOPS_WEB.search(text)) and "web" in text
    if done.mode == "backup":
        done.lines += ["database dumped", "filestore archived", "manifest written"]
    elif done.mode != "web-start":
        done.lines += [f"{name}={value}" for name, value in markers(runner.env).items()]
    snapshot.web_running = not done.stopped_web or bool(_STARTS_WEB.search(text))
    done.lines += _LAST_WORDS.findall(text)
    return done


def markers(env):
    """The plain name=value lines that the data workflow inside the image prints."""
    payload = _payload(env)
    site = (payload or {}).get("website_bootstrap") or {}
    homepage, page = bool(site.get("homepage_url")), bool(site.get("primary_page_xmlid"))
    flags = {
        "odoo_instance_overrides_payload_present": payload is not None,
        "website_bootstrap_applied": bool(site),
        "website_bootstrap_domain_set": bool(site.get("canonical_url")),
        "website_bootstrap_domain_matches_canonical": bool(site.get("canonical_url")),
        "website_bootstrap_homepage_url_set": homepage,
        "website_bootstrap_homepage_url_matches": homepage,
        "website_bootstrap_homepage_page_found": homepage,
        "website_bootstrap_primary_page_xmlid_found": page,
        "website_bootstrap_homepage_matches_page": homepage and page,
        "website_bootstrap_logo_present": bool(site.get("logo_path")),
    }
    lines = {name: "true" if value else "false" for name, value in flags.items()}
    lines["website_bootstrap_website_id"] = "1"
    lines["website_bootstrap_web_base_url_matches"] = "true"     # a newer image's extra marker
    return lines


def log_text(done, stamp):
    """The provider prefixes each line with a time."""
    body = "".join(f"{stamp} {line}\n" for line in done.lines)
    return f"{stamp} Initializing schedule\n{body}{stamp} exit status {done.exit_code}\n"


def _failed(done, line):
    done.exit_code = 1
    done.lines.append(line)
    return done


def _mode(schedule, text):
    if "web-start" in schedule["name"]:
        return "web-start"
    if "backup" in schedule["name"] or "pg_dump --" in text:
        return "backup"
    if "--bootstrap" in text:
        return "bootstrap"
    if "--post-deploy-maintenance" in text or "--update-only" in text:
        return "maintenance"
    return "restore"


def _compose_named_in(state, text):
    """The compose whose appName stands in the script; the longest wins over its own prefix."""
    names = sorted(state.composes.values(), key=lambda row: len(row["appName"]), reverse=True)
    return next((row["composeId"] for row in names if row["appName"] in text), "")


def _required_keys(text):
    keys = []
    for groups in _REQUIRED_KEYS.findall(text):
        keys += _KEY.findall(" ".join(groups))
    return [key for key in keys if key.isupper()]


def _payload(env):
    encoded = env.get("ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64", "")
    if not encoded:
        return None
    try:
        return json.loads(base64.b64decode(encoded, validate=True))
    except ValueError:
        return None
