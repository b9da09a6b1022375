"""A thousand bodies and heads that make no sense: refused, never a crash, never a 5xx."""

import contextlib
import copy
import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from serving.conftest import Client
from serving.test_process import Process

GOOD: dict[str, Any] = {
    "/recommend": {
        "user_id": "u1",
        "k": 3,
        "where": "year > 1990",
        "deny": ["i1"],
        "explain": True,
    },
    "/similar": {"item_id": "i1", "k": 3},
    "/audience": {"item_id": "i1", "k": 3},
    "/predict": {"user_id": "u1", "items": ["i1"]},
    "/rank": {"history": ["i2"], "items": ["i1"]},
    "/items": {"items": [{"item_id": "n1", "attributes": {"title": "N", "genres": ["Drama"]}}]},
    "/events": {"events": [{"event": "rating", "user_id": "u1", "item_id": "i1", "rating": 3}]},
    "/v2/models/toys/infer": {
        "inputs": [{"name": "user_id", "shape": [1], "datatype": "BYTES", "data": ["u1"]}]
    },
    "/v1/models/toys:predict": {"instances": [{"user_id": "u1", "k": 2}]},
}
ODD: list[Any] = [
    None, True, 0, -1, 10**9, 2**63, 10**400, 1e308, -0.0, "", " ", "\x00", "\ud800", "'", "i1\n",
    "a" * 3000, "../../etc", "%00", [], [[]], [None] * 3, {}, {"": {}}, {"$ref": "#"}, ["i1"] * 2000,
]  # fmt: skip


def _broken(rng: random.Random, path: str) -> bytes:
    body = copy.deepcopy(GOOD[path])
    place = body
    while True:  # go down, and put something odd somewhere
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.6:
            place = place[key]
            continue
        place[key] = rng.choice(ODD)
        break
    text = json.dumps(body).encode()
    if rng.random() < 0.25:
        at = rng.randrange(len(text))
        text = text[:at] + rng.randbytes(rng.randint(0, 3)) + text[at + rng.randint(0, 2) :]
    return text


def test_broken_bodies_are_never_a_defect(client: Client) -> None:
    rng = random.Random(0)
    statuses = set()
    for _ in range(800):
        path = rng.choice(list(GOOD))
        told = client.ask("POST", path, raw=_broken(rng, path))
        assert told.status in {200, 400, 404, 409, 422}, told.body
        assert told.json
        statuses.add(told.status)
    assert {200, 400, 422} <= statuses
    assert client.post("/recommend", {"user_id": "u1"})["known_user"]


@pytest.mark.parametrize(
    "query",
    ["", "search=", "search=%20", "search=a&search=b", "search=" + "a" * 501, "a=1&" * 30 + "search=a",
     "search=a&limit=0", "search=a&limit=", "search=a&limit=-1", "search=a&limit=1e3", "search=a&limit=9999999999", "search=a&limit=%D9%A1"],
)  # fmt: skip
def test_broken_queries_are_refused(client: Client, query: str) -> None:
    assert client.ask("GET", f"/items?{query}").status == 422
    assert client.ask("GET", "/items?search=%ff%fe%00").status == 200


def test_deep_nests_are_refused(client: Client) -> None:
    deep = (
        b'{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":' + b"[" * 50_000
    )
    assert client.ask("POST", "/v2/models/toys/infer", raw=deep).status == 400


@pytest.fixture
def process(bundle: Path) -> Any:
    started = Process(bundle, "--no-access-log")
    with started.popen:
        yield started
        started.popen.kill()


def test_broken_heads_leave_the_service_standing(process: Process) -> None:
    rng = random.Random(0)
    good = b"POST /recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n"
    odd = [
        b"\r\n" * 50,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET " + b"/a" * 40_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
        b"POST /recommend HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /recommend HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /items/%ff%fe HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /version HTTP/1.1\r\nhost: [::1\r\n\r\n",
        b"GET /items?search=%00&limit=99999999999999999999 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ]
    for number in range(200):
        sent = odd[number] if number < len(odd) else bytearray(good)
        if isinstance(sent, bytearray):
            for _ in range(rng.randint(1, 6)):
                sent[rng.randrange(len(sent))] = rng.randrange(256)
        with (
            socket.create_connection(("127.0.0.1", process.started["port"]), 5) as held,
            contextlib.suppress(OSError),  # it may hang up at once
        ):
            held.sendall(bytes(sent))
            held.shutdown(socket.SHUT_WR)
            told = held.recv(65_536)
            assert not told.startswith(b"HTTP/1.1 5"), (sent, told)
    assert process.popen.poll() is None
    assert process.ask("POST", "/recommend", {"user_id": "u1"})[0] == 200
