"""Stage 1: everything to a few hundred candidates."""

from shortlist.data.features import Category, History, Number, Tags, Text
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.two_tower import TwoTower

__all__ = ["EASE", "Category", "History", "Number", "Popularity", "Tags", "Text", "TwoTower"]
