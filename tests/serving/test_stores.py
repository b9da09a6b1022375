"""Every store of events keeps the same contract: a file, and a real PostgreSQL where one is installed."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.conftest import Client, Server
from serving.test_process import Process
from shortlist.errors import DataError
from shortlist.serving.events import Kept, StoreAway, existing_store, open_store
from shortlist.serving.refreshing import refresh
from shortlist.serving.sqlite import SqliteStore


def kept(number: int, user: str = "u") -> Kept:
    return Kept(f"e{number}", user, f"i{number}", "rating", number, number / 2)


def test_events_come_back_in_order_and_count_once(where: str) -> None:
    with contextlib.closing(open_store(where)) as store:
        assert store.marks() == (0, 0)
        first = store.append([kept(1), kept(2), kept(1)])
        assert [one if one is None else one.event_id for one in first] == ["e1", "e2", None]
        assert store.append([kept(2), kept(3)])[0] is None
        odd = Kept("o", "naïve 用户 'x' \\ %s", "i", "watch", 2**40)
        store.append([odd])
    with contextlib.closing(existing_store(where)) as store:  # another time
        events = store.events_after(0)
        assert [one.event_id for one in events] == ["e1", "e2", "e3", "o"]
        places = [one.seq for one in events]
        assert places == sorted(set(places))
        assert (events[2].rating, events[2].timestamp, events[2].item_id) == (1.5, 3, "i3")
        assert (events[3].user_id, events[3].timestamp, events[3].rating) == (
            odd.user_id,
            2**40,
            None,
        )
        assert store.events_after(places[1]) == events[2:]
        assert store.events_of("u") == events[:3]
        assert store.events_of(odd.user_id) == events[3:]
        assert store.marks()[0] == places[-1]


def test_items_are_kept_once_with_their_last_columns(where: str) -> None:
    with contextlib.closing(open_store(where)) as store:
        assert store.add_items([("a", "{}"), ("b", '{"year": 1}')]) == 2
        before = store.marks()[1]
        assert store.add_items([("a", "{}")]) == 0
        assert store.marks()[1] == before
        assert store.add_items([("b", '{"year": 2}'), ("a", "{}")]) == 1
        replaced = store.marks()[1]
        assert replaced > before  # others look again
        assert store.add_items([("b", '{"year": 2}'), ("c", "{}")]) == 1
        assert store.marks()[1] > replaced
    with contextlib.closing(existing_store(where)) as store:
        assert store.items() == [("a", "{}"), ("b", '{"year": 2}'), ("c", "{}")]


def test_an_item_that_was_refused_is_corrected_by_posting_it_again(
    where: str, serving: Callable[..., Client]
) -> None:
    with contextlib.closing(open_store(where)) as store:  # of a bundle that had the column
        store.add_items([("n", '{"gone": 3}'), ("m", '{"title": "M"}')])
    client, other = serving(state=where), serving(state=where)
    assert client.ask("GET", "/items/n").status == 404
    told = client.post("/items", {"items": [{"item_id": "n", "attributes": {"title": "N"}}]})
    assert (told["added"], told["known"]) == (1, 0)
    assert client.get("/items/n")["title"] == "N"
    assert other.ask("GET", "/items/n").status == 404
    other.runner.run(other.service.bundles.catch_up())
    assert other.get("/items/n")["title"] == "N"
    assert serving(state=where).get("/items/n")["title"] == "N"
    # what answers stays as it is
    again = {"items": [{"item_id": "n", "attributes": {"title": "Other"}}]}
    assert other.post("/items", again)["known"] == 1
    with contextlib.closing(existing_store(where)) as store:
        assert ("n", '{"title":"N"}') in store.items()


def test_events_about_items_come_back_up_to_a_place(where: str) -> None:
    with contextlib.closing(open_store(where)) as store:
        odd = Kept("o", "u", "naïve 用户 'x' \\ \U0001f600", "watch", 1)
        store.append([kept(3), kept(1), odd, kept(2), Kept("late", "v", "i1", "watch", 4)])
        found = store.events_about(["i1", odd.item_id, "none"], 4)
        assert found == [one for one in store.events_after(0) if one.event_id in {"e1", "o"}]
        assert store.events_about([], 4) == []


def test_a_forgetting_has_a_place_among_the_events(where: str) -> None:
    with contextlib.closing(open_store(where)) as store:
        store.append([kept(1), kept(2, "v"), kept(3)])
        count, place = store.forget("u")
        assert count == 2
        assert [one.user_id for one in store.events_after(0)] == ["v"]
        assert store.marks()[0] == place
        (later,) = store.append([kept(4)])
        assert later is not None
        assert store.events_after(0)[0].seq < place < later.seq
        assert store.forgotten() == {store.hash_of("u"): place}
        assert store.forget("u")[1] > later.seq
        salted = store.hash_of("u")
    with contextlib.closing(open_store(where)) as store:
        assert store.hash_of("u") == salted
        assert store.hash_of("v") != salted


def test_places_go_on_after_what_a_bundle_was_trained_on(where: str) -> None:
    with contextlib.closing(open_store(where)) as store:
        assert store.go_on_after(40)
        assert not store.go_on_after(40)
        (first,) = store.append([kept(1)])
        assert first is not None
        assert first.seq == 41
        assert store.forget("nobody") == (0, 42)
        assert not store.go_on_after(7)
        (last,) = store.append([kept(2)])
        assert last is not None
        assert last.seq == 43


def test_who_follows_misses_no_event_of_several_writers(where: str) -> None:
    seen: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        with contextlib.closing(open_store(where)) as store:
            for n in range(40):
                one = Kept(f"{writer}-{n}", "u", "i", "watch", n)
                store.append([one, Kept(f"{writer}-{n}+", "u", "i", "watch", n)])

    def follow() -> None:
        with contextlib.closing(open_store(where)) as store:
            last = 0
            while True:
                over = done.is_set()  # looked at before the last look at the events
                new = store.events_after(last)
                seen.extend(one.event_id for one in new)
                last = max([last, *(one.seq for one in new)])
                if over and not new:
                    return

    open_store(where).close()
    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    follower = threading.Thread(target=follow)
    for one in (*writers, follower):
        one.start()
    for one in writers:
        one.join()
    done.set()
    follower.join()
    assert len(seen) == len(set(seen)) == 3 * 80


def test_the_service_runs_on_any_store(
    where: str, serving: Callable[..., Client], bundle: Path
) -> None:
    client, other = serving(state=where), serving(state=where)
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4", "event_id": "e"}
    assert client.post("/events", {"events": [event, event]})["duplicates"] == 1
    assert not client.post("/recommend", {"user_id": "fresh"})["fallback"]
    nul = {"events": [{**event, "user_id": "a\0b"}]}
    assert client.ask("POST", "/events", nul).status == 422
    assert client.ask("DELETE", "/users/a%00b").json["events"] == 0
    other.runner.run(other.service.bundles.catch_up())
    assert other.get("/users/fresh/history")["total"] == 1
    with contextlib.closing(existing_store(where)) as store:
        assert refresh(bundle, store, force=True).version == "0002"
    client.ask("POST", "/admin/reload")
    assert client.get("/users/fresh/history")["total"] == 1
    gone = client.ask("DELETE", "/users/fresh").json
    assert (gone["events"], gone["hidden_rows"], gone["bundle"]) == (1, 1, "done")
    assert client.get("/users/fresh/history")["total"] == 0


def test_a_database_that_goes_away_is_told_and_comes_back(
    server: Server, database: str, serving: Callable[..., Client]
) -> None:
    client = serving(state=database)
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4"}
    server.stop()
    try:
        told = client.ask("POST", "/events", {"events": [event]})
        assert (told.status, told.json["error"]["code"]) == (503, "store_away")
        assert told.headers["retry-after"]
        assert client.ask("POST", "/admin/reload").status == 503
        assert client.ask("POST", "/recommend", {"user_id": "u3"}).status == 200
        with pytest.raises(DataError, match=r"cannot be used \(OperationalError\)"):
            open_store(database)
    finally:
        server.start()
    assert client.post("/events", {"events": [event]})["accepted"] == 1


def test_a_table_that_somebody_locks_is_told_and_comes_back(
    database: str, serving: Callable[..., Client]
) -> None:
    import psycopg

    client = serving(state=database, timeout_seconds=60)
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4"}
    with psycopg.connect(database) as db:
        db.execute("LOCK TABLE shortlist_events")
        asked = client.asking("POST", "/events", {"events": [event]})
        told = client.runner.run(asyncio.wait_for(asked, 30))
        assert (told.status, told.json["error"]["code"]) == (503, "store_away")
        assert told.headers["retry-after"]
        assert client.ask("POST", "/recommend", {"user_id": "u3"}).status == 200
        with pytest.raises(DataError, match=r"cannot be used \(LockNotAvailable\)"):
            open_store(database)
    assert client.post("/events", {"events": [event]})["accepted"] == 1


def test_a_database_that_hangs_holds_up_no_stop_and_loses_nothing_told(
    bundle: Path, database: str
) -> None:
    import psycopg

    short = {"SHORTLIST_TIMEOUT_SECONDS": "1", "SHORTLIST_DRAIN_SECONDS": "1"}
    started = Process(bundle, "--state", database, "--no-access-log", **short)
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(started.popen)
        stack.callback(started.popen.kill)
        db = stack.enter_context(psycopg.connect(database, autocommit=True))
        told = [started.ask("POST", "/events", {"events": [{**event, "event_id": "1"}]})]
        theirs = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        found = db.execute(f"SELECT pid FROM pg_stat_activity WHERE {theirs}").fetchall()
        ((backend,),) = found  # of the service's only connection
        os.kill(backend, signal.SIGSTOP)
        try:
            told.append(
                started.ask("POST", "/events", {"events": [{**event, "event_id": "2"}]})
            )
            started.popen.terminate()
            assert started.popen.wait(60) == 0
        finally:
            os.kill(backend, signal.SIGCONT)
        assert [status for status, _ in told] == [200, 503]
        assert told[1][1]["error"]["code"] == "timeout"
        kept_there = db.execute("SELECT event_id FROM shortlist_events").fetchall()
        assert ("1",) in kept_there


def test_a_database_that_goes_without_a_word_is_given_up(database: str) -> None:
    from shortlist.serving.postgres import PostgresStore

    # on a socket of one machine it cannot be seen to work, only that it is set, and that the URL goes first
    for words, expected in (("", "8000"), ("&tcp_user_timeout=1234", "1234")):
        with contextlib.closing(PostgresStore(database + words)) as store:
            told = store._db.info.get_parameters()
            assert (told["tcp_user_timeout"], told["keepalives_idle"]) == (expected, "5")


def test_the_database_flushes_before_it_answers(database: str) -> None:
    with contextlib.closing(open_store(database)) as store:
        from shortlist.serving.postgres import PostgresStore

        assert isinstance(store, PostgresStore)
        assert store._rows("SHOW synchronous_commit") == [("on",)]
        assert store._rows("SHOW fsync") == [("on",)]


def test_a_wrong_password_is_not_repeated(server: Server) -> None:
    url = f"postgresql://nobody:secret-word@/postgres?host={server.folder}"
    with pytest.raises(DataError) as refused:
        open_store(url)
    assert "secret-word" not in str(refused.value)


def test_a_folder_without_events_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no events"):
        existing_store(str(tmp_path))


def test_a_file_that_another_process_writes_is_told(tmp_path: Path) -> None:
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    store._db.execute("PRAGMA busy_timeout=1")
    other._db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway):
        store.append([kept(1)])
    other._db.execute("ROLLBACK")
    assert store.append([kept(1)])[0] is not None
    for one in (store, other):
        one.close()
