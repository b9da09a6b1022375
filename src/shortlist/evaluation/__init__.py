"""Judges anything that recommends; knows no model of ours."""
