"""Exploration: what is drawn, and the probabilities that are logged with it."""

import numpy as np
import pytest
from scipy import stats

import shortlist as sl
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError
from shortlist.rerank.explore import best_of
from shortlist.testing import small_world


def candidates(n: int, m: int) -> TopK:
    rows = np.tile(np.arange(m, dtype=np.int32), (n, 1))
    return TopK(rows, -rows.astype(np.float32))


def test_epsilon_shows_each_item_as_often_as_its_propensity_says() -> None:
    held = Snapshot.of(small_world())
    explore = sl.rerank.Explore(epsilon=0.4, pool=5, slots=1)
    asked = held.queries(held.user_vocabulary.ids)
    shown, chances = [], []
    for seed in range(60):
        top, propensity = explore.draw(held, asked, candidates(len(asked), 12), 3, seed)
        assert (top.rows[:, :2] == [0, 1]).all()  # only the last place explores
        assert (propensity[:, :2] == 1).all()
        shown.append(top.rows[:, 2])
        chances.append(propensity[:, 2])
    drawn, chance = np.concatenate(shown), np.concatenate(chances)
    # the best one left is item 2: .6 + .4 / 5; the others of the pool, 3 to 6: .4 / 5
    assert set(np.unique(drawn)) == {2, 3, 4, 5, 6}
    assert np.allclose(chance, np.where(drawn == 2, 0.68, 0.08))
    counts = np.bincount(drawn, minlength=7)[2:]
    want = len(drawn) * np.array([0.68, 0.08, 0.08, 0.08, 0.08])
    assert stats.chisquare(counts, want).pvalue > 0.001


def test_the_same_seed_and_asker_draw_the_same_alone_or_in_a_batch() -> None:
    held = Snapshot.of(small_world())
    asked = held.queries(held.user_vocabulary.ids)
    explore = sl.rerank.Explore(epsilon=1.0, pool=8, slots=2, seed=3)
    whole, chances = explore.draw(held, asked, candidates(len(asked), 12), 4)
    alone, chance = explore.draw(held, asked.slice(5, 6), candidates(1, 12), 4)
    np.testing.assert_array_equal(alone.rows[0], whole.rows[5])
    np.testing.assert_array_equal(chance[0], chances[5])
    other, _ = explore.draw(held, asked, candidates(len(asked), 12), 4, 99)
    assert (other.rows != whole.rows).any()


def test_the_chance_to_be_best_by_hand_and_by_drawing() -> None:
    assert best_of([3], [2]).tolist() == [1]
    np.testing.assert_allclose(best_of([2, 2], [5, 5]), [0.5, 0.5], atol=1e-9)
    # Beta(2, 1) against Beta(1, 1): P = integral of 2x * x = 2/3
    np.testing.assert_allclose(best_of([2, 1], [1, 1]), [2 / 3, 1 / 3], atol=2e-3)
    likes, others = np.array([30, 8, 2, 1]), np.array([20, 6, 1, 9])
    draws = np.random.default_rng(0).beta(likes, others, (200_000, 4)).argmax(axis=1)
    np.testing.assert_allclose(best_of(likes, others), np.bincount(draws) / 200_000, atol=5e-3)


def test_thompson_logs_the_chance_of_what_it_showed() -> None:
    held = Snapshot.of(small_world())
    asked = held.queries(held.user_vocabulary.ids)
    explore = sl.rerank.Explore("thompson", pool=4)
    top, propensity = explore.draw(held, asked, candidates(len(asked), 12), 3)
    likes = np.bincount(held.histories.item_rows[held.histories.liked], minlength=held.n_items)
    pool = np.arange(2, 6)
    want = best_of(1 + likes[pool], 1 + held.item_counts[pool] - likes[pool])
    np.testing.assert_allclose(propensity[:, 2], want[top.rows[:, 2] - 2])
    assert len(np.unique(top.rows[:, 2])) > 1


def test_short_and_empty_lists() -> None:
    held = Snapshot.of(small_world())
    asked = held.queries(["u0", "u1"])
    rows = np.array([[4, 7, -1], [-1, -1, -1]], np.int32)
    scores = np.where(rows >= 0, 1.0, -np.inf).astype(np.float32)
    top, _ = sl.rerank.Explore(epsilon=1.0, slots=5).draw(held, asked, TopK(rows, scores), 3)
    assert sorted(top.rows[0].tolist()) == [-1, 4, 7]
    assert (top.rows[1] == -1).all()


def test_settings_out_of_range() -> None:
    for wrong in ({"epsilon": 2}, {"how": "greedy"}, {"slots": 0}, {"pool": 0}, {"seed": -1}):
        with pytest.raises(ConfigError):
            sl.rerank.Explore(**wrong)
