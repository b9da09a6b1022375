"""A person is forgotten everywhere: files are searched for the id, raw and decoded."""

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client, Told
from shortlist.cli.main import main
from shortlist.errors import BundleError
from shortlist.recommender import forgetting
from shortlist.recommender.publishing import pointed_at, versions
from shortlist.serving import cleaning
from shortlist.serving import events as kept_events
from shortlist.serving.events import StoreFull
from shortlist.serving.refreshing import refresh
from shortlist.serving.sqlite import SqliteStore

WHO = "zebra-7731"  # an id that no other text holds


@pytest.fixture
def fitted(world: sl.Interactions) -> sl.Recommender:
    ids = pl.col("user_id").cast(pl.String).replace({"u3": WHO})
    assert world.users is not None
    named = replace(
        world, table=world.table.with_columns(ids), users=world.users.with_columns(ids)
    )
    return sl.Recommender(retrieve=[sl.retrieval.EASE()], rank=sl.ranking.Biases()).fit(named)


def traces(*folders: Path) -> list[str]:
    """Files that hold the id: as bytes, or decoded where they are compressed."""
    found = []
    for file in (one for folder in folders for one in folder.rglob("*") if one.is_file()):
        text = file.read_bytes().decode("latin-1")
        if file.suffix == ".parquet":
            text += str(pl.read_parquet(file).to_dicts())
        if WHO in text or json.dumps(WHO) in text:
            found.append(file.name)
    return sorted(set(found))


def events(*items: str) -> dict[str, object]:
    return {
        "events": [
            {"event": "watch", "user_id": WHO, "item_id": item, "event_id": f"{WHO}/{item}"}
            for item in items
        ]
    }


def test_no_file_holds_the_id_afterwards(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path
) -> None:
    fitted.save(bundle)  # a second version; the first is kept
    client = serving()
    state = Path(client.service.settings.events)
    client.post("/events", events("i4", "i5"))
    assert "users.parquet" in traces(bundle)
    assert any(name.startswith("events.sqlite") for name in traces(state))

    gone = client.ask("DELETE", f"/users/{WHO}").json
    assert (gone["events"], gone["hidden_rows"], gone["bundle"]) == (2, 10, "done")
    assert "until the next training" in gone["remains"]
    assert traces(bundle, state) == []
    assert versions(bundle) == ["0003", "0004"]
    assert pointed_at(bundle)[0] == client.service.running.version == "0004"
    sl.verify(bundle)
    assert client.get(f"/users/{WHO}/history") == {"history": [], "total": 0}
    assert client.post("/recommend", {"user_id": WHO})["fallback"]
    assert client.ask("DELETE", f"/users/{WHO}").json["events"] == 0


def test_who_comes_back_begins_anew_and_stays(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path
) -> None:
    client = serving()
    client.ask("DELETE", f"/users/{WHO}")  # takes place 1 in the order of arrival
    client.post("/events", events("i4"))  # takes place 2
    assert client.get(f"/users/{WHO}/history")["total"] == 1
    fitted.events_through = 2  # as if it had been trained on what came since, and only that
    fitted.save(bundle)
    client.ask("POST", "/admin/reload")
    client.runner.run(client.service.bundles.clean())
    assert client.service.running.version == versions(bundle)[-1]
    assert client.get(f"/users/{WHO}/history")["total"] == 10  # not hidden, not cleaned


@pytest.mark.parametrize("swapped", [False, True])
def test_a_new_store_counts_and_forgets_under_a_bundle_trained_on_another(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path, swapped: bool
) -> None:
    client = serving() if swapped else None
    fitted.events_through = 40  # of a store that is lost, or was replaced by a database
    fitted.save(bundle)
    if client is None:
        client = serving()
    client.ask("POST", "/admin/reload")
    before = client.get(f"/users/{WHO}/history")["total"]
    client.post("/events", events("i4"))
    assert client.get(f"/users/{WHO}/history")["total"] == before + 1
    assert client.ask("DELETE", f"/users/{WHO}").json["bundle"] == "done"
    assert client.get(f"/users/{WHO}/history")["total"] == 0
    assert traces(bundle, Path(client.service.settings.events)) == []


def test_a_bundle_trained_on_old_rows_does_not_bring_anybody_back(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path
) -> None:
    client = serving(watch_seconds=0.01)
    client.ask("DELETE", f"/users/{WHO}")
    fitted.save(bundle)  # somebody trained again on a file from before
    assert traces(bundle)
    client.ask("POST", "/admin/reload")
    assert client.get(f"/users/{WHO}/history")["total"] == 0  # hidden at once

    async def cleaned() -> None:
        following = asyncio.create_task(client.service.bundles.follow())
        while client.service.running.version != "0004":
            await asyncio.sleep(0.01)
        following.cancel()

    client.runner.run(asyncio.wait_for(cleaned(), 30))
    assert traces(bundle, Path(client.service.settings.events)) == []


def test_a_bundle_that_cannot_be_written_is_told_and_its_rows_are_hidden(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        msg = "read-only"
        raise BundleError(msg)

    monkeypatch.setattr(cleaning, "clean", fails)
    assert client.ask("DELETE", f"/users/{WHO}").json["bundle"] == "failed"
    assert client.get(f"/users/{WHO}/history")["total"] == 0


def test_a_damaged_version_stops_neither_forgetting_nor_refreshing(
    serving: Callable[..., Client], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = bundle / "versions" / "0007"
    shutil.copytree(bundle / "versions" / "0001", bad)
    with (bad / "items.parquet").open("ab") as file:
        file.write(b"x")
    client = serving()
    gone = client.ask("DELETE", f"/users/{WHO}").json
    assert gone["bundle"] == "in part"  # somebody may be copying it this moment
    assert versions(bundle) == ["0007", "0008"]
    assert client.service.running.version == pointed_at(bundle)[0] == "0008"
    store, said = client.service.store, list[str]()
    refresh(bundle, store, say=said.append)
    assert said[0].startswith(f"version 0007 of {bundle} cannot be read, and may hold")
    monkeypatch.setattr(forgetting, "_SETTLED_SECONDS", 0)
    assert client.ask("DELETE", f"/users/{WHO}").json["bundle"] == "done"
    assert versions(bundle) == ["0008"]
    assert traces(bundle, Path(client.service.settings.events)) == []


def reading(state: Path) -> sqlite3.Connection:
    """Somebody who reads the events, until closed."""
    reader = sqlite3.connect(state / "events.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    return reader


def test_whoever_reads_the_log_holds_up_the_forgetting_but_no_event(
    serving: Callable[..., Client],
) -> None:
    client = serving(timeout_seconds=60)
    client.post("/events", events("i4"))
    state = Path(client.service.settings.events)
    other = {"events": [{"event": "watch", "user_id": "other", "item_id": "i5"}]}

    async def asked() -> tuple[list[Told], list[Told]]:
        reader = reading(state)
        gone = [asyncio.ensure_future(client.asking("DELETE", f"/users/{WHO}"))]
        while not await client.service.committer.call(lambda store: store.forgotten()):
            pass
        gone.append(asyncio.ensure_future(client.asking("DELETE", f"/users/{WHO}")))
        meanwhile = [await client.asking("POST", "/events", other) for _ in range(5)]
        meanwhile.append(await client.asking("GET", f"/users/{WHO}/history"))
        assert not any(one.done() for one in gone)
        assert traces(state)
        reader.close()
        return meanwhile, [await one for one in gone]

    meanwhile, gone = client.runner.run(asked())
    assert [one.status for one in meanwhile] == [200] * 6
    assert meanwhile[-1].json["total"] == 0  # hidden at once
    assert [(one.status, one.json["events"]) for one in gone] == [(200, 1), (200, 0)]
    assert traces(state) == []
    assert client.get("/users/other/history")["total"] == 5


def test_a_log_that_is_read_all_the_time_is_told(
    serving: Callable[..., Client], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serving(timeout_seconds=0.1)
    client.post("/events", events("i4"))
    state = Path(client.service.settings.events)
    reader = reading(state)
    told = client.ask("DELETE", f"/users/{WHO}")
    assert (told.status, told.json["error"]["code"]) == (503, "log_held")
    assert told.headers["retry-after"]
    assert client.get(f"/users/{WHO}/history")["total"] == 0
    monkeypatch.setattr(kept_events, "_TRIES", 1)
    assert main(["forget", str(bundle), "--state", str(state), "--user", WHO]) == 2
    assert traces(state)
    reader.close()
    client.service._emptier._patience = 60.0
    assert client.ask("DELETE", f"/users/{WHO}").status == 200
    assert traces(state) == []


class FullDisk:
    """A connection on whose disk the log has no room to be emptied, and maybe none to grow."""

    def __init__(self, inner: sqlite3.Connection, *, fails: tuple[str, ...]) -> None:
        self._inner, self._fails = inner, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith(self._fails):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._inner.execute(statement, *values)


def test_a_full_disk_leaves_bytes_that_a_later_try_removes(client: Client) -> None:
    client.post("/events", events("i4"))
    store = client.service.store
    assert isinstance(store, SqliteStore)
    whole, path = store._db, f"/users/{WHO}"
    tries: list[tuple[tuple[str, ...], str]] = [
        (("DELETE FROM events WHERE user_id",), "disk_full"),
        (("PRAGMA wal_checkpoint",), "log_held"),
        (("PRAGMA wal_checkpoint", "INSERT OR REPLACE INTO forgotten"), "log_held"),
    ]
    for fails, code in tries:
        store._db = cast("sqlite3.Connection", FullDisk(whole, fails=fails))
        told = client.ask("DELETE", path)
        assert told.json["error"]["code"] == code
        left = client.get(f"{path}/history")["total"]
        assert left == (11 if code == "disk_full" else 0)
    state = Path(client.service.settings.events)
    assert traces(state)
    store._db = whole
    assert client.ask("DELETE", path).json["events"] == 0
    assert traces(state) == []


def test_the_command_says_that_the_disk_is_full(
    serving: Callable[..., Client],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise StoreFull

    state = serving().service.settings.events
    monkeypatch.setattr(SqliteStore, "forget", fails)
    assert main(["forget", str(bundle), "--state", state, "--user", WHO]) == 2
    assert "StoreFull" in capsys.readouterr().err


def test_a_service_elsewhere_cleans_its_own_copy(
    serving: Callable[..., Client], bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.bundle"
    shutil.copytree(bundle, copy)
    one = serving()
    state = one.service.settings.events
    two = serving(bundle=str(copy), state=state, follow_seconds=0.01)
    one.ask("DELETE", f"/users/{WHO}")
    assert traces(copy)

    async def followed() -> None:
        following = asyncio.create_task(two.service.bundles.follow())
        while two.service.running.version != "0002":
            await asyncio.sleep(0.01)
        following.cancel()

    two.runner.run(asyncio.wait_for(followed(), 60))
    assert traces(copy, bundle, Path(state)) == []


def test_the_command_forgets_in_the_events_too_and_old_drafts_go(
    serving: Callable[..., Client], bundle: Path
) -> None:
    client = serving()
    client.post("/events", events("i4"))
    draft = bundle / "versions" / ".draft-of-somebody-killed"
    draft.mkdir()
    (draft / "users.parquet").write_text(WHO)
    os.utime(draft, (0, 0))
    state = client.service.settings.events
    assert main(["forget", str(bundle), "--state", state, "--user", WHO, "--json"]) == 0
    client.runner.run(client.service.bundles.catch_up())
    assert client.get(f"/users/{WHO}/history")["total"] == 0
    client.runner.run(client.service.bundles.clean())
    assert traces(bundle, Path(state)) == []
