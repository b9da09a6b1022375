"""Boosts: items that meet a condition move up, or down."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from shortlist.data.expression import Expression
from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.rerank.values import relevance, taken_first


@dataclass(frozen=True)
class Boost:
    """Add to the relevance of items whose columns meet a condition.

    Attributes:
        condition: on the catalogue, such as ``year >= 2020`` (parsed, never run as code).
        by: what is added to a relevance that runs from 0 (worst candidate) to 1 (best); below 0 it
            moves items down.
    """

    kind: ClassVar[str] = "boost"

    condition: str
    by: float = 0.2

    def __post_init__(self) -> None:
        Expression(self.condition)

    def rerank(self, snapshot: Snapshot, queries: Queries, listed: TopK, k: int) -> TopK:
        """Reorder.

        Args:
            snapshot: holds the catalogue.
            queries: n askers; not used.
            listed: (n, m) candidates, best first.
            k: not used: the whole list is put in order.

        Returns:
            A TopK (n, m).
        """
        meets = Expression(self.condition).mask(snapshot.catalogue.table)
        there = listed.rows >= 0
        lifted = relevance(listed) + self.by * (meets[np.maximum(listed.rows, 0)] & there)
        order = np.argsort(-lifted, axis=1, kind="stable")
        return taken_first(listed, order)

    def to_json(self) -> dict[str, Json]:
        """Its settings.

        Returns:
            A dictionary.
        """
        return asdict(self)
