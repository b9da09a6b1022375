"""Auto: who has a turn, who is kept, and what is said of it."""

import json
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

import shortlist as sl
import shortlist.selection.auto
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.retrieval import EASE, Popularity
from shortlist.selection import METHODS, Auto
from shortlist.selection.methods import make_method


@cache
def films() -> Interactions:
    data = sl.datasets.movielens()
    return data.subset((data.table["user_id"].cast(pl.Int64) <= 120).to_numpy())


class Singular(EASE):
    """One whose matrix cannot be solved."""

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Any:
        msg = "singular matrix"
        raise np.linalg.LinAlgError(msg)


def among(monkeypatch: pytest.MonkeyPatch, **methods: Retriever) -> None:
    """Let Auto know popularity and these, in this order of simplicity, and the blend."""
    monkeypatch.setattr(
        shortlist.selection.auto,
        "METHODS",
        {key: {} for key in ("popularity", *methods, "blend")},
    )
    known = {"popularity": Popularity(), **methods}
    monkeypatch.setattr(shortlist.selection.auto, "make_method", lambda name, seed: known[name])


def test_the_simplest_within_noise_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    among(monkeypatch, near=EASE(l2=301), like=EASE(l2=300), poor=EASE(l2=1e7))
    auto = Auto(seconds=1e6).fit(films())
    lines = {line["method"]: line for line in auto.table.to_dicts()}
    assert lines["near"]["kept"]
    assert auto.recommender.name == "near"
    best = max(lines.values(), key=lambda line: line["value"])
    assert best["difference"] is None
    if best["method"] != "near":
        assert f"near is kept: it is simpler than {best['method']}" in auto.why
        assert lines["near"]["difference_low"] <= 0 <= lines["near"]["difference_high"]
    assert lines["popularity"]["difference_high"] < 0
    blend = auto.table.row(-1, named=True)
    assert blend["method"].startswith("blend of ")
    assert blend["value"] is not None


def test_the_winner_is_fitted_again_on_everything_and_all_is_said_in_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    among(monkeypatch, ease=EASE())
    data = films()
    told: list[str] = []
    auto = Auto(holdout="random", progress=told.append).fit(data)
    assert len(auto.recommender.snapshot.histories.item_rows) == len(data)
    users = data.user_vocabulary.ids
    direct = sl.Recommender(EASE()).fit(data).top(users, 10)
    assert (auto.recommender.top(users, 10).rows == direct.rows).all()
    assert auto.protocol["name"] == "random"
    assert auto.protocol["rows"] == round(len(data) / 10)
    document = json.loads(json.dumps(auto.to_dict()))
    assert document["kept"] == "ease"
    assert [line["method"] for line in document["table"]] == ["popularity", "ease", "blend"]
    assert "fewer than two" in document["table"][2]["remark"]
    assert told[:2] == ["trying popularity", "trying ease"]
    assert f"{len(data):,} rows" in told[-1]


def test_who_fails_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    among(monkeypatch, big=EASE(max_gigabytes=1e-9), singular=Singular(), ease=EASE())
    auto = Auto().fit(films())
    remarks = dict(auto.table.select("method", "remark").iter_rows())
    assert remarks["big"].startswith("left out: EASE over 1")
    assert remarks["singular"] == "left out: singular matrix"
    assert remarks["ease"] == ""
    assert auto.recommender.name == "ease"


def test_no_time_at_all_leaves_popularity(monkeypatch: pytest.MonkeyPatch) -> None:
    among(monkeypatch, ease=EASE(), other=EASE(l2=10))
    auto = Auto(seconds=0).fit(films())
    assert auto.table["remark"].to_list() == ["", *["not tried: time"] * 3]
    assert auto.recommender.name == "popularity"
    assert "popularity is kept" in auto.why
    assert "0 seconds were too few for 3 others" in auto.why


def test_validation_rows_choose_in_place_of_a_holdout(monkeypatch: pytest.MonkeyPatch) -> None:
    among(monkeypatch, ease=EASE())
    parts = sl.split.latest(films())
    auto = Auto().fit(parts.train, validate=parts.test)
    report = sl.evaluate(auto.recommender, parts.test, baselines=False).reports[0]
    assert auto.protocol["name"] == "validation"
    value = auto.table.filter(pl.col("method") == "ease")["value"][0]
    assert value == report["ndcg@10"].value


def test_rows_without_times_are_held_back_by_lot() -> None:
    data = films()
    timeless = Interactions(data.table.drop("timestamp"), data.catalogue)
    auto = Auto(methods=["popularity"]).fit(timeless)
    assert auto.protocol["name"] == "random"
    assert auto.why.startswith("popularity is kept (ndcg@10 .")


def test_who_needs_times_is_left_out_without_them() -> None:
    data = films()
    timeless = Interactions(data.table.drop("timestamp"), data.catalogue)
    auto = Auto(methods=["next-item"]).fit(timeless)
    remark = auto.table["remark"][1]
    assert remark.startswith("left out: ")
    assert "time" in remark
    assert auto.recommender.name == "popularity"


def test_a_blend_is_made_again_where_something_better_came_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"poor": EASE(l2=1e7), "fair": EASE(l2=1e5), "good": EASE(l2=300)}
    among(monkeypatch, **known)
    order = ("popularity", "poor", "fair", "blend", "good")
    monkeypatch.setattr(shortlist.selection.auto, "METHODS", {name: {} for name in order})
    names = Auto().fit(films()).table["method"].to_list()
    assert names == ["popularity", "poor", "fair", "blend of fair and poor", "good", names[-1]]
    assert names[-1].startswith("blend of ")
    assert "good" in names[-1]


def test_rows_of_which_nothing_can_be_learned() -> None:
    data = films()
    with pytest.raises(DataError, match="counts as liked"):
        Auto().fit(Interactions(data.table, positive="rating > 9"))


def test_what_is_not_ready_or_cannot_be() -> None:
    with pytest.raises(NotReadyError, match="tried nothing"):
        _ = Auto().recommender
    with pytest.raises(ConfigError, match="seconds must be 0 or more"):
        Auto(seconds=-1)
    with pytest.raises(ConfigError, match=r"no method 'eas'.*Did you mean 'ease'"):
        Auto(methods=["eas"])
    with pytest.raises(ConfigError, match="higher is better"):
        Auto(metric="rmse")
    with pytest.raises(ConfigError, match="no metric 'ndcg@7'"):
        Auto(metric="ndcg@7", methods=["popularity"]).fit(films())


def test_every_method_and_setting_is_there() -> None:
    assert next(iter(METHODS)) == "popularity"
    for name, space in METHODS.items():
        model = make_method(name, 3)
        assert model.name == name
        for setting, bounds in space.items():
            assert bounds.holds(getattr(model, setting)), (name, setting)
    with pytest.raises(ConfigError, match="ease has no setting 'l3'; it has l2"):
        make_method("ease", 0, l3=1)
    with pytest.raises(ConfigError, match="no method 'eas'"):
        make_method("eas", 0)
