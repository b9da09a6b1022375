"""Calibration: a list whose genres are mixed as the asker's history is.

Steck, "Calibrated Recommendations", RecSys 2018: greedily, the next item maximises
``(1 - strength) * sum of relevance - strength * KL(p || q~)``, where p is the mix of the history, q
that of the list, and ``q~ = (1 - a) q + a p`` with a = 0.01 keeps the divergence finite.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.ragged import mean_lines
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.rerank.values import relevance, share_between, taken_first, values_of

_SMOOTH = 0.01


@dataclass(frozen=True)
class Calibrated:
    """Greedy calibration to the asker's own mix of a column's values.

    Attributes:
        strength: 0 keeps the order, 1 looks at the mix only.
        by: column of the catalogue.
    """

    kind: ClassVar[str] = "calibrated"

    strength: float = 0.5
    by: str = "genres"

    def __post_init__(self) -> None:
        share_between("strength", self.strength)

    def rerank(self, snapshot: Snapshot, queries: Queries, listed: TopK, k: int) -> TopK:
        """Reorder.

        Args:
            snapshot: holds the catalogue.
            queries: n askers; those whose history has no value of the column keep their order.
            listed: (n, m) candidates, best first.
            k: how many places are shown.

        Returns:
            A TopK (n, m) whose first k places are calibrated.
        """
        mixes = mean_lines(
            values_of(snapshot, self.by).copy()
        )  # an item's values share it evenly
        wanted = np.asarray((queries.liked_matrix(snapshot.n_items) @ mixes).toarray(), float)
        total = wanted.sum(axis=1)
        good = relevance(listed)
        chosen = np.full((len(listed), min(k, listed.k)), -1, np.int64)
        for line in np.flatnonzero(total > 0):
            filled = int((listed.rows[line] >= 0).sum())
            mix = np.asarray(mixes[listed.rows[line, :filled]].toarray(), np.float64)
            some = wanted[line] > 0  # KL counts only what the history has
            chosen[line, : min(k, filled)] = self._greedy(
                good[line, :filled], mix, wanted[line] / total[line], some, k
            )
        return taken_first(listed, chosen)

    def to_json(self) -> dict[str, Json]:
        """Its settings.

        Returns:
            A dictionary.
        """
        return asdict(self)

    def _greedy(
        self,
        good: NDArray[np.float64],
        mix: NDArray[np.float64],
        wanted: NDArray[np.float64],
        some: NDArray[np.bool_],
        k: int,
    ) -> NDArray[np.int64]:
        places = min(k, len(good))
        left, total = np.ones(len(good), bool), np.zeros(mix.shape[1])
        chosen = np.empty(places, np.int64)
        for place in range(places):
            with_each = total + mix  # (m, values): the list's mix with each candidate added
            share = with_each / np.maximum(with_each.sum(axis=1, keepdims=True), 1e-12)
            smooth = (1 - _SMOOTH) * share[:, some] + _SMOOTH * wanted[some]
            apart = (wanted[some] * np.log(wanted[some] / smooth)).sum(axis=1)  # KL, nats
            value = (1 - self.strength) * good - self.strength * apart
            chosen[place] = at = int(np.where(left, value, -np.inf).argmax())
            left[at] = False
            total = with_each[at]
        return chosen
