"""What kind of lists: by hand, and against loops over pairs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shortlist.errors import ShapeError
from shortlist.metrics import ranking
from shortlist.metrics.lists import (
    coverage,
    diversity,
    novelty,
    popularity_bias,
    popularity_percentile,
)

ROWS = np.array([[0, 1, 2], [1, -1, -1], [-1, -1, -1]], np.int32)
COUNTS = np.array([7, 3, 0, 0])
TAGS = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], np.float32)


def test_coverage_is_the_share_of_items_that_are_shown() -> None:
    assert coverage(ROWS, 4) == 3 / 4
    assert math.isnan(coverage(ROWS[2:], 0))


def test_novelty_by_hand_with_one_added_to_every_count() -> None:
    # counts + 1 are 8, 4, 1, 1 of 14
    bits = [math.log2(14 / 8), math.log2(14 / 4), math.log2(14 / 1)]
    assert_allclose(novelty(ROWS, COUNTS), [sum(bits) / 3, bits[1], math.nan])


def test_diversity_by_hand() -> None:
    # cosines of (0,1), (0,2), (1,2): 1/sqrt 2, 0, 0; lists of one item have no pair
    assert_allclose(diversity(ROWS, TAGS), [1 - 1 / math.sqrt(2) / 3, math.nan, math.nan])


def test_items_without_tags_are_no_part_of_a_pair() -> None:
    with_blank = np.array([[0, 3, 1]], np.int32)
    assert_allclose(diversity(with_blank, TAGS), [1 - 1 / math.sqrt(2)])
    assert np.isnan(diversity(np.array([[0, 3]], np.int32), TAGS)).all()


def test_popularity_percentile_halves_ties() -> None:
    # counts 7, 3, 0, 0: below + half of equals = 3 + .5, 2 + .5, 0 + 1, 0 + 1, of 4
    assert_allclose(popularity_percentile(COUNTS), [0.875, 0.625, 0.25, 0.25])


def test_popularity_bias_by_hand() -> None:
    history, offsets = np.array([1, 2, 0]), np.array([0, 2, 2, 3])
    # user 0: (.875 + .625 + .25)/3 - (.625 + .25)/2; user 1 has no history; user 2 no list
    want = [1.75 / 3 - 0.4375, math.nan, math.nan]
    assert_allclose(popularity_bias(ROWS, COUNTS, history, offsets), want)


def test_an_empty_catalogue_has_no_values() -> None:
    nothing = np.full((2, 3), -1, np.int32)
    assert np.isnan(novelty(nothing, np.array([], int))).all()
    assert np.isnan(diversity(nothing, np.zeros((0, 2)))).all()


def test_shapes_that_do_not_line_up_are_refused() -> None:
    with pytest.raises(ShapeError, match="row 9 is answered but tags cover 4"):
        diversity(np.array([[9]], np.int32), TAGS)
    with pytest.raises(ShapeError, match=r"must be \(4,\).*got \(2,\)"):
        popularity_bias(ROWS, COUNTS, np.array([1]), np.array([0, 1]))


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 7))
def test_diversity_agrees_with_a_loop_over_pairs(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    tags = (rng.random((9, 4)) < 0.4).astype(np.float32)
    rows = np.argsort(rng.random((3, 9)), axis=1)[:, :k].astype(np.int32)
    rows[rng.random(rows.shape) < 0.2] = -1
    want = []
    for line in rows:
        vectors = [tags[row] for row in line if row >= 0 and tags[row].any()]
        pairs = [
            float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
            for i, a in enumerate(vectors)
            for b in vectors[:i]
        ]
        want.append(1 - sum(pairs) / len(pairs) if pairs else math.nan)
    assert_allclose(diversity(rows, tags), want, atol=1e-12)


def test_many_blocks_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).integers(-1, 4, (20, 3)).astype(np.int32)
    whole = novelty(rows, COUNTS)
    monkeypatch.setattr(ranking, "CELLS_AT_ONCE", 7)
    assert_allclose(novelty(rows, COUNTS), whole)
