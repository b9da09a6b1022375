"""Stage 3: the shortlist as a whole. Diversity, calibration, caps, boosts and exploration."""

from collections.abc import Mapping

from shortlist.data.protocols import Reranker
from shortlist.rerank.boosts import Boost
from shortlist.rerank.calibrated import Calibrated
from shortlist.rerank.caps import AtMost
from shortlist.rerank.determinantal import Determinantal
from shortlist.rerank.diverse import Diverse
from shortlist.rerank.explore import Explore

RERANKERS: Mapping[str, type[Reranker]] = {
    kind.kind: kind for kind in (AtMost, Boost, Calibrated, Determinantal, Diverse)
}

__all__ = [
    "RERANKERS",
    "AtMost",
    "Boost",
    "Calibrated",
    "Determinantal",
    "Diverse",
    "Explore",
]
