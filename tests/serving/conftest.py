import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
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

TOOLS = Path("/usr/lib/postgresql")
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


class Server:
    """A PostgreSQL server of this test run alone, on a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        found = sorted(TOOLS.glob("*/bin/initdb"))
        if not found:
            pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
        self.tools, self.folder, self.data = found[-1].parent, folder, folder / "data"
        self.user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if self.user is not None:
            folder.chmod(0o755)
            for one in folder.parents[:2]:  # pytest's own, closed to others
                one.chmod(0o755)
            shutil.chown(folder, self.user)
        self._run("initdb", "-D", self.data, "-U", "shortlist", "-A", "trust", "-N")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=shortlist"

    def start(self) -> None:
        flags = f"-c listen_addresses= -c unix_socket_directories={self.folder}"
        log = ["-l", self.folder / "log"]
        self._run("pg_ctl", "-D", self.data, "-w", *log, "-o", flags, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def _run(self, tool: str, *words: object) -> None:
        subprocess.run(
            [str(self.tools / tool), *map(str, words)],
            check=True,
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: a socket's path is
        (Path(folder) / "s").mkdir()
        made = Server(Path(folder) / "s")
        yield made
        made.stop()


@pytest.fixture
def database(server: Server) -> str:
    """An empty database each."""
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE")
        db.execute("CREATE SCHEMA public")
    return server.url


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "state")
    url: str = request.getfixturevalue("database")
    return url
