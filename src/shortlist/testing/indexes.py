"""What every index must do; approximate ones may miss items, but not in the exact checks."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, DataError, ShapeError
from shortlist.index.contract import Index
from shortlist.testing.asking import allowed, insist, limits, refuses, same_bits, well_formed

MakeIndex: TypeAlias = Callable[[NDArray[np.float32]], Index]

_ITEMS, _DIM, _ASKED = 60, 8, 13


def _numbers(rows: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(rows, _DIM)).astype(np.float32)
    drawn.setflags(write=False)
    return drawn


def answers_of_an_index_are_well_formed(make: MakeIndex) -> None:
    """Shapes, kinds, best first, no item twice; more than there are is padded."""
    index, queries = make(_numbers(_ITEMS, 0)), _numbers(_ASKED, 1)
    for k in (1, 7, _ITEMS, _ITEMS + 5):
        well_formed(index.search(queries, k), _ASKED, k, _ITEMS)
    well_formed(index.search(queries[:0], 3), 0, 3, _ITEMS)
    np.testing.assert_array_equal(index.vectors, _numbers(_ITEMS, 0))


def an_index_keeps_to_the_limits(make: MakeIndex) -> None:
    """Only eligible items, and as many of them as exist, up to k."""
    index, queries = make(_numbers(_ITEMS, 0)), _numbers(_ASKED, 1)
    eligible = limits(_ASKED, _ITEMS)
    may = allowed(eligible, _ITEMS)
    for k in (1, 7, _ITEMS + 5):
        top = index.search(queries, k, eligible)
        well_formed(top, _ASKED, k, _ITEMS)
        filled = (top.rows >= 0).sum(axis=1)
        np.testing.assert_array_equal(filled, np.minimum(may.sum(axis=1), k))
        for query, line in enumerate(top.rows):
            insist(may[query, line[line >= 0]].all(), "an item that is not eligible")


def the_batch_changes_nothing_in_an_index(make: MakeIndex) -> None:
    """One by one and all at once give the same bits."""
    index, queries = make(_numbers(_ITEMS, 0)), _numbers(_ASKED, 1)
    eligible = limits(_ASKED, _ITEMS)
    parts = [
        index.search(queries[i : i + 1], 7, eligible.slice(i, i + 1)) for i in range(_ASKED)
    ]
    whole = index.search(queries, 7, eligible)
    same_bits(TopK.stack(parts), whole, "one by one gives other bits")
    scores = index.score(queries, whole.rows)
    same_bits(TopK(whole.rows, scores), whole, "score() and search() differ")


def an_index_without_items_answers(make: MakeIndex) -> None:
    """No items: every place is -1."""
    index = make(np.zeros((0, _DIM), np.float32))
    well_formed(index.search(_numbers(_ASKED, 1), 3), _ASKED, 3, 0)


def an_index_refuses_what_does_not_fit(make: MakeIndex) -> None:
    """Another width, another number of limits, a k of 0, vectors with NaN or infinity."""
    index, queries = make(_numbers(_ITEMS, 0)), _numbers(_ASKED, 1)
    refuses(ShapeError, lambda: index.search(queries[:, 1:], 3), "a narrower query")
    refuses(ShapeError, lambda: index.search(queries[0], 3), "a query without a first axis")
    refuses(ShapeError, lambda: index.search(queries, 3, Eligible.of(2)), "limits of 2 queries")
    refuses(ConfigError, lambda: index.search(queries, 0), "a k of 0")
    for bad in (np.nan, np.inf):
        broken, asked = _numbers(_ITEMS, 0).copy(), queries.copy()
        broken[3, 2] = asked[1, 0] = bad
        refuses(DataError, lambda broken=broken: make(broken), f"a vector of {bad}")  # type: ignore[misc]
        refuses(DataError, lambda asked=asked: index.search(asked, 3), f"a query of {bad}")  # type: ignore[misc]


def an_exact_index_sorts_every_score(make: MakeIndex) -> None:
    """The answer is that of sorting every float64 dot product, ties to the lower row."""
    rng = np.random.default_rng(2)
    for high in (2, 100):  # small whole numbers: exact in float32, with many ties
        vectors = rng.integers(-high, high + 1, (_ITEMS, _DIM)).astype(np.float32)
        queries = rng.integers(-high, high + 1, (_ASKED, _DIM)).astype(np.float32)
        scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
        want = np.argsort(-scores, axis=1, kind="stable")[:, :9]
        np.testing.assert_array_equal(make(vectors).search(queries, 9).rows, want)


INDEX_CHECKS: tuple[Callable[[MakeIndex], None], ...] = (
    answers_of_an_index_are_well_formed,
    an_index_keeps_to_the_limits,
    the_batch_changes_nothing_in_an_index,
    an_index_without_items_answers,
    an_index_refuses_what_does_not_fit,
)
EXACT_INDEX_CHECKS: tuple[Callable[[MakeIndex], None], ...] = (
    an_exact_index_sorts_every_score,
)
