"""The OpenAPI document, made of the same types that check the requests."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from shortlist.serving import wire
from shortlist.serving.http import Route
from shortlist.serving.tensors import InferRequest, ProtocolFailure, is_protocol

_REFUSALS = {
    400: "The body is no JSON",
    401: "A key is needed",
    403: "The key has too little scope, or the page is of another origin",
    404: "Unknown",
    405: "The path answers another method",
    408: "The body did not come in time",
    409: "The bundle cannot do that",
    411: "The body's length is missing or wrong",
    413: "The body is too large",
    415: "The body must be application/json, and not compressed",
    421: "Without a key, only localhost is answered",
    422: "The request is not as described",
    429: "Too many requests; see Retry-After",
    500: "A defect of the service",
    503: "Busy, too slow, or stopping; see Retry-After",
    507: "The disk is full: nothing was kept",
}


def document(routes: Sequence[Route], *, model: str, keys: bool) -> dict[str, Any]:
    """Describe the routes.

    Args:
        routes: all of them.
        model: its name in the paths.
        keys: whether requests need a key.

    Returns:
        An OpenAPI 3.1 document.
    """
    types = [one for route in routes for one in (route.body, route.answer) if one is not None]
    unique = list(dict.fromkeys([*types, wire.Failure, ProtocolFailure]))
    schemas, components = msgspec.json.schema_components(
        unique, ref_template="#/components/schemas/{name}"
    )
    named = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, named, model, keys=keys
        )
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "shortlist",
            "version": version("shortlist"),
            "description": "Recommendations over a bundle. Errors never repeat the request.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if keys:
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return made


def _operation(
    route: Route, named: dict[Any, Any], model: str, *, keys: bool
) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")
    failure = ProtocolFailure if is_protocol(route.path) else wire.Failure
    success: dict[str, Any] = {"description": "Done"}
    if route.answer is not None:
        success["content"] = _content(route, named[route.answer])
    made: dict[str, Any] = {
        "operationId": name,
        "summary": route.summary,
        "responses": {
            "200": success,
            **{
                str(code): _refusal(code, named[failure])
                for code in sorted(_refusals(route, keys=keys))
            },
        },
    }
    if route.path == "/health/ready":
        made["responses"]["503"] = {**success, "description": "Stopping"}
    if parameters := _parameters(route, model):
        made["parameters"] = parameters
    if route.body is not None:
        made["requestBody"] = {
            "required": not route.may_be_empty,
            "content": _content(route, named[route.body]),
        }
    if keys and route.scope is not None:
        made["security"] = [{"key": []}]
    return made


def _refusals(route: Route, *, keys: bool) -> set[int]:
    codes = {405, 421, 422, 500, *route.refuses}
    if route.method != "GET":
        codes.add(403)
    if route.method == "POST":
        codes |= {408, 413}
    if route.body is not None:
        codes |= {400, 411, 415, 503}
    if route.query or "{" in route.path:
        codes |= {404, 503}
    if route.scope is not None:
        codes |= {401, 403, 429, 503} if keys else {429, 503}
    return codes


def _parameters(route: Route, model: str) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": part,
            "in": "path",
            "required": True,
            "schema": {"enum": [model]}
            if part == "model"
            else {"type": "string", "minLength": 1},
        }
        for part in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters += [
        {"name": one.name, "in": "query", "required": one.required, "schema": one.schema}
        for one in route.query or ()
    ]
    if route.body is InferRequest:
        length = {"type": "integer", "minimum": 0}
        name = "Inference-Header-Content-Length"
        parameters.append({"name": name, "in": "header", "required": False, "schema": length})
    return parameters


def _content(route: Route, schema: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if route.body is InferRequest:
        content["application/octet-stream"] = {}  # the JSON, and tensors as bytes behind it
    return content


def _refusal(code: int, schema: Any) -> dict[str, Any]:
    return {
        "description": _REFUSALS[code],
        "content": {"application/json": {"schema": schema}},
    }
