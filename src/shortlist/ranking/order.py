"""Candidates in the order of new scores; and the rankers whose scores are predicted ratings."""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.queries import Queries
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


class RatingRanker:
    """Base of rankers that predict ratings: they add ``predict``, and ``_raw`` where that is clipped."""

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        raise NotImplementedError

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        """Candidates by predicted rating, not clipped.

        Args:
            queries: n askers.
            candidates: n lists.

        Returns:
            A TopK of the same items.
        """
        return order_by(self._raw(queries, candidates.rows), candidates)

    def _raw(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        # as predict(), but two items at the end of the scale are not equal for being clipped
        return self.predict(queries, rows)
