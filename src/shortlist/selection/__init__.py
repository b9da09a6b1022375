"""Fits and chooses: evaluation and comparison with baselines beside."""
