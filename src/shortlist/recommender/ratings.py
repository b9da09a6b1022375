"""Predicted ratings, for one user's items or for pairs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.protocols import AnsweringRanker
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import IdColumn, UserOrItemId, id_series
from shortlist.errors import ShapeError

_BLOCK = 8192  # pairs at a time


def predict_for_user(
    ranker: AnsweringRanker,
    snapshot: Snapshot,
    user: UserOrItemId,
    items: Sequence[UserOrItemId] | None,
) -> pl.DataFrame:
    """What one user would rate.

    Args:
        ranker: fitted.
        snapshot: of the rows it was fitted on.
        user: an id; someone unknown gets the prediction for the average user.
        items: ids or unique titles, answered in this order; None: the whole catalogue, best first.

    Returns:
        ``item_id``, ``title``, ``prediction``.
    """
    rows = (
        np.arange(snapshot.n_items, dtype=np.int32)
        if items is None
        else np.array([snapshot.item_row(item) for item in items], np.int32)
    )
    predicted = ranker.predict(snapshot.queries([user]), rows[None])[0]
    if items is None:
        order = np.argsort(-predicted, kind="stable")
        rows, predicted = rows[order], predicted[order]
    return pl.DataFrame(
        {
            "item_id": snapshot.item_vocabulary.ids.gather(rows),
            "title": snapshot.catalogue.titles.gather(rows),
            "prediction": predicted,
        }
    )


def predict_pairs(
    ranker: AnsweringRanker,
    snapshot: Snapshot,
    users: IdColumn,
    items: IdColumn,
    context: pl.DataFrame | None = None,
) -> NDArray[np.float32]:
    """What users would rate, pair by pair.

    Args:
        ranker: fitted.
        snapshot: of the rows it was fitted on.
        users: (n,) ids; unknown ones are the average user, with what the users' table says of them.
        items: (n,) ids; unknown ones are the average item.
        context: (n rows) columns known at the time of asking.

    Returns:
        (n,) float32, in the order of the pairs.

    Raises:
        ShapeError: the columns have different lengths.
    """
    askers, rows = id_series(users, name="user_id"), snapshot.item_vocabulary.rows(items)
    if len(askers) != len(rows):
        msg = f"users and items must line up pair by pair; got {len(askers)} and {len(rows)}"
        raise ShapeError(msg)
    predicted = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        some = slice(start, start + _BLOCK)
        asked = snapshot.queries(askers[some])
        if context is not None:
            asked = replace(asked, context=context[some])
        predicted[some] = ranker.predict(asked, rows[some, None])[:, 0]
    return predicted
