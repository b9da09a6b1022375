"""Judging beside baselines: what is fitted for them, what is refused, and what is said."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shortlist.data import split
from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError
from shortlist.ranking import Biases
from shortlist.recommender import Recommender, load
from shortlist.recommender.rules import Deny, Seen
from shortlist.retrieval import EASE, Alike, Popularity, TwoTower
from shortlist.retrieval import ease as ease_module
from shortlist.selection import compare, evaluate, judging
from shortlist.testing import checkerboard, small_world

TRAIN, TEST = checkerboard(users=40, items=40, hidden=3)


def latest(world: Interactions, rows: int) -> tuple[Interactions, Interactions]:
    last = np.arange(len(world)) >= len(world) - rows
    return world.subset(~last), world.subset(last)


def names(comparison: Any) -> list[str]:
    return [report.name for report in comparison.reports]


def test_popularity_and_ease_are_always_beside() -> None:
    rec = Recommender(EASE(l2=1.0), Biases(), name="mine")
    train, test = latest(small_world(), 100)
    comparison = evaluate(rec.fit(train), test, k=(5, 10))
    assert names(comparison) == ["mine", "popularity", "ease"]
    assert [line.baseline for line in comparison.lines] == [False, True, True]
    assert comparison.metric == "ndcg@5"
    assert comparison.against == "mine"
    assert "rmse" in comparison.reports[0].estimates  # the ranker predicts ratings


@pytest.mark.parametrize(
    ("simple", "want"),
    [(Popularity(), ["popularity", "ease"]), (EASE(), ["ease", "popularity"])],
    ids=["popularity", "ease"],
)
def test_a_simple_model_is_not_set_beside_itself(simple: Any, want: list[str]) -> None:
    comparison = evaluate(Recommender(simple).fit(TRAIN), TEST)
    assert names(comparison) == want
    assert comparison.beaten is None  # nobody but the simple takes part


def test_a_tower_named_ease_is_no_baseline() -> None:
    pytest.importorskip("torch")
    towers = TwoTower(dim=4, epochs=1, progress=False)
    named = Recommender(towers, name="ease").fit(TRAIN)
    with pytest.raises(ConfigError, match="name of its own"):
        evaluate(named, TEST)


def test_baselines_know_the_rows_the_recommender_knew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fitted_on: list[Interactions] = []
    whole = EASE.fit

    def spying(self: EASE, train: Interactions, **how: Any) -> EASE:
        fitted_on.append(train)
        return whole(self, train, **how)

    train, test = latest(small_world(positive="rating >= 4"), 100)
    Recommender(Popularity(), name="mine").fit(train).save(tmp_path / "b")
    monkeypatch.setattr(EASE, "fit", spying)
    evaluate(load(tmp_path / "b"), test)
    (seen,) = fitted_on
    by = ["user_id", "item_id", "timestamp"]
    columns = [*by, "rating"]
    assert seen.table.select(columns).sort(by).equals(train.table.select(columns).sort(by))
    liked = train.table.filter(train.liked).select(by).sort(by)
    assert seen.table.filter(seen.liked).select(by).sort(by).equals(liked)
    assert seen.item_vocabulary.ids.equals(train.item_vocabulary.ids)


def test_a_loaded_bundle_is_judged_as_the_one_that_was_saved(tmp_path: Path) -> None:
    rec = Recommender([EASE(l2=2.0), Popularity()]).fit(TRAIN)
    rec.save(tmp_path / "b")
    before, after = evaluate(rec, TEST), evaluate(load(tmp_path / "b"), TEST)
    assert before.table().equals(after.table())
    assert before.overview().equals(after.overview())


def test_baselines_keep_to_the_recommenders_rules() -> None:
    rules = (Seen(), Deny(tuple(range(30))))
    rec = Recommender(EASE(), rules=rules, name="mine").fit(TRAIN)
    comparison = evaluate(rec, TEST, k=(40,))
    for report in comparison.reports:  # 10 of 40 items are left
        assert 0 < report.estimates["coverage@40"].value <= 0.25


def test_the_simple_one_wins_and_is_said_to() -> None:
    contrary = Recommender(Popularity(), name="everyone's favourites").fit(TRAIN)
    comparison = evaluate(contrary, TEST, k=(5,))
    # in a checkerboard EASE answers exactly what is held back, popularity half of it at best
    values = {line.name: line.estimate.value for line in comparison.lines}
    assert values["ease"] == pytest.approx(1.0)
    assert comparison.beaten is False
    assert "the simple model wins: ease" in comparison.summary


def test_a_better_model_is_said_to_beat_the_simple_one() -> None:
    strong = Recommender(EASE(l2=1.0), name="mine").fit(TRAIN)
    simple = Recommender(Popularity()).fit(TRAIN)
    comparison = compare([simple, strong], TEST, k=(5,), baselines=False)
    assert names(comparison) == ["popularity", "mine"]
    assert comparison.beaten is True
    assert "mine beats the best simple model, popularity" in comparison.summary


def test_other_rows_are_refused_even_where_as_many() -> None:
    mine = Recommender(Popularity()).fit(TRAIN)
    fewer = Recommender(EASE()).fit(TRAIN.subset(np.arange(len(TRAIN)) > 0))
    with pytest.raises(ConfigError, match=r"popularity and ease were fitted on different rows"):
        compare([mine, fewer], TEST)
    other_train, _ = checkerboard(users=40, items=40, hidden=3, seed=1)
    assert len(other_train) == len(TRAIN)
    leaky = Recommender(EASE()).fit(other_train)
    with pytest.raises(ConfigError, match="may know what the other is asked"):
        compare([mine, leaky], TEST)


def test_the_same_rows_in_another_order_are_the_same(tmp_path: Path) -> None:
    shuffled = replace(TRAIN, table=TRAIN.table.sample(fraction=1, shuffle=True, seed=0))
    mine, other = Recommender(Popularity()).fit(TRAIN), Recommender(EASE()).fit(shuffled)
    other.save(tmp_path / "b")
    assert names(compare([mine, load(tmp_path / "b")], TEST)) == ["popularity", "ease"]


def test_a_catalogue_too_large_for_ease_is_noted_and_not_fatal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ease_module, "_GIGABYTE", 1.0)  # everything is large now
    rec = Recommender(Popularity(), name="mine").fit(TRAIN)
    with caplog.at_level(logging.WARNING):
        comparison = evaluate(rec, TEST)
    assert names(comparison) == ["mine", "popularity"]
    assert "no ease baseline" in caplog.text
    assert "Use TwoTower" in caplog.text


def test_alone_without_baselines() -> None:
    rec = Recommender(EASE(l2=1.0)).fit(TRAIN)
    comparison = evaluate(rec, TEST, k=(5,), baselines=False)
    assert names(comparison) == ["ease"]
    assert comparison.beaten is None
    assert comparison.lines[0].estimate.value == pytest.approx(1.0)
    assert "nothing beside it" in str(comparison)
    with pytest.raises(ConfigError, match="Did you mean 'ndcg@5'"):
        compare([rec], TEST, k=(5,), metric="ndgc@5", baselines=False)


def test_nobody_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one recommender"):
        compare([], TEST)


def test_seen_items_may_be_kept() -> None:
    comparison = evaluate(Recommender(EASE()).fit(TRAIN), TEST, keep_seen=True)
    assert comparison.reports[0].protocol.keep_seen


def test_pairs_compare_by_text() -> None:
    rec = Recommender(Popularity()).fit(TRAIN)
    pairs = judging._pairs(rec.snapshot)
    assert pairs.schema == {"user_id": pl.String, "item_id": pl.String}
    assert len(pairs) == len(TRAIN)


def test_guests_with_a_history_are_judged_as_recommend_serves_them() -> None:
    world = small_world(positive=None)
    parts = split.new_users(world, test=0.3, brings=0.6, seed=1)
    assert parts.brought is not None
    assert world.users is not None
    rec = Recommender([EASE(l2=5.0), Alike(features=["town"])]).fit(parts.train)
    users = parts.test.user_vocabulary.ids
    top = rec.top(users, 5, histories=parts.brought)
    about = world.users.filter(pl.col("user_id").is_in(users.implode()))
    columns = {row["user_id"]: row for row in about.iter_rows(named=True)}
    for user, line in zip(users, top.rows, strict=True):
        own = parts.brought.table.filter(pl.col("user_id") == user).sort("timestamp")
        stated = {name: columns[user][name] for name in about.columns if name != "user_id"}
        served = rec.recommend(history=own["item_id"], about=stated, k=5)
        ids = rec.snapshot.item_vocabulary.decode(line[line >= 0])
        assert served["item_id"].to_list() == ids.to_list()
    comparison = evaluate(rec, parts.test, k=5, histories=parts.brought)
    without = evaluate(rec, parts.test, k=5)
    at = "recall@5"
    assert comparison.reports[0][at].value > without.reports[0][at].value
    assert [one.protocol.brought_rows for one in comparison.reports] == [len(parts.brought)] * 3


def test_who_reads_context_is_asked_with_it_and_so_are_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("torch")
    made = small_world(positive=None)
    device = pl.Series("device", np.where(np.arange(len(made)) % 2, "tv", "phone"))
    parts = split.random(replace(made, table=made.table.with_columns(device)), seed=0)
    towers = TwoTower(dim=4, epochs=1, batch_size=128, context=["device"], progress=False)
    rec = Recommender(towers, name="asked").fit(parts.train)
    comparison = evaluate(rec, parts.test, k=5)
    assert [one.protocol.context for one in comparison.reports] == [("device",)] * 3
    asked = parts.test.table.unique(["user_id", "device"], maintain_order=True)
    lists = rec.top(asked["user_id"], 5, context=asked.select("device"))
    for (user, device_of), line in zip(
        asked.select("user_id", "device").iter_rows(), lists.rows, strict=True
    ):
        served = rec.recommend(user, context={"device": device_of}, k=5)
        ids = rec.snapshot.item_vocabulary.decode(line)
        assert served["item_id"].to_list() == ids.to_list()
    bare = replace(parts.test, table=parts.test.table.drop("device"))
    with caplog.at_level(logging.WARNING):
        assert evaluate(rec, bare, k=5, baselines=False).reports[0].protocol.context == ()
    assert "the test lacks ['device']" in caplog.text
