"""Contracts that anyone can run against a class of their own.

Give a function that makes an unfitted model; a broken promise raises ``AssertionError``::

    check_retriever(lambda: MyRetriever(dim=8))

or one test per promise::

    @pytest.mark.parametrize("check", RETRIEVER_CHECKS, ids=lambda check: check.__name__)
    def test_my_retriever(check):
        check(make)

where ``make`` is the same function each time, so that most checks share one fit.
"""

from shortlist.testing.indexes import EXACT_INDEX_CHECKS, INDEX_CHECKS, MakeIndex
from shortlist.testing.rankers import RANKER_CHECKS, MakeRanker
from shortlist.testing.retrievers import PERSONAL_CHECKS, RETRIEVER_CHECKS, MakeRetriever

__all__ = [
    "EXACT_INDEX_CHECKS",
    "INDEX_CHECKS",
    "PERSONAL_CHECKS",
    "RANKER_CHECKS",
    "RETRIEVER_CHECKS",
    "check_index",
    "check_ranker",
    "check_retriever",
]


def check_retriever(make: MakeRetriever, *, personal: bool = True) -> None:
    """Run every check of a retriever.

    Args:
        make: gives an unfitted retriever, with the same settings and seed each time.
        personal: whether its answers follow from who is asking; popularity's do not.
    """
    for check in RETRIEVER_CHECKS + (PERSONAL_CHECKS if personal else ()):
        check(make)


def check_index(make: MakeIndex, *, exact: bool = True) -> None:
    """Run every check of an index.

    Args:
        make: gives an index over (n_items, dim) float32 vectors.
        exact: whether it promises the answer of sorting every score.
    """
    for check in INDEX_CHECKS + (EXACT_INDEX_CHECKS if exact else ()):
        check(make)


def check_ranker(make: MakeRanker) -> None:
    """Run every check of a ranker.

    Args:
        make: gives an unfitted ranker, with the same settings and seed each time.
    """
    for check in RANKER_CHECKS:
        check(make)
