"""Lists built place by place, where each next item is good and unlike those above it."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.rerank.values import relevance, share_between, taken_first, values_of


@dataclass(frozen=True)
class Greedy:
    """Base of re-rankers that weigh relevance against likeness: they add ``kind`` and ``_greedy``.

    Attributes:
        strength: 0 keeps the order, 1 looks at likeness only.
        by: column of the catalogue; likeness is the cosine of its values.
    """

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
            A TopK (n, m) whose first k places are chosen.
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
        # (m,) relevance and (m, m) likeness of one list -> which k stand first
        raise NotImplementedError


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
