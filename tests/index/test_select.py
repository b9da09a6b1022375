import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from shortlist.errors import ConfigError
from shortlist.index.select import check_k, in_order, select_top_k

LOWEST = -np.inf


def test_best_first_by_hand() -> None:
    scores = np.array([[1, 3, 2, 3], [LOWEST, 0, LOWEST, 5]], np.float32)
    top = select_top_k(scores, 3)
    assert_array_equal(top.rows, [[1, 3, 2], [3, 1, -1]])  # 3 and 3 tie: the lower row first
    assert_array_equal(top.scores, [[3, 3, 2], [5, 0, LOWEST]])


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 4),
    items=st.integers(0, 30),
    k=st.integers(1, 35),
    levels=st.integers(1, 8),
    banned=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_agrees_with_sorting_every_score(
    seed: int, n: int, items: int, k: int, levels: int, banned: float
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (n, items)).astype(np.float32)  # many ties
    scores[rng.random((n, items)) < banned] = LOWEST
    before = scores.copy()
    top = select_top_k(scores, k)
    assert_array_equal(scores, before)
    assert top.rows.shape == top.scores.shape == (n, k)
    for query in range(n):
        want = [i for i in range(items) if scores[query, i] > LOWEST]
        want = sorted(want, key=lambda i: (-scores[query, i], i))[:k]
        assert top.rows[query].tolist() == want + [-1] * (k - len(want))
        assert top.scores[query].tolist() == [float(scores[query, i]) for i in want] + [
            LOWEST
        ] * (k - len(want))


def test_an_infinite_score_is_still_a_score() -> None:
    top = select_top_k(np.array([[0, np.inf, 1]], np.float32), 2)
    assert_array_equal(top.rows, [[1, 2]])


def test_in_order_pads_what_is_missing() -> None:
    top = in_order(np.array([[4, 7]], np.int32), np.array([[1.0, LOWEST]], np.float32), 3)
    assert_array_equal(top.rows, [[4, -1, -1]])
    assert top.rows.dtype == np.int32


@pytest.mark.parametrize("k", [0, -3])
def test_a_k_that_cannot_be_answered(k: int) -> None:
    with pytest.raises(ConfigError, match=f"k must be at least 1; got {k}"):
        check_k(k)


@pytest.mark.parametrize("k", [True, 2.0, 2.5, "3", None, np.float32(4)])
def test_a_k_that_is_no_whole_number(k: object) -> None:
    with pytest.raises(ConfigError, match=r"k must be at least 1; got .*a whole number"):
        check_k(k)


def test_a_whole_number_of_numpy_is_a_k() -> None:
    check_k(np.int64(3))
