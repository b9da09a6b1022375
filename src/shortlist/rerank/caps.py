"""Caps: at most so many items of one director, one brand, one series in a list."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError
from shortlist.rerank.values import taken_first, values_of


@dataclass(frozen=True)
class AtMost:
    """At most so many items that share a value; what would be too many goes behind the others.

    Attributes:
        most: items per value, at least 1.
        by: column of the catalogue. Items without a value are not limited.
    """

    kind: ClassVar[str] = "at-most"

    most: int
    by: str

    def __post_init__(self) -> None:
        if self.most < 1:
            msg = f"most must be at least 1; got {self.most}. To leave items out altogether, use a rule"
            raise ConfigError(msg)

    def rerank(self, snapshot: Snapshot, queries: Queries, listed: TopK, k: int) -> TopK:
        """Leave out what would be too many.

        Args:
            snapshot: holds the catalogue.
            queries: n askers; not used.
            listed: (n, m) candidates, best first.
            k: how many places are shown.

        Returns:
            A TopK (n, m): the first k that keep the cap, in their order; nothing behind them.
        """
        values = values_of(snapshot, self.by)
        chosen = np.full((len(listed), min(k, listed.k)), -1, np.int64)
        for line in range(len(listed)):
            used: dict[int, int] = {}
            place = 0
            for at, row in enumerate(listed.rows[line]):
                if row < 0 or place == k:
                    break
                own = values.indices[values.indptr[row] : values.indptr[row + 1]].tolist()
                if all(used.get(value, 0) < self.most for value in own):
                    chosen[line, place] = at
                    place += 1
                    for value in own:
                        used[value] = used.get(value, 0) + 1
        front = taken_first(listed, chosen)
        kept = np.arange(listed.k) < (chosen >= 0).sum(axis=1)[:, None]
        return TopK(
            np.where(kept, front.rows, -1).astype(np.int32),
            np.where(kept, front.scores, -np.inf).astype(np.float32),
        )

    def to_json(self) -> dict[str, Json]:
        """Its settings.

        Returns:
            A dictionary.
        """
        return asdict(self)
