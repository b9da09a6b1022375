"""Stage 1: everything to a few hundred candidates."""

from collections.abc import Mapping

from shortlist.data.protocols import Retriever
from shortlist.retrieval.alike import Alike
from shortlist.retrieval.als import ALS
from shortlist.retrieval.blend import Blend
from shortlist.retrieval.content import Content
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.graph_filter import GraphFilter
from shortlist.retrieval.neighbours import Neighbours
from shortlist.retrieval.next_item import NextItem
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.sequence import SequenceTower
from shortlist.retrieval.two_tower import TwoTower

RETRIEVERS: Mapping[str, type[Retriever]] = {
    kind.name: kind
    for kind in (
        Popularity,
        EASE,
        ALS,
        GraphFilter,
        NextItem,
        Neighbours,
        TwoTower,
        SequenceTower,
        Content,
        Alike,
        Blend,
    )
}

__all__ = [
    "ALS",
    "EASE",
    "RETRIEVERS",
    "Alike",
    "Blend",
    "Content",
    "GraphFilter",
    "Neighbours",
    "NextItem",
    "Popularity",
    "SequenceTower",
    "TwoTower",
]
