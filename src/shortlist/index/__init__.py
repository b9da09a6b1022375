"""Nearest items to a query vector, with exclusions and filters applied before the top-K."""
