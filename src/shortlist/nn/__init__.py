"""Small torch blocks: towers and losses."""
