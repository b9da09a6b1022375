"""A history says what came as which event, and rates what was rated, also where a bundle learned of it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import shortlist as sl
from serving.conftest import Client
from shortlist.serving.events import open_store
from shortlist.serving.refreshing import refresh


def told(event: str, item: str, when: int, rating: float | None = None) -> dict[str, Any]:
    given = {"event": event, "user_id": "fresh", "item_id": item, "timestamp": when}
    return given if rating is None else {**given, "rating": rating}


def entries(client: Client, user: str = "fresh") -> list[tuple[Any, ...]]:
    """Newest first: the item, the event, the time and the rating."""
    return [
        tuple(one.get(name) for name in ("item_id", "event", "timestamp", "rating"))
        for one in client.get(f"/users/{user}/history")["history"]
    ]


def learned(bundle: Path, events: int) -> None:
    with contextlib.closing(open_store(str(bundle.with_suffix(".state")))) as store:
        made = refresh(bundle, store, force=True)
    assert (made.events, made.version is None) == (events, False)


def test_what_a_bundle_learned_is_told_as_it_came(
    serving: Callable[..., Client], bundle: Path
) -> None:
    client = serving()
    own = client.get("/users/u3/history")
    assert all(one["rating"] and "event" not in one for one in own["history"])
    events = [told("dismiss", "i4", 1), told("rating", "i5", 2, 4.0), told("watch", "i6", 3)]
    client.post("/events", {"events": events})
    want = [("i6", "watch", 3, None), ("i5", "rating", 2, 4.0), ("i4", "dismiss", 1, None)]
    assert entries(client) == want
    learned(bundle, 3)
    assert entries(serving()) == want  # after a restart
    client.ask("POST", "/admin/reload")
    assert entries(client) == want
    assert client.get("/users/u3/history") == own
    # known of that second, so it is no entry: the row is that of the watch
    client.post("/events", {"events": [told("rating", "i6", 3, 5.0), told("watch", "i5", 9)]})
    want.insert(0, ("i5", "watch", 9, None))
    assert entries(client) == want
    learned(bundle, 2)
    assert entries(serving()) == want


def test_also_where_the_bundle_has_no_times(
    serving: Callable[..., Client], tmp_path: Path
) -> None:
    # every mean is 3, so that a rating of 3 is what stands for those not given
    rows = [(f"ab{n}", item, 4.0) for n in range(20) for item in "ab"]
    rows += [(f"cd{n}", item, 2.0) for n in range(20) for item in "cd"]
    rows += [("fresh", "a", 2.0)]
    rows += [("ab0", "b", 4.0)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    bundle = tmp_path / "untimed.bundle"
    sl.Recommender(sl.retrieval.EASE(l2=1.0)).fit(sl.Interactions(table)).save(bundle)
    client = serving(bundle=str(bundle))
    events = [
        told("dismiss", "b", 90),
        told("rating", "a", 77, 3.0),
        told("dismiss", "c", 80),
        told("watch", "b", 20),
    ]
    client.post("/events", {"events": events})
    want = [
        ("b", "dismiss", 90, None),
        ("c", "dismiss", 80, None),
        ("a", "rating", 77, 3.0),
        ("b", "watch", 20, None),
        ("a", None, None, 2.0),  # the bundle's own
    ]
    assert entries(client) == want
    learned(bundle, 4)
    assert entries(serving(bundle=str(bundle))) == want
    assert {one[1:] for one in entries(client, "ab0")} == {(None, None, 4.0)}


def test_a_history_does_not_need_the_store_where_nothing_was_learned_of_it(
    client: Client,
) -> None:
    client.post("/events", {"events": [told("watch", "i4", 1)]})
    client.service.committer.call = None  # type: ignore[assignment,method-assign]
    assert entries(client) == [("i4", "watch", 1, None)]
