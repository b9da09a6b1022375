"""From a table of interactions to a served two-stage recommender."""
