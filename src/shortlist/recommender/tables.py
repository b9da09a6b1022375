"""Answers in the words of whoever asked: ids and titles in place of rows."""

import numpy as np
import polars as pl

from shortlist.data.snapshot import Snapshot
from shortlist.recommender.stages import Answer


def shortlist_table(
    snapshot: Snapshot, answer: Answer, users: pl.Series | None = None
) -> pl.DataFrame:
    """An answer as a table.

    Args:
        snapshot: holds ids and titles.
        answer: of n askers.
        users: (n,) their ids; None for guests.

    Returns:
        One row per filled place: ``user_id`` where given, ``rank`` from 1, ``item_id``, ``title``,
        ``score``, ``source``, and ``propensity`` where places were drawn by lot.
    """
    line, place = np.nonzero(answer.top.rows >= 0)
    rows = answer.top.rows[line, place]
    columns = [
        pl.Series("rank", (place + 1).astype(np.int32)),
        snapshot.item_vocabulary.ids[rows].alias("item_id"),
        snapshot.catalogue.titles[rows].alias("title"),
        pl.Series("score", answer.top.scores[line, place]),
        pl.Series("source", answer.parts, dtype=pl.String)[answer.source[line, place]],
    ]
    if answer.propensity is not None:
        columns.append(pl.Series("propensity", answer.propensity[line, place]))
    asked = [] if users is None else [users[line].alias("user_id")]
    return pl.DataFrame([*asked, *columns])
