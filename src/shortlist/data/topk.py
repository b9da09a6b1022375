"""What a retriever, an index or a ranker answers: the best k rows per query, best first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ShapeError


@dataclass(frozen=True, eq=False)
class TopK:
    """The best items per query, best first; equal scores keep the lower row.

    Attributes:
        rows: (n, k) int32 item rows; -1 where nothing more is eligible.
        scores: (n, k) float32; -inf where ``rows`` is -1.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.shape != self.scores.shape:
            msg = f"rows {self.rows.shape} and scores {self.scores.shape} must both be (n, k)"
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        n, k = self.rows.shape
        return f"{type(self).__name__}({n:,} queries x {k}, {int((self.rows >= 0).sum()):,} places filled)"

    @property
    def k(self) -> int:
        """How many places each query has."""
        return int(self.rows.shape[1])

    @classmethod
    def stack(cls, parts: list["TopK"]) -> "TopK":
        """Put the answers of consecutive batches together.

        Args:
            parts: at least one TopK, all with the same k.

        Returns:
            One TopK with the queries in order.
        """
        return TopK(
            np.concatenate([p.rows for p in parts]), np.concatenate([p.scores for p in parts])
        )

    @classmethod
    def nothing(cls, n: int, k: int) -> "TopK":
        """An answer without items.

        Args:
            n: queries.
            k: places.

        Returns:
            A TopK of -1 and -inf.
        """
        return cls(np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Candidates(TopK):
    """A TopK between the stages, which remembers who proposed what.

    Attributes:
        sources: names of the parts that proposed.
        source_scores: (len(sources), n, k) float32; NaN where that part did not propose the item.
        source_ranks: (len(sources), n, k) int32, from 1; 0 where that part did not propose it.
    """

    sources: tuple[str, ...]
    source_scores: NDArray[np.float32]
    source_ranks: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        want = (len(self.sources), *self.rows.shape)
        if self.source_scores.shape != want or self.source_ranks.shape != want:
            msg = f"source scores and ranks must be {want}; got {self.source_scores.shape} and {self.source_ranks.shape}"
            raise ShapeError(msg)

    def first_source(self) -> NDArray[np.int32]:
        """Which part ranked each item best (the earlier part on a tie).

        Returns:
            (n, k) int32 positions in ``sources``; -1 where no item stands.
        """
        ranks = np.where(self.source_ranks > 0, self.source_ranks, np.iinfo(np.int32).max)
        best = ranks.argmin(axis=0).astype(np.int32)
        return np.where(self.rows >= 0, best, -1).astype(np.int32)
