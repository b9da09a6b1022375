import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data.eligible import Eligible
from shortlist.errors import ShapeError

NONE = -1


def eligible(
    excluded: list[list[int]], masks: list[list[bool]], numbers: list[int]
) -> Eligible:
    lengths = [len(rows) for rows in excluded]
    return Eligible(
        np.array([row for rows in excluded for row in rows], np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array(masks, bool).reshape(len(masks), -1 if masks else 0),
        np.array(numbers, np.int32),
    )


def test_exclusions_and_masks_by_hand() -> None:
    asked = eligible([[0, NONE], [], [2]], [[True, False, True]], [0, NONE, 0])
    scores = np.ones((3, 3), np.float32)
    asked.apply(scores)
    assert np.isfinite(scores).tolist() == [
        [False, False, True],
        [True, True, True],
        [True, False, False],
    ]


def test_more_exclusions_join_the_old_ones() -> None:
    both = eligible([[0], [1]], [], [NONE, NONE]).excluding(
        np.array([2, 3], np.int32), np.array([0, 2, 2], np.int64)
    )
    assert both.offsets.tolist() == [0, 3, 4]
    assert both.excluded_rows.tolist() == [0, 2, 3, 1]


queries = st.lists(
    st.tuples(st.lists(st.integers(-1, 4), max_size=4), st.integers(-1, 1)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(asked=queries, cut=st.integers(0, 6))
def test_slices_apply_like_the_whole(asked: list[tuple[list[int], int]], cut: int) -> None:
    masks = [[True, True, False, False, True], [False, True, True, True, True]]
    whole = eligible([rows for rows, _ in asked], masks, [number for _, number in asked])
    n, cut = len(whole), min(cut, len(whole))
    at_once, in_parts = np.zeros((n, 5)), np.zeros((n, 5))
    whole.apply(at_once)
    whole.slice(0, cut).apply(in_parts[:cut])
    whole.slice(cut, n).apply(in_parts[cut:])
    np.testing.assert_array_equal(at_once, in_parts)
    for row, (excluded, number) in zip(at_once, asked, strict=True):
        allowed = masks[number] if number >= 0 else [True] * 5
        assert np.isfinite(row).tolist() == [
            ok and i not in excluded for i, ok in enumerate(allowed)
        ]


def test_common_forms() -> None:
    everything = Eligible.of(2)
    scores = np.zeros((2, 3))
    everything.apply(scores)
    assert np.isfinite(scores).all()
    Eligible.of(2, mask=np.array([True, False, True])).apply(scores)
    assert np.isfinite(scores).tolist() == [[True, False, True]] * 2


@pytest.mark.parametrize(
    ("offsets", "numbers", "match"),
    [
        ([0, 2], [-1], "offsets must rise from 0"),
        ([0, 1, 0, 1], [-1, -1, -1], "offsets must rise from 0"),
        ([0, 1], [-1, -1], "2 mask numbers for 1 queries"),
        ([0, 1], [0], "mask number 0 but only 0 masks"),
    ],
)
def test_arrays_that_do_not_line_up(offsets: list[int], numbers: list[int], match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        Eligible(
            np.array([0], np.int32),
            np.array(offsets, np.int64),
            np.zeros((0, 0), bool),
            np.array(numbers, np.int32),
        )


def test_a_mask_of_another_catalogue_is_refused() -> None:
    with pytest.raises(ShapeError, match="masks cover 2 items but there are 3 scores"):
        Eligible.of(1, mask=np.array([True, False])).apply(np.zeros((1, 3)))


def test_what_one_query_is_allowed() -> None:
    asked = eligible([[0, NONE], [], [2]], [[True, False, True]], [0, NONE, 0])
    assert asked.slice(0, 1).allowed(3).tolist() == [False, False, True]
    assert asked.slice(1, 2).allowed(3).tolist() == [True, True, True]
    assert asked.slice(2, 3).allowed(3).tolist() == [True, False, False]
    with pytest.raises(ShapeError, match=r"allowed\(\) is for one query; these are 3"):
        asked.allowed(3)
    with pytest.raises(ShapeError, match="masks cover 3 items"):
        asked.slice(0, 1).allowed(4)
