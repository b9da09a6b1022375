"""The process: binds the port, starts the service, and drains it when told to stop."""

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from shortlist.errors import ConfigError, DataError
from shortlist.serving import logs
from shortlist.serving.app import App
from shortlist.serving.events import open_store
from shortlist.serving.opening import pointer_of
from shortlist.serving.security import is_loopback, read_keys
from shortlist.serving.service import Service
from shortlist.serving.settings import Settings
from shortlist.serving.sharing import Shared
from shortlist.serving.transport import Protocol
from shortlist.serving.workers import serve_many, when_orphaned

_SWITCH_SECONDS = (
    0.001  # of Python's threads: the loop must not wait long for the computing one
)


def serve(settings: Settings) -> None:
    """Serve until told to stop by SIGTERM or SIGINT.

    Args:
        settings: how it is set up.

    Raises:
        ConfigError: it would be open to others without a key, or its certificate cannot be used.
        DataError: the port cannot be had, or the events cannot be opened.
    """
    if not settings.keys and not is_loopback(settings.host):
        msg = "without a key the service is open to everybody who reaches it, so it listens on loopback only; set keys (`shortlist key` makes one), or --host 127.0.0.1"
        raise ConfigError(msg)
    read_keys(settings.keys)
    _insist_certificate(settings)
    held = _bound(settings.host, settings.port)
    if settings.workers == 1:
        serve_one(settings, held)
        return
    with contextlib.closing(held):
        pointer_of(settings.bundle_path)  # before a store is made beside what is no bundle
        open_store(settings.events).close()
        serve_many(settings, held)


def serve_one(settings: Settings, held: socket.socket, shared: Shared | None = None) -> None:
    """Serve in this process until told to stop.

    Args:
        settings: how it is set up.
        held: a bound socket.
        shared: adds up the counts of several workers; None where there is one.
    """
    logs.take_over()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with contextlib.closing(held), asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_served(settings, held, shared))


async def _served(settings: Settings, held: socket.socket, shared: Shared | None) -> None:
    service = Service(settings, shared=shared)
    server = _Server(service, held, shared)
    tasks = [
        asyncio.create_task(service.bundles.follow()),
        asyncio.create_task(service.tell()),
    ]
    if shared is not None:
        tasks.append(asyncio.create_task(when_orphaned(server.stop)))
    if settings.watch_seconds:
        tasks.append(asyncio.create_task(service.bundles.watch()))
    try:
        await server.serve(sockets=[held])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(service.close)
        logs.say("stopped")


def _tell_ready(service: Service, held: socket.socket) -> None:
    # a function of its own: the frame that serves must not hold on to the first bundle
    host, port = held.getsockname()[:2]
    running = service.running
    logs.say(
        "ready",
        host=host,
        port=port,
        version=running.version,
        name=running.recommender.name,
        keys=len(service.settings.keys),
    )


def _config(service: Service) -> uvicorn.Config:
    settings = service.settings
    return uvicorn.Config(
        App(service),
        http=Protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]  # any number does
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
        ws="none",
    )


class _Server(uvicorn.Server):
    # told to stop, it says so at /health/ready, and finishes what is under way
    def __init__(self, service: Service, held: socket.socket, shared: Shared | None) -> None:
        super().__init__(_config(service))
        self._service, self._held, self._shared = service, held, shared

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # whoever reads that it is ready may stop it: signals are heeded by now
        _tell_ready(self._service, self._held)
        if self._shared is not None:
            self._shared.start()

    def handle_exit(self, sig: int, frame: object) -> None:
        # not super(): it would raise the signal again after the drain, before all is given back
        logs.say("stopping", signal=signal.Signals(sig).name)
        self.stop()

    def stop(self) -> None:
        self._service.ready = False
        self.should_exit = True


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(2048)
        except OSError:
            made.close()
            raise
    except OSError as error:
        msg = f"cannot listen on {host} port {port}: {error.strerror or error}. Choose another with --port, or stop what uses it"
        raise DataError(msg) from error
    return made


def _insist_certificate(settings: Settings) -> None:
    if settings.certificate is None or settings.private_key is None:
        return
    try:
        for file in (settings.certificate, settings.private_key):
            Path(file).read_bytes()  # this error names the file, the next one does not
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # the word is asked for only where the key needs one: nobody is there to type it
        context.load_cert_chain(settings.certificate, settings.private_key, password="")
    except OSError as error:
        msg = f"the certificate {settings.certificate} with the private key {settings.private_key} cannot be used: {error}. Give two PEM files that belong together, the key without a password"
        raise ConfigError(msg) from error
