"""Exact top-K: scan everything in float32 blocks, score what can win again in float64.

A float32 product of matrices gives other last bits for other batch sizes. So the scan only
chooses who may be in the top-K, by an error bound; the final scores are float64 dot products of
single pairs, rounded to float32. A pair has the same score whatever it was computed beside, equal
vectors tie exactly, and the answer is that of sorting every such score.
"""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.topk import TopK
from shortlist.errors import DataError, ShapeError
from shortlist.index.select import check_asked, in_order

_SCAN_CELLS = 1 << 22  # scores per block: 16 MB
_PAIR_CELLS = 1 << 21  # float64 numbers gathered at a time: 16 MB
_UNIT = 2.0**-24  # rounding unit of float32
_SMALLEST = 2.0**-126  # below it products lose bits, or vanish
_LARGEST = float(np.finfo(np.float32).max)


class ExactIndex:
    """Brute force over all items, with exclusions and masks applied before the selection.

    Args:
        vectors: (n_items, dim) float32, finite.

    Raises:
        ShapeError: ``vectors`` is not two-dimensional.
        DataError: a vector holds NaN or infinity.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        if vectors.ndim != 2:
            msg = f"vectors must be (n_items, dim); got {vectors.shape}"
            raise ShapeError(msg)
        self._vectors = np.ascontiguousarray(vectors, np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", self._vectors, self._vectors, dtype=np.float64))
        if not np.isfinite(lengths).all():
            msg = f"vector of item row {int((~np.isfinite(lengths)).argmax())} holds NaN or infinity; train again with a smaller learning rate"
            raise DataError(msg)
        self._longest = float(lengths.max(initial=0.0))

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n_items, dim) float32."""
        return self._vectors

    def search(
        self, queries: NDArray[np.float32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Return the ``k`` highest dot products per query; equal scores keep the lower row.

        Args:
            queries: (n, dim) float32.
            k: how many items, at least 1. Asking for more than are eligible pads with -1.
            eligible: what may be answered, n queries; None allows everything.

        Returns:
            A TopK with arrays shaped (n, k).

        Raises:
            ShapeError: ``queries`` has another width than the vectors, or ``eligible`` another length.
            DataError: a query holds NaN or infinity, or a score would not fit into float32.
        """
        check_asked(k, len(queries), eligible)
        queries = self.checked(queries)
        step = max(1, _SCAN_CELLS // max(1, len(self._vectors)))
        parts = [
            self._search_block(
                queries[start : start + step],
                k,
                None
                if eligible is None
                else eligible.slice(start, min(start + step, len(queries))),
            )
            for start in range(0, len(queries), step)
        ]
        return TopK.stack(parts) if parts else TopK.nothing(0, k)

    def score(
        self, queries: NDArray[np.float32], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Dot products of each query with given items.

        Args:
            queries: (n, dim) float32.
            rows: (n, m) int32 item rows; -1 scores -inf.

        Returns:
            (n, m) float32: float64 dot products, rounded.

        Raises:
            ShapeError: the shapes do not line up.
            DataError: as for :meth:`search`.
        """
        queries = self.checked(queries)
        if rows.ndim != 2 or len(rows) != len(queries):
            msg = f"rows must be ({len(queries)}, m), one line per query; got {rows.shape}"
            raise ShapeError(msg)
        n, m = rows.shape
        scores = np.empty((n, m), np.float32)
        if not len(self._vectors):
            scores.fill(-np.inf)
            return scores
        wide = max(1, _PAIR_CELLS // max(1, self._vectors.shape[1]))  # pairs at a time
        step = max(1, wide // max(1, m))
        for start in range(0, n, step):
            some = slice(start, start + step)
            query = queries[some].astype(np.float64)
            for left in range(0, m, wide):
                part = rows[some, left : left + wide]
                vectors = self._vectors[part].astype(np.float64)  # (step, wide, dim)
                scores[some, left : left + wide] = np.einsum("nmd,nd->nm", vectors, query)
        scores[rows < 0] = -np.inf
        return scores

    def checked(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Insist on queries that fit the vectors.

        Args:
            queries: (n, dim).

        Returns:
            The queries, contiguous float32.

        Raises:
            ShapeError: ``queries`` has another width than the vectors.
            DataError: a query holds NaN or infinity, or a score would not fit into float32.
        """
        dim = self._vectors.shape[1]
        if queries.ndim != 2 or queries.shape[1] != dim:
            msg = (
                f"queries must be (queries, {dim}) to match the indexed vectors; got {queries.shape}. "
                "Was the index built with a different tower?"
            )
            raise ShapeError(msg)
        lengths = np.sqrt(np.einsum("nd,nd->n", queries, queries, dtype=np.float64))
        short = lengths * self._longest < _LARGEST  # False for NaN
        if not short.all() or not np.isfinite(lengths).all():
            query = int((~short | ~np.isfinite(lengths)).argmax())
            msg = (
                f"query {query} holds NaN or infinity, or its products with the vectors (length {self._longest:.3g}) "
                "do not fit into float32; look for extreme numbers among the asker's features"
            )
            raise DataError(msg)
        return np.ascontiguousarray(queries, np.float32)

    def _search_block(
        self, queries: NDArray[np.float32], k: int, eligible: Eligible | None
    ) -> TopK:
        rough = queries @ self._vectors.T  # (n, items)
        if eligible is not None:
            eligible.apply(rough)
        n, items = rough.shape
        wanted = min(items, k + 8 + k // 8)
        rows = (
            np.argpartition(rough, items - wanted, axis=1)[:, items - wanted :]
            if wanted < items
            else np.tile(np.arange(items), (n, 1))
        )
        best = np.take_along_axis(rough, rows, axis=1)  # (n, wanted)
        unsure = np.zeros(n, bool)
        if k < wanted < items:
            lengths = np.sqrt(np.einsum("nd,nd->n", queries, queries, dtype=np.float64))
            dim = queries.shape[1]
            error = 2 * ((dim + 4) * _UNIT * lengths * self._longest + dim * _SMALLEST)
            floor = np.partition(best, wanted - k, axis=1)[:, wanted - k] - error
            last = best.min(axis=1)
            # more than ``wanted`` items may be in the top k
            unsure = (last >= floor) & (last > -np.inf)
        order = np.argsort(rows, axis=1)
        rising = np.take_along_axis(rows, order, axis=1).astype(np.int32)
        allowed = np.take_along_axis(best, order, axis=1) > -np.inf
        scores = self.score(queries, np.where(allowed, rising, -1).astype(np.int32))
        top = in_order(rising, scores, k)
        for query in np.flatnonzero(unsure):
            close = (rough[query] >= floor[query]) & (rough[query] > -np.inf)
            near = np.flatnonzero(close)[None, :].astype(np.int32)
            exact = in_order(near, self.score(queries[query : query + 1], near), k)
            top.rows[query], top.scores[query] = exact.rows[0], exact.scores[0]
        return top
