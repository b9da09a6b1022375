"""Contributions of history entries, by hand."""

import numpy as np

from shortlist.data.queries import Queries
from shortlist.retrieval import EASE
from shortlist.retrieval.explaining import each_alone, leaving_out
from shortlist.testing import checkerboard


def question(rows: list[int], liked: list[bool]) -> Queries:
    return Queries(
        np.array([-1], np.int32),
        np.array(rows, np.int32),
        np.array([0, len(rows)], np.int64),
        np.array(liked),
    )


def test_an_item_counts_once_at_its_latest_liked_entry() -> None:
    asked = question([4, 2, 4, 6, 4], [True, True, True, False, False])
    # 4 is liked at places 0 and 2 (its last entry is a dislike): place 2 counts; 6 is not liked
    assert asked.counted.tolist() == [False, True, True, False, False]


def test_a_sum_and_leaving_out_agree_on_a_linear_model() -> None:
    train, _ = checkerboard()
    model = EASE(l2=10.0).fit(train)
    asked, rows = question([0, 2, 3], [True, True, True]), np.array([[4, 5, -1]], np.int32)
    alone, out = each_alone(model, asked, rows), leaving_out(model, asked, rows)
    np.testing.assert_allclose(alone, out, atol=1e-6)
    assert (alone[:2, 0] > alone[2, 0]).all()  # 0 and 2 speak for 4, and 3 does not
    assert alone[2, 1] > alone[0, 1]
    assert (alone[:, 2] == 0).all()
    np.testing.assert_allclose(
        alone[:, :2].sum(axis=0), model.score(asked, rows)[0, :2], atol=1e-6
    )
