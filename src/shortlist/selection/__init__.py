"""Fits and chooses: evaluation and comparison with baselines beside, Auto, tuning, the gate."""

from shortlist.selection.auto import Auto
from shortlist.selection.gating import gate
from shortlist.selection.judging import compare, evaluate
from shortlist.selection.methods import METHODS
from shortlist.selection.ranking import best_ranker
from shortlist.selection.tuning import Tuned, tune

__all__ = ["METHODS", "Auto", "Tuned", "best_ranker", "compare", "evaluate", "gate", "tune"]
