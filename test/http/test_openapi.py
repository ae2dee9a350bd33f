"""GET /v1/openapi.json: every route is there, every example fits its schema, and real answers fit them, too."""
import json

import jsonschema
import pytest

import history
from checks import assert_ok
from rehearsal import policy as policies
from test_lists import LISTS
from test_products import READS, filled  # noqa: F401  (a fixture)

ACTIONS = [*READS, "deployment.read", "promotion.read", "preview.read", "inventory.read", "backup_gate.read", "release_tuple.read",
           "artifact.read"]
pytestmark = pytest.mark.policy(policies.render(github_actions=[policies.workflow_rule(ACTIONS)]))
VALIDATOR = jsonschema.Draft202012Validator


def contents(document):
    """(name, {"schema", "example"}) of every body and every answer that is described."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                yield f"{method} {path} body", operation["requestBody"]["content"]["application/json"]
            for status, response in operation["responses"].items():
                if "application/json" not in response.get("content", {}):
                    continue                        # a text or a page
                yield f"{method} {path} {status}", response["content"]["application/json"]


def complaints(schema, instance, document):
    resolver = jsonschema.RefResolver("", document)
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR(schema, resolver=resolver).iter_errors(instance)]


@pytest.fixture
def document(shared_plane):
    return shared_plane.get("/v1/openapi.json").json()


def test_every_schema_is_one_and_every_example_fits(document):
    assert document["openapi"].startswith("3.1")
    examples = 0
    for name, content in contents(document):
        VALIDATOR.check_schema(content["schema"])
        if name.endswith(" body") or name.endswith((" 200", " 202")):
            assert "example" in content, name
            assert complaints(content["schema"], content["example"], document) == [], name
            examples += 1
    assert examples > 60


def test_a_wrong_example_would_be_noticed(document):
    body = document["paths"]["/v1/evidence/deployments"]["post"]["requestBody"]["content"]["application/json"]
    wrong = json.loads(json.dumps(body["example"]))
    del wrong["deployment"]["context"]
    wrong["surprise"] = 1
    assert len(complaints(body["schema"], wrong, document)) == 2


def test_query_parameters_of_lists_are_described(document):
    for path in LISTS:
        named = {parameter["name"] for parameter in document["paths"][path]["get"]["parameters"] if parameter["in"] == "query"}
        assert {"limit", "cursor"} < named, path


def test_real_answers_fit_their_schemas(filled, document):
    paths = {"/v1/deployments/{record_id}": history.DEPLOYMENTS[0]["record_id"], "/v1/inventory/{context}/{instance}": "shop/prod",
             "/v1/product-profiles/{product}": history.SHOP, **{path: "" for path in LISTS}, "/v1/lanes": "", "/v1/products": ""}
    for path, key in paths.items():
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        answer = assert_ok(filled.get(path.split("/{")[0] + (f"/{key}" if key else "")))
        assert complaints(content["schema"], answer, document) == [], path
