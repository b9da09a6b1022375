"""One system call for an answer instead of two: half of what sending costs."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "
_HEAD_SECONDS = 10.0  # for the first head of a connection


class OneWrite:
    """A transport that keeps the head of an answer back until its body comes, at most one turn of the loop.

    Args:
        inner: sends.
    """

    def __init__(self, inner: Any) -> None:
        self._inner, self._held = inner, b""
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send, or keep back.

        Args:
            data: bytes.
        """
        if self._held:
            data, self._held = self._held + data, b""
            self._inner.write(data)
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._inner.write(data)

    def close(self) -> None:
        """Send what is kept back, then close."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            self._inner.write(data)


class Protocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin.

        Args:
            transport: of the connection.
        """
        super().connection_made(OneWrite(transport))  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(_HEAD_SECONDS, self._hang_up_on_silence)

    def _hang_up_on_silence(self) -> None:
        # uvicorn waits for the first head for ever: a few thousand silent callers would be enough
        if self.cycle is None:
            self.transport.close()  # type: ignore[unreachable]
