"""Candidates in the order of new scores."""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.topk import Candidates, TopK
from shortlist.index.select import in_order


def order_by(scores: NDArray[np.float32], candidates: Candidates) -> TopK:
    """Sort candidates by new scores; equal scores keep the lower row.

    Args:
        scores: (n, k) float32, aligned with ``candidates.rows``.
        candidates: n lists of k.

    Returns:
        A TopK (n, k) of the same items.
    """
    by_row = np.argsort(candidates.rows, axis=1, kind="stable")
    rows = np.take_along_axis(candidates.rows, by_row, axis=1)
    ordered = np.take_along_axis(scores, by_row, axis=1)
    return in_order(
        rows, np.where(rows >= 0, ordered, -np.inf).astype(np.float32), candidates.k
    )
