"""Stage 2: a few hundred candidates to a shortlist."""

from shortlist.ranking.biases import Biases
from shortlist.ranking.network import RatingNetwork

__all__ = ["Biases", "RatingNetwork"]
