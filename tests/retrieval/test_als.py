"""Implicit ALS against regressions by hand, a dense oracle, the loss itself, and implicit."""

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import shortlist.retrieval.half_step
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError
from shortlist.retrieval import ALS

Matrix = NDArray[np.float64]


def interactions(weights: Matrix) -> Interactions:
    """A row for each entry above 0, ids 0, 1, ...; the weight is the entry."""
    user, item = np.nonzero(weights)
    table = {"user_id": user, "item_id": item, "weight": weights[user, item]}
    return Interactions(
        pl.DataFrame(table), Catalogue.of_ids(pl.Series(range(weights.shape[1])))
    )


def world(seed: int, users: int, items: int, share: float = 0.3) -> Matrix:
    rng = np.random.default_rng(seed)
    weights = (rng.random((users, items)) < share) * rng.integers(1, 4, (users, items))
    weights[:, 0] = 1  # nobody without an item, so that user and row agree
    return weights.astype(float)


def everyone(train: Interactions) -> Queries:
    return Snapshot.of(train).queries_of_rows(
        np.arange(len(train.user_vocabulary), dtype=np.int32)
    )


def chosen(model: ALS) -> tuple[float, float]:
    step = model.state().config["half_step"]
    return step["unobserved"], step["l2"]


def regressions(model: ALS, weights: Matrix, vectors: Matrix) -> Matrix:
    """The half step as the paper writes it, line by line."""
    lines = []
    for line in weights:
        unobserved, l2 = chosen(model)
        system = unobserved * vectors.T @ vectors
        system += vectors.T @ np.diag(line) @ vectors
        ridge = l2 * (line.sum() + unobserved * len(vectors)) ** model.scaling
        system += ridge * np.eye(vectors.shape[1])
        lines.append(np.linalg.solve(system, vectors.T @ line))
    return np.array(lines)


def loss(model: ALS, weights: Matrix, users: Matrix, items: Matrix) -> float:
    made, (a, l2) = users @ items.T, chosen(model)
    n_users, n_items = weights.shape
    ridge_u = (weights.sum(axis=1) + a * n_items) ** model.scaling
    ridge_i = (weights.sum(axis=0) + a * n_users) ** model.scaling
    ridge = ridge_u @ (users**2).sum(axis=1) + ridge_i @ (items**2).sum(axis=1)
    return float((weights * (made - 1) ** 2).sum() + a * (made**2).sum() + l2 * ridge)


def test_one_user_and_one_item_by_hand() -> None:
    # X = [[1]] = 1 * 1 * 1: the start is q = 1. All pairs are liked, so with a = 1, l2 = 1, f = 0 the user is
    # p = q / (q^2 + q^2 + 1) = 1/3, the item q = p / (2 p^2 + 1) = (1/3) / (11/9) = 3/11,
    # and who asks gets p = q / (2 q^2 + 1) = (3/11) / (139/121) = 33/139, score p q = 9/139.
    train = Interactions(pl.DataFrame({"user_id": ["u"], "item_id": ["i"]}))
    model = ALS(dim=1, unobserved=1, l2=1, scaling=0, epochs=1).fit(train)
    assert_allclose(np.abs(model.item_vectors), [[3 / 11]], rtol=1e-6)
    assert_allclose(model.score_all(everyone(train)), [[9 / 139]], rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 15),
    items=st.integers(1, 20),
    dim=st.integers(1, 25),
    unobserved=st.sampled_from([0.1, 1.0]),
    l2=st.sampled_from([0.05, 2.0]),
    scaling=st.sampled_from([0.0, 0.5, 1.0]),
    entries=st.sampled_from([1, 30, 1 << 13]),
)
def test_a_round_is_the_regressions_of_the_paper(
    seed: int,
    users: int,
    items: int,
    dim: int,
    unobserved: float,
    l2: float,
    scaling: float,
    entries: int,
) -> None:
    weights = world(seed, users, items)
    train = interactions(weights)
    model = ALS(dim=dim, unobserved=unobserved, l2=l2, scaling=scaling, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortlist.retrieval.half_step, "_ENTRIES", entries)
        model.fit(train)
        asked = model.encode(everyone(train))
    weights /= weights[weights > 0].mean()
    width = min(dim, users, items)
    _, values, directions = np.linalg.svd((weights > 0) * weights)
    start = directions[:width].T * np.sqrt(values[:width])
    if width == min(users, items):  # the whole matrix: the randomised start is exact
        vectors = regressions(model, weights.T, regressions(model, weights, start))
        made = vectors @ vectors.T  # the sign and order of directions are free
        assert_allclose(model.item_vectors @ model.item_vectors.T, made, atol=2e-3)
    liked = (weights > 0).astype(float)
    want = regressions(model, liked, model.item_vectors.astype(np.float64))
    assert_allclose(asked, want, atol=1e-3)


def test_every_round_lowers_the_loss() -> None:
    weights = world(1, 30, 20)
    train = interactions(weights)
    weights /= weights[weights > 0].mean()
    losses = []
    for epochs in (1, 2, 3, 8):
        model = ALS(dim=5, epochs=epochs).fit(train)
        items = model.item_vectors.astype(np.float64)
        losses.append(loss(model, weights, regressions(model, weights, items), items))
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_someone_is_answered_by_the_regression_of_implicit() -> None:
    # implicit solves (Q'Q + sum (c - 1) q q' + reg I) p = sum c q: with c = 2 our system where
    # a = 1 and f = 0, and twice our right-hand side; a is 1 in units of sqrt(share of liked pairs)
    als = pytest.importorskip("implicit.cpu.als")
    weights = (world(2, 30, 20) > 0).astype(float)
    train = interactions(weights)
    ours = ALS(dim=4, unobserved=weights.mean() ** -0.5, l2=3, scaling=0).fit(train)
    theirs = als.AlternatingLeastSquares(factors=4, regularization=3, alpha=2, num_threads=1)
    theirs.item_factors = ours.item_vectors.copy()
    matrix = sp.csr_matrix(weights, dtype=np.float32)
    vectors = theirs.recalculate_user(np.arange(30), matrix)
    assert_allclose(ours.encode(everyone(train)), vectors / 2, atol=1e-5)


def test_it_finds_two_tastes_from_any_start() -> None:
    weights = np.kron(np.eye(2), np.ones((6, 5))).astype(np.float64)
    weights[[0, 7], [1, 8]] = 0  # a hole in each block
    train = interactions(weights)
    for seed in range(3):
        scores = ALS(dim=2, seed=seed).fit(train).score_all(everyone(train))
        assert scores[0, 1] > scores[0, 5:].max() + 0.1
        assert scores[7, 8] > scores[7, :5].max() + 0.1


def test_one_weight_for_all_is_no_weights_and_rows_that_repeat_count_by_the_largest() -> None:
    weights = world(3, 12, 10)
    train = interactions(weights)
    plain = Interactions(train.table.drop("weight"), train.catalogue)
    even = Interactions(train.table.with_columns(weight=pl.lit(7.0)), train.catalogue)
    assert_array_equal(ALS().fit(even).item_vectors, ALS().fit(plain).item_vectors)
    less = train.table.with_columns(pl.col("weight") / 2)
    twice = Interactions(pl.concat([train.table, less]), train.catalogue)
    want = ALS().fit(train).item_vectors
    assert_array_equal(ALS().fit(twice).item_vectors, want)
    assert np.abs(want - ALS().fit(plain).item_vectors).max() > 0.01


def test_rows_that_are_not_liked_change_nothing() -> None:
    table = interactions(world(4, 12, 10)).table.with_columns(rating=pl.lit(5.0))
    disliked = table[:5].with_columns(rating=pl.lit(1.0), weight=pl.lit(99.0, pl.Float32))
    catalogue = Catalogue.of_ids(pl.Series(range(10)))
    more = Interactions(pl.concat([table, disliked]), catalogue, positive="rating >= 4")
    want = ALS().fit(Interactions(table, catalogue)).item_vectors
    assert_array_equal(ALS().fit(more).item_vectors, want)


def test_units_by_hand() -> None:
    # 4 of 16 pairs are liked: a = 0.5 sqrt(1/4) = 1/4, l2 = 3 sqrt(1/4)
    train = interactions(np.eye(4))
    assert_allclose(chosen(ALS(unobserved=0.5, l2=3).fit(train)), [0.25, 1.5])


def test_weights_that_cannot_be_used_are_refused() -> None:
    table = pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "weight": [0.0, 0.0]})
    with pytest.raises(DataError, match="weight 0; give"):
        ALS().fit(Interactions(table))
    with pytest.raises(DataError, match="weight is negative"):
        Interactions(table.with_columns(weight=pl.Series([1.0, -1.0])))


def test_an_item_that_nobody_took_scores_nothing() -> None:
    train = interactions(world(5, 12, 6))
    more = Interactions(train.table, Catalogue.of_ids(pl.Series(range(9))))
    model = ALS(dim=4).fit(more)
    assert_array_equal(model.item_vectors[6:], 0)
    assert_array_equal(model.score_all(everyone(more))[:, 6:], 0)


def test_what_would_not_fit_into_memory_is_refused_beforehand() -> None:
    train = interactions(world(6, 10, 20))
    with pytest.raises(
        ConfigError, match=r"10 users and 20 items with dim 64 needs about .* GB"
    ):
        ALS(max_gigabytes=1e-9).fit(train)


def test_too_little_regularisation_for_float32_is_said() -> None:
    train = interactions(world(7, 3, 20))
    with pytest.raises(ConfigError, match="raise l2"):
        ALS(dim=16, l2=1e-60).fit(train)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 0}, "at least 1"),
        ({"epochs": 0}, "at least 1"),
        ({"l2": 0.0}, "l2 must be positive"),
        ({"unobserved": float("nan")}, "unobserved must be positive"),
        ({"scaling": 1.5}, "between 0 and 1"),
        ({"max_gigabytes": -1.0}, "must be positive"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALS(**wrong)  # type: ignore[arg-type]
