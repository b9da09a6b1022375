"""Fits and chooses: evaluation and comparison with baselines beside."""

from shortlist.selection.judging import compare, evaluate

__all__ = ["compare", "evaluate"]
