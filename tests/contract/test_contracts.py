"""Everything of ours keeps the public contracts."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from shortlist.data.features import Bucket, Category, Hash, History, Number, Tags, Text
from shortlist.data.protocols import Ranker, Retriever
from shortlist.index.exact import ExactIndex
from shortlist.ranking import Biases, Boosted, Factorisation, ListNetwork, RatingNetwork, Stack
from shortlist.retrieval import (
    ALS,
    EASE,
    Alike,
    Blend,
    Content,
    GraphFilter,
    Neighbours,
    NextItem,
    Popularity,
    SequenceTower,
    TwoTower,
)
from shortlist.testing import (
    EXACT_INDEX_CHECKS,
    EXPLAIN_CHECKS,
    INDEX_CHECKS,
    LINEAR_EXPLAIN_CHECKS,
    PERSONAL_CHECKS,
    RANKER_CHECKS,
    RETRIEVER_CHECKS,
)

PERSONAL: dict[str, Callable[[], Retriever]] = {
    "ease": partial(EASE, l2=10.0),
    "graph filter": partial(GraphFilter, rank=6),
    "neighbours": partial(Neighbours, neighbours=12),
    "als": partial(ALS, dim=8),
    "blend of two": partial(Blend, [EASE(l2=10.0), EASE(l2=1.0)]),
    "towers": partial(
        TwoTower, dim=8, epochs=40, batch_size=64, learning_rate=0.05, weight_decay=0.0
    ),
}
RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "ease": PERSONAL["ease"],
    "graph filter": GraphFilter,
    "neighbours": PERSONAL["neighbours"],
    "als": PERSONAL["als"],
    "als of one number": partial(ALS, dim=1, epochs=1),
    "als of more numbers than items": partial(ALS, dim=60),
    "neighbours by BM25": partial(Neighbours, weighting="bm25", neighbours=5),
    "towers": partial(TwoTower, dim=8, epochs=3, batch_size=128),
    "next item": partial(NextItem, l2=10.0, ease_l2=10.0),
    "popular": Popularity,
    "best rated": partial(Popularity, by="rating", min_count=3),
    "recent": partial(Popularity, by="recent"),
    "content": Content,
    "content of two columns": partial(
        Content, features=["genres", Bucket("year", 3)], dislike=0
    ),
    "blend": partial(Blend, [EASE(l2=10.0), Alike(features=["town"], neighbours=7), Content()]),
    "blend of two": PERSONAL["blend of two"],
    "blend of ranks": partial(
        Blend, [Popularity(), EASE(l2=10.0)], by="ranks", holdout="random"
    ),
    "alike": partial(Alike, features=["town", Bucket("age", 4)], neighbours=7),
    "towers of features": partial(
        TwoTower,
        dim=8,
        epochs=3,
        batch_size=128,
        user=["user_id", "town", Number("age"), History(5)],
        item=["item_id", Tags("genres"), Text("title"), "year", Category("year")],
    ),
    "towers asked in a context": partial(
        TwoTower,
        dim=8,
        epochs=2,
        batch_size=128,
        user=["user_id", Hash("town", 5)],
        context=[Bucket("timestamp", 4)],
        hard_negatives=5,
        extra_negatives=10,
    ),
    "sequence tower": partial(SequenceTower, dim=8, layers=1, length=6, epochs=2),
    "deep towers": partial(
        TwoTower,
        dim=8,
        epochs=3,
        batch_size=128,
        user=[History(5), "town"],
        item=["item_id", "genres"],
        layers=(8,),
        normalize=True,
        temperature=0.1,
    ),
}
EXPLAINING = (
    "next item",
    "towers of features",
    "sequence tower",
    "blend of two",
    "blend of ranks",
)  # models of the table above whose explain() is not a sum
ADDING_UP = (
    "ease",
    "graph filter",
    "neighbours",
    "als",
)  # those whose contributions sum to the score
RANKERS: dict[str, Callable[[], Ranker]] = {
    "biases": Biases,
    "boosted": partial(Boosted, trees=10, least=5),
    "boosted, calibrated": partial(Boosted, trees=5, least=5, calibrated="isotonic"),
    "list network": partial(ListNetwork, epochs=2, layers=(8,), batch_size=16),
    "list network of ratings": partial(
        ListNetwork, epochs=2, layers=(8,), batch_size=16, loss="pairwise", rating_weight=0.5
    ),
    "stack": partial(
        Stack,
        [Factorisation(dim=3, sweeps=20, burn_in=10, draws=10), Biases(), Biases(l2_user=20)],
    ),
    "factorisation": partial(Factorisation, dim=4, sweeps=30, burn_in=10, draws=10),
    "factorisation with attributes": partial(
        Factorisation,
        dim=3,
        sweeps=20,
        burn_in=10,
        draws=5,
        user=["town", Bucket("age", 6)],
        item=["genres", Number("year")],
        moods=(),
    ),
    "crossed network": partial(
        RatingNetwork, dim=8, epochs=2, batch_size=128, cross_layers=2, cross_rank=3
    ),
    "network": partial(
        RatingNetwork,
        dim=8,
        epochs=3,
        batch_size=128,
        layers=(8,),
        user=["user_id", "town"],
        item=["item_id", "genres"],
    ),
}


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else value.__name__


def needs_torch(name: str) -> None:
    if "tower" in name or "network" in name:
        pytest.importorskip("torch")
    if "boosted" in name:
        pytest.importorskip("lightgbm")


@pytest.mark.parametrize("check", RETRIEVER_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", RETRIEVERS, ids=name_of)
def test_retriever(name: str, check: Callable[[Callable[[], Retriever]], None]) -> None:
    needs_torch(name)
    check(RETRIEVERS[name])


@pytest.mark.parametrize("check", PERSONAL_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", PERSONAL, ids=name_of)
def test_personal_retriever(
    name: str, check: Callable[[Callable[[], Retriever]], None]
) -> None:
    needs_torch(name)
    check(PERSONAL[name])


@pytest.mark.parametrize("check", EXPLAIN_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", EXPLAINING)
def test_explaining(name: str, check: Callable[[Callable[[], Retriever]], None]) -> None:
    needs_torch(name)
    check(RETRIEVERS[name])


@pytest.mark.parametrize("check", LINEAR_EXPLAIN_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", ADDING_UP)
def test_adding_up(name: str, check: Callable[[Callable[[], Retriever]], None]) -> None:
    needs_torch(name)
    check(RETRIEVERS[name])


@pytest.mark.parametrize("check", RANKER_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", RANKERS, ids=name_of)
def test_ranker(name: str, check: Callable[[Callable[[], Ranker]], None]) -> None:
    needs_torch(name)
    check(RANKERS[name])


@pytest.mark.parametrize("check", INDEX_CHECKS + EXACT_INDEX_CHECKS, ids=name_of)
def test_exact_index(check: Callable[[Callable[..., ExactIndex]], None]) -> None:
    check(ExactIndex)
