"""The ASGI application: reads a request, lets it in, answers it, counts it."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from shortlist.serving import binary, logs, page, wire
from shortlist.serving.answers import Answers
from shortlist.serving.events import StoreError, StoreFull
from shortlist.serving.http import (
    JSON,
    Request,
    Response,
    Route,
    Router,
    decoded,
    has_arrived,
    insist_known_query,
)
from shortlist.serving.inference import Inference
from shortlist.serving.insight import Insight
from shortlist.serving.keeping import Keeping
from shortlist.serving.openapi import document
from shortlist.serving.operating import Operating
from shortlist.serving.refusals import DiskFull, NotKept, Refused
from shortlist.serving.security import HEADERS, Guard, Key, insist_own_page, read_keys
from shortlist.serving.service import Service
from shortlist.serving.tensors import InferRequest, ProtocolFailure, is_protocol

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


_PROCESS = uuid.uuid4().hex[
    :12
]  # random once: the system call for each request would be half its cost
_NUMBERS = itertools.count(1)


class App:
    """The service as an ASGI application.

    Args:
        service: behind the routes.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self._guard = Guard(
            read_keys(settings.keys), settings.rate, by_address=bool(settings.proxies)
        )
        parts = (Answers, Keeping, Operating, Insight, Inference)
        routes = (
            *(route for part in parts for route in part(service).routes()),
            Route("GET", "/openapi.json", self._openapi, "This document", scope=None),
        )
        self._router = Router((*routes, *page.routes()))
        self._document = wire.encoder.encode(
            document(routes, model=settings.model_name, keys=bool(settings.keys))
        )
        self._origins = {origin.encode() for origin in settings.cors}
        self._access, self._largest = settings.access_log, settings.body_bytes

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer one request.

        Args:
            scope: of ASGI.
            receive: gives the body.
            send: takes the answer.
        """
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _request_id(headers)
        method, path, key = scope["method"], "-", None
        try:
            if method == "OPTIONS":
                response = self._preflight(scope, headers)
            else:
                route, parameters = self._found(scope)
                path = route.path
                key = self._guard.enter(route.scope, headers, _address(scope))
                request = Request(route, parameters, request_id, is_admin=self._is_admin(key))
                response = await self._handled(request, scope, headers, receive)
        except Exception as error:
            refused = _refused(error, request_id, path)
            response = _refusal(refused, request_id, scope["path"])
        await self._sent(response, headers, request_id, send)
        seconds = time.perf_counter() - start
        self.service.metrics.request(
            path, method if path != "-" else "-", response.status, seconds
        )
        if self._access:
            logs.say(
                "request",
                request_id=request_id,
                method=method if path != "-" else "-",
                route=path,
                status=response.status,
                milliseconds=round(seconds * 1000, 2),
                key=None if key is None else key.name,
            )

    def _found(self, scope: Mapping[str, Any]) -> tuple[Route, Mapping[str, str]]:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return self._router.find(method, _raw_path(scope))

    def _is_admin(self, key: Key | None) -> bool:
        return not self.service.settings.keys if key is None else key.scope == "admin"

    async def _handled(
        self,
        request: Request,
        scope: Mapping[str, Any],
        headers: Mapping[bytes, bytes],
        receive: Receive,
    ) -> Response:
        route = request.route
        if route.body is not None and not _may_lack_body(route, headers):
            _insist_on_kind(route, headers)
        if scope["method"] != "GET":
            insist_own_page(headers, self._origins)
        if scope["method"] == "POST":
            request.body = await self._body(headers, receive)
        request.query = scope["query_string"].decode("latin-1")
        insist_known_query(route, request.query)
        if route.body is InferRequest:
            split = binary.parted(request.body, headers.get(binary.HEADER))
            request.body, request.rest = split
        if route.body is None:
            if request.body.strip() not in {b"", b"{}"}:
                raise Refused(422, "invalid_request", "this path reads no body; send none")
            return await route.handle(request)
        empty = b"{}" if route.may_be_empty else b""
        return await route.handle(request, decoded(route, request.body or empty))

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        if has_arrived(receive):
            return await _read(headers, receive, self._largest)
        try:
            async with asyncio.timeout(self.service.settings.timeout_seconds):
                return await _read(headers, receive, self._largest)
        except TimeoutError:
            raise Refused(408, "body_timeout", "the body did not come in time") from None

    def _preflight(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Response:
        if headers.get(b"origin") not in self._origins:
            words = "other pages may not ask this service"
            allow = self._router.methods(_raw_path(scope))
            raise Refused(405, "method_not_allowed", words, allow=allow)
        return Response(
            status=204,
            headers=[
                (b"access-control-allow-methods", b"GET, POST, DELETE"),
                (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
                (b"access-control-max-age", b"600"),
            ],
        )

    async def _sent(
        self,
        response: Response,
        asked: Mapping[bytes, bytes],
        request_id: str,
        send: Send,
    ) -> None:
        headers = [
            (b"content-type", response.kind.encode()),
            (b"content-length", b"%d" % len(response.body)),
            (b"x-request-id", request_id.encode()),
            *HEADERS,
            *response.headers,
        ]
        if self._origins and asked.get(b"origin") in self._origins:
            headers += [
                (b"access-control-allow-origin", asked[b"origin"]),
                (b"vary", b"origin"),
            ]
        await send(
            {"type": "http.response.start", "status": response.status, "headers": headers}
        )
        await send({"type": "http.response.body", "body": response.body})

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document)


async def _read(headers: Mapping[bytes, bytes], receive: Receive, largest: int) -> bytes:
    told = headers.get(b"content-length", b"0")
    if not told.isdigit() or int(told) > largest:
        raise Refused(413, "too_large", f"a body has at most {largest} bytes")
    message = await receive()
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    while message.get("more_body"):
        if size > largest:
            raise Refused(413, "too_large", f"a body has at most {largest} bytes")
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > largest:
        raise Refused(413, "too_large", f"a body has at most {largest} bytes")
    if message["type"] == "http.disconnect":
        raise Refused(400, "gone", "the connection ended before the body did")
    return b"".join(parts)


def _may_lack_body(route: Route, headers: Mapping[bytes, bytes]) -> bool:
    lacks = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
    return lacks and route.may_be_empty


def _insist_on_kind(route: Route, headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "compressed", "send the body as it is, without content-encoding")
    if is_protocol(route.path):  # changes nothing, and its clients name no type, or any
        return
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != JSON.encode():
        raise Refused(415, "not_json", "send the body as content-type: application/json")


def _raw_path(scope: Mapping[str, Any]) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


def _refused(error: Exception, request_id: str, route: str) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, StoreError):
        reason = str(error)
        logs.say(
            "store_failed", level="error", request_id=request_id, route=route, reason=reason
        )
        return DiskFull() if isinstance(error, StoreFull) else NotKept()
    # a defect of ours: told in the log, not to the client
    logs.say(
        "defect",
        level="error",
        request_id=request_id,
        route=route,
        kind=type(error).__name__,
        place=logs.place_of(error),
    )
    return Refused(500, "defect", "something went wrong here; the log knows the request_id")


def _refusal(refused: Refused, request_id: str, path: str) -> Response:
    fault: wire.Failure | ProtocolFailure
    if is_protocol(path):  # its clients expect a text
        fault = ProtocolFailure(refused.message)
    else:
        fault = wire.Failure(wire.Fault(refused.code, refused.message, request_id))
    headers = []
    if refused.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after_seconds))
    if refused.allow is not None:
        headers.append((b"allow", refused.allow.encode()))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(wire.encoder.encode(fault), refused.status, headers=headers)


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    if 0 < len(given) <= 64 and given.replace(b"-", b"").isalnum():
        return given.decode("ascii")
    return f"{_PROCESS}-{next(_NUMBERS):x}"


def _address(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return client[0] if client else "-"
