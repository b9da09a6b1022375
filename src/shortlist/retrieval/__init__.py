"""Stage 1: everything to a few hundred candidates."""

from shortlist.retrieval.ease import EASE
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.two_tower import TwoTower

__all__ = ["EASE", "Popularity", "TwoTower"]
