from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.interactions import Interactions
from shortlist.testing import checkerboard, ladder, planted_ratings, small_world


def test_the_checkerboard_holds_back_only_what_follows_the_pattern() -> None:
    train, held = checkerboard(users=7, items=9, hidden=1, seed=3)
    for rows in (train, held):
        assert ((rows.table["user_id"] % 2) == (rows.table["item_id"] % 2)).all()
    both = pl.concat([train.table, held.table])
    assert both.n_unique() == len(both) == 4 * 5 + 3 * 4  # even users 5 items, odd ones 4
    assert held.table["user_id"].to_list() == list(range(7))
    assert_array_equal(train.item_vocabulary.ids, np.arange(9))


def test_the_ladder_falls_by_one_user_an_item() -> None:
    train = ladder(items=5, never_taken=2)
    counts = np.bincount(train.item_rows, minlength=len(train.item_vocabulary))
    assert_array_equal(counts, [5, 4, 3, 2, 1, 0, 0])


def test_planted_ratings_are_the_sum_of_their_parts() -> None:
    train, planted = planted_ratings(users=9, items=7)
    user, item = (train.table[name].to_numpy() for name in ("user_id", "item_id"))
    want = planted.mean + planted.users[user] + planted.items[item]
    assert_allclose(train.table["rating"], want, rtol=1e-6)
    assert planted.users.sum() == pytest.approx(0)
    assert planted.items.sum() == pytest.approx(0)


def test_the_small_world_has_what_models_read() -> None:
    train = small_world(users=20, items=12, rows_per_user=5, never_taken=2)
    assert len(train) == 100
    assert train.table.select("user_id", "item_id").n_unique() == 100
    assert len(train.item_vocabulary) == 14
    assert np.isin(np.unique(train.table["rating"]), [1, 2, 3, 4, 5]).all()
    assert train.table["timestamp"].is_sorted()
    assert set(train.catalogue.table.columns) == {"item_id", "title", "genres", "year"}
    assert train.users is not None
    assert set(train.users.columns) == {"user_id", "town", "age"}
    home = [
        int(user[1:]) % 4 == int(item[1:]) % 4
        for user, item in train.table.select("user_id", "item_id").rows()
    ]
    assert np.mean(home) > 0.4  # a cluster of 3 items runs out before 5 rows are taken
    assert_array_equal(np.array(home), train.table["rating"].to_numpy() >= 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: checkerboard(seed=seed)[0],
        lambda seed: planted_ratings(seed=seed)[0],
        lambda seed: small_world(seed=seed),
    ],
)
def test_a_seed_is_a_world(make: Callable[[int], Interactions]) -> None:
    one, same, other = (make(seed).table for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)
