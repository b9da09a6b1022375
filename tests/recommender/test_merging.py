"""Reciprocal rank fusion: by hand, and against a slow oracle of dictionaries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.topk import Candidates, TopK
from shortlist.recommender.merging import as_candidates, merge, proposed_by

INF = float("inf")


def lists(*queries: list[int]) -> TopK:
    """One list per query; the score of each item is minus its place."""
    rows = np.array(queries, np.int32)
    places = -np.arange(rows.shape[1], dtype=np.float32)
    return TopK(rows, np.where(rows >= 0, places, -INF).astype(np.float32))


def test_ranks_add_up_by_hand() -> None:
    merged = merge(["a", "b"], [lists([7, 3, 5]), lists([3, 9])])
    # 3: 1/62 + 1/61; 7: 1/61; 9: 1/62; 5: 1/63
    assert_array_equal(merged.rows, [[3, 7, 9, 5, -1]])
    assert_allclose(merged.scores, [[1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63, -INF]], rtol=1e-6)
    assert merged.sources == ("a", "b")
    assert_array_equal(merged.source_ranks[:, 0], [[2, 1, 0, 3, 0], [1, 0, 2, 0, 0]])
    nan = np.nan
    assert_array_equal(
        merged.source_scores[:, 0], [[-1, 0, nan, -2, nan], [0, nan, -1, nan, nan]]
    )


def test_ties_keep_the_lower_row() -> None:
    merged = merge(["a", "b"], [lists([9, 4]), lists([2, 6])])
    assert_array_equal(merged.rows, [[2, 9, 4, 6]])  # 1/61 twice, then 1/62 twice


def test_two_lists_that_swap_their_items_tie() -> None:
    merged = merge(["a", "b"], [lists([8, 1]), lists([1, 8])])
    assert_array_equal(merged.rows[0, :2], [1, 8])
    assert merged.scores[0, 0] == merged.scores[0, 1]


def test_nothing_merged_with_nothing_is_nothing() -> None:
    merged = merge(["a", "b"], [TopK.nothing(2, 3), TopK.nothing(2, 1)])
    assert_array_equal(merged.rows, np.full((2, 4), -1))
    assert (merged.scores == -INF).all()
    assert (merged.source_ranks == 0).all()
    assert np.isnan(merged.source_scores).all()


def test_an_item_belongs_to_whoever_ranked_it_best_the_earlier_on_a_tie() -> None:
    merged = merge(["a", "b"], [lists([7, 3, 5]), lists([7, 5, 3])])
    found = proposed_by(merged, np.array([[7, 3, 5, -1]], np.int32))
    assert_array_equal(found, [[0, 0, 1, -1]])  # 7: first in both; 3: 2 and 3; 5: 3 and 2


def test_one_list_keeps_its_order_and_its_scores() -> None:
    top = lists([4, 2, -1], [-1, -1, -1])
    one = as_candidates("a", top)
    assert_array_equal(one.rows, top.rows)
    assert_array_equal(one.source_ranks, [[[1, 2, 0], [0, 0, 0]]])
    assert_array_equal(one.source_scores[0, 0], [0, -1, np.nan])
    assert_array_equal(proposed_by(one, top.rows), [[0, 0, -1], [-1, -1, -1]])


def test_no_queries_and_no_places() -> None:
    merged = merge(["a"], [TopK.nothing(0, 3)])
    assert proposed_by(merged, np.empty((0, 2), np.int32)).shape == (0, 2)


def oracle(names: list[str], query: list[list[int]]) -> list[tuple[int, float, list[int]]]:
    """Items best first: (row, fused score, rank in each list or 0)."""
    ranks: dict[int, list[int]] = {}
    for part, rows in enumerate(query):
        for place, row in enumerate(rows):
            if row >= 0:
                ranks.setdefault(row, [0] * len(names))[part] = place + 1
    fused = {}
    for row, places in ranks.items():
        total = 0.0
        for place in places:
            total += 1 / (60 + place) if place else 0.0
        fused[row] = float(np.float32(total))
    return [
        (row, fused[row], ranks[row]) for row in sorted(fused, key=lambda r: (-fused[r], r))
    ]


@st.composite
def several_lists(draw: st.DrawFn) -> list[list[list[int]]]:
    """parts x queries x places: distinct items per line, then -1."""
    n = draw(st.integers(1, 4))
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        k = draw(st.integers(1, 6))
        lines = []
        for _ in range(n):
            found = draw(st.lists(st.integers(0, 9), max_size=k, unique=True))
            lines.append(found + [-1] * (k - len(found)))
        parts.append(lines)
    return parts


@given(several_lists())
def test_agrees_with_dictionaries(parts: list[list[list[int]]]) -> None:
    names = [f"part {number}" for number in range(len(parts))]
    tops = [lists(*lines) for lines in parts]
    merged = merge(names, tops)
    assert merged.k == sum(top.k for top in tops)
    for query in range(len(merged)):
        want = oracle(names, [lines[query] for lines in parts])
        m = len(want)
        assert merged.rows[query].tolist() == [row for row, _, _ in want] + [-1] * (
            merged.k - m
        )
        assert_allclose(merged.scores[query, :m], [score for _, score, _ in want], rtol=1e-6)
        assert (merged.scores[query, m:] == -INF).all()
        for part in range(len(names)):
            ranks = merged.source_ranks[part, query]
            assert ranks.tolist() == [of[part] for _, _, of in want] + [0] * (merged.k - m)
            proposed = ranks > 0
            assert_array_equal(
                merged.source_scores[part, query, proposed], 1.0 - ranks[proposed]
            )
            assert np.isnan(merged.source_scores[part, query, ~proposed]).all()
        check_proposers(merged, query, want)


def check_proposers(
    merged: Candidates, query: int, want: list[tuple[int, float, list[int]]]
) -> None:
    shown = np.full((len(merged), merged.k + 1), -1, np.int32)
    shown[query, : len(want)] = [row for row, _, _ in want][::-1]  # any order may be asked for
    found = proposed_by(merged, shown)
    for place, (_, _, ranks) in enumerate(want[::-1]):
        best = min(rank for rank in ranks if rank)
        assert found[query, place] == ranks.index(best)
    assert (found[query, len(want) :] == -1).all()
    assert (np.delete(found, query, axis=0) == -1).all()
