"""Several processes on one port and one store of events."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import shortlist as sl
from serving.conftest import Client
from serving.test_process import Process
from shortlist.serving import standing
from shortlist.serving.metrics import Metrics
from shortlist.serving.sharing import Shared
from shortlist.serving.standing import Standings


def caught_up(client: Client) -> None:
    client.runner.run(client.service.bundles.catch_up())


def test_what_one_process_keeps_counts_in_the_other(serving: Callable[..., Client]) -> None:
    one, two = serving(), serving()
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4", "timestamp": 1}
    one.post("/events", {"events": [event]})
    two.post("/events", {"events": [{**event, "item_id": "i5", "timestamp": 2}]})
    assert one.get("/users/fresh/history")["total"] == 1  # its own at once
    for client in (one, two, one, two):  # again and again: nothing counts twice
        caught_up(client)
    for client in (one, two):
        history = client.get("/users/fresh/history")["history"]
        assert [entry["item_id"] for entry in history] == ["i5", "i4"]
    assert one.service.overlay.followed == two.service.overlay.followed == 2


def test_new_items_and_the_forgotten_are_followed(serving: Callable[..., Client]) -> None:
    one, two = serving(), serving()
    genres = one.get("/items/i4")["attributes"]["genres"]
    new = {"item_id": "brandnew", "attributes": {"title": "Brand new", "genres": genres}}
    one.post("/items", {"items": [new]})
    one.post("/events", {"events": [{"event": "watch", "user_id": "u3", "item_id": "i4"}]})
    caught_up(two)
    assert two.get("/items/brandnew")["title"] == "Brand new"
    assert two.get("/users/u3/history")["total"] == 11
    one.ask("DELETE", "/users/u3")
    caught_up(two)
    assert two.get("/users/u3/history")["total"] == 0
    assert two.post("/recommend", {"user_id": "u3"})["fallback"]


def test_counts_are_added_up_and_never_fall(tmp_path: Path) -> None:
    one, two = Metrics(), Metrics()
    files = [Shared(tmp_path, number) for number in range(2)]
    for metrics, n in ((one, 3), (two, 4)):
        for _ in range(n):
            metrics.request("/recommend", "POST", 200, 0.002)
            metrics.event("watch", "champion")
            metrics.answers["champion", "0001", False] += 1
            metrics.shown["i1"] += 1
    ready = {"shortlist_ready": 1.0, "shortlist_flushes": 5.0}
    files[0].write(one, ready)
    files[1].write(two, {**ready, "shortlist_ready": 0.0})
    told, gauges = files[0].all()
    assert told.requests["/recommend", "POST", 200] == 7
    assert told.events == {"watch": 7}
    assert told.shown == {"i1": 7}
    assert told.seconds["/recommend"].total == pytest.approx(0.014)
    assert sum(told.seconds["/recommend"].counts) == 7
    assert gauges["shortlist_flushes"] == 10
    assert gauges["shortlist_ready"] == 0  # ready is who is ready altogether
    assert files[1].all()[0].requests == told.requests


def test_a_worker_that_is_started_again_goes_on_counting(tmp_path: Path) -> None:
    before, after = Metrics(), Metrics()
    Shared(tmp_path, 0).go_on(before)  # nobody counted before
    before.request("/recommend", "POST", 200, 0.004)
    before.event("watch", "champion")
    Shared(tmp_path, 0).write(before, {"shortlist_ready": 1.0})
    again = Shared(tmp_path, 0)
    again.go_on(after)
    after.event("watch", "champion")
    again.write(after, {"shortlist_ready": 1.0})
    joined, gauges = again.all()
    assert joined.requests == before.requests
    assert joined.events == {"watch": 2}
    assert gauges["shortlist_ready"] == 1.0


@pytest.fixture
def workers(bundle: Path) -> Iterator[Process]:
    started = Process(bundle, "--workers", "2", "--no-access-log")
    lines: list[dict[str, object]] = []

    def read() -> None:
        lines.extend(json.loads(line) for line in started.lines)

    reading = threading.Thread(target=read)
    reading.start()
    started.told = lines  # type: ignore[attr-defined]
    with started.popen:
        yield started
        started.popen.kill()
        reading.join()


def children(process: Process) -> list[int]:
    tasks = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    return [int(word) for word in tasks.read_text().split()]


def until(true: Callable[[], object]) -> None:
    last = time.monotonic() + 120
    while not true():
        assert time.monotonic() < last, "it did not come about in two minutes"
        time.sleep(0.02)


def events(process: Process, first: int, count: int) -> int:
    accepted = 0
    for n in range(first, first + count):
        event = {"event": "watch", "user_id": f"w{n}", "item_id": "i4", "event_id": f"e{n}"}
        try:
            accepted += process.ask("POST", "/events", {"events": [event]})[0] == 200
        except OSError:  # a worker was killed while it answered: not acknowledged
            continue
    return accepted


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_workers_share_a_port_are_started_again_and_drain_together(
    workers: Process, bundle: Path
) -> None:
    told: list[dict[str, object]] = workers.told  # type: ignore[attr-defined]

    def ready() -> int:
        return 1 + sum(line["event"] == "ready" for line in told)  # the first line was read

    until(lambda: ready() == 2)
    accepted = events(workers, 0, 20)
    assert accepted == 20
    until(
        lambda: all(
            workers.ask("GET", "/users/w19/history")[1]["total"] == 1 for _ in range(10)
        )
    )
    killed = children(workers)[0]
    os.kill(killed, signal.SIGKILL)
    accepted += events(workers, 20, 20)
    until(lambda: len(children(workers)) == 2 and killed not in children(workers))
    accepted += events(workers, 40, 20)
    until(lambda: ready() == 3)
    workers.popen.terminate()
    assert workers.popen.wait(120) == 0
    db = sqlite3.connect(bundle.with_name("toys.state") / "events.sqlite")
    kept = db.execute("SELECT count(*) FROM events").fetchone()[0]
    db.close()
    assert kept >= accepted >= 58  # whoever was killed had at most one or two under way
    until(lambda: sum(line["event"] == "stopped" for line in told) == 2)
    assert any(line["event"] == "worker_died" for line in told)


def test_what_one_worker_is_told_all_do_before_it_answers(
    bundle: Path, fitted: sl.Recommender
) -> None:
    # nobody watches the bundle: the others know it from the one that was told
    started = Process(bundle, "--workers", "2", "--no-access-log", SHORTLIST_WATCH_SECONDS="0")
    reading = threading.Thread(target=started.lines.read, daemon=True)
    reading.start()
    try:
        until(lambda: {} not in started.ask("GET", "/version")[1]["workers"])

        def versions() -> set[str]:
            return {started.ask("GET", "/version")[1]["version"] for _ in range(20)}

        assert versions() == {"0001"}
        fitted.save(bundle)
        told = started.ask("POST", "/admin/reload")[1]
        assert told["workers"] == [{"champion": "0002"}] * 2
        assert versions() == {"0002"}
        told = started.ask("POST", "/admin/rollback", {})[1]
        assert told["workers"] == [{"champion": "0001"}] * 2
        assert versions() == {"0001"}
        genres = started.ask("GET", "/items/i4")[1]["attributes"]["genres"]
        new = {"item_id": "brandnew", "attributes": {"title": "New", "genres": genres}}
        assert started.ask("POST", "/items", {"items": [new]})[1]["everywhere"]
        assert {started.ask("GET", "/items/brandnew")[0] for _ in range(20)} == {200}
    finally:
        started.popen.terminate()
        started.popen.wait(60)
        reading.join()
        started.lines.close()


def test_a_worker_that_does_not_follow_is_told(
    serving: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "AGREE_SECONDS", 0.05)
    client = serving()
    client.service.bundles.standings = Standings(tmp_path, 0, 2)  # the second never starts
    client.service.bundles._stand()
    assert client.post("/admin/reload", None)["workers"] == [{"champion": "0001"}, {}]
    item = {"item_id": "new", "attributes": client.get("/items/i4")["attributes"]}
    assert not client.post("/items", {"items": [item]})["everywhere"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_workers_stop_when_whoever_started_them_is_killed(workers: Process) -> None:
    until(lambda: len(children(workers)) == 2)
    left = children(workers)
    workers.popen.kill()
    workers.popen.wait()
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in left))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_told_to_stop_while_a_worker_is_started_again_all_stop(workers: Process) -> None:
    told: list[dict[str, object]] = workers.told  # type: ignore[attr-defined]
    until(lambda: any(line["event"] == "ready" for line in told))
    os.kill(children(workers)[0], signal.SIGKILL)
    until(lambda: any(line["event"] == "worker_died" for line in told))
    workers.popen.terminate()  # within the second before another one is started
    assert workers.popen.wait(60) == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc of Linux")
def test_a_worker_that_cannot_start_again_leaves_the_others_alone(
    workers: Process, bundle: Path
) -> None:
    told: list[dict[str, object]] = workers.told  # type: ignore[attr-defined]

    def died(code: int) -> list[dict[str, object]]:
        return [one for one in told if (one["event"], one.get("code")) == ("worker_died", code)]

    until(lambda: any(line["event"] == "ready" for line in told))  # the first line was read
    items = bundle / "versions/0001/items.parquet"
    good = items.read_bytes()
    # what answers reads the old file's pages: another one takes its place
    for content in (b"rot", good):
        (bundle / "draft").write_bytes(content)
        (bundle / "draft").replace(items)
        if content == b"rot":
            os.kill(children(workers)[0], signal.SIGKILL)
            until(lambda: died(2))
            assert "items.parquet" in str(died(2)[0]["reason"])
            assert workers.ask("POST", "/recommend", {"user_id": "u1"})[0] == 200
    until(lambda: sum(line["event"] == "ready" for line in told) == 2)
    workers.popen.terminate()
    assert workers.popen.wait(120) == 0


def test_a_person_is_forgotten_by_every_worker_before_it_is_answered(bundle: Path) -> None:
    slow = {"SHORTLIST_FOLLOW_SECONDS": "0.5", "SHORTLIST_WATCH_SECONDS": "0"}
    started = Process(bundle, "--workers", "2", "--no-access-log", **slow)
    reading = threading.Thread(target=started.lines.read, daemon=True)
    reading.start()
    try:
        until(lambda: {} not in started.ask("GET", "/version")[1]["workers"])
        for user in ("u3", "u4", "u5"):  # whichever worker is told
            assert started.ask("DELETE", f"/users/{user}")[0] == 200
            left = {started.ask("GET", f"/users/{user}/history")[1]["total"] for _ in range(20)}
            assert left == {0}
    finally:
        started.popen.terminate()
        started.popen.wait(60)
        reading.join()
        started.lines.close()
