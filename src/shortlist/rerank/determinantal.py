"""Determinantal point process: the list whose items are good and span much, taken greedily.

Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
Recommendation Diversity", NeurIPS 2018. With likeness S and qualities q the kernel is
``diag(q) S diag(q)``, whose log determinant over a list is ``2 * sum(log q) + log det S``; with
``log q`` proportional to relevance, the next item maximises
``(1 - strength) * relevance + strength * (what it adds to log det S)``.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shortlist.rerank.greedy import Greedy

_JITTER = 1e-3  # two items with the same values must not make the determinant 0
_FLAT = 1e-12


@dataclass(frozen=True)
class Determinantal(Greedy):
    """Greedy maximum a posteriori list.

    Attributes:
        strength: 0 keeps the order, 1 looks at the spread only.
        by: column of the catalogue; likeness is the cosine of its values.
    """

    kind: ClassVar[str] = "determinantal"

    def _greedy(
        self, good: NDArray[np.float64], like: NDArray[np.float64], k: int
    ) -> NDArray[np.int64]:
        # incremental Cholesky of S over the chosen items: ``gain`` is what an item adds to log det
        kernel = like + _JITTER * np.eye(len(like))
        places = min(k, len(good))
        left = np.ones(len(good), bool)
        spread = np.diag(kernel).copy()  # squared distance from the span of the chosen
        factors = np.zeros((places, len(good)))
        chosen = np.empty(places, np.int64)
        for place in range(places):
            gain = np.log(np.maximum(spread, _FLAT))
            value = (1 - self.strength) * good + self.strength * gain
            chosen[place] = at = int(np.where(left, value, -np.inf).argmax())
            left[at] = False
            factors[place] = kernel[at] - factors[:place, at] @ factors[:place]
            factors[place] /= np.sqrt(max(spread[at], _FLAT))
            spread = spread - factors[place] ** 2
        return chosen
