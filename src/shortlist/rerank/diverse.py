"""Maximal marginal relevance: each next item is good, and unlike those above it.

Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998: the next item maximises
``(1 - strength) * relevance - strength * sum(likeness to the items above)``. The paper takes the largest
likeness. The sum is the greedy step towards the best list by relevance and diversity together (Borodin, Lee
and Ye, "Max-Sum Diversification, Monotone Submodular Functions and Dynamic Updates", PODS 2012), and costs
half as much NDCG for as much diversity.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.rerank.values import relevance, share_between, taken_first, values_of


@dataclass(frozen=True)
class Diverse:
    """Greedy diversity; likeness is the cosine of the values of a column.

    Attributes:
        strength: 0 keeps the order, 1 asks for unlike items only.
        by: column of the catalogue.
    """

    kind: ClassVar[str] = "diverse"

    strength: float = 0.2
    by: str = "genres"

    def __post_init__(self) -> None:
        share_between("strength", self.strength)

    def rerank(self, snapshot: Snapshot, queries: Queries, listed: TopK, k: int) -> TopK:
        """Reorder.

        Args:
            snapshot: holds the catalogue.
            queries: n askers; not used.
            listed: (n, m) candidates, best first.
            k: how many places are shown.

        Returns:
            A TopK (n, m) whose first k places are diverse.
        """
        good = relevance(listed)
        chosen = np.full((len(listed), min(k, listed.k)), -1, np.int64)
        for line in range(len(listed)):
            filled = int((listed.rows[line] >= 0).sum())
            like = likeness(snapshot, self.by, listed.rows[line, :filled])
            chosen[line, : min(k, filled)] = self._greedy(good[line, :filled], like, k)
        return taken_first(listed, chosen)

    def to_json(self) -> dict[str, Json]:
        """Its settings.

        Returns:
            A dictionary.
        """
        return asdict(self)

    def _greedy(
        self, good: NDArray[np.float64], like: NDArray[np.float64], k: int
    ) -> NDArray[np.int64]:
        places = min(k, len(good))
        near, left = np.zeros(len(good)), np.ones(len(good), bool)
        chosen = np.empty(places, np.int64)
        for place in range(places):
            value = (1 - self.strength) * good - self.strength * near
            chosen[place] = at = int(np.where(left, value, -np.inf).argmax())
            left[at] = False
            near += like[at]
        return chosen


def likeness(snapshot: Snapshot, by: str, rows: NDArray[np.int32]) -> NDArray[np.float64]:
    """Cosines between items by the values of a column.

    Args:
        snapshot: holds the catalogue.
        by: the column.
        rows: (m,) items.

    Returns:
        (m, m) float64 from 0 to 1, 1 on the diagonal; an item without values is like none.
    """
    lines = values_of(snapshot, by)[rows]
    counts = np.maximum(np.diff(lines.indptr), 1)
    shared = np.asarray((lines @ lines.T).toarray(), np.float64)
    cosine: NDArray[np.float64] = shared / np.sqrt(counts[:, None] * counts[None, :])
    np.fill_diagonal(cosine, 1.0)
    return cosine
