"""Joins the stages: retrieve, exclude, filter, rank, fall back; and the bundle that saves it."""

from shortlist.recommender.bundle import load, verify
from shortlist.recommender.recommender import Recommender

__all__ = ["Recommender", "load", "verify"]
