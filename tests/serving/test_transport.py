"""Connections whose requests do not come."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import uvicorn
from uvicorn.server import ServerState

from shortlist.serving import transport

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


async def connected() -> tuple[asyncio.Server, asyncio.StreamReader, asyncio.StreamWriter]:
    config = uvicorn.Config(hello, http=transport.Protocol, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: transport.Protocol(config, state, {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    return server, reader, writer


async def answered(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        return head.startswith(b"HTTP/1.1 200") and await reader.readexactly(2) == b"hi"


async def dribbled(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_of_it: bytes
) -> bool:
    # again and again the same, each within the time that a head has; whether it is cut
    async with asyncio.timeout(20):
        while True:
            writer.write(bytes_of_it)
            try:
                return await asyncio.wait_for(reader.read(1), 0.01) == b""
            except TimeoutError:
                continue
            except ConnectionResetError:
                return True


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nhost: ", b"\r\n", b""])
def test_a_head_that_dribbles_is_cut_on_a_new_and_on_a_kept_connection(
    monkeypatch: pytest.MonkeyPatch, before: int, start: bytes
) -> None:
    monkeypatch.setattr(transport, "HEAD_SECONDS", 0.05)

    async def run() -> None:
        server, reader, writer = await connected()
        for _ in range(before):
            writer.write(REQUEST)
            assert await answered(reader)
        writer.write(start)
        assert await dribbled(reader, writer, b"x" if start.startswith(b"GET") else b"\r\n")
        writer.close()
        server.close()

    asyncio.run(run())


def test_a_head_in_pieces_that_comes_in_time_is_answered_and_the_connection_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "HEAD_SECONDS", 0.05)

    async def run() -> None:
        server, reader, writer = await connected()
        for _ in range(3):
            writer.write(REQUEST[:9])
            await asyncio.sleep(0)
            writer.write(REQUEST[9:])
            assert await answered(reader)
        await asyncio.sleep(0.15)  # what was looked for has come: nothing is cut
        writer.write(REQUEST)
        assert await answered(reader)
        writer.close()
        server.close()

    asyncio.run(run())
