"""Live events over a bundle answer as a bundle does that was told of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shortlist as sl
from serving.conftest import Client
from shortlist.data.expression import Expression
from shortlist.serving import overlay
from shortlist.serving.events import Kept
from shortlist.serving.overlay import Overlay

EVENTS: list[dict[str, Any]] = [
    {"event": "rating", "user_id": "u3", "item_id": "i9", "rating": 5.0, "timestamp": 1_500_000_300},
    {"event": "rating", "user_id": "u3", "item_id": "i5", "rating": 1.0, "timestamp": 1_500_000_100},
    {"event": "rating", "user_id": "fresh", "item_id": "i2", "rating": 4.0, "timestamp": 1_500_000_200},
    {"event": "rating", "user_id": "fresh", "item_id": "i6", "rating": 5.0, "timestamp": 900_000_000},
]  # fmt: skip


@pytest.mark.parametrize("user", ["u3", "fresh", "u4"])
def test_the_answer_is_that_of_update(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path, user: str
) -> None:
    told = sl.Recommender(retrieve=[sl.retrieval.EASE(decay=0.1)]).fit(world)
    told.save(tmp_path / "plain.bundle")
    client = serving(bundle=str(tmp_path / "plain.bundle"))
    client.post("/events", {"events": EVENTS})
    rows = pl.DataFrame(EVENTS).drop("event")
    told.update(sl.Interactions(rows, world.catalogue, None, world.positive))
    want = told.recommend(user=user, k=40)
    answer = client.post("/recommend", {"user_id": user, "k": 40})["recommendations"]
    assert [one["item_id"] for one in answer] == want["item_id"].to_list()
    assert [one["score"] for one in answer] == pytest.approx(want["score"].to_list())


def test_events_stand_in_the_history_in_the_order_of_their_time(client: Client) -> None:
    client.post("/events", {"events": EVENTS})
    history = client.get("/users/fresh/history")["history"]
    assert [one["item_id"] for one in history] == ["i2", "i6"]  # newest first
    assert [one["rating"] for one in history] == [4.0, 5.0]
    mine = client.get("/users/u3/history?limit=2")
    assert [(one["item_id"], one["liked"]) for one in mine["history"]] == [
        ("i9", True),
        ("i5", False),  # the world's positive is rating >= 3
    ]
    assert mine["total"] == 12


def test_time_from_the_future_is_the_time_of_arrival_and_said(client: Client) -> None:
    event = {"event": "watch", "user_id": "a", "item_id": "i1", "timestamp": 2**40}
    assert client.post("/events", {"events": [event]})["from_the_future"] == 1
    assert client.get("/users/a/history")["history"][0]["timestamp"] < 2**35


def test_an_event_about_an_unknown_item_counts_once_the_item_comes(client: Client) -> None:
    event = {"event": "watch", "user_id": "a", "item_id": "later"}
    assert client.post("/events", {"events": [event]})["unknown_items"] == 1
    assert client.post("/recommend", {"user_id": "a"})["fallback"]
    new = {"item_id": "later", "attributes": client.get("/items/i4")["attributes"]}
    client.post("/items", {"items": [new]})
    assert client.get("/users/a/history")["total"] == 1
    assert not client.post("/recommend", {"user_id": "a"})["fallback"]


def test_a_dismissed_item_is_not_liked_and_not_shown(client: Client) -> None:
    watched = {"event": "watch", "user_id": "a", "item_id": "i1"}
    client.post(
        "/events", {"events": [watched, {**watched, "event": "dismiss", "item_id": "i5"}]}
    )
    liked = {one["item_id"]: one["liked"] for one in client.get("/users/a/history")["history"]}
    assert liked == {"i1": True, "i5": False}
    shown = client.post("/recommend", {"user_id": "a", "k": 40})["recommendations"]
    assert not {"i1", "i5"} & {one["item_id"] for one in shown}


def test_a_dismissal_takes_back_what_was_liked_before_it_and_nothing_after(
    client: Client, world: sl.Interactions
) -> None:
    liked = {
        one["item_id"] for one in client.get("/users/u3/history")["history"] if one["liked"]
    }
    mine = min(liked)  # in the bundle, about 1,500,000,000
    later = {"user_id": "u3", "timestamp": 1_600_000_000}
    dismissed = {**later, "event": "dismiss", "item_id": mine}
    client.post("/events", {"events": [dismissed]})
    now = client.get("/users/u3/history")["history"]
    assert {one["item_id"] for one in now if one["liked"]} == liked - {mine}
    again = {**later, "event": "watch", "item_id": mine, "timestamp": 1_600_000_001}
    client.post("/events", {"events": [again]})
    now = client.get("/users/u3/history")["history"]
    assert [one["liked"] for one in now if one["item_id"] == mine] == [True, False, False]


def test_the_latest_rating_says_whether_an_item_is_liked(client: Client) -> None:
    told = {"user_id": "a", "item_id": "i1"}
    said = [
        ("watch", None, 100),
        ("rating", 1.0, 200),
        ("rating", 5.0, 300),
        ("rating", 2.0, 400),
    ]
    liked = []
    for event, rating, when in said:  # liked from 3 stars on
        event_of = {**told, "event": event, "rating": rating, "timestamp": when}
        client.post("/events", {"events": [event_of]})
        history = client.get("/users/a/history")["history"][::-1]
        liked.append([one["liked"] for one in history])
    assert liked == [[True], [False] * 2, [False, False, True], [False] * 4]
    assert client.post("/recommend", {"user_id": "a"})["fallback"]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
def test_what_is_taken_back_is_what_is_against_later(said: list[tuple[int, bool]]) -> None:
    rows = np.array([row for row, _ in said], np.int32)
    against = np.array([one for _, one in said], bool)
    want = [
        any(later == row and told for later, told in said[place + 1 :])
        for place, (row, _) in enumerate(said)
    ]
    assert overlay._taken_back(rows, against).tolist() == want


def test_a_dismissal_in_the_second_of_the_bundles_own_row_counts(client: Client) -> None:
    history = client.get("/users/u3/history")["history"]
    mine = next(one for one in history if one["liked"])
    same = {"user_id": "u3", "item_id": mine["item_id"], "timestamp": mine["timestamp"]}
    client.post("/events", {"events": [{**same, "event": "watch"}]})  # that row again: known
    assert client.get("/users/u3/history")["total"] == len(history)
    client.post("/events", {"events": [{**same, "event": "dismiss"}]})
    now = client.get("/users/u3/history")
    assert now["total"] == len(history) + 1
    told = [one["liked"] for one in now["history"] if one["item_id"] == mine["item_id"]]
    assert told == [False, False]


def test_who_liked_and_dismissed_is_answered_as_who_only_dismissed(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path
) -> None:
    sl.Recommender(retrieve=[sl.retrieval.EASE()]).fit(world).save(tmp_path / "plain.bundle")
    client = serving(bundle=str(tmp_path / "plain.bundle"))

    def told(event: str, item: str, user: str) -> dict[str, Any]:
        return {"event": event, "user_id": user, "item_id": item}

    events = [told("watch", item, "a") for item in ("i1", "i2")]
    events += [told("dismiss", "i1", "a"), told("watch", "i2", "b"), told("dismiss", "i1", "b")]
    client.post("/events", {"events": events})
    a, b = (
        client.post("/recommend", {"user_id": user, "k": 40})["recommendations"]
        for user in ("a", "b")
    )
    assert a == b


def test_a_forgotten_user_who_comes_back_begins_anew(client: Client) -> None:
    client.ask("DELETE", "/users/u3")
    client.post("/events", {"events": [{"event": "watch", "user_id": "u3", "item_id": "i4"}]})
    assert client.get("/users/u3/history")["total"] == 1
    answer = client.post("/recommend", {"user_id": "u3", "k": 40})
    assert not answer["fallback"]
    want = client.post("/recommend", {"history": ["i4"], "k": 40})
    assert [one["item_id"] for one in answer["recommendations"]] == [
        one["item_id"] for one in want["recommendations"]
    ]


def test_events_of_one_second_keep_their_own_names(client: Client) -> None:
    told = [("rating", 4.0), ("rating", 1.0), ("dismiss", None)]
    same = {"user_id": "somebody", "item_id": "i1", "timestamp": 1000}
    given = [{**same, "event": event, "rating": rating} for event, rating in told]
    client.post("/events", {"events": given})
    entries = client.get("/users/somebody/history")["history"]  # the latest first
    assert [one["event"] for one in entries] == ["dismiss", "rating", "rating"]
    assert [one.get("rating") for one in entries] == [None, 1.0, 4.0]


def test_a_condition_is_asked_once_for_each_rating(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    mask = Expression.mask

    def counted(self: Expression, table: pl.DataFrame) -> Any:
        asked.extend(table["rating"].to_list() if "rating" in table.columns else [])
        return mask(self, table)

    monkeypatch.setattr(Expression, "mask", counted)
    for start in (0, 300):  # the second time all of them are laid over again
        events = [
            {
                "event": "rating",
                "user_id": "fresh",
                "item_id": "i4",
                "rating": float(1 + n % 5),
                "timestamp": start + n,
            }
            for n in range(300)
        ]
        client.post("/events", {"events": events})
        client.post("/recommend", {"user_id": "fresh"})
    assert sorted(asked) == [1.0, 2.0, 3.0, 4.0, 5.0]
    history = client.get("/users/fresh/history?limit=5")["history"]
    told = {one["rating"]: one["liked"] for one in history}
    assert told == {1.0: False, 2.0: False, 3.0: True, 4.0: True, 5.0: True}


def test_who_is_forgotten_is_found_without_hashing_everybody() -> None:
    hashed: list[str] = []

    def hash_of(user_id: str) -> str:
        hashed.append(user_id)
        return f"#{user_id}"

    def taken(user_id: str, seq: int) -> Kept:
        return Kept("", user_id, "i1", "watch", seq, None, seq)

    held = Overlay(hash_of)
    held.apply([taken(user, seq) for seq, user in enumerate("abcba", start=1)])
    assert sorted(hashed) == ["a", "b", "c"]  # once each
    held.forget({"#b": 3, "#nobody": 3})
    assert held.takers("i1") == {"a", "b", "c"}  # the fourth event was after that
    held.forget({"#b": 6})
    assert held.takers("i1") == {"a", "c"}
    held.apply([taken("b", 7)])  # comes back
    hashed.clear()
    held.replace([taken("b", 7), taken("d", 8), taken("a", 9)], 9)
    assert hashed == ["d"]
    held.forget({"#a": 10, "#b": 10, "#c": 10})
    assert hashed == ["d"]
    assert held.takers("i1") == {"d"}
    held.recall([taken("e", 5)])
    held.forget({"#e": 11})
    assert held.takers("i1") == {"d"}
