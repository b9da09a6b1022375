"""What every index offers."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.topk import TopK


@runtime_checkable
class Index(Protocol):
    """Items by the dot product of their vector with a query."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n_items, dim) float32, row by row the items."""
        ...

    def search(
        self, queries: NDArray[np.float32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """The k best eligible items per query."""
        ...

    def score(
        self, queries: NDArray[np.float32], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Dot products with given items: rows (n, m), -1 scores -inf; the bits that search() gives."""
        ...
