"""Stage 2: a few hundred candidates to a shortlist."""

from collections.abc import Mapping

from shortlist.data.protocols import Ranker
from shortlist.ranking.biases import Biases
from shortlist.ranking.boosted import Boosted
from shortlist.ranking.factorisation import Factorisation
from shortlist.ranking.list_network import ListNetwork
from shortlist.ranking.network import RatingNetwork
from shortlist.ranking.stack import Stack

RANKERS: Mapping[str, type[Ranker]] = {
    kind.name: kind
    for kind in (Biases, Boosted, Factorisation, ListNetwork, RatingNetwork, Stack)
}

__all__ = [
    "RANKERS",
    "Biases",
    "Boosted",
    "Factorisation",
    "ListNetwork",
    "RatingNetwork",
    "Stack",
]
