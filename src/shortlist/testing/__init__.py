"""Public contract tests, and toy worlds whose right answer is known."""

from shortlist.testing.contracts import (
    EXACT_INDEX_CHECKS,
    INDEX_CHECKS,
    PERSONAL_CHECKS,
    RANKER_CHECKS,
    RETRIEVER_CHECKS,
    check_index,
    check_ranker,
    check_retriever,
)
from shortlist.testing.explaining import EXPLAIN_CHECKS, LINEAR_EXPLAIN_CHECKS
from shortlist.testing.worlds import (
    PlantedBiases,
    checkerboard,
    ladder,
    planted_ratings,
    small_world,
)

__all__ = [
    "EXACT_INDEX_CHECKS",
    "EXPLAIN_CHECKS",
    "INDEX_CHECKS",
    "LINEAR_EXPLAIN_CHECKS",
    "PERSONAL_CHECKS",
    "RANKER_CHECKS",
    "RETRIEVER_CHECKS",
    "PlantedBiases",
    "check_index",
    "check_ranker",
    "check_retriever",
    "checkerboard",
    "ladder",
    "planted_ratings",
    "small_world",
]
