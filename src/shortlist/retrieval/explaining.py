"""Because you watched: what each entry of a history adds to the score of an item."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever
from shortlist.data.queries import Queries


def each_alone(
    model: Retriever, queries: Queries, rows: NDArray[np.int32]
) -> NDArray[np.float32]:
    """For a model whose score is a sum over the history: the score of each entry alone.

    Args:
        model: fitted; it adds up what the liked items of a history say, each item once.
        queries: n askers.
        rows: (n, m) item rows; -1 is no item, to which nothing adds.

    Returns:
        (len(queries.history_rows), m) float32, as ``Explains`` describes.
    """
    wanted = rows[queries.askers]  # (entries, m)
    scores = model.score(Queries.of_items(queries.history_rows), wanted)
    return _counted(scores, queries, wanted)


def leaving_out(
    model: Retriever, queries: Queries, rows: NDArray[np.int32]
) -> NDArray[np.float32]:
    """For any other model that reads the history: the score less what it is without the entry.

    Args:
        model: fitted.
        queries: n askers.
        rows: (n, m) item rows; -1 is no item, to which nothing adds.

    Returns:
        (len(queries.history_rows), m) float32; they need not sum to the score.
    """
    parts = [np.empty((0, rows.shape[1]), np.float32)]
    for asker in range(len(queries)):
        one = queries.slice(asker, asker + 1)
        entries = len(one.history_rows)
        wanted = np.repeat(rows[asker : asker + 1], entries, axis=0)  # (entries, m)
        whole = np.maximum(model.score(one, rows[asker : asker + 1]), np.finfo(np.float32).min)
        without = model.score(_each_left_out(one), wanted)
        parts.append(_counted(whole - without, one, wanted))
    return np.concatenate(parts)


def _each_left_out(one: Queries) -> Queries:
    # the asker once for each entry, without it
    entries = len(one.history_rows)
    at = np.tile(np.arange(entries), entries)[~np.eye(entries, dtype=bool).ravel()]
    again, offsets = np.zeros(entries, np.int64), np.arange(entries + 1) * (entries - 1)
    ages, ratings = one.history_ages, one.history_ratings
    return replace(
        one,
        user_rows=one.user_rows[again],
        history_rows=one.history_rows[at],
        offsets=offsets.astype(np.int64) if entries else np.zeros(1, np.int64),
        history_liked=one.history_liked[at],
        history_ages=None if ages is None else ages[at],
        history_ratings=None if ratings is None else ratings[at],
        users=None if one.users is None else one.users[again.tolist()],
        context=None if one.context is None else one.context[again.tolist()],
    )


def _counted(
    added: NDArray[np.float32], queries: Queries, wanted: NDArray[np.int32]
) -> NDArray[np.float32]:
    added[~queries.counted] = 0.0
    added[wanted < 0] = 0.0
    return added
