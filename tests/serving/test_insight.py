"""What the page asks beside recommendations: columns to filter by, the model, the traffic."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.serving.metrics import held_bytes


@pytest.fixture
def four(tmp_path: Path) -> Path:
    # a: 4 rows, b: 3, c: 2, d: 1; ten rows in all
    rows = [("a", 4), ("b", 3), ("c", 2), ("d", 1)]
    table = pl.DataFrame(
        [
            {"user_id": f"u{n}", "item_id": item, "rating": float(n + 1)}
            for item, count in rows
            for n in range(count)
        ]
    )
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["A", "B", "C", "D"],
            "year": [1990, None, 2001, 1984],
            "price": [1.5, float("nan"), 2.0, 0.5],
            "genres": [["x", "y"], ["x"], [], ["x"]],
            "mood": ["calm", "loud", "calm", None],
            "odd name": [1, 2, 3, 4],
        }
    )
    data = Interactions(table, catalogue=Catalogue(items))
    rec = sl.Recommender(retrieve=sl.retrieval.EASE()).fit(data)
    rec.metrics = {"holdout": {"rows": 3}}
    rec.save(tmp_path / "four.bundle")
    return tmp_path / "four.bundle"


def test_the_catalogue_says_what_conditions_can_use(
    four: Path, serving: Callable[..., Client]
) -> None:
    client = serving(bundle=str(four))
    told = client.get("/catalogue")
    assert told["items"] == 4
    assert told["ratings"] == {"least": 1, "most": 4}
    assert told["positive"] is None
    assert told["diversity"]
    none: dict[str, object] = {"least": None, "most": None, "values": []}
    values = [{"value": "calm", "count": 2}, {"value": "loud", "count": 1}]
    tags = [{"value": "x", "count": 3}, {"value": "y", "count": 1}]
    assert told["columns"] == [
        {"name": "year", "kind": "number", "least": 1984, "most": 2001, "values": []},
        {"name": "price", "kind": "number", "least": 0.5, "most": 2, "values": []},
        {**none, "name": "genres", "kind": "tags", "values": tags},
        {**none, "name": "mood", "kind": "text", "values": values},
        {**none, "name": "odd name", "kind": "other"},
    ]
    for where, kept in (("year >= 1990", {"a", "c"}), ("mood == 'calm'", {"a", "c"})):
        answer = client.post("/recommend", {"history": [], "where": where})
        assert {one["item_id"] for one in answer["recommendations"]} == kept


def test_the_model_says_what_it_is_and_how_it_was_judged(
    four: Path, serving: Callable[..., Client]
) -> None:
    told = serving(bundle=str(four)).get("/model")
    assert told["retrieve"] == ["ease"]
    assert told["rank"] is None
    assert (told["users"], told["items"], told["rows"]) == (4, 4, 10)
    assert told["rules"] == ["seen"]
    assert told["metrics"] == {"holdout": {"rows": 3}}
    assert told["created"] <= told["loaded"]


def test_traffic_is_counted_by_route_version_and_item(
    four: Path, serving: Callable[..., Client]
) -> None:
    client = serving(bundle=str(four))
    assert client.get("/stats")["coverage"] == 0
    client.post("/recommend", {"history": [], "k": 2})  # a and b, from the fallback
    client.post("/recommend", {"history": ["a"], "allow": ["b"]})  # b
    client.ask("POST", "/recommend", {"k": 0})
    told = client.get("/stats")
    assert told["arms"] == [
        {"arm": "champion", "version": "0001", "shortlists": 2, "fallbacks": 1}
    ]
    asked = next(one for one in told["routes"] if one["route"] == "/recommend")
    assert (asked["answered"], asked["refused"], asked["failed"]) == (2, 1, 0)
    assert sum(asked["seconds"]) == 3
    assert len(asked["seconds"]) == len(told["bounds"]) + 1
    assert told["coverage"] == 0.5  # a and b of four
    assert [(one["item_id"], one["shortlists"]) for one in told["most_shown"]] == [
        ("b", 2),
        ("a", 1),
    ]
    # the first 1 %, 5 % ... of four items end at 1, 1, 1, 1, 2 and 4 of them
    assert [one["shown"] for one in told["popularity"]] == pytest.approx(
        [1 / 3, 0, 0, 0, 2 / 3, 0]
    )
    assert [one["learned"] for one in told["popularity"]] == pytest.approx(
        [0.4, 0, 0, 0, 0.3, 0.3]
    )
    client.post("/events", {"events": [{"event": "watch", "user_id": "u9", "item_id": "a"}]})
    told = client.get("/stats")
    assert told["events"] == {"watch": 1}
    assert told["events_by_arm"] == {"champion": {"watch": 1}}
    assert told["agreement"] is None  # there is no shadow


def test_a_forgotten_item_of_an_older_bundle_is_left_out(
    four: Path, serving: Callable[..., Client]
) -> None:
    client = serving(bundle=str(four))
    client.service.metrics.shown.update(["a", "gone"])
    told = client.get("/stats")
    assert told["coverage"] == 0.25
    assert [one["item_id"] for one in told["most_shown"]] == ["a"]


def test_the_columns_come_with_the_list_where_asked_for(
    four: Path, serving: Callable[..., Client]
) -> None:
    client = serving(bundle=str(four))
    body = {"history": [], "k": 1, "attributes": True}
    (first,) = client.post("/recommend", body)["recommendations"]
    assert first["item_id"] == "a"
    assert first["attributes"] == client.get("/items/a")["attributes"]
    (like,) = client.post("/similar", {"item_id": "b", "k": 1, "attributes": True})["similar"]
    assert like["attributes"] == client.get(f"/items/{like['item_id']}")["attributes"]


def test_words_are_found_in_any_order(client: Client) -> None:
    title = client.get("/items?search=the&limit=1")["items"][0][
        "title"
    ]  # The NAME NAME (NUMBER)
    words = "%20".join(reversed(title.upper().split()))
    assert title in [one["title"] for one in client.get(f"/items?search={words}")["items"]]
    assert client.get(f"/items?search={words}%20nowhere")["items"] == []


def test_the_list_names_its_second_stage(
    client: Client, four: Path, serving: Callable[..., Client]
) -> None:
    assert client.post("/recommend", {"user_id": "u1"})["ranker"] == "bias"
    assert serving(bundle=str(four)).post("/recommend", {"user_id": "u1"})["ranker"] is None


@pytest.mark.skipif(held_bytes()[1] == 0, reason="the system does not tell")
def test_memory_that_a_file_backs_is_not_the_processes_own(tmp_path: Path) -> None:
    size = 64 << 20
    file = tmp_path / "mapped"
    np.zeros(size, np.uint8).tofile(file)
    resident, own = held_bytes()
    mapped = np.memmap(file, mode="r")
    assert mapped.sum() == 0  # every page was touched
    more, same = held_bytes()
    assert more - resident > 0.9 * size
    assert same - own < 0.1 * size
    made = np.ones(size, np.uint8)
    assert held_bytes()[1] - same > 0.9 * made.nbytes
