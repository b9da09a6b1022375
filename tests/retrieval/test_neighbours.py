"""Item neighbours against sums by hand, a dense oracle, scikit-learn and implicit."""

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import shortlist.retrieval.neighbours
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError
from shortlist.retrieval import Neighbours

Matrix = NDArray[np.float64]


def world(seed: int, users: int, items: int, share: float = 0.3) -> tuple[Interactions, Matrix]:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((users, items)) < share).astype(float)
    matrix[np.arange(users), rng.integers(0, items, users)] = 1  # nobody without an item
    matrix[rng.integers(0, users, items), np.arange(items)] = 1  # nothing without a user
    user, item = np.nonzero(matrix)
    train = Interactions(
        pl.DataFrame({"user_id": user, "item_id": item}),
        Catalogue.of_ids(pl.Series(range(items))),
    )
    return train, matrix[train.user_vocabulary.ids.to_numpy()]


def likenesses(matrix: Matrix, weighting: str, shrinkage: float) -> Matrix:
    """Every pair, as the formulas say it."""
    shared = matrix.T @ matrix
    of_item, of_user = matrix.sum(axis=0), matrix.sum(axis=1)
    if weighting == "cosine":
        alike = shared / np.sqrt(np.outer(of_item, of_item))
    else:
        rarity = np.log(np.maximum(matrix.shape[1] / (1 + of_user), 1.001))
        length = 1.2 * (1 - 0.75 + 0.75 * of_item / of_item.mean())
        weights = matrix * rarity[:, None] * (2.2 / (length + 1))
        alike = weights.T @ weights
    alike *= shared / np.maximum(shared + shrinkage, 1e-12)
    np.fill_diagonal(alike, 0)
    return np.asarray(alike)


def answers(model: Neighbours, train: Interactions) -> Matrix:
    everyone = np.arange(len(train.user_vocabulary), dtype=np.int32)
    scores = model.score_all(Snapshot.of(train).queries_of_rows(everyone))
    return scores.astype(np.float64)


def test_three_items_by_hand() -> None:
    # a: users 0 1 2, b: users 0 1, c: user 2. cosine ab = 2 / sqrt(6), ac = 1 / sqrt(3), bc = 0;
    # with shrinkage 1: ab * 2/3, ac * 1/2. User 2 likes a and c: b gets ab, a gets ac, c gets ac.
    table = pl.DataFrame({"user_id": [0, 0, 1, 1, 2, 2], "item_id": list("ababac")})
    got = answers(Neighbours(shrinkage=1).fit(Interactions(table)), Interactions(table))
    ab, ac = 2 / np.sqrt(6) * 2 / 3, 1 / np.sqrt(3) / 2
    assert_allclose(got[2], [ac, ab, ac], rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 20),
    items=st.integers(1, 25),
    weighting=st.sampled_from(["cosine", "bm25"]),
    shrinkage=st.sampled_from([0.0, 4.0]),
    neighbours=st.integers(1, 30),
    cells=st.sampled_from([1, 40, 1 << 22]),
)
def test_agrees_with_the_dense_formulas_cut_per_item(
    seed: int,
    users: int,
    items: int,
    weighting: str,
    shrinkage: float,
    neighbours: int,
    cells: int,
) -> None:
    train, matrix = world(seed, users, items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortlist.retrieval.neighbours, "_CELLS", cells)
        model = Neighbours(weighting=weighting, shrinkage=shrinkage, neighbours=neighbours)
        model.fit(train)
        similar = model.similar(np.arange(items, dtype=np.int32), items)
    held = model.state().arrays
    lines = sp.csr_array((held["likenesses"], held["near"], held["offsets"]), (items, items))
    near, want = lines.toarray(), likenesses(matrix, weighting, shrinkage)
    assert_allclose(answers(model, train), matrix @ near.T, atol=1e-5)
    for item in range(items):
        kept = np.flatnonzero(near[item])
        best = np.sort(want[item])[::-1][:neighbours]
        assert_allclose(near[item, kept], want[item, kept], rtol=1e-5)
        assert_allclose(np.sort(near[item, kept])[::-1], best[best > 0], rtol=1e-5)
        assert_allclose(similar.scores[item, : len(kept)], best[best > 0], rtol=1e-5)


def test_ties_at_the_cut_keep_the_lower_row() -> None:
    # four users, each with the item 0 and one of 1 to 4: all four are as near to it
    table = pl.DataFrame(
        {"user_id": [0, 0, 1, 1, 2, 2, 3, 3], "item_id": [0, 4, 0, 3, 0, 2, 0, 1]}
    )
    train = Interactions(table, Catalogue.of_ids(pl.Series(range(5))))
    top = Neighbours(neighbours=2).fit(train).similar(np.zeros(1, np.int32), 5)
    assert_array_equal(top.rows, [[1, 2, 3, 4, -1]])
    assert (top.scores[0, :2] > 0).all()
    assert_array_equal(top.scores[0, 2:], [0, 0, -np.inf])


def test_without_a_cut_it_is_the_cosine_of_scikit_learn() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    train, matrix = world(1, 30, 12)
    want = pairwise.cosine_similarity(matrix.T)
    np.fill_diagonal(want, 0)
    got = answers(Neighbours(shrinkage=0).fit(train), train)
    assert_allclose(got, matrix @ want, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Method expects CSR input")  # it hands itself another kind
@pytest.mark.parametrize(("weighting", "peer"), [("cosine", "Cosine"), ("bm25", "BM25")])
def test_similar_items_are_those_of_implicit(weighting: str, peer: str) -> None:
    module = pytest.importorskip("implicit.nearest_neighbours")
    train, matrix = world(2, 40, 15)
    theirs = getattr(module, f"{peer}Recommender")(K=15, num_threads=1)
    theirs.fit(sp.csr_matrix(matrix), show_progress=False)
    want = theirs.similarity.toarray()
    np.fill_diagonal(want, 0)
    top = Neighbours(weighting=weighting, shrinkage=0).fit(train)
    got = top.similar(np.arange(15, dtype=np.int32), 14)
    assert_allclose(got.scores, np.take_along_axis(want, got.rows, axis=1), rtol=1e-5)
    assert_allclose(got.scores, -np.sort(-want, axis=1)[:, :14], rtol=1e-5)


def test_who_likes_everything_says_little_but_not_nothing() -> None:
    table = pl.DataFrame({"user_id": [0, 0, 0], "item_id": [0, 1, 2]})
    top = (
        Neighbours(weighting="bm25").fit(Interactions(table)).similar(np.zeros(1, np.int32), 2)
    )
    assert_array_equal(top.rows, [[1, 2]])
    assert 0 < top.scores[0, 0] < 1e-4


def test_items_that_nobody_took_change_nothing_for_the_others() -> None:
    train, _ = world(3, 20, 8)
    more = Interactions(train.table, Catalogue.of_ids(pl.Series(range(20))))
    for weighting in ("cosine", "bm25"):
        got = answers(Neighbours(weighting=weighting).fit(more), more)
        assert_array_equal(
            got[:, :8], answers(Neighbours(weighting=weighting).fit(train), train)
        )
        assert_array_equal(got[:, 8:], 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weighting": "cosin"}, "Did you mean 'cosine'"),
        ({"neighbours": 0}, "at least 1"),
        ({"shrinkage": -1.0}, "not negative"),
        ({"shrinkage": float("nan")}, "not negative"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Neighbours(**wrong)  # type: ignore[arg-type]
