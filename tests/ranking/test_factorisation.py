import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.features import Bucket, History
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError
from shortlist.ranking import Biases, Factorisation
from shortlist.ranking.gibbs import Coordinates, _normal


def quick(**settings: Any) -> Factorisation:
    return Factorisation(**{"dim": 3, "sweeps": 60, "burn_in": 30, "draws": 30, **settings})


def ratings(rows: Sequence[tuple[object, object, float]]) -> Interactions:
    return Interactions(
        pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    )


def planted(noise: float = 0.2) -> tuple[Interactions, Interactions]:
    """Two directions of taste: three rows in four to learn from, the others to predict."""
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(60, 2)), rng.normal(size=(40, 2))
    user, item = np.nonzero(rng.random((60, 40)) < 0.6)
    rating = 3 + (users[user] * items[item]).sum(axis=1) + noise * rng.normal(size=len(user))
    table = pl.DataFrame({"user_id": user, "item_id": item, "rating": rating})
    whole = Interactions(table, Catalogue.of_ids(pl.Series(range(40))))
    train = rng.random(len(user)) < 0.75
    return whole.subset(train), whole.subset(~train)


def pairs(model: Biases | Factorisation, train: Interactions, test: Interactions) -> np.ndarray:
    known = Snapshot.of(train)
    rows = known.item_vocabulary.rows(test.table["item_id"])
    return model.predict(known.queries(test.table["user_id"]), rows[:, None])[:, 0]


def error(predicted: np.ndarray, test: Interactions) -> float:
    return float(np.sqrt(np.mean((predicted - np.asarray(test.ratings)) ** 2)))


def test_one_solve_gives_mean_and_covariance() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(5, 4, 6))
    square = half @ half.transpose(0, 2, 1)  # (5, 4, 4)
    total = rng.normal(size=(5, 4))
    still = np.ascontiguousarray(square.transpose(1, 2, 0))
    mean = _normal(still.copy(), total.T, np.zeros((4, 5))).T
    assert_allclose(mean, np.linalg.solve(square, total[:, :, None])[:, :, 0])
    # drawn - mean = root noise: with each unit vector as noise, the columns of a root of the inverse
    roots = [
        _normal(still.copy(), 0 * total.T, np.repeat(np.eye(4)[:, [k]], 5, axis=1)).T
        for k in range(4)
    ]
    root = np.stack(roots, axis=2)
    assert_allclose(root @ root.transpose(0, 2, 1), np.linalg.inv(square), atol=1e-12)


@pytest.mark.parametrize("rank", [3, 20])
def test_coordinates_are_the_leading_singular_vectors(rank: int) -> None:
    lines = sp.csr_array(sp.random_array((30, 50), density=0.2, rng=np.random.default_rng(0)))
    got = Coordinates.of(lines, rank)
    left, lengths, right = np.linalg.svd(lines.toarray(), full_matrices=False)
    best = (left[:, :rank] * lengths[:rank]) @ right[:rank]
    assert_allclose(got.lines @ got.loadings.T, best, atol=1e-9)
    assert_allclose(
        np.asarray(lines @ got.loadings), got.lines, atol=1e-9
    )  # how strangers come in


def test_finds_planted_tastes_down_to_the_noise() -> None:
    train, test = planted()
    model = quick().fit(train)
    assert error(pairs(model, train, test), test) < 0.3  # noise .2; what varies is 1.4
    assert error(pairs(Biases().fit(train), train, test), test) > 1.0


def test_spread_says_how_far_off_it_is() -> None:
    train, test = planted(noise=0.5)
    model = quick(clip=False).fit(train)
    known = Snapshot.of(train)
    asked = known.queries(test.table["user_id"])
    rows = known.item_vocabulary.rows(test.table["item_id"])[:, None]
    spread = model.predict_spread(asked, rows)[:, 0]
    far = np.abs(pairs(model, train, test) - np.asarray(test.ratings)) / spread
    assert 0.9 < np.mean(far < 1.96) < 0.99
    stranger = model.predict_spread(known.guest([]), rows[:1])
    assert stranger.item() > 1.5 * spread.mean()  # their tastes are open


def test_a_stranger_with_ratings_is_predicted_like_a_user_who_gave_them() -> None:
    train, test = planted()
    users = train.table["user_id"].to_numpy()
    without = train.subset(users >= 10)
    model = quick(implicit=False).fit(without)
    known = Snapshot.of(train).queries(list(range(10)))
    strangers = replace(known, user_rows=np.full(10, -1, np.int32))
    their = test.subset(test.table["user_id"].to_numpy() < 10)
    at = their.table["user_id"].to_numpy()
    rows = their.item_rows[:, None]
    order = [strangers.slice(int(u), int(u) + 1) for u in at]
    got = np.concatenate(
        [model.predict(q, r[None])[0] for q, r in zip(order, rows, strict=True)]
    )
    assert error(got, their) < 0.35
    unrated = [replace(q, history_ratings=None) for q in order]
    got = np.concatenate(
        [model.predict(q, r[None])[0] for q, r in zip(unrated, rows, strict=True)]
    )
    assert error(got, their) > 1.0


def test_the_time_of_asking_counts() -> None:
    # everyone has two sittings ten days apart; in one of them all ratings are higher by 2
    rng = np.random.default_rng(0)
    rows = []
    for user in range(20):
        for place, item in enumerate(rng.permutation(12).tolist()):
            late = place >= 6
            lean = 1.0 if late == user % 2 else -1.0
            time = 864_000 * late + 60 * place
            rows.append((user, item, 3 + lean + 0.3 * float(rng.normal()), time))
    table = pl.DataFrame(
        rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row"
    )
    train = Interactions(table)
    model = quick(moods=[3600.0]).fit(train)
    asked = Snapshot.of(train).queries([0] * 4)  # high at first
    when = pl.DataFrame({"timestamp": [200, 864_500, None, 10**9]})
    got = model.predict(replace(asked, context=when), np.full((4, 1), -1, np.int32))[:, 0]
    usual = model.predict(asked, np.full((4, 1), -1, np.int32))[:, 0]
    assert_allclose(got, [4, 2, 3, 3], atol=0.5)  # long after, the mood is forgotten
    assert got[2] == usual[2]
    rec = sl.Recommender(sl.retrieval.Popularity(), rank=quick(moods=[3600.0])).fit(train)
    who, what = pl.Series([0] * 4), pl.Series([99] * 4)
    np.testing.assert_array_equal(rec.predict_pairs(who, what, context=when), got)
    np.testing.assert_array_equal(rec.predict_pairs(who, what), usual)


def test_equal_ratings_are_predicted_as_they_are() -> None:
    train = ratings([(u, i, 4.0) for u in range(5) for i in range(u + 1)])
    model = quick().fit(train)
    asked = Snapshot.of(train).queries([0, 4, 99])
    assert_allclose(model.predict(asked, np.array([[0, 4, -1]] * 3, np.int32)), 4)
    assert np.isfinite(
        replace(model, clip=False).fit(train).predict(asked, np.zeros((3, 1), np.int32))
    ).all()


def test_one_rating_is_enough() -> None:
    train = ratings([("a", "x", 3.0)])
    model = quick().fit(train)
    asked = Snapshot.of(train).queries(["a", "b"])
    assert_allclose(model.predict(asked, np.array([[0], [-1]], np.int32)), 3)


def test_clipped_unless_told_otherwise() -> None:
    train, test = planted()
    inside = pairs(quick().fit(train), train, test)
    free = pairs(quick(clip=False).fit(train), train, test)
    given = np.asarray(train.ratings)
    assert_allclose(inside, np.clip(free, given.min(), given.max()))
    assert (free > inside).any() or (free < inside).any()


def test_missing_and_new_attributes_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"u{u}", f"i{i}", float(1 + (u + i) % 5)) for u in range(6) for i in range(4)]
    users = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in range(6)],
            "town": ["here", "there", None, "here", "there", "here"],
            "age": [20.0, float("nan"), 30.0, None, 40.0, 50.0],
        }
    )
    train = replace(ratings(rows), users=users)
    with caplog.at_level(logging.WARNING):
        model = quick(user=["town", Bucket("age", 2)]).fit(train)
    assert "'town' is missing or new for 1 of 6 users" in caplog.text
    assert "'age' is missing or new for 2 of 6 users" in caplog.text
    caplog.clear()
    queries = Queries(
        np.full(3, -1, np.int32),
        np.empty(0, np.int32),
        np.zeros(4, np.int64),
        np.empty(0, bool),
        users=pl.DataFrame({"town": ["nowhere", None, "here"]}),
    )
    with caplog.at_level(logging.WARNING):
        got = model.predict(queries, np.zeros((3, 1), np.int32))
    assert np.isfinite(got).all()
    assert got[0] == got[1] != got[2]
    assert "'town' is missing or new for 2 of 3 askers" in caplog.text
    assert "'age' is missing or new for 3 of 3 askers" in caplog.text


def test_ids_may_be_declared_as_in_towers() -> None:
    train, test = planted()
    plain = pairs(quick().fit(train), train, test)
    named = quick(user=["user_id"], item=["item_id"]).fit(train)
    np.testing.assert_array_equal(pairs(named, train, test), plain)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dim": 0}, "dim, draws and side_dim"),
        ({"sweeps": 50, "burn_in": 20, "draws": 40}, "leave fewer than 40 draws"),
        ({"moods": [0.0]}, "moods and max_gigabytes must be positive"),
        ({"user": [History(5)]}, "leave History out"),
        ({"user": "town"}, "list of features"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Factorisation(**wrong)


def test_what_does_not_fit_is_refused_before_it_starts() -> None:
    train, _ = planted()
    with pytest.raises(ConfigError, match=r"needs about .* GB; max_gigabytes is 1e-06.*Biases"):
        Factorisation(max_gigabytes=1e-6).fit(train)


def test_nothing_to_learn_from() -> None:
    train, _ = planted()
    with pytest.raises(DataError, match="no rating to learn from"):
        Factorisation().fit(train.subset(np.zeros(len(train), bool)))
