"""Which items are taken by the same people, and which soon after which: cosines, the nearest kept."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.ragged import binary_matrix

NEAREST = 200
_LATEST = 300  # rows of one user that are paired: pairs grow with the square
_STEPS = 3  # how far ahead "soon after" reaches
_ITEMS = 512  # lines of the product at a time


def together(train: Interactions) -> sp.csr_array:
    """Cosine of two items over the users who liked both.

    Args:
        train: rows.

    Returns:
        (n_items, n_items) float32 CSR, sorted columns, the 200 nearest of each line; no diagonal.
    """
    users, items = _liked_in_order(train)
    shape = (len(train.user_vocabulary), len(train.item_vocabulary))
    lines = binary_matrix(users, items, shape)
    by_item = sp.csr_array(lines.T)
    norms = np.sqrt(np.maximum(np.diff(by_item.indptr), 1))
    return _stacked(
        [
            _nearest(by_item[start : start + _ITEMS] @ lines, norms, start)
            for start in range(0, shape[1], _ITEMS)
        ],
        shape[1],
    )


def following(train: Interactions) -> sp.csr_array:
    """How often an item comes within three steps after another, over the root of both counts.

    Args:
        train: rows; without times nothing follows anything.

    Returns:
        (n_items, n_items) float32 CSR, sorted columns: line i holds what follows item i.
    """
    n = len(train.item_vocabulary)
    if train.timestamps is None:
        return _empty(n)
    users, items = _liked_in_order(train)
    total = _empty(n)
    for step in range(1, _STEPS + 1):
        same = users[step:] == users[:-step]
        first, then = items[:-step][same], items[step:][same]
        weight = np.full(len(first), 1.0 / step, np.float32)
        total = total + sp.csr_array((weight, (first, then)), shape=(n, n))
    total.sum_duplicates()
    norms = np.sqrt(np.maximum(np.bincount(items, minlength=n), 1))
    return _stacked([_nearest(total[i : i + _ITEMS], norms, i) for i in range(0, n, _ITEMS)], n)


def _liked_in_order(train: Interactions) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    order = train.time_order
    order = order[train.liked[order]]
    users, items = train.user_rows[order], train.item_rows[order]
    ends = np.cumsum(np.bincount(users, minlength=len(train.user_vocabulary)))
    late = np.arange(len(users)) >= ends[users] - _LATEST
    return users[late], items[late]


def _nearest(counts: sp.csr_array, norms: NDArray[np.float64], start: int) -> sp.csr_array:
    # lines start.. of the whole: cosines, the largest of each line
    line = np.repeat(np.arange(counts.shape[0], dtype=np.int32), np.diff(counts.indptr))
    value = counts.data / (norms[line + start] * norms[counts.indices])
    keep = counts.indices != line + start
    line, column, value = line[keep], counts.indices[keep], value[keep]
    order = np.lexsort((column, -value, line))
    held = np.bincount(line, minlength=counts.shape[0])
    place = np.arange(len(line)) - np.repeat(np.cumsum(held) - held, held)
    best = np.sort(order[place < NEAREST])
    found = sp.csr_array(
        (value[best].astype(np.float32), (line[best], column[best])), shape=counts.shape
    )
    found.sort_indices()
    return found


def _empty(n: int) -> sp.csr_array:
    nothing = np.empty(0, np.float32), (np.empty(0, np.int32), np.empty(0, np.int32))
    return sp.csr_array(nothing, shape=(n, n))


def _stacked(parts: list[sp.csr_array], n: int) -> sp.csr_array:
    if not parts:
        return _empty(n)
    whole: sp.csr_array = sp.vstack(parts, format="csr")
    return whole
