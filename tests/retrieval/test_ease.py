"""EASE against the formula, against scikit-learn, and its two forms against each other."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import shortlist.retrieval.ease
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError
from shortlist.retrieval import EASE

Matrix = NDArray[np.float64]


def world(seed: int, users: int, items: int, share: float = 0.3) -> tuple[Interactions, Matrix]:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((users, items)) < share).astype(float)
    matrix[np.arange(users), rng.integers(0, items, users)] = 1  # nobody without an item
    user, item = np.nonzero(matrix)
    train = Interactions(
        pl.DataFrame({"user_id": user, "item_id": item}),
        Catalogue.of_ids(pl.Series(range(items))),
    )
    return train, matrix[train.user_vocabulary.ids.to_numpy()]


def solved(matrix: Matrix, l2: float) -> Matrix:
    """Steck's closed form, as the paper writes it."""
    precision = np.linalg.inv(matrix.T @ matrix + l2 * np.eye(matrix.shape[1]))
    weights = np.eye(len(precision)) - precision / np.diag(precision)[None, :]
    return np.asarray(weights)


def scores(model: EASE, train: Interactions) -> NDArray[np.float32]:
    everyone = np.arange(len(train.user_vocabulary), dtype=np.int32)
    return model.score_all(Snapshot.of(train).queries_of_rows(everyone))


def small_form_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist.retrieval.ease, "_SMALL_CATALOGUE", 0)


def test_two_items_by_hand() -> None:
    # X'X = [[2, 1], [1, 1]], l2 1: G = [[3, 1], [1, 2]], P = [[2, -1], [-1, 3]] / 5
    # B[0, 1] = -P[0, 1] / P[1, 1] = 1/3, B[1, 0] = 1/2
    train = Interactions(pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]}))
    got = scores(EASE(l2=1).fit(train), train)
    assert_allclose(got, [[1 / 2, 1 / 3], [0, 1 / 3]], atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 20),
    items=st.integers(2, 25),
    l2=st.sampled_from([0.5, 10.0, 500.0]),
    by_users=st.booleans(),
)
def test_both_forms_agree_with_the_formula_seen_items_as_well(
    seed: int, users: int, items: int, l2: float, by_users: bool
) -> None:
    train, matrix = world(seed, users, items)
    want = matrix @ solved(matrix, l2)
    with pytest.MonkeyPatch.context() as patch:
        if by_users:
            small_form_only(patch)
        model = EASE(l2=l2).fit(train)
    assert ("own" in model.state().arrays) == (by_users and users < items)
    assert_allclose(scores(model, train), want, atol=3e-5)


def test_a_guest_gets_the_same_from_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    train, matrix = world(1, 15, 30)
    guest = Snapshot.of(train).guest([4, 9, 4, 20])
    large = EASE(l2=5).fit(train)
    small_form_only(monkeypatch)
    small = EASE(l2=5).fit(train)
    history = np.zeros(30)
    history[[4, 9, 20]] = 1
    want = history @ solved(matrix, 5)
    assert_allclose(large.score_all(guest)[0], want, atol=1e-5)
    assert_allclose(small.score_all(guest)[0], want, atol=1e-5)
    rows = np.arange(30, dtype=np.int32)
    assert_array_equal(large.similar(rows, 5).rows, small.similar(rows, 5).rows)


def test_each_column_is_a_ridge_regression_on_the_other_items() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, matrix = world(2, 40, 12)
    weights = np.stack(
        [EASE(l2=7).fit(train).score_all(Snapshot.of(train).guest([i]))[0] for i in range(12)]
    )
    for item in range(12):
        others = np.delete(np.arange(12), item)
        ridge = linear_model.Ridge(alpha=7, fit_intercept=False)
        ridge.fit(matrix[:, others], matrix[:, item])
        assert_allclose(weights[others, item], ridge.coef_, atol=1e-5)


def test_rows_that_stand_twice_or_are_not_liked_change_nothing() -> None:
    train, _ = world(3, 12, 10)
    table = train.table.with_columns(rating=pl.lit(5.0))
    disliked = pl.DataFrame({"user_id": [0, 1], "item_id": [9, 0], "rating": [1.0, 1.0]})
    more = Interactions(
        pl.concat([table, table[:9], disliked]), train.catalogue, positive="rating >= 4"
    )
    assert_array_equal(scores(EASE().fit(more), more), scores(EASE().fit(train), train))


def test_fitting_again_with_the_other_form_forgets_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, matrix = world(4, 10, 20)
    model = EASE(l2=3)
    with monkeypatch.context() as patch:
        small_form_only(patch)
        model.fit(train)
    assert_allclose(scores(model.fit(train), train), matrix @ solved(matrix, 3), atol=1e-5)
    assert "own" not in model.state().arrays


def test_the_users_form_keeps_the_contract_of_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_form_only(monkeypatch)
    from shortlist.testing import check_retriever

    check_retriever(lambda: EASE(l2=10.0))


@pytest.mark.parametrize("by_users", [False, True])
def test_a_ridge_for_each_item_in_both_forms(
    by_users: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_users:
        small_form_only(monkeypatch)
    train, matrix = world(6, 15, 30)
    taken = np.maximum(matrix.sum(axis=0), 1)
    ridges = 5 * (taken / taken.mean()) ** 0.5
    precision = np.linalg.inv(matrix.T @ matrix + np.diag(ridges))
    want = matrix @ (np.eye(30) - precision / np.diag(precision)[None, :])
    model = EASE(l2=5, power=0.5).fit(train)
    assert ("own" in model.state().arrays) == by_users
    assert_allclose(scores(model, train), want, atol=3e-5)
    assert_allclose(scores(EASE.from_state(model.state()), train), scores(model, train))


@pytest.mark.parametrize("by_users", [False, True])
def test_a_history_that_is_forgotten_step_by_step(
    by_users: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_users:
        small_form_only(monkeypatch)
    train, matrix = world(7, 15, 30)
    model = EASE(l2=5, decay=np.log(2)).fit(train)  # each step back counts half
    guest = Snapshot.of(train).guest([9, 4, 9, 20])  # 9 counts at its latest
    history = np.zeros(30)
    history[[4, 9, 20]] = [1 / 4, 1 / 2, 1]
    assert_allclose(model.score_all(guest)[0], history @ solved(matrix, 5), atol=1e-5)
    rows = np.arange(30, dtype=np.int32)[None]
    added = model.explain(guest, rows)
    assert_array_equal(added[0], np.zeros(30))
    assert_allclose(added.sum(axis=0), model.score(guest, rows)[0], atol=1e-5)


def test_what_would_not_fit_into_memory_is_refused_beforehand() -> None:
    train, _ = world(5, 10, 20)
    with pytest.raises(
        ConfigError, match=r"10 users and 20 items needs about .* GB; max_gigabytes"
    ):
        EASE(max_gigabytes=1e-9).fit(train)


@pytest.mark.parametrize("l2", [0, -1, float("nan")])
def test_settings_out_of_range(l2: float) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        EASE(l2=l2)


@pytest.mark.parametrize("wrong", [{"decay": -0.1}, {"decay": np.inf}, {"power": np.nan}])
def test_weights_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="decay must be 0 or more and power finite"):
        EASE(**wrong)
