"""Checks requests against dokploy-openapi.json, once as the server would and once as a strict reader.

The real server strips unknown members without a word. A client that relies on that has a typo, so
here every stripped member is also reported as a defect of the client.
"""
import json
import pathlib

import jsonschema

_FILE = pathlib.Path(__file__).with_name("dokploy-openapi.json")


class Spec:
    def __init__(self, generation):
        document = json.loads(_FILE.read_text())
        self.generation = generation
        self.schemas = document["schemas"]
        self.tolerated = document["toleratedExtraMembers"]
        self.endpoints = {entry["name"]: entry for entry in document["endpoints"]}

    def find(self, name):
        return self.endpoints.get(name)

    def check(self, endpoint, members):
        """Returns (members the server keeps, validation issues, client defects)."""
        schema = endpoint.get("query") or endpoint.get("body")
        known = self._known_members(endpoint, schema)
        kept = {name: value for name, value in members.items() if name in known}
        if "query" in endpoint:
            kept = {name: _coerce(known[name], value) for name, value in kept.items()}
        issues = self._issues({**schema, "properties": known}, kept)
        tolerated = self.tolerated.get(endpoint["name"], [])
        stripped = [name for name in members if name not in known and name not in tolerated]
        defects = [f"{endpoint['name']}: unknown member {name}" for name in stripped]
        return kept, issues, defects + [f"{endpoint['name']}: {issue}" for issue in issues]

    def answer_defects(self, endpoint, body):
        """What in an answer of this double contradicts the facts (guards the double itself)."""
        schema = {"$ref": "#/success", "success": endpoint["success"]["body"], "schemas": self.schemas}
        return [_text(error) for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]

    def _known_members(self, endpoint, schema):
        since = endpoint.get("versions", {}).get("memberVersionsFromRouterSources", {})
        newer = {name for name, version in since.items() if version.startswith("v0.30")}
        hidden = newer if self.generation == "0.29" else set()
        return {name: rule for name, rule in schema["properties"].items() if name not in hidden}

    @staticmethod
    def _issues(schema, members):
        lax = {key: value for key, value in schema.items() if key != "additionalProperties"}
        errors = jsonschema.Draft202012Validator(lax).iter_errors(members)
        return sorted(_text(error) for error in errors)


def _coerce(rule, text):
    """Query values arrive as text; the server reads decimal numbers out of it."""
    wanted = rule.get("type")
    try:
        if wanted == "integer":
            return int(text)
        if wanted == "number":
            return float(text)
    except ValueError:
        pass
    return text


def _text(error):
    where = ".".join(str(part) for part in error.absolute_path)
    # The message of a failed type check repeats the value, which may be a secret.
    what = f"must be {error.validator} {error.validator_value}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        what = f"required: {', '.join(missing)}"
    return f"{where}: {what}" if where else what
