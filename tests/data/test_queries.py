from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from shortlist.data.queries import Queries
from shortlist.errors import ShapeError


def queries(**changes: Any) -> Queries:
    # asker 0 (known): items 1, 2, 1 of which the middle one was not liked; 1: nothing; 2: item 3
    given: dict[str, Any] = {
        "user_rows": np.array([4, -1, -1], np.int32),
        "history_rows": np.array([1, 2, 1, 3], np.int32),
        "offsets": np.array([0, 3, 3, 4], np.int64),
        "history_liked": np.array([True, False, True, True]),
    }
    return Queries(**{**given, **changes})


def test_who_brings_columns_of_their_own() -> None:
    assert queries().having(["age"]).tolist() == [False, False, False]
    described = queries(
        users=pl.DataFrame({"age": [None, 30, None], "sex": [None, None, None]})
    )
    assert described.having(["age", "town"]).tolist() == [False, True, False]
    assert described.having(["sex"]).tolist() == [False, False, False]


def test_liked_matrix_counts_an_item_once() -> None:
    want = [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert queries().liked_matrix(4).toarray().tolist() == want
    assert queries().liked_counts.tolist() == [2, 0, 1]


def test_recency_counts_steps_back_among_what_counts() -> None:
    # asker 0: item 2 (earlier entry), 1 disliked, 0, 2: steps 1 and 0; asker 1 has nothing
    asked = Queries(
        np.array([0, 1], np.int32),
        np.array([2, 1, 0, 2], np.int32),
        np.array([0, 4, 4]),
        np.array([True, False, True, True]),
    )
    half = np.log(2)
    assert_allclose(asked.recency(half), [0, 0, 0.5, 1])
    assert_allclose(asked.recent_matrix(3, half).toarray(), np.array([[0.5, 0, 1], [0, 0, 0]]))
    assert asked.recency(10.0).tolist() == [0, 0, 0, 1]  # exp(-10) is too little to count
    for plain in (asked.recent_matrix(3, 0.0), asked.liked_matrix(3)):
        assert plain.toarray().tolist() == [[1, 0, 1], [0, 0, 0]]


def test_liked_matrix_of_the_last_ones() -> None:
    data = queries(
        history_rows=np.array([0, 1, 2, 3], np.int32), history_liked=np.ones(4, bool)
    )
    want = [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert data.liked_matrix(4, last=2).toarray().tolist() == want


def test_slices_carry_their_own_rows() -> None:
    part = queries(history_ages=np.arange(4.0), users=pl.DataFrame({"age": [1, 2, 3]})).slice(
        2, 3
    )
    assert part.history_rows.tolist() == [3]
    assert part.offsets.tolist() == [0, 1]
    assert part.history_ages is not None
    assert part.history_ages.tolist() == [3.0]
    assert part.users is not None
    assert part.users["age"].to_list() == [3]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"offsets": np.array([0, 3, 4], np.int64)}, r"offsets must be \(4,\) from 0 to 4"),
        ({"offsets": np.array([0, 3, 3, 3], np.int64)}, "offsets must be"),
        ({"history_liked": np.ones(3, bool)}, "history_liked has 3 entries for 4 history rows"),
        ({"users": pl.DataFrame({"age": [1]})}, "users has 1 rows for 3 queries"),
    ],
)
def test_arrays_that_do_not_line_up(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        queries(**changes)


def test_signed_matrix_lets_the_latest_row_of_an_item_decide() -> None:
    # asker 0: item 1 liked, 2 not, 1 liked again
    want = [[0, 1, -0.5, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert queries().signed_matrix(4, others=-0.5).toarray().tolist() == want
    turned = queries(history_liked=np.array([True, False, False, False]))
    want = [[0, -0.5, -0.5, 0], [0, 0, 0, 0], [0, 0, 0, -0.5]]
    assert turned.signed_matrix(4, others=-0.5).toarray().tolist() == want


def test_signed_matrix_is_sorted_and_its_likes_are_the_liked_matrix() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, 30)
    asked = Queries(
        np.full(30, -1, np.int32),
        np.concatenate([rng.permutation(9)[:n] for n in counts]).astype(np.int32),
        np.concatenate([[0], np.cumsum(counts)]),
        rng.random(counts.sum()) < 0.5,
    )
    signed = asked.signed_matrix(9, others=-1.0)
    assert signed.dtype == np.float32
    assert signed.has_sorted_indices
    assert signed.nnz == counts.sum()  # no item stands twice
    np.testing.assert_array_equal(
        (signed.toarray() > 0).astype(float), asked.liked_matrix(9).toarray()
    )
    nobody = asked.slice(0, 0).signed_matrix(9, others=-1.0)
    assert nobody.shape == (0, 9)


def test_items_as_questions() -> None:
    asked = Queries.of_items(np.array([3, 0, 3], np.int32))
    assert asked.user_rows.tolist() == [-1, -1, -1]
    want = [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert asked.liked_matrix(4).toarray().tolist() == want
    assert len(Queries.of_items(np.array([], np.int32))) == 0


def test_a_context_has_a_row_per_asker_and_goes_with_the_slice() -> None:
    asked = queries(context=pl.DataFrame({"hour": [1, 2, 3]}))
    part = asked.slice(1, 3).context
    assert part is not None
    assert part["hour"].to_list() == [2, 3]
    with pytest.raises(ShapeError, match="context has 1 rows for 3 queries"):
        queries(context=pl.DataFrame({"hour": [1]}))
