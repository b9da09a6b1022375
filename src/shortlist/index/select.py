"""From a block of scores to the best k per row, ties to the lower row."""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, ShapeError


def check_k(k: object) -> None:
    """Insist on a k that can be answered.

    Args:
        k: how many items were asked for.

    Raises:
        ConfigError: ``k`` is below 1, or no whole number.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        msg = f"k must be at least 1; got {k}. It is the number of items to answer, a whole number"
        raise ConfigError(msg)


def check_asked(k: int, n: int, eligible: Eligible | None) -> None:
    """Insist on a question that can be answered.

    Args:
        k: how many items were asked for.
        n: how many queries there are.
        eligible: what may be answered, or None.

    Raises:
        ShapeError: ``eligible`` is about another number of queries.
    """
    check_k(k)
    if eligible is not None and len(eligible) != n:
        msg = f"{len(eligible)} eligibility entries for {n} queries; there must be one each"
        raise ShapeError(msg)


def select_top_k(scores: NDArray[np.float32], k: int) -> TopK:
    """Pick the k highest scores of each row; equal scores keep the lower column.

    Args:
        scores: (n, items) float32; -inf is never picked.
        k: how many to pick, at least 1; places that cannot be filled hold -1.

    Returns:
        A TopK with arrays shaped (n, k).
    """
    check_k(k)
    n, items = scores.shape
    if k >= items:
        rows = np.broadcast_to(np.arange(items), (n, items))
    else:
        rows = np.argpartition(scores, items - k, axis=1)[:, items - k :]
        cut = np.take_along_axis(scores, rows, axis=1).min(axis=1)
        at_least = np.count_nonzero(scores >= cut[:, None], axis=1)
        for query in np.flatnonzero((at_least > k) & (cut > -np.inf)):  # a tie at the cut
            above = np.flatnonzero(scores[query] > cut[query])
            level = np.flatnonzero(scores[query] == cut[query])
            rows[query] = np.concatenate([above, level[: k - len(above)]])
        rows = np.sort(rows, axis=1)
    return in_order(rows.astype(np.int32), np.take_along_axis(scores, rows, axis=1), k)


def in_order(rows: NDArray[np.int32], scores: NDArray[np.float32], k: int) -> TopK:
    """Sort candidates by score and keep k places.

    Args:
        rows: (n, m) int32 item rows, rising along each line.
        scores: (n, m) float32; -inf marks what must not be answered.
        k: places to keep; missing ones are padded with -1.

    Returns:
        A TopK with arrays shaped (n, k).
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # stable: ties keep row order
    best = np.take_along_axis(scores, order, axis=1)
    rows = np.take_along_axis(rows, order, axis=1)
    rows = np.where(best == -np.inf, -1, rows).astype(np.int32)
    if rows.shape[1] < k:
        pad = ((0, 0), (0, k - rows.shape[1]))
        rows = np.pad(rows, pad, constant_values=-1)
        best = np.pad(best, pad, constant_values=-np.inf)
    return TopK(rows, best)
