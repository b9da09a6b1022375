import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates
from shortlist.errors import ConfigError, NotReadyError
from shortlist.ranking import Biases
from shortlist.testing import planted_ratings

ONE = Interactions(
    pl.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "rating": [5, 3, 1]})
)


def ridge(train: Interactions, l2_user: float, l2_item: float) -> np.ndarray:
    """All predictions of the regularised least squares problem, solved at once."""
    n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
    ratings = np.asarray(train.ratings, np.float64)
    one_hot = np.zeros((len(train), n_users + n_items))
    one_hot[np.arange(len(train)), train.user_rows] = 1
    one_hot[np.arange(len(train)), n_users + train.item_rows] = 1
    pull = np.diag([l2_user] * n_users + [l2_item] * n_items)
    bias = np.linalg.solve(one_hot.T @ one_hot + pull, one_hot.T @ (ratings - ratings.mean()))
    return np.asarray(ratings.mean() + bias[:n_users, None] + bias[None, n_users:])


def everything(model: Biases, train: Interactions) -> np.ndarray:
    n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
    queries = Snapshot.of(train).queries_of_rows(np.arange(n_users, dtype=np.int32))
    return model.predict(queries, np.tile(np.arange(n_items, dtype=np.int32), (n_users, 1)))


def test_one_user_and_one_item_by_hand() -> None:
    # mean 4; with l2 1 and 1: u = (1 - i) / 2, i = (1 - u) / 2, so both are 1/3
    table = pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "rating": [5.0, 3.0]})
    model = Biases(l2_user=1, l2_item=1).fit(Interactions(table))
    got = everything(model, Interactions(table))
    assert_allclose(got, [[4 + 2 / 3, 4], [4, 4 - 2 / 3]], atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 12),
    items=st.integers(1, 12),
    share=st.sampled_from([0.1, 0.4, 1.0]),
    l2=st.sampled_from([(5.0, 3.0), (0.5, 0.5), (0.01, 0.02)]),
)
def test_agrees_with_solving_at_once(
    seed: int, users: int, items: int, share: float, l2: tuple[float, float]
) -> None:
    train, _ = planted_ratings(users=users, items=items, share=share, noise=1.0, seed=seed)
    if not len(train):
        return
    model = Biases(l2_user=l2[0], l2_item=l2[1]).fit(train)
    assert_allclose(everything(model, train), ridge(train, *l2), atol=2e-3)


def test_planted_biases_are_found() -> None:
    train, planted = planted_ratings(share=0.7)
    got = everything(Biases(l2_user=0.01, l2_item=0.01).fit(train), train)
    users = train.user_vocabulary.ids.to_numpy()
    want = planted.mean + planted.users[users][:, None] + planted.items[None, :]
    assert_allclose(got, want, atol=0.02)


def test_the_unknown_get_no_bias_by_hand() -> None:
    model = Biases(l2_user=1, l2_item=1).fit(ONE)
    nobody = Snapshot.of(ONE).guest([])
    assert_allclose(model.predict(nobody, np.array([[-1]])), [[3.0]])  # the mean of 5, 3, 1


def test_a_row_of_weight_two_counts_as_two_and_of_none_not_at_all() -> None:
    rows, _ = planted_ratings(users=8, items=6, share=1.0, noise=0.5)
    weight = np.random.default_rng(0).integers(0, 3, len(rows))
    weighted = Interactions(rows.table.with_columns(weight=pl.Series(weight.astype(float))))
    repeated = Interactions(rows.table[np.repeat(np.arange(len(rows)), weight)])
    asked = np.arange(6, dtype=np.int32)[None].repeat(8, 0)
    found, want = (
        Biases().fit(train).predict(Snapshot.of(train).queries(range(8)), asked)
        for train in (weighted, repeated)
    )
    assert_allclose(found, want, atol=1e-5)


def test_a_guest_who_brings_ratings_gets_a_bias_by_hand() -> None:
    model = Biases(l2_user=1, l2_item=1e9).fit(ONE)  # no item biases to speak of
    guest = Queries(
        np.array([-1], np.int32),
        np.array([0, 1], np.int32),
        np.array([0, 2]),
        np.ones(2, bool),
        history_ratings=np.array([5, 4], np.float32),
    )
    # mean 3: (2 + 1) / (2 + 1) = 1
    assert_allclose(model.predict(guest, np.array([[-1]])), [[4.0]], atol=1e-6)


def test_a_known_user_keeps_the_fitted_bias_whatever_they_bring() -> None:
    model = Biases().fit(ONE)
    known = Snapshot.of(ONE).queries(["a"])
    bare = Queries(
        known.user_rows, known.history_rows[:0], np.zeros(2, np.int64), np.ones(0, bool)
    )
    rows = np.array([[0, 1, -1]], np.int32)
    assert_array_equal(model.predict(known, rows), model.predict(bare, rows))


def test_ranking_by_hand() -> None:
    table = pl.DataFrame(
        {"user_id": [0, 1, 2], "item_id": [0, 1, 2], "rating": [1.0, 5.0, 3.0]}
    )
    train = Interactions(table)
    rows = np.array([[0, 2, 1, -1]], np.int32)
    scores = np.array([[4, 3, 2, -np.inf]], np.float32)
    candidates = Candidates(
        rows, scores, ("a",), scores[None], np.array([[[1, 2, 3, 0]]], np.int32)
    )
    top = Biases().fit(train).rank(Snapshot.of(train).queries([9]), candidates)
    assert_array_equal(top.rows, [[1, 2, 0, -1]])
    assert np.isneginf(top.scores[0, 3])


def test_settings_and_tables_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="must be positive; got 0 and 3"):
        Biases(l2_user=0)
    with pytest.raises(NotReadyError, match="needs a column 'rating'"):
        Biases().fit(Interactions(ONE.table.drop("rating")))
    with pytest.raises(NotReadyError, match="not fitted"):
        Biases().state()
