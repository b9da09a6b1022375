"""Whom a retriever knows: whoever brings an item that it learned something of.

A catalogue holds items that nobody took. To a model that learns from what people took, a history of such
items says nothing: every item would score the same. So that asker is left to the fallback.
"""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.queries import Queries


class ReadsHistories:
    """Base of retrievers that answer for what an asker liked; they may add ``_learned_of``."""

    _looked_at: "LookedAt | None" = None

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Whoever brings a liked item that the model learned something of.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        at = np.flatnonzero(queries.history_liked)
        learned = self._learned_of(queries.history_rows[at])
        return np.bincount(queries.askers[at[learned]], minlength=len(queries)) > 0

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        # (m,) item rows to whether a history of that item alone says anything
        return np.ones(len(rows), bool)

    def _says(self, weights: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        # the same for a model of weights from items to items, (blocks * n_items, n_items)
        if self._looked_at is None or self._looked_at.weights is not weights:
            self._looked_at = LookedAt(weights)
        return self._looked_at.says(rows)


class LookedAt:
    """Which items say something of another one, each looked up when it is first asked about.

    Looking through all the weights at once would bring every page of a mapped bundle into memory.

    Args:
        weights: (blocks * n_items, n_items) from the items of a history to those that are scored.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self.weights = weights
        self._says = np.full(weights.shape[1], -1, np.int8)  # -1: not looked up yet

    def says(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Look items up.

        Args:
            rows: (m,) item rows.

        Returns:
            (m,) bool.
        """
        for row in np.unique(rows[self._says[rows] < 0]).tolist():
            lines = self.weights[row :: self.weights.shape[1]]  # (blocks, n_items)
            self._says[row] = np.count_nonzero(lines) > np.count_nonzero(lines[:, row])
        return np.asarray(self._says[rows] > 0)
