"""The graph filter by hand, against its equation in dense matrices, and its two forms against each other."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import shortlist.retrieval.graph_filter
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.ragged import binary_matrix
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError
from shortlist.retrieval import GraphFilter
from shortlist.retrieval.eigenvectors import leading
from shortlist.testing import check_retriever

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


def scores(model: GraphFilter, train: Interactions) -> NDArray[np.float32]:
    everyone = np.arange(len(train.user_vocabulary), dtype=np.int32)
    return model.score_all(Snapshot.of(train).queries_of_rows(everyone))


def large_form_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shortlist.retrieval.graph_filter, "_SMALL_CATALOGUE", 0)


def filtered(matrix: Matrix, model: GraphFilter) -> Matrix:
    """The equation of the module, with every matrix written out and every eigenvector."""
    lengths, degrees = matrix.sum(axis=1), np.maximum(matrix.sum(axis=0), 1)
    normal = matrix * lengths[:, None] ** -model.user_power * degrees**-model.item_power
    values, vectors = np.linalg.eigh(normal.T @ normal)
    values, vectors = values[::-1] / values[-1], vectors[:, ::-1]
    rank = min(model.rank, int((values > 1e-9).sum()))
    step = model.sharpen / values[min(rank, 2) - 1]
    chord = 1 / (1 + step * values[rank - 1])
    kept = values / (1 + step * values) + model.low_pass
    kept[rank:] = chord * values[rank:]
    whole = (vectors * kept) @ vectors.T
    return np.asarray(
        matrix @ (whole * degrees**model.balance / degrees[:, None] ** model.balance)
    )


def test_two_items_by_hand() -> None:
    # R = [[1, 1], [1, 0]], all powers 0: P = R'R / l1 = [[2, 1], [1, 1]] / l1 with eigenvalues
    # l1, l2 = (3 +- sqrt 5) / 2 over l1; without sharpening the scores are R P
    train = Interactions(pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 0]}))
    plain = GraphFilter(user_power=0, item_power=0, balance=0, sharpen=0, rank=2).fit(train)
    first, second = (3 + 5**0.5) / 2, (3 - 5**0.5) / 2
    assert_allclose(scores(plain, train), np.array([[3, 2], [2, 1]]) / first, rtol=1e-6)
    # with the step s = sharpen / (l2 / l1) = l1, that is sharpen = l2:
    # P (I + l1 P)^-1 = R'R (I + R'R)^-1 / l1 = [[2, 1], [1, 1]] [[2, -1], [-1, 3]] / (5 l1)
    # = [[3, 1], [1, 2]] / (5 l1)
    sharp = GraphFilter(user_power=0, item_power=0, balance=0, sharpen=second, rank=2)
    want = np.array([[4, 3], [3, 1]]) / 5 / first
    assert_allclose(scores(sharp.fit(train), train), want, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 15),
    items=st.integers(2, 25),
    rank=st.sampled_from([2, 3, 200]),
    sharpen=st.sampled_from([0.0, 2.0, 30.0]),
    low_pass=st.sampled_from([0.0, 0.3]),
    large=st.booleans(),
)
def test_both_forms_agree_with_the_equation(
    seed: int, users: int, items: int, rank: int, sharpen: float, low_pass: float, large: bool
) -> None:
    train, matrix = world(seed, users, items)
    model = GraphFilter(sharpen=sharpen, low_pass=low_pass, rank=rank)
    with pytest.MonkeyPatch.context() as patch:
        if large:
            large_form_only(patch)
        got = scores(model.fit(train), train)
    assert ("weights" in model.state().arrays) == (not large)
    assert_allclose(got, filtered(matrix, model), atol=2e-5)


def test_vectors_past_the_rank_are_filtered_by_the_chord() -> None:
    train, matrix = world(7, 40, 30)
    model = GraphFilter(rank=5)
    assert_allclose(scores(model.fit(train), train), filtered(matrix, model), atol=2e-5)


def test_a_rank_above_that_of_the_matrix_is_that_of_the_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large_form_only(monkeypatch)
    train, _ = world(1, 12, 30)
    whole, more = GraphFilter(rank=12).fit(train), GraphFilter(rank=500).fit(train)
    assert more.state().arrays["basis"].shape == (30, 12)
    assert_array_equal(scores(more, train), scores(whole, train))


def test_without_sharpening_it_is_gf_cf() -> None:
    # Shen et al.: R (R~'R~ + alpha D^-1/2 V V' D^1/2); R~'R~ has the largest eigenvalue 1
    train, matrix = world(3, 30, 20)
    model = GraphFilter(
        user_power=0.5, item_power=0.5, balance=0, sharpen=0, low_pass=0.3, rank=4
    )
    normal = matrix / np.sqrt(matrix.sum(axis=1))[:, None] / np.sqrt(matrix.sum(axis=0))
    vectors = np.linalg.svd(normal)[2][:4].T
    want = matrix @ (normal.T @ normal + 0.3 * vectors @ vectors.T)
    assert_allclose(scores(model.fit(train), train), want, atol=2e-5)


def test_a_long_step_keeps_the_order_of_the_eigenvectors() -> None:
    # x / (1 + s x) rises; the explicit step x - s x^2 does not
    values = np.linspace(0, 1, 50)
    assert (np.diff(values / (1 + 100 * values)) > 0).all()
    assert not (np.diff(values - 100 * values**2) > 0).any()


def test_the_leading_vectors_are_those_of_arpack() -> None:
    sparse = pytest.importorskip("scipy.sparse.linalg")
    rng = np.random.default_rng(0)
    matrix = binary_matrix(rng.integers(0, 300, 2000), rng.integers(0, 200, 2000), (300, 200))
    values, vectors = leading(matrix, 8, np.random.default_rng(1))
    want = np.sort(sparse.svds(matrix.astype(float), k=8, v0=np.ones(200))[1])[::-1] ** 2
    assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-10)
    assert_allclose(values, want, rtol=0.01)
    assert_allclose(values[:2], want[:2], rtol=1e-4)


def test_the_large_form_keeps_every_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    large_form_only(monkeypatch)
    # not the class itself: the checks keep what each maker has fitted, elsewhere the small form
    check_retriever(lambda: GraphFilter())


def test_a_batch_longer_than_a_block_has_the_bits_of_each_asker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large_form_only(monkeypatch)
    train, _ = world(4, 75, 300, 0.05)
    model = GraphFilter(rank=20).fit(train)
    queries = Snapshot.of(train).queries_of_rows(np.arange(75, dtype=np.int32))
    together = model.score_all(queries)
    for asker in range(75):
        alone = model.score_all(queries.slice(asker, asker + 1))
        assert_array_equal(alone[0], together[asker])


def test_rows_that_stand_twice_or_are_not_liked_change_nothing() -> None:
    train, _ = world(3, 12, 10)
    table = train.table.with_columns(rating=pl.lit(5.0))
    disliked = pl.DataFrame({"user_id": [0, 1], "item_id": [9, 0], "rating": [1.0, 1.0]})
    more = Interactions(
        pl.concat([table, table[:9], disliked]), train.catalogue, positive="rating >= 4"
    )
    assert_array_equal(
        scores(GraphFilter().fit(more), more), scores(GraphFilter().fit(train), train)
    )


def test_what_would_not_fit_into_memory_is_refused_beforehand() -> None:
    train, _ = world(5, 10, 20)
    with pytest.raises(ConfigError, match=r"10 users, 20 items .* needs about .* GB; max_gig"):
        GraphFilter(max_gigabytes=1e-9).fit(train)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("user_power", 3),
        ("item_power", float("nan")),
        ("balance", -2.5),
        ("sharpen", -1),
        ("sharpen", float("inf")),
        ("low_pass", float("nan")),
        ("rank", 1),
        ("max_gigabytes", 0),
    ],
)
def test_settings_out_of_range(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        GraphFilter(**{setting: value})
