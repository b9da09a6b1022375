"""The process from outside: started, asked over a socket, killed, drained."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from serving.conftest import Client
from serving.test_durability import damaged
from shortlist.serving.server import _config


class Process:
    """A service in a process of its own."""

    def __init__(self, bundle: Path, *flags: str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "shortlist", "serve", str(bundle), "--port", "0", *flags],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.popen.stderr is not None
        self.lines = self.popen.stderr
        self.started = json.loads(self.lines.readline())
        assert self.started["event"] == "ready", self.started

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.started["port"], timeout=20)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(
                method, path, content, {"content-type": "application/json", **headers}
            )
            told = connection.getresponse()
            text = told.read()
            return told.status, json.loads(text) if text else None


@pytest.fixture
def process(bundle: Path) -> Iterator[Process]:
    started = Process(bundle)
    with started.popen:
        yield started
        started.popen.kill()


def test_a_killed_service_remembers_what_it_acknowledged(
    process: Process, bundle: Path
) -> None:
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4", "event_id": "e1"}
    status, kept = process.ask("POST", "/events", {"events": [event]})
    assert (status, kept["accepted"]) == (200, 1)
    process.popen.kill()
    process.popen.wait()
    again = Process(bundle)
    with again.popen:
        assert again.ask("GET", "/users/fresh/history")[1]["total"] == 1
        assert not again.ask("POST", "/recommend", {"user_id": "fresh"})[1]["fallback"]
        again.popen.send_signal(signal.SIGTERM)
        lines = [json.loads(line)["event"] for line in again.lines]
        assert again.popen.wait(20) == 0
    # a request's own line may come after the first: it is written once it is answered
    assert [one for one in lines if one != "request"] == ["stopping", "stopped"]


def test_requests_and_logs_carry_one_id_and_no_secret(bundle: Path) -> None:
    import hashlib

    digest = hashlib.sha256(b"the-secret-key").hexdigest()
    started = Process(bundle, SHORTLIST_KEYS=f"me:read:{digest}")
    with started.popen:
        assert started.ask("POST", "/recommend", {"user_id": "u1"})[0] == 401
        headers = {"authorization": "Bearer the-secret-key", "x-request-id": "abc-1"}
        assert started.ask("POST", "/recommend", {"user_id": "u1"}, **headers)[0] == 200
        assert started.ask("POST", "/events", {"events": []}, **headers)[0] == 403
        assert started.ask("GET", "/health/ready")[0] == 200
        started.popen.terminate()
        logged = started.lines.read()
    assert "the-secret-key" not in logged
    assert digest not in logged
    asked = [json.loads(line) for line in logged.splitlines()]
    named = [one for one in asked if one.get("request_id") == "abc-1"]
    assert [(one["route"], one["status"]) for one in named] == [
        ("/recommend", 200),
        ("/events", 403),
    ]


def test_what_libraries_say_is_one_line_of_json_once(process: Process) -> None:
    new = {"item_id": "lonely", "attributes": {"genres": ["Nothing has it"]}}
    assert process.ask("POST", "/items", {"items": [new]})[0] == 200
    process.popen.terminate()
    told = [json.loads(line) for line in process.lines.read().splitlines()]
    words = [one["message"] for one in told if one["event"] == "log"]
    assert words == ["add_items: 1 items are like nothing known, so they come last: ['lonely']"]


def test_a_warning_in_two_lines_is_one_line_of_the_log() -> None:
    code = """
import logging, warnings
from shortlist.serving import logs
logging.getLogger("shortlist").addHandler(logging.StreamHandler())  # as the command line's
logs.take_over()
warnings.warn("one\\ntwo")
logging.getLogger("shortlist.data").warning("%d of %r", 2, "x")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    first, second = [json.loads(line) for line in ran.stderr.splitlines()]
    assert (first["logger"], second["message"]) == ("py.warnings", "2 of 'x'")
    assert "one\ntwo" in first["message"]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("wrong", ["port", "bundle", "open", "certificate", "items", "events"])
def test_what_cannot_start_says_why_in_one_line(bundle: Path, wrong: str, workers: str) -> None:
    if wrong == "items":  # which the first process does not read
        (bundle / "versions/0001/items.parquet").write_bytes(b"rot")
    if wrong == "events":
        damaged(bundle.with_name("toys.state"))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        flags = {
            "port": [str(bundle), "--port", str(held.getsockname()[1])],
            "bundle": [str(bundle / "nowhere"), "--port", "0"],
            "open": [str(bundle), "--host", "0.0.0.0"],
            "certificate": [str(bundle), "--certificate", "no.pem", "--private-key", "k.pem"],
            "items": [str(bundle), "--port", "0"],
            "events": [str(bundle), "--port", "0"],
        }[wrong]
        told = subprocess.run(
            [sys.executable, "-m", "shortlist", "serve", *flags, "--workers", workers],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert told.returncode == 2
    assert told.stderr.startswith("error: ")
    assert len(told.stderr.splitlines()) == 1
    named = {"certificate": "no.pem", "items": "items.parquet", "events": "toys.state"}
    assert named.get(wrong, "") in told.stderr


def test_a_service_is_ready_when_it_says_so(bundle: Path) -> None:
    started = Process(bundle)  # told to stop in the moment of its first line
    with started.popen:
        started.popen.terminate()
        assert started.popen.wait(20) == 0
        events = [json.loads(line)["event"] for line in started.lines]
    assert events == ["stopping", "stopped"]


def test_a_drain_may_last_part_of_a_second(serving: Callable[..., Client]) -> None:
    service = serving(drain_seconds=0.9).service
    assert _config(service).timeout_graceful_shutdown == 0.9


def test_what_is_under_way_when_it_is_told_to_stop_is_answered(process: Process) -> None:
    import threading

    answered: list[int] = []

    def ask(number: int) -> None:
        body = {"user_id": f"u{number % 40}", "k": 30, "explain": True}
        answered.append(process.ask("POST", "/recommend", body)[0])

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    connection = http.client.HTTPConnection("127.0.0.1", process.started["port"], timeout=20)
    with contextlib.closing(connection):
        connection.connect()
        # the head and half of the body are there: it is under way
        body = json.dumps({"user_id": "u1"}).encode()
        connection.putrequest("POST", "/recommend")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body[:5])
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        process.popen.send_signal(signal.SIGTERM)
        line = ""
        while "stopping" not in line:
            line = process.lines.readline()
        connection.send(body[5:])
        assert connection.getresponse().status == 200
    assert process.popen.wait(20) == 0
    assert answered == [200] * 24


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_it_speaks_tls(bundle: Path, tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*made, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True
    )
    started = Process(bundle, "--certificate", certificate, "--private-key", key)
    with started.popen:
        trusted = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(
            "localhost", started.started["port"], context=trusted, timeout=20
        )
        with contextlib.closing(connection):
            connection.request("GET", "/health/ready")
            assert connection.getresponse().status == 200
        started.popen.terminate()


def test_a_body_that_never_comes_is_given_up(bundle: Path) -> None:
    started = Process(bundle, SHORTLIST_TIMEOUT_SECONDS="0.2")
    with started.popen:
        connection = http.client.HTTPConnection(
            "127.0.0.1", started.started["port"], timeout=20
        )
        with contextlib.closing(connection):
            connection.putrequest("POST", "/recommend")
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", "10")
            connection.endheaders(b"{")
            assert connection.getresponse().status == 408
        assert started.ask("GET", "/health/ready")[0] == 200
        started.popen.terminate()
