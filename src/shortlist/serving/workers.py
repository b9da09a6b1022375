"""Several processes that answer on one port: they share the bundle's pages and one store of events.

The first process binds the port and starts the others; one that dies is started again. Each follows
the events of the others, so that what one acknowledged counts in all of them within ``follow_seconds``.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from shortlist.errors import ConfigError
from shortlist.serving import logs
from shortlist.serving.settings import Settings
from shortlist.serving.sharing import Shared

_AGAIN_SECONDS = 1.0  # before one that died is started again
_LOOK_SECONDS = 0.1


class Workers:
    """The processes, from the one that started them.

    Args:
        settings: of all of them.
        held: the socket that they share.
        folder: for their counts.
    """

    def __init__(self, settings: Settings, held: socket.socket, folder: Path) -> None:
        self._settings, self._held, self._folder = settings, held, folder
        self._stopping = False
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Run them until told to stop.

        Raises:
            ConfigError: one ended before it ever answered; its own message says why.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for number in range(self._settings.workers):
            self._start(number)
        try:
            while self._running:
                time.sleep(_LOOK_SECONDS)
                for number, one in list(self._running.items()):
                    if one.poll() is not None:
                        self._ended(number, one.returncode)
        finally:
            self._stop()
            for one in self._running.values():
                one.wait()

    def _start(self, number: int) -> None:
        made = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._held.fileno()), str(number)],
            stdin=subprocess.PIPE,
            pass_fds=[self._held.fileno()],
            start_new_session=True,  # a terminal's interrupt comes through us
        )
        assert made.stdin is not None  # noqa: S101
        told = msgspec.json.encode([str(self._folder), self._settings])
        made.stdin.write(told + b"\n")
        made.stdin.flush()  # it stays open: when we are gone, it ends, and so do they
        self._running[number] = made
        if self._stopping:  # told so before it was among those that are stopped
            made.terminate()

    def _ended(self, number: int, code: int) -> None:
        del self._running[number]
        if self._stopping:
            return
        why = _why(self._folder, number)
        reason = why.read_text("utf-8") if why.exists() else None
        why.unlink(missing_ok=True)
        if not Shared(self._folder, number).started:  # another try would end as this one did
            msg = f"worker {number} ended with code {code} before it was ready"
            raise ConfigError(reason or msg)
        logs.say("worker_died", level="error", worker=number, code=code, reason=reason)
        time.sleep(_AGAIN_SECONDS)
        if not self._stopping:
            self._start(number)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for one in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                one.terminate()


def serve_many(settings: Settings, held: socket.socket) -> None:
    """Start the processes, and wait for them.

    Args:
        settings: of all of them.
        held: a bound socket.
    """
    with tempfile.TemporaryDirectory(prefix="shortlist-") as folder:
        Workers(settings, held, Path(folder)).run()


async def when_orphaned(stop: Callable[[], None]) -> None:
    """Wait until the process that started this one is gone.

    Args:
        stop: called then.
    """
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), gone.set)
    try:
        await gone.wait()
        stop()
    finally:
        loop.remove_reader(sys.stdin.fileno())


def main(arguments: list[str]) -> int:
    """Run one worker.

    Args:
        arguments: number of the socket's file, number of the worker; the settings come on stdin.

    Returns:
        The exit code.
    """
    from shortlist.errors import ShortlistError
    from shortlist.serving.server import serve_one

    descriptor, number = map(int, arguments)
    folder, settings = msgspec.json.decode(
        os.read(sys.stdin.fileno(), 1 << 20), type=tuple[str, Settings]
    )
    held = socket.socket(fileno=descriptor)
    try:
        serve_one(settings, held, Shared(Path(folder), number))
    except ShortlistError as error:
        _why(Path(folder), number).write_text(str(error), "utf-8")
        return 2
    return 0


def _why(folder: Path, number: int) -> Path:
    # in which a worker that cannot go on leaves the reason; whoever started it tells
    return folder / f"{number}.why"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
