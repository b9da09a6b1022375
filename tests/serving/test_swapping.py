"""One bundle replaces another without dropping a request, and what cannot be trusted replaces nothing."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.recommender.publishing import roll_back
from shortlist.serving import bundles
from shortlist.serving.events import StoreAway
from shortlist.serving.wire import Cleaned


def test_a_reload_under_load_drops_nothing_and_keeps_the_events(
    client: Client, world: sl.Interactions, bundle: Path
) -> None:
    event = {"event": "dismiss", "user_id": "u3", "item_id": "i4"}
    client.post("/events", {"events": [event]})
    other = sl.Recommender(retrieve=[sl.retrieval.Popularity()]).fit(world)
    want = other.recommend(user="u5", k=5)["item_id"].to_list()
    other.save(bundle)

    async def asked() -> list[tuple[int, str, list[str]]]:
        answers: list[tuple[int, str, list[str]]] = []
        reloading = asyncio.create_task(client.asking("POST", "/admin/reload"))
        while not reloading.done() or len(answers) < 20:
            body = {"user_id": "u5", "k": 5}
            many = [client.asking("POST", "/recommend", body) for _ in range(8)]
            for told in await asyncio.gather(*many):
                ids = [one["item_id"] for one in told.json["recommendations"]]
                answers.append((told.status, told.json["version"], ids))
        assert reloading.result().json["version"] == "0002"
        return answers

    answers = client.runner.run(asked())
    assert {status for status, _, _ in answers} == {200}
    after = client.post("/recommend", {"user_id": "u5", "k": 5})
    assert after["version"] == "0002"
    assert [one["item_id"] for one in after["recommendations"]] == want
    items = client.post("/recommend", {"user_id": "u3", "k": 40})["recommendations"]
    assert "i4" not in [one["item_id"] for one in items]


def test_a_corrupt_bundle_is_refused_and_the_old_one_answers(
    client: Client, fitted: sl.Recommender, bundle: Path
) -> None:
    before = client.post("/recommend", {"user_id": "u3"})
    folder = fitted.save(bundle)
    (folder / "items.parquet").write_bytes(b"rot")
    told = client.ask("POST", "/admin/reload")
    assert (told.status, told.json["error"]["code"]) == (409, "bad_bundle")
    assert client.post("/recommend", {"user_id": "u3"}) == before
    assert client.get("/version")["last_reload_error"]


def test_a_watched_folder_is_taken_by_itself_and_rolled_back(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path
) -> None:
    client = serving(watch_seconds=0.01)

    async def watched(version: str) -> None:
        watching = asyncio.create_task(client.service.bundles.watch())
        while client.service.running.version != version:
            await asyncio.sleep(0.01)
        watching.cancel()

    fitted.save(bundle)
    client.runner.run(asyncio.wait_for(watched("0002"), 30))
    told = client.ask("POST", "/admin/rollback", raw=b"", headers={"content-type": "-"})
    assert told.json["version"] == "0001"  # as `curl -X POST` asks
    assert (bundle / "CURRENT").read_text().startswith("0001 ")
    told = client.ask("POST", "/admin/rollback", {})
    assert (told.status, told.json["error"]["code"]) == (409, "bad_bundle")
    assert "no version before the current one" in told.json["error"]["message"]
    told = client.ask("POST", "/admin/rollback", {"version": "0002"})
    assert told.json["version"] == "0002"
    assert client.ask("POST", "/admin/rollback", {"version": "0009"}).status == 409


def until(client: Client, true: Callable[[], bool]) -> None:
    """Let the tasks in the background run until something is true."""

    async def waited() -> None:
        service = client.service
        running = (service.bundles.watch, service.bundles.follow, service.tell)
        tasks = [asyncio.create_task(one()) for one in running]
        while not true():
            await asyncio.sleep(0.01)
            assert not any(one.done() for one in tasks)
        for one in tasks:
            one.cancel()

    client.runner.run(asyncio.wait_for(waited(), 30))


def test_a_version_published_while_the_store_is_away_is_taken_when_it_is_back(
    serving: Callable[..., Client],
    fitted: sl.Recommender,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = serving(watch_seconds=0.01)
    tried: list[str] = []

    def away() -> list[tuple[str, str]]:
        tried.append("items")
        raise StoreAway

    with monkeypatch.context() as patched:
        patched.setattr(client.service.store, "items", away)
        fitted.save(bundle)
        until(client, lambda: len(tried) > 2)  # again and again
        for path in ("/admin/reload", "/admin/rollback"):
            told = client.ask("POST", path, {})
            assert (told.status, told.json["error"]["code"]) == (503, "store_away")
        assert (bundle / "CURRENT").read_text().startswith("0002 ")  # as it was
    assert client.get("/version")["last_reload_error"] is None  # no fault of the bundle
    until(client, lambda: client.service.running.version == "0002")


def test_what_runs_in_the_background_outlives_everything(
    serving: Callable[..., Client],
    fitted: sl.Recommender,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = serving(watch_seconds=0.01, follow_seconds=0.01)
    failed: list[str] = []
    right = client.service.bundles.clean

    async def clean() -> Cleaned:
        if len(failed) < 2:
            failed.append("clean")
            raise RuntimeError
        return await right()

    monkeypatch.setattr(bundles, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(client.service.bundles, "clean", clean)
    monkeypatch.setattr(client.service, "counted", None)  # which cannot be called
    until(client, lambda: len(failed) == 2)
    fitted.save(bundle)
    until(client, lambda: client.service.running.version == "0002")


def test_a_corrupt_champion_keeps_no_challenger_back_and_is_told_until_it_is_mended(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.bundle"
    fitted.save(other)
    client = serving(challenger=str(other), share=0.5, watch_seconds=0.01)
    service = client.service
    (fitted.save(bundle) / "items.parquet").write_bytes(b"rot")
    until(client, lambda: service.bundles.reload_error is not None)
    fitted.save(other)
    until(client, lambda: service.arms.runnings["challenger"].version == "0002")
    fitted.save(other)
    assert client.ask("POST", "/admin/reload").status == 409  # for the champion
    assert service.arms.runnings["challenger"].version == "0003"
    assert service.running.version == "0001"
    roll_back(bundle, "0001")  # which answers all the time
    until(client, lambda: service.bundles.reload_error is None)
    fitted.save(bundle)
    until(client, lambda: service.running.version == "0003")


def test_a_corrupt_challenger_stops_no_rollback(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path, tmp_path: Path
) -> None:
    fitted.save(bundle)
    other = tmp_path / "other.bundle"
    folder = fitted.save(other)
    client = serving(challenger=str(other), share=0.5)
    (folder / "items.parquet").write_bytes(b"rot")
    assert client.post("/admin/rollback", {})["version"] == "0001"
    assert (bundle / "CURRENT").read_text().startswith("0001 ")


def test_a_bundle_that_was_trained_on_events_is_not_told_them_twice(
    client: Client, fitted: sl.Recommender, bundle: Path
) -> None:
    import hashlib
    import json

    client.post("/events", {"events": [{"event": "watch", "user_id": "u3", "item_id": "i4"}]})
    total = client.get("/users/u3/history")["total"]
    folder = fitted.save(bundle)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    content = json.dumps({**manifest, "events_through": 1}).encode()
    (folder / "manifest.json").write_bytes(content)
    (bundle / "CURRENT").write_text(f"{folder.name} {hashlib.sha256(content).hexdigest()}\n")
    assert client.ask("POST", "/admin/reload").status == 200
    assert client.get("/users/u3/history")["total"] == total - 1
    client.ask("POST", "/admin/rollback", {})  # it was not trained on the event
    assert client.get("/users/u3/history")["total"] == total


def test_a_replaced_bundle_is_let_go(
    client: Client, fitted: sl.Recommender, bundle: Path
) -> None:
    event = {"event": "watch", "user_id": "u3", "item_id": "i4"}
    client.post("/events", {"events": [event]})
    client.post("/recommend", {"user_id": "u3"})  # and does not ask again
    client.get("/stats")
    client.get("/catalogue")
    before = weakref.ref(client.service.running.recommender)
    fitted.save(bundle)
    client.ask("POST", "/admin/reload")
    client.post("/recommend", {"user_id": "u4"})
    gc.collect()
    assert before() is None
