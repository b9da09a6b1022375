"""Events about items that nobody knows yet are not lost: they wait, whatever is trained meanwhile."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

import shortlist as sl
from serving.conftest import Client
from shortlist.serving.events import Kept, existing_store
from shortlist.serving.overlay import Overlay
from shortlist.serving.refreshing import Refreshed, refresh
from shortlist.serving.waiting import posted


def history(client: Client, user: str) -> list[str]:
    return [one["item_id"] for one in client.get(f"/users/{user}/history")["history"]]


def test_events_wait_for_their_item_and_count_once(
    where: str, serving: Callable[..., Client], bundle: Path
) -> None:
    client, other = serving(state=where), serving(state=where)
    told = [("fresh", "z", 10), ("fresh", "i4", 20), ("gone", "z", 30), ("u3", "z", 2**30)]
    events = [
        {"event": "watch", "user_id": user, "item_id": item, "timestamp": when}
        for user, item, when in told
    ]
    assert client.post("/events", {"events": events})["unknown_items"] == 3

    def refreshed() -> Refreshed:
        with contextlib.closing(existing_store(where)) as store:
            made = refresh(bundle, store, force=True)
        for one in (client, other):
            assert one.post("/admin/reload", {})["version"] == made.version
        return made

    made = refreshed()
    assert (made.events, made.unknown_items) == (4, 3)
    assert client.service.running.through == 4
    long_ago = len(history(client, "u3"))
    assert history(client, "fresh") == history(other, "fresh") == ["i4"]
    client.ask("DELETE", "/users/gone")
    client.post("/items", {"items": [{"item_id": "z", "attributes": {"title": "Z"}}]})
    other.runner.run(other.service.bundles.catch_up())
    for one in (client, other, serving(state=where)):  # live, elsewhere, after a restart
        assert history(one, "fresh") == ["i4", "z"]  # the last first
        assert history(one, "gone") == []
        assert history(one, "u3")[0] == "z"
        assert len(history(one, "u3")) == long_ago + 1
    assert client.post("/admin/rollback", {})["version"] == "0001"
    assert history(client, "fresh") == ["i4", "z"]
    assert client.post("/admin/rollback", {"version": made.version})["version"] == made.version
    assert history(client, "fresh") == ["i4", "z"]

    made = refreshed()
    assert (made.events, made.unknown_items, made.items) == (2, 0, 1)
    rows = sl.load(bundle).snapshot.interactions().table
    about = rows.filter(pl.col("item_id") == "z").sort("timestamp")
    assert about["user_id"].to_list() == ["fresh", "u3"]
    for one in (client, other, serving(state=where)):
        assert history(one, "fresh") == ["i4", "z"]
        assert len(history(one, "u3")) == long_ago + 1
    again = refreshed()
    assert (again.events, again.repeated) == (0, 0)
    assert sl.load(bundle).snapshot.interactions().table.height == rows.height
    assert history(client, "fresh") == ["i4", "z"]
    client.post("/admin/rollback", {"version": "0002"})  # which did not know the item
    assert history(client, "fresh") == ["i4", "z"]


def test_each_arm_learned_from_what_it_knew(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.bundle"
    fitted.save(other)
    client = serving(challenger=str(other), share=0.5)
    service = client.service
    users = [f"n{n}" for n in range(8)]
    assert {service.arms.arm(user) for user in users} == {"champion", "challenger"}
    events = [{"event": "watch", "user_id": user, "item_id": "z"} for user in users]
    client.post("/events", {"events": events})
    for path in (bundle, other):  # the challenger is trained when the item is there
        with contextlib.closing(existing_store(service.settings.events)) as store:
            refresh(path, store, force=True)
            store.add_items([("z", '{"title": "Z"}')])
    client.post("/admin/reload", {})
    assert {one.through for one in service.arms.runnings.values()} == {8}
    for arm, one in service.arms.runnings.items():
        assert len(posted(one)) == (1 if arm == "champion" else 0)
        for user in users:
            assert len(service.overlay.asker(one, user).rows) == 1


def test_what_is_recalled_stands_where_it_arrived_and_counts_once() -> None:
    overlay = Overlay(str.upper, {"GONE": 2, "BACK": 2})
    first, late = (
        Kept("", "u", "z", "watch", 5, None, 1),
        Kept("", "u", "i", "watch", 5, None, 9),
    )
    overlay.follow([late], 9)
    gone, back = (
        Kept("", "gone", "z", "watch", 5, None, 1),
        Kept("", "back", "z", "watch", 5, None, 3),
    )
    for _ in range(2):
        overlay.recall([first, gone, back])
        overlay.recall([late])
    assert overlay._events == {"u": [first, late], "back": [back]}
    assert overlay.followed == 9
