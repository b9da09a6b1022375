"""Maximal marginal relevance: each next item is good, and unlike those above it.

Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998: the next item maximises
``(1 - strength) * relevance - strength * sum(likeness to the items above)``. The paper takes the largest
likeness. The sum is the greedy step towards the best list by relevance and diversity together (Borodin, Lee
and Ye, "Max-Sum Diversification, Monotone Submodular Functions and Dynamic Updates", PODS 2012), and costs
half as much NDCG for as much diversity.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shortlist.rerank.greedy import Greedy


@dataclass(frozen=True)
class Diverse(Greedy):
    """Greedy diversity.

    Attributes:
        strength: 0 keeps the order, 1 asks for unlike items only.
        by: column of the catalogue; likeness is the cosine of its values.
    """

    kind: ClassVar[str] = "diverse"

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
