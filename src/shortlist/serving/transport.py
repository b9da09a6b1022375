"""One system call for an answer instead of two: half of what sending costs."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "
HEAD_SECONDS = 10.0  # for a head to come, from the connection or from its first byte on
HEAD_BYTES = 64 * 1024  # of a request's line and headers: whoever asks has shown no key yet
_LINGER_SECONDS = 1.0  # in which a refusal is read before the connection is cut
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


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
        self._unread, self._refused = 0, False
        self._look_later()

    def data_received(self, data: bytes) -> None:
        """Read on.

        Args:
            data: bytes.
        """
        if self._refused:
            return
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES:
            self._refuse_head()
        if not self._looking and self._waits_for_head():
            self._look_later()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is too large.

        Raises:
            ValueError: it is; :meth:`send_400_response` is called for it.
        """
        if self._unread > HEAD_BYTES:  # seldom: what came with it is counted too
            parts = (self.url, *(part for pair in self.headers for part in pair))
            if sum(map(len, parts)) > HEAD_BYTES:
                self._refuse_head()
                msg = f"the head of a request has at most {HEAD_BYTES} bytes"
                raise ValueError(msg)
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read on in the body.

        Args:
            body: bytes.
        """
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._unread = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP.

        Args:
            msg: why.
        """
        if not self._refused:
            super().send_400_response(msg)

    def _refuse_head(self) -> None:
        if self._refused:
            return
        self._refused = True
        if self._nothing_under_way():
            self.transport.write(_TOO_LARGE)
        # what still comes is thrown away meanwhile: a reset would take the refusal with it
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.transport.close)

    def _waits_for_head(self) -> bool:
        if self.timeout_keep_alive_task is not None:  # nothing of it is here, and uvicorn looks
            return False
        return self._nothing_under_way() or "method" not in self.scope

    def _nothing_under_way(self) -> bool:
        cycle: Any = self.cycle  # None before the first head
        return cycle is None or bool(cycle.response_complete)

    def _look_later(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(HEAD_SECONDS, self._look, self.cycle)

    def _look(self, before: object) -> None:
        # uvicorn waits for a head for ever: a few thousand slow callers would be enough
        self._looking = False
        if self.cycle is before and self._nothing_under_way():
            self.transport.close()
        elif self._waits_for_head():
            self._look_later()
