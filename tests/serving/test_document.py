"""The OpenAPI document says what the service answers: every answer is checked against it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from serving.conftest import Client
from shortlist.serving import wire, wire_operating

ASKED: list[tuple[str, str, Any, Any]] = [
    ("POST", "/recommend", {"user_id": "u1", "explain": True}, wire.Shortlist),
    ("POST", "/similar", {"item_id": "i1"}, wire.SimilarItems),
    ("POST", "/audience", {"item_id": "i1"}, wire.AudienceOfItem),
    ("POST", "/predict", {"user_id": "u1", "items": ["i1"]}, wire.Predictions),
    ("POST", "/rank", {"user_id": "u1", "items": ["i1", "i2"]}, wire.Ranked),
    ("GET", "/items?search=a", None, wire.FoundItems),
    ("GET", "/items/i1", None, wire.Item),
    ("GET", "/users/u1/history", None, wire.UserHistory),
    ("GET", "/version", None, wire_operating.Version),
    ("GET", "/health/live", None, wire_operating.Health),
]


@pytest.mark.parametrize(("method", "path", "body", "kind"), ASKED)
def test_every_answer_is_of_the_type_that_the_document_names(
    client: Client, method: str, path: str, body: Any, kind: Any
) -> None:
    told = client.ask(method, path, body)
    assert told.status == 200
    msgspec.json.decode(told.body, type=kind, strict=True)
    assert told.headers["content-type"] == "application/json"
    document = client.get("/openapi.json")
    template = path.partition("?")[0].replace("/i1", "/{item_id}").replace("/u1", "/{user_id}")
    responses = document["paths"][template][method.lower()]["responses"]
    named = responses["200"]["content"]["application/json"]["schema"]["$ref"]
    assert named == f"#/components/schemas/{kind.__name__}"


def test_every_reference_leads_somewhere(client: Client) -> None:
    document = client.get("/openapi.json")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        if isinstance(value, list):
            return set().union(*map(references, value))
        return set()

    assert references(document) == known
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))


def test_what_any_body_may_be_refused_for_is_named(serving: Callable[..., Client]) -> None:
    client = serving(body_bytes=100)
    told = client.ask("POST", "/admin/reload", raw=b" " * 101)
    assert told.status == 413
    responses = client.get("/openapi.json")["paths"]["/admin/reload"]["post"]["responses"]
    assert {"408", "413"} <= set(responses)


def test_every_refusal_is_of_one_type(client: Client) -> None:
    for method, path in (("GET", "/nowhere"), ("POST", "/version"), ("GET", "/items/none")):
        told = client.ask(method, path)
        failure = msgspec.json.decode(told.body, type=wire.Failure)
        assert failure.error.request_id == told.headers["x-request-id"]
