"""Re-ranking, exploration, pins and things bought again, through the served path."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.data.interactions import Interactions
from shortlist.data.topk import TopK
from shortlist.errors import BundleError, ConfigError
from shortlist.testing import checkerboard, small_world


def ease(**more: object) -> sl.Recommender:
    return sl.Recommender(sl.retrieval.EASE(l2=10.0), **more).fit(small_world())  # type: ignore[arg-type]


def test_a_bundle_keeps_the_re_rankers_and_answers_alike(tmp_path: Path) -> None:
    rec = ease(
        rerank=[sl.rerank.Boost("year >= 1990", 0.3), sl.rerank.Diverse(0.4)],
        explore=sl.rerank.Explore(epsilon=0.5),
    )
    assert rec.name == "ease ~ boost+diverse+explore by epsilon"
    rec.save(tmp_path / "b")
    again = sl.load(tmp_path / "b")
    table = rec.recommend(users=["u0", "u1", "nobody"], k=5, seed=7)
    assert again.recommend(users=["u0", "u1", "nobody"], k=5, seed=7).equals(table)
    assert table.columns[-1] == "propensity"
    assert table["propensity"].is_between(0, 1).all()


def test_what_is_judged_is_what_is_shown() -> None:
    rec = ease(rerank=sl.rerank.Diverse(0.7), candidates=20)
    users = pl.Series([f"u{n}" for n in range(48)])
    shown = rec.recommend(users=users, k=5)["item_id"]
    top = rec.top(users, 5)
    assert rec.snapshot.item_vocabulary.ids.gather(top.rows.ravel()).equals(
        shown.rename("item_id")
    )
    plain = ease(candidates=20)
    assert not plain.recommend(users=users, k=5)["item_id"].equals(shown)
    assert rec.recommend(users=users, k=5, rerank=[])["item_id"].equals(
        plain.recommend(users=users, k=5)["item_id"]
    )


def test_a_request_takes_one_part_or_several_as_the_constructor_does() -> None:
    rec, diverse = ease(candidates=20), sl.rerank.Diverse(0.7)
    alone = rec.recommend("u0", k=5, rerank=diverse)
    assert alone.equals(rec.recommend("u0", k=5, rerank=[diverse]))
    assert not alone.equals(rec.recommend("u0", k=5))
    queries, few = rec.snapshot.queries(pl.Series(["u0"])), sl.rules.Allow(("i1", "i2"))
    one, listed = (rec.answer(queries, 5, rules=rules).top for rules in (few, [few]))
    np.testing.assert_array_equal(one.rows, listed.rows)
    assert (one.rows[0] >= 0).sum() <= 2
    with pytest.raises(ConfigError, match="'diverse' is no re-ranker"):
        rec.recommend("u0", rerank="diverse")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'year > 3' is no rule"):
        rec.answer(queries, 5, rules="year > 3")  # type: ignore[arg-type]


def test_a_cap_is_filled_from_beyond_the_candidates() -> None:
    # genres make 6 kinds of first genre; few candidates hold too few of them for the cap
    rec = ease(rerank=sl.rerank.AtMost(1, "year"), candidates=3)
    table = rec.recommend("u0", k=8)
    years = table.join(rec.snapshot.catalogue.table, on="item_id", how="left")[
        "year"
    ].drop_nulls()
    assert len(table) == 8
    assert years.n_unique() == len(years)


def test_pins_come_first_and_obey_the_rules() -> None:
    rec = ease()
    seen = rec.snapshot.interactions().table.filter(pl.col("user_id") == "u0")["item_id"][0]
    table = rec.recommend("u0", k=4, pin=["i38", seen, "i37"])
    assert table["item_id"][:2].to_list() == ["i38", "i37"]  # what they have is not shown again
    assert table["source"].to_list() == ["pinned", "pinned", "ease", "ease"]
    assert len(table) == 4
    top = rec.recommend("u0", k=1)["item_id"][0]
    again = rec.recommend("u0", k=6, pin=[top])
    assert again["item_id"].n_unique() == 6
    with pytest.raises(ConfigError, match="pinned twice"):
        rec.recommend("u0", pin=["i1", "i1"])
    with pytest.raises(ConfigError, match="ruled out by the same request"):
        rec.recommend("u0", pin=["i1"], deny=["i1"])


def test_bought_again_after_some_days() -> None:
    day = 86_400
    rows = pl.DataFrame(
        {
            "user_id": ["a", "a", "b", "b", "b"],
            "item_id": ["milk", "book", "milk", "book", "lamp"],
            "timestamp": [0, 50 * day, 0, 10 * day, 60 * day],
        }
    )
    train = Interactions(rows)
    never = sl.Recommender(sl.retrieval.EASE()).fit(train)
    assert never.recommend("a")["item_id"].to_list() == ["lamp"]
    again = sl.Recommender(sl.retrieval.EASE(), rules=[sl.rules.Seen(again_after_days=30)]).fit(
        train
    )
    # now is day 60: a took milk 60 days ago (may come again) and the book 10 days ago (may not)
    assert set(again.recommend("a")["item_id"]) == {"lamp", "milk"}
    assert set(again.recommend("b")["item_id"]) == {"milk", "book"}
    with pytest.raises(ConfigError, match="again_after_days"):
        sl.rules.Seen(again_after_days=0)


def test_again_after_days_is_in_the_bundle(tmp_path: Path) -> None:
    rec = ease(rules=[sl.rules.Seen(again_after_days=90)])
    rec.save(tmp_path / "b")
    assert sl.load(tmp_path / "b").rules == (sl.rules.Seen(again_after_days=90),)


def test_nothing_eligible_and_nobody_asking() -> None:
    rec = ease(
        rerank=[sl.rerank.Diverse(), sl.rerank.AtMost(1, "genres")], explore=sl.rerank.Explore()
    )
    assert rec.recommend("u0", where="year > 3000").height == 0
    assert rec.recommend(users=[]).height == 0


def test_what_is_no_re_ranker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no re-ranker"):
        ease(rerank=[sl.rerank.Diverse])

    class Mine(sl.rerank.Diverse):
        pass

    with pytest.raises(BundleError, match="could not be rebuilt"):
        ease(rerank=[Mine()]).save(tmp_path / "b")


def test_exploration_shows_what_is_drawn_and_the_log_is_complete() -> None:
    train, _ = checkerboard()
    rec = sl.Recommender(
        sl.retrieval.EASE(l2=10.0), explore=sl.rerank.Explore(epsilon=1.0, slots=2, pool=3)
    ).fit(train)
    log = rec.recommend(users=train.user_vocabulary.ids, k=3)
    assert log.filter(pl.col("rank") == 1)["propensity"].unique().to_list() == [1.0]
    assert log.filter(pl.col("rank") > 1)["propensity"].is_in([1 / 3, 1 / 2, 1.0]).all()
    top = rec.top(train.user_vocabulary.ids, 3)
    assert isinstance(top, TopK)
    assert np.isfinite(top.scores).all()
