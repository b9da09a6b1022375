"""What parts count for: levels and NDCG by hand, weights that find the part that knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.retrieval.weights import (
    LEVELS,
    Proposals,
    best_weights,
    level_ranks,
    level_scores,
)


def test_levels_by_hand() -> None:
    # mean 2, variance (1 + 1 + 4 + 4) / 4 = 2.5
    line = np.array([[1, 3, 0, 4]], np.float32)
    assert_allclose(level_scores(line), (line - 2) / np.sqrt(2.5))
    # 4 first, then 3, 1, 0
    assert_allclose(level_ranks(line), [[1 / 63, 1 / 62, 1 / 64, 1 / 61]])


@pytest.mark.parametrize("number", [0.0, 0.1, -3e8])
def test_a_line_that_says_nothing_is_zero(number: float) -> None:
    assert_array_equal(level_scores(np.full((2, 7), number, np.float32)), np.zeros((2, 7)))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    lines=st.integers(1, 6),
    items=st.integers(1, 20_000),
    kind=st.sampled_from(["scores", "ranks"]),
)
def test_a_line_has_the_same_bits_whatever_stands_beside_it(
    seed: int, lines: int, items: int, kind: str
) -> None:
    scores = np.random.default_rng(seed).normal(size=(lines, items)).astype(np.float32)
    together = LEVELS[kind](scores)
    for line in range(lines):
        assert_array_equal(LEVELS[kind](scores[line : line + 1])[0], together[line])


def asked() -> Proposals:
    # asker 0 should find the first item; asker 1 the second, and one that nobody proposes
    says_it = [[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]]
    wrong = [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]
    return Proposals(np.array([says_it, wrong]), np.array([0, 1, 1]), np.array([0, 1, -1]))


def test_ndcg_by_hand() -> None:
    # the first part puts both first: 1, and 1 / (1 + 1 / log2(3)); the second both last, at rank 3
    best = 1 + 1 / np.log2(3)
    assert_allclose(asked().ndcg(np.array([1.0, 0.0]), 3), [1, 1 / best])
    assert_allclose(asked().ndcg(np.array([0.0, 1.0]), 3), [1 / 2, 1 / 2 / best])
    assert_allclose(asked().ndcg(np.array([0.0, 1.0]), 2), [0, 0])
    # equal weights tie with one other item each (4, 3, 5 and 4, 4, 4): what ties stands before
    assert_allclose(asked().ndcg(np.array([0.5, 0.5]), 3), [1 / np.log2(3), 1 / 2 / best])


def test_the_part_that_knows_gets_the_weight() -> None:
    rng = np.random.default_rng(0)
    says_it, noise = rng.normal(size=(60, 40)), rng.normal(size=(60, 40))
    found = says_it.argmax(axis=1)
    proposals = Proposals(np.array([noise, says_it]), np.arange(60), found)
    weights = best_weights(proposals, k=5)
    assert sum(weights) == pytest.approx(1)
    assert weights[1] > 0.8


def test_parts_that_know_as_much_count_the_same() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(80, 40))
    parts = truth + rng.normal(size=(4, 80, 40))
    weights = best_weights(Proposals(parts, np.arange(80), truth.argmax(axis=1)), k=10)
    assert_allclose(weights, 0.25, atol=0.13)


def test_a_single_part_has_all_the_weight() -> None:
    one = asked()
    assert best_weights(Proposals(one.levels[:1], one.line, one.place), k=2) == (1.0,)
