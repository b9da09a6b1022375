"""Joins the stages: retrieve, exclude, filter, rank, fall back; and the bundle that saves it."""

from shortlist.recommender.bundle import load, verify
from shortlist.recommender.forgetting import forget
from shortlist.recommender.recommender import Recommender

__all__ = ["Recommender", "forget", "load", "verify"]
