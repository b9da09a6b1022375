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


def head_of(size: int) -> bytes:
    head, end = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", b"\r\n\r\n"
    return head + b"a" * (size - len(head) - len(end)) + end


MOST = transport.HEAD_BYTES
TOO_LARGE = [
    pytest.param(head_of(2 * MOST), id="one line that ends"),
    pytest.param(head_of(9 * MOST)[:-4], id="one line that does not end"),
    pytest.param(REQUEST[:-2] + b"x: y\r\n" * MOST, id="many lines"),
    pytest.param(b"GET /?" + b"a" * 2 * MOST, id="a long path"),
]


@pytest.mark.parametrize("piece", [1000, 1 << 30])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("sent", TOO_LARGE)
def test_a_head_that_is_too_large_is_refused_and_the_connection_cut(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, before: int, piece: int
) -> None:
    monkeypatch.setattr(transport, "_LINGER_SECONDS", 0.05)

    async def run() -> None:
        server, reader, writer = await connected()
        for _ in range(before):
            writer.write(REQUEST)
            assert await answered(reader)
        for at in range(0, len(sent), piece):
            writer.write(sent[at : at + piece])
            await writer.drain()
        async with asyncio.timeout(20):
            told = await reader.read()  # until it is cut
        assert told.startswith(b"HTTP/1.1 431 ")
        assert told.count(b"HTTP/1.1") == 1
        writer.close()
        server.close()

    asyncio.run(run())


def test_a_head_just_small_enough_a_long_body_and_many_requests_are_answered() -> None:
    long = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300000\r\n\r\n"

    async def run() -> None:
        server, reader, writer = await connected()
        for sent in (head_of(MOST), long + b"b" * 300_000, *[head_of(MOST // 2)] * 5):
            for at in range(0, len(sent), 5000):
                writer.write(sent[at : at + 5000])
                await writer.drain()
            assert await answered(reader)
        writer.close()
        server.close()

    asyncio.run(run())


def test_trailers_of_a_body_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_LINGER_SECONDS", 0.05)
    start = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n"

    async def run() -> None:
        server, reader, writer = await connected()
        writer.write(start)
        assert await answered(reader)
        writer.write(b"x: y\r\n" * MOST)
        async with asyncio.timeout(20):
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        writer.close()
        server.close()

    asyncio.run(run())
