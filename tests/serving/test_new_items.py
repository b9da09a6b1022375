"""Items posted to bundles whose catalogues have other columns than films have, or none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.data.catalogue import Catalogue
from shortlist.serving import logs
from shortlist.testing import checkerboard

Serving = Callable[..., Client]


@pytest.fixture
def bare(serving: Serving, tmp_path: Path) -> Client:
    """Nothing is known of the items but their ids, 0 to 19."""
    train, _ = checkerboard()
    sl.Recommender(sl.retrieval.Neighbours()).fit(train).save(tmp_path / "bare")
    return serving(bundle=str(tmp_path / "bare"))


@pytest.fixture
def shop(serving: Serving, tmp_path: Path) -> Client:
    """Even users take the even items, which are of one brand, and odd ones the others."""
    train, _ = checkerboard()
    ids = train.item_vocabulary.ids
    goods = pl.DataFrame(
        {
            "item_id": ids,
            "brand": ["even" if n % 2 == 0 else "odd" for n in ids],
            "price": [1.5 + n for n in ids],
            "since": [date(2020, 1, 1 + n) for n in ids],
        }
    )
    rec = sl.Recommender(sl.retrieval.Neighbours())
    rec.fit(replace(train, catalogue=Catalogue(goods))).save(tmp_path / "shop")
    return serving(bundle=str(tmp_path / "shop"))


def _post(client: Client, attributes: dict[str, Any] | None = None) -> Any:
    item = (
        {"item_id": 777} if attributes is None else {"item_id": 777, "attributes": attributes}
    )
    told = client.ask("POST", "/items", {"items": [item]})
    return told.json if told.status == 200 else (told.status, told.json["error"])


def test_a_new_item_is_described_by_whatever_columns_there_are(shop: Client) -> None:
    new = {"brand": "even", "price": 3.0, "since": "2020-01-03"}
    told = {"added": 1, "known": 0, "like_none": 0, "everywhere": True}
    assert _post(shop, new) == told
    assert shop.get("/items/777")["attributes"] == new
    listed = shop.post("/recommend", {"history": [0, 2], "k": 19})["recommendations"]
    assert 777 in [one["item_id"] for one in listed][:10]  # before the ten odd ones
    like = shop.post("/similar", {"item_id": 777, "k": 4})["similar"]
    assert all(one["item_id"] % 2 == 0 for one in like)


def test_without_columns_a_new_item_is_kept_and_like_none(bare: Client) -> None:
    assert _post(bare) == {"added": 1, "known": 0, "like_none": 1, "everywhere": True}
    assert bare.get("/items/777")["title"] == "777"
    assert [one["item_id"] for one in bare.get("/items?search=777")["items"]] == [777]
    listed = bare.post("/recommend", {"history": [0, 2], "k": 10})["recommendations"]
    assert 777 not in [one["item_id"] for one in listed]
    assert bare.post("/similar", {"item_id": 777})["similar"] == []
    assert len(bare.post("/audience", {"item_id": 777, "k": 3})["audience"]) == 3
    watched = {"event": "watch", "user_id": "new", "item_id": 777}
    told = bare.post("/events", {"events": [watched]})
    assert (told["accepted"], told["unknown_items"]) == (1, 0)
    assert bare.get("/users/new/history")["total"] == 1


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"colour": "a"}, "its columns are brand (text), price (number), since (date)"),
        ({"price": "3"}, "of the column 'price' does not fit the catalogue's, which is: number"),
        ({"since": "soon"}, "of the column 'since' does not fit the catalogue's, which is: date"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_the_true_reason(
    shop: Client, attributes: dict[str, Any], why: str
) -> None:
    status, error = _post(shop, attributes)
    assert (status, error["code"]) == (422, "bad_item")
    assert error["message"].endswith(why)
    assert "colour" not in error["message"]
    assert shop.ask("GET", "/items/777").status == 404


def test_columns_where_the_catalogue_has_none_are_refused_as_such(bare: Client) -> None:
    status, error = _post(bare, {"brand": "a"})
    assert (status, error["code"]) == (422, "bad_item")
    assert error["message"].endswith("it has none, so give the item_id alone")
    assert _post(bare, {})["added"] == 1


def test_what_the_parts_cannot_take_in_is_no_fault_of_the_item(
    bare: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(
        logs, "say", lambda event, **more: said.append({"event": event, **more})
    )

    def fails(*_: object) -> None:
        msg = "a part fails of <777>"
        raise sl.errors.ConfigError(msg)

    monkeypatch.setattr(sl.Recommender, "add_items", fails)
    status, error = _post(bare)
    assert (status, error["code"]) == (422, "bad_item")
    assert (
        error["message"] == "the bundle's own parts cannot take the item in; the log tells why"
    )
    assert [one["reason"] for one in said if one["event"] == "item_refused"] == [
        "a part fails of <777>"
    ]
