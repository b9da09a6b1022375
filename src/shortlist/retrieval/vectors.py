"""Retrieval for models with a vector for each item: encode who asks, search an index."""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.index.contract import Index
from shortlist.index.exact import ExactIndex
from shortlist.retrieval.dense import excluding_itself
from shortlist.retrieval.knowing import ReadsHistories


class VectorRetriever(ReadsHistories):
    """Base of retrievers that score by dot products: they add ``encode``, ``_item_index`` and ``fit``."""

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors.

        Args:
            queries: n askers.

        Returns:
            (n, dim) float32; the same bits whatever the batch.
        """
        raise NotImplementedError

    def _item_index(self) -> Index:
        # of the item vectors; NotReadyError before the fit
        raise NotImplementedError

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """(n_items, dim) float32."""
        return self._item_index().vectors

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        """The eligible items whose vectors have the highest dot product with the query's.

        Args:
            queries: n askers.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything.

        Returns:
            A TopK (n, k).
        """
        return self._item_index().search(self.encode(queries), k, eligible)

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of given items, the bits that :meth:`retrieve` gives.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 scores -inf.

        Returns:
            (n, m) float32.
        """
        return self._item_index().score(self.encode(queries), rows)

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        return self.encode(queries) @ self.item_vectors.T

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Items whose vectors have the highest cosine with that of the given item.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k); scores are cosines. A line is empty beside an item that the model does
            not know.
        """
        vectors = self.item_vectors
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        top = ExactIndex(unit).search(unit[rows], k, excluding_itself(rows, eligible))
        knows = self.knows(Queries.of_items(rows))[:, None]
        found, scores = np.where(knows, top.rows, -1), np.where(knows, top.scores, -np.inf)
        return TopK(found.astype(np.int32), scores.astype(np.float32))
