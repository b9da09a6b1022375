"""What a bundle cannot be asked for is told by name: a context with a column missing, variety without genres."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.data.catalogue import Catalogue

Serving = Callable[..., Client]


def _hours() -> sl.retrieval.TwoTower:
    return sl.retrieval.TwoTower(context=["hour", "dev"], dim=4, epochs=1, batch_size=64)


@pytest.fixture
def hours(serving: Serving, world: sl.Interactions, tmp_path: Path) -> Client:
    pytest.importorskip("torch", reason="torch is not installed")
    at = pl.int_range(pl.len())
    told = world.table.with_columns(
        hour=(at % 24).cast(pl.Float64), dev=pl.when(at % 2 == 0).then(pl.lit("a"))
    )
    sl.Recommender(_hours()).fit(replace(world, table=told)).save(tmp_path / "hours")
    return serving(bundle=str(tmp_path / "hours"))


@pytest.mark.parametrize("route", ["/recommend", "/rank"])
def test_a_context_is_whole_or_none_and_the_missing_column_is_named(
    hours: Client, route: str
) -> None:
    asked = {"user_id": "u1"} | ({"items": ["i1", "i2"]} if route == "/rank" else {})
    told = hours.ask("POST", route, {**asked, "context": {"hour": 5}})
    error = told.json["error"]
    assert (told.status, error["code"]) == (422, "missing_column")
    assert error["message"].startswith(
        "context lacks dev: this bundle was trained with dev and hour"
    )
    for context in (
        {},
        {"hour": 5, "dev": "a"},
        {"hour": 5, "dev": None},
        {"hour": None, "dev": "a"},
    ):
        assert hours.post(route, {**asked, "context": context})
    odd = hours.ask("POST", route, {**asked, "context": {"hour": "five", "dev": "a"}}).json
    assert "look at the values in about and context" in odd["error"]["message"]


def test_a_new_item_does_not_change_which_context_is_whole(hours: Client) -> None:
    hours.post("/items", {"items": [{"item_id": "new", "attributes": {"year": 1999}}]})
    told = hours.ask("POST", "/recommend", {"user_id": "u1", "context": {"dev": "a"}})
    assert told.json["error"]["message"].startswith("context lacks hour")


@pytest.mark.parametrize("genres", [None, [], [[]]])
def test_without_genres_no_list_is_varied_and_the_catalogue_says_so(
    serving: Serving, world: sl.Interactions, tmp_path: Path, genres: Any
) -> None:
    items = world.catalogue.table.select("item_id", "title")
    if genres is not None:
        none = (genres or [None]) * len(items)
        items = items.with_columns(genres=pl.Series(none, dtype=pl.List(pl.String)))
    bare = replace(world, catalogue=Catalogue(items))
    sl.Recommender(sl.retrieval.Neighbours()).fit(bare).save(tmp_path / "bare")
    client = serving(bundle=str(tmp_path / "bare"))
    assert not client.get("/catalogue")["diversity"]
    told = client.ask("POST", "/recommend", {"user_id": "u1", "diversity": 0.5})
    assert (told.status, told.json["error"]["code"]) == (422, "cannot_answer")
    assert "its catalogue has no genres" in told.json["error"]["message"]
    asked = {"user_id": "u1"}
    assert client.post("/recommend", {**asked, "diversity": 0}) == client.post(
        "/recommend", asked
    )
