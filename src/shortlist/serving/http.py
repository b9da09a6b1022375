"""Requests, answers and routes: the little HTTP that the service needs on top of ASGI."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from shortlist.serving.refusals import Refused
from shortlist.serving.wire import encoder

Scope = Literal["read", "write", "admin"]
JSON = "application/json"
_PARAMETERS = 20  # of a query


@dataclass(slots=True)
class Request:
    """A request, checked and read.

    Attributes:
        route: that it takes.
        parameters: of the path, decoded.
        request_id: for logs and answers.
        is_admin: whether the key, or the lack of any, lets it do everything.
        query: text after the question mark.
        body: as it came.
        rest: raw tensors that follow the JSON of the body.
    """

    route: "Route"
    parameters: Mapping[str, str]
    request_id: str
    is_admin: bool = False
    query: str = ""
    body: bytes = b""
    rest: bytes = b""

    def asked(self, name: str) -> str | None:
        """A parameter of the query.

        Args:
            name: of the parameter.

        Returns:
            Its text; None where it is not there.

        Raises:
            Refused: it stands twice, or is too long.
        """
        if not self.query:
            return None
        found = [text for key, text in _pairs(self.query) if key == name]
        if len(found) > 1 or (found and len(found[0]) > 500):
            raise Refused(422, "invalid_request", f"{name} may stand once, in 500 characters")
        return found[0] if found else None

    def number(self, name: str, *, otherwise: int, most: int) -> int:
        """A whole number of the query.

        Args:
            name: of the parameter.
            otherwise: where it is not there.
            most: largest.

        Returns:
            The number.

        Raises:
            Refused: it is none, or out of range.
        """
        text = self.asked(name)
        if text is None:
            return otherwise
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
            raise Refused(422, "invalid_request", f"{name} must be a number from 1 to {most}")
        return int(text)


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_PARAMETERS)
    except ValueError:
        words = f"a query has at most {_PARAMETERS} parameters"
        raise Refused(422, "invalid_request", words) from None


def insist_known_query(route: "Route", query: str) -> None:
    """Let a query have the parameters of its route, and no other.

    Args:
        route: that it takes.
        query: text after the question mark.

    Raises:
        Refused: it has another one, which would be ignored.
    """
    if not query or route.query is None:
        return
    names = [one.name for one in route.query]
    if any(key not in names for key, _ in _pairs(query)):
        takes = ", ".join(names) if names else "none"
        words = f"a parameter of the query that is not known; this path takes {takes}"
        raise Refused(422, "unknown_parameter", words)


@dataclass(slots=True)
class Response:
    """An answer.

    Attributes:
        body: bytes.
        status: of HTTP.
        kind: of the body.
        headers: further ones.
    """

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query, for the OpenAPI document.

    Attributes:
        name: of it.
        schema: JSON Schema.
        required: whether it must be there.
    """

    name: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True)
class Route:
    """A method and a path, who may take it, and what goes in and out.

    Attributes:
        method: GET, POST or DELETE.
        path: with names in braces.
        handle: answers; gets the request, and the checked body where there is one.
        summary: one line, for the OpenAPI document.
        scope: that a key must have; None for everybody.
        body: type of the body; None for none.
        answer: type of the answer; None where it is no JSON.
        query: parameters; None for a page, whose links may carry what they like.
        refuses: codes of HTTP that it may answer, beside those of every route.
        may_be_empty: whether no body at all stands for ``{}``.
        decoder: of the body; made of its type.
    """

    method: str
    path: str
    handle: Callable[..., Awaitable[Response]]
    summary: str
    scope: Scope | None = "read"
    body: Any = None
    answer: Any = None
    query: tuple[Parameter, ...] | None = ()
    refuses: tuple[int, ...] = ()
    may_be_empty: bool = False
    decoder: Any = None

    def __post_init__(self) -> None:
        if self.body is not None:
            object.__setattr__(self, "decoder", msgspec.json.Decoder(self.body))


class Router:
    """Finds the route of a path.

    Args:
        routes: all of them.
    """

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._plain: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            if "{" in route.path:
                text = re.escape(route.path)  # a colon ends a model's name: a verb follows it
                text = re.sub(r"\\{(model|version)\\}", r"(?P<\1>[^/:]+)", text)
                text = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", text)
                self._patterns.append((re.compile(text), route))
            else:
                self._plain[route.method, route.path] = route

    def find(self, method: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
        """The route of a request.

        Args:
            method: of HTTP.
            raw_path: as it came, with percent signs.

        Returns:
            The route, and the parameters of the path.

        Raises:
            Refused: there is none, or only with another method.
        """
        route = self._plain.get((method, raw_path))
        if route is not None:
            return route, {}
        for pattern, one in self._patterns:
            if one.method == method and (match := pattern.fullmatch(raw_path)):
                return one, {name: unquote(text) for name, text in match.groupdict().items()}
        if methods := self.methods(raw_path):
            words = "this path answers another method"
            raise Refused(405, "method_not_allowed", words, allow=methods)
        raise Refused(404, "not_found", "there is no such path; /openapi.json lists them")

    def methods(self, raw_path: str) -> str:
        """The methods that a path answers.

        Args:
            raw_path: as it came, with percent signs.

        Returns:
            Their names with commas; empty where there is no such path.
        """
        found = {one for one, path in self._plain if path == raw_path}
        found |= {one.method for pattern, one in self._patterns if pattern.fullmatch(raw_path)}
        return ", ".join(sorted(found))


def ok(answer: Any, status: int = 200) -> Response:
    """An answer in JSON.

    Args:
        answer: anything that can be written.
        status: of HTTP.

    Returns:
        A Response.
    """
    return Response(encoder.encode(answer), status)


def decoded(route: Route, body: bytes) -> Any:
    """Read and check a body.

    Args:
        route: whose body.
        body: bytes.

    Returns:
        The value, of the route's type.

    Raises:
        Refused: it is no JSON, or not of the type; the message names the field and repeats nothing.
    """
    try:
        return route.decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(422, "invalid_request", _without_input(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise Refused(400, "malformed_json", "the body is no JSON in UTF-8") from None


_WHERE = re.compile(r" - at `(key in )?(\$[\w.\[\]]*(?:\[\.\.\.\])?[\w.\[\]]*)`$")


def _without_input(message: str) -> str:
    at = _WHERE.search(message)
    where = f" at {at.group(2)}" if at else ""
    what = message[: at.start()] if at else message
    if what.startswith("Expected ") or what.startswith("Object missing required field"):
        return f"{what.replace('`', '')}{where}"
    if "unknown field" in what:
        return f"a field that is not known{where}; /openapi.json lists the known ones"
    return f"a value that is not allowed{where}; /openapi.json says which are"


def has_arrived(receive: object) -> bool:
    """Whether a request's body is here already, so that nobody need watch the clock for it.

    Args:
        receive: of ASGI; uvicorn's is a method of what knows.

    Returns:
        False where it is not, or cannot be told.
    """
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False
