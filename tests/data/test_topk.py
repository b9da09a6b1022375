import numpy as np
import pytest

from shortlist.data.topk import Candidates, TopK
from shortlist.errors import ShapeError


def test_batches_stack_in_order() -> None:
    one = TopK(np.array([[3, 1]], np.int32), np.array([[2.0, 1.0]], np.float32))
    both = TopK.stack([one, TopK.nothing(1, 2)])
    assert both.rows.tolist() == [[3, 1], [-1, -1]]
    assert np.isneginf(both.scores[1]).all()
    assert (len(both), both.k) == (2, 2)


def test_shapes_must_agree() -> None:
    with pytest.raises(ShapeError, match=r"rows \(1, 2\) and scores \(1, 3\)"):
        TopK(np.zeros((1, 2), np.int32), np.zeros((1, 3), np.float32))
    with pytest.raises(ShapeError, match=r"both be \(n, k\)"):
        TopK(np.zeros(2, np.int32), np.zeros(2, np.float32))


def test_first_source_is_the_one_that_ranked_best() -> None:
    rows = np.array([[5, 6, 7, -1]], np.int32)
    ranks = np.array([[[2, 1, 0, 0]], [[1, 1, 3, 0]]], np.int32)
    scores = np.zeros((2, 1, 4), np.float32)
    top = Candidates(rows, np.zeros((1, 4), np.float32), ("a", "b"), scores, ranks)
    # 5: b ranks it 1; 6: a tie, the earlier part; 7: only b has it; nothing stands last
    assert top.first_source().tolist() == [[1, 0, 1, -1]]


def test_sources_must_line_up() -> None:
    flat = np.zeros((1, 2), np.int32), np.zeros((1, 2), np.float32)
    with pytest.raises(ShapeError, match=r"must be \(1, 1, 2\)"):
        Candidates(
            *flat, ("a",), np.zeros((2, 1, 2), np.float32), np.zeros((1, 1, 2), np.int32)
        )
