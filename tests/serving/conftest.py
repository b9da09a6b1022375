import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import shortlist as sl
from shortlist.testing.worlds import small_world

pytest.importorskip("msgspec", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from shortlist.serving.app import App
from shortlist.serving.service import Service
from shortlist.serving.settings import Settings

PublicClient = tuple[Any, Any, Any]  # the module, the process, the client


@dataclass
class Told:
    """What the service answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks the application in this process, through one event loop."""

    def __init__(self, app: App, service: Service, runner: asyncio.Runner) -> None:
        self.app, self.service, self.runner = app, service, runner

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Told:
        return self.runner.run(self.asking(method, path, body, raw=raw, headers=headers))

    def post(self, path: str, body: Any) -> Any:
        told = self.ask("POST", path, body)
        assert told.status == 200, told.body
        return told.json

    def get(self, path: str) -> Any:
        told = self.ask("GET", path)
        assert told.status == 200, told.body
        return told.json

    async def asking(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Told:
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        told: list[dict[str, Any]] = []
        sent = {
            "host": "localhost",
            "content-type": "application/json",
            "content-length": str(len(content)),
            **(headers or {}),
        }
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
            "client": ("127.0.0.1", 1),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            told.append(dict(message))

        await self.app(scope, receive, send)
        start, end = told
        named = {k.decode(): v.decode() for k, v in start["headers"]}
        return Told(start["status"], named, end["body"])


@pytest.fixture(scope="session")
def world() -> sl.Interactions:
    return small_world()


@pytest.fixture(scope="session")
def fitted(world: sl.Interactions) -> sl.Recommender:
    return sl.Recommender(retrieve=[sl.retrieval.EASE()], rank=sl.ranking.Biases()).fit(world)


@pytest.fixture
def bundle(fitted: sl.Recommender, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "toys.bundle")
    return tmp_path / "toys.bundle"


@pytest.fixture
def serving(bundle: Path) -> Iterator[Callable[..., Client]]:
    """Starts services over the bundle; they are closed after the test."""
    services: list[Service] = []
    with asyncio.Runner() as runner:

        def start(**settings: Any) -> Client:
            settings = {"bundle": str(bundle), "access_log": False, **settings}
            service = Service(Settings(**settings))
            services.append(service)
            return Client(App(service), service, runner)

        yield start
        for service in services:
            service.close()


@pytest.fixture
def client(serving: Callable[..., Client]) -> Client:
    return serving()


@pytest.fixture
def public_client(bundle: Path) -> Iterator[PublicClient]:
    """NVIDIA's client of the Open Inference Protocol, and the process that it asks."""
    from serving.test_process import Process

    triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    started = Process(bundle, "--no-access-log")
    with started.popen, contextlib.ExitStack() as stack:
        stack.callback(started.popen.kill)
        address = f"127.0.0.1:{started.started['port']}"
        asks = triton.InferenceServerClient(address, network_timeout=20.0)
        yield triton, started, stack.enter_context(asks)
