"""Retrieval for models that score the whole catalogue: blocks of queries, then one selection."""

from dataclasses import replace
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError
from shortlist.index.select import check_asked, select_top_k
from shortlist.retrieval.knowing import ReadsHistories

_CELLS = 1 << 22  # scores per block: 16 MB


class DenseRetriever(ReadsHistories):
    """Base of retrievers that score everything: they add ``score_all``, ``n_items`` and ``fit``."""

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        raise NotImplementedError

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Score the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            A fresh (n, n_items) float32 array; a line must not depend on the others.
        """
        raise NotImplementedError

    def settled(self) -> Self:
        """An unfitted copy: validation chooses nothing in a closed form.

        Returns:
            One of the same kind with the same settings.
        """
        return replace(self)  # type: ignore[type-var]

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        """Score block by block and select.

        Args:
            queries: n askers.
            k: how many items, at least 1.
            eligible: what may be answered; None allows everything.

        Returns:
            A TopK (n, k).
        """
        return self._best(queries, k, eligible)

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of given items, the bits that :meth:`retrieve` gives.

        Args:
            queries: n askers.
            rows: (n, m) int32 item rows; -1 scores -inf.

        Returns:
            (n, m) float32.
        """
        step = max(1, _CELLS // max(1, self.n_items))
        scores = np.full(rows.shape, -np.inf, np.float32)
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            block = self.score_all(queries.slice(start, min(start + step, len(queries))))
            scores[some] = np.take_along_axis(block, np.maximum(rows[some], 0), axis=1)
        scores[rows < 0] = -np.inf
        return scores

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """What a history of one item speaks for.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k); an empty line beside an item that the model does not know, such as one
            that nobody took, and where every item scores the same.
        """
        own = excluding_itself(rows, eligible)
        return self._best(Queries.of_items(rows), k, own, only_telling=True)

    def _best(
        self,
        queries: Queries,
        k: int,
        eligible: Eligible | None,
        *,
        only_telling: bool = False,
    ) -> TopK:
        check_asked(k, len(queries), eligible)
        step = max(1, _CELLS // max(1, self.n_items))
        parts = []
        for start in range(0, len(queries), step):
            stop = min(start + step, len(queries))
            some = queries.slice(start, stop)
            scores = self.score_all(some)
            if only_telling:
                flat = scores.max(axis=1) == scores.min(axis=1)
                scores[flat | ~self.knows(some)] = -np.inf
            if eligible is not None:
                eligible.slice(start, stop).apply(scores)
            parts.append(select_top_k(scores, k))
        return TopK.stack(parts) if parts else TopK.nothing(0, k)


def excluding_itself(rows: NDArray[np.int32], eligible: Eligible | None) -> Eligible:
    """For item-to-item: each question leaves its own item out.

    Args:
        rows: (n,) the items asked about.
        eligible: further limits, or None.

    Returns:
        Eligible over n questions.

    Raises:
        ConfigError: a row is no item.
    """
    if (rows < 0).any():
        msg = f"question {int((rows < 0).argmax())} names no item (row -1); look the item up first"
        raise ConfigError(msg)
    offsets = np.arange(len(rows) + 1, dtype=np.int64)
    return (eligible or Eligible.of(len(rows))).excluding(rows, offsets)


def unit_lines(lines: sp.csr_array) -> sp.csr_array:
    """Scale each line to length 1.

    Args:
        lines: (n, m) CSR.

    Returns:
        (n, m) float32 CSR; empty lines stay empty.
    """
    lengths = np.sqrt(np.asarray(lines.multiply(lines).sum(axis=1), np.float64)).ravel()
    scale = np.repeat(1 / np.maximum(lengths, 1e-12), np.diff(lines.indptr))
    numbers = (lines.data * scale).astype(np.float32)
    return sp.csr_array((numbers, lines.indices, lines.indptr), shape=lines.shape)
