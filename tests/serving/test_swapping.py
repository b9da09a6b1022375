"""One bundle replaces another without dropping a request, and what cannot be trusted replaces nothing."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import shortlist as sl
from serving.conftest import Client


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
    before = weakref.ref(client.service.running.recommender)
    fitted.save(bundle)
    client.ask("POST", "/admin/reload")
    client.post("/recommend", {"user_id": "u4"})
    gc.collect()
    assert before() is None
