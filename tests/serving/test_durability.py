"""What was acknowledged is on disk: after any kill, and before the answer is sent."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from serving.conftest import Client, Told
from shortlist.serving import committing
from shortlist.serving.app import App
from shortlist.serving.committing import Committer
from shortlist.serving.events import Kept, StoreAway, StoreFull
from shortlist.serving.service import Service
from shortlist.serving.settings import Settings
from shortlist.serving.sqlite import SqliteStore

KILLS = 60
WRITER = """
import asyncio, os, random, signal, sys
from pathlib import Path
from shortlist.serving.committing import Committer
from shortlist.serving.events import Kept
from shortlist.serving.sqlite import SqliteStore

async def write(folder, run, out):
    committer = Committer(SqliteStore(Path(folder)), waiting=1000)
    async def one(lane):
        number = 0
        while True:
            name = f"{run}-{lane}-{number}"
            await committer.append([Kept(name, "u", "i", "watch", number)])
            os.write(out, (name + "\\n").encode())
            number += 1
    await asyncio.gather(*(one(lane) for lane in range(8)))
"""
ALONE = (
    WRITER
    + """
asyncio.run(write(sys.argv[1], "r", 1))
"""
)
KILLED = (
    WRITER
    + """
seeded = random.Random(0)
for run in range(int(sys.argv[2])):  # forked, so that nothing is imported again
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(out)
        asyncio.run(write(sys.argv[1], run, into))
    os.close(into)
    with os.fdopen(out, "rb") as told:
        for _ in range(seeded.randint(1, 60)):  # somewhere under load
            sys.stdout.buffer.write(told.readline())
        os.kill(pid, signal.SIGKILL)
        sys.stdout.buffer.write(told.read())
    os.waitpid(pid, 0)
"""
)


def _kept(folder: Path) -> set[str]:
    store = SqliteStore(folder)
    try:
        return {one.event_id for one in store.events_after(0)}
    finally:
        store.close()


def _event(name: str, user: str = "u") -> Kept:
    return Kept(name, user, "i1", "watch", 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_no_acknowledged_event_is_lost_by_sixty_kills(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(KILLS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    acknowledged = {line for line in told.splitlines() if line.count("-") == 2}
    assert {name.partition("-")[0] for name in acknowledged} == {str(n) for n in range(KILLS)}
    assert acknowledged <= _kept(tmp_path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_log_is_flushed_to_disk_before_anyone_is_told(tmp_path: Path) -> None:
    traced = [
        "strace",
        "-f",
        "-e",
        "trace=fsync,fdatasync,write,pwrite64",
        "-o",
        str(tmp_path / "calls"),
    ]
    with subprocess.Popen(
        [*traced, sys.executable, "-c", ALONE, str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(20)]
        writer.kill()
    calls = (tmp_path / "calls").read_text()
    if not all(told):
        pytest.skip("this machine does not let a process be traced")
    # each told name is written to the log (pwrite64) before, and a flush lies between
    first = calls.index("r-0-0\\n")
    flushes = [found.start() for found in re.finditer(r"f(data)?sync\(", calls[:first])]
    logged = calls[:first].rindex("pwrite64(")
    assert flushes
    assert flushes[-1] > logged


def test_whatever_waits_shares_a_flush_and_keeps_its_own_answer(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    held = threading.Event()

    async def told() -> tuple[list[list[Kept | None]], int]:
        committer = Committer(store, waiting=1000)
        blocked = committer.call(lambda _: held.wait(10))
        waiting = [committer.append([_event(f"e{n}"), _event(f"e{n // 2}")]) for n in range(10)]
        held.set()
        await blocked
        kept = await asyncio.gather(*waiting)
        committer.close()
        return kept, committer.flushes

    kept, flushes = asyncio.run(told())
    assert flushes == 1
    assert [one is not None for one in kept[0]] == [True, False]  # e0 twice
    assert [one is not None for one in kept[1]] == [True, False]  # e0 was there
    names = {f"e{n}" for n in range(10)}
    assert {one.event_id for one in store.events_after(0)} == names
    store.close()


class Stuck(SqliteStore):
    """A store that stops answering at its first batch, until let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.free = threading.Event(), threading.Event()

    def append(self, batch: Sequence[Kept]) -> list[Kept | None]:
        self.begun.set()
        self.free.wait(60)
        return super().append(batch)


@pytest.fixture
def stuck(bundle: Path, tmp_path: Path) -> Iterator[tuple[Client, Stuck]]:
    store = Stuck(tmp_path / "state")
    settings = Settings(bundle=str(bundle), access_log=False, timeout_seconds=0.2)
    with asyncio.Runner() as runner:
        service = Service(settings, store)
        yield Client(App(service), service, runner), store
        store.free.set()
        service.close()


def _watched(name: str) -> dict[str, object]:
    one = {"event": "watch", "user_id": "fresh", "item_id": "i4", "event_id": name}
    return {"events": [one]}


def test_a_store_that_does_not_answer_is_told_and_holds_up_no_stop(
    stuck: tuple[Client, Stuck],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client, store = stuck
    monkeypatch.setattr(committing, "_CLOSE_SECONDS", 0.1)

    async def asked() -> list[Told]:
        first = asyncio.ensure_future(client.asking("POST", "/events", _watched("begun")))
        await asyncio.to_thread(store.begun.wait, 60)  # what follows waits behind it
        behind = await client.asking("POST", "/events", _watched("waits"))
        return [await first, behind, await client.asking("DELETE", "/users/u3")]

    for told in client.runner.run(asyncio.wait_for(asked(), 30)):
        assert (told.status, told.json["error"]["code"]) == (503, "timeout")
        assert told.headers["retry-after"]
    client.service.close()
    assert "store_hangs" in capsys.readouterr().err
    store.free.set()
    client.service.committer._thread.join()
    # what was begun may be kept; what was given up before its turn is not
    assert [one.event_id for one in store.events_after(0)] == ["begun"]
    assert store.forgotten() == {}


def test_what_is_kept_late_counts_then(stuck: tuple[Client, Stuck]) -> None:
    client, store = stuck
    asked = client.asking("POST", "/events", _watched("late"))
    assert client.runner.run(asyncio.wait_for(asked, 30)).status == 503
    store.free.set()
    client.runner.run(client.service.bundles.catch_up())
    assert client.get("/users/fresh/history")["total"] == 1
    assert client.post("/events", _watched("late"))["duplicates"] == 1


def test_the_store_flushes_at_every_commit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    settings = {
        name: store._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
    }  # 2 is FULL
    store.close()


def test_a_full_disk_keeps_nothing_and_goes_on_reading(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.append([_event("before")])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")  # as SQLite sees a full disk
    with pytest.raises(StoreFull):
        store.append([_event(f"{n:0500}") for n in range(200)])
    assert [one.event_id for one in store.events_after(0)] == ["before"]
    store._db.execute("PRAGMA max_page_count=100000")
    assert store.append([_event("after")])[0] is not None
    store.close()


def test_a_full_disk_is_a_507_and_shortlists_go_on(client: Client) -> None:
    store = client.service.store
    assert isinstance(store, SqliteStore)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    many = [
        {"event": "watch", "user_id": f"{n:0200}", "item_id": "i1", "event_id": f"{n:0100}"}
        for n in range(500)
    ]
    told = client.ask("POST", "/events", {"events": many})
    assert (told.status, told.json["error"]["code"]) == (507, "disk_full")
    assert told.headers["retry-after"] == "60"
    assert client.post("/recommend", {"user_id": "u3"})["known_user"]
    assert client.post("/recommend", {"user_id": f"{7:0200}"})["fallback"]


def test_a_restart_remembers_events_items_and_who_was_forgotten(
    serving: Callable[..., Client],
) -> None:
    first = serving()
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4", "event_id": "e1"}
    genres = first.get("/items/i4")["attributes"]["genres"]
    new = {"item_id": "brandnew", "attributes": {"title": "Brand new", "genres": genres}}
    first.post("/items", {"items": [new]})
    first.post(
        "/events", {"events": [event, {**event, "item_id": "brandnew", "event_id": "2"}]}
    )
    first.ask("DELETE", "/users/u3")
    again = serving()
    for path in ("/users/fresh/history", "/users/u3/history", "/items/brandnew"):
        assert again.get(path) == first.get(path)
    body = {"user_id": "fresh", "k": 40}
    assert again.post("/recommend", body) == first.post("/recommend", body)
    assert again.post("/events", {"events": [event]})["duplicates"] == 1


def test_nothing_of_a_forgotten_user_is_left_in_the_files(
    client: Client, tmp_path: Path
) -> None:
    secret = "somebody-quite-particular"
    events = [
        {"event": "watch", "user_id": secret, "item_id": f"i{n}", "event_id": f"e{n}"}
        for n in range(20)
    ]
    client.post("/events", {"events": events})
    files = [file for file in (tmp_path / "toys.state").iterdir() if file.is_file()]
    assert any(secret.encode() in file.read_bytes() for file in files)
    assert client.ask("DELETE", f"/users/{secret}").json["events"] == 20
    assert not any(secret.encode() in file.read_bytes() for file in files if file.exists())


def damaged(folder: Path) -> Path:
    """A store whose file has a rotten page behind the first, which says what there is."""
    store = SqliteStore(folder)
    store.append([Kept(f"e{n}", "u", "i", "watch", n) for n in range(500)])
    store.close()
    with (folder / "events.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 3000)
    return folder


def test_damage_is_told_by_whatever_meets_it(tmp_path: Path) -> None:
    store = SqliteStore(damaged(tmp_path))
    meeting: list[Callable[[], object]] = [
        lambda: store.events_after(0),
        lambda: store.append([Kept("new", "u", "i", "watch", 1)]),
        lambda: store.forget("u"),
    ]
    for one in meeting:
        with pytest.raises(StoreAway, match="damaged: bring back a backup"):
            one()
    assert store.items() == []  # the rest is read
    assert store.add_items([("i", "{}")]) == 1
    store.close()


def test_a_file_that_is_no_store_is_refused_in_words(tmp_path: Path) -> None:
    from shortlist.errors import DataError

    (tmp_path / "events.sqlite").write_bytes(
        b"this is something else entirely, no database" * 99
    )
    with pytest.raises(DataError, match="cannot be opened"):
        SqliteStore(tmp_path)
