"""Because you watched: what each entry of a history adds to the score of an item."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever
from shortlist.data.queries import Queries

_LATEST = 200  # entries that are left out in turn: each costs a whole answer


def entry_by_entry(
    adds: Callable[[Queries, NDArray[np.int64], NDArray[np.int32]], NDArray[np.floating]],
    queries: Queries,
    rows: NDArray[np.int32],
) -> NDArray[np.float32]:
    """For a model that can tell what items say of items without answering for the whole catalogue.

    Args:
        adds: gets one asker, the h entries of the history that count, oldest first, and (m,) item
            rows; gives (h, m).
        queries: n askers.
        rows: (n, m) item rows; -1 is no item, to which nothing adds.

    Returns:
        (len(queries.history_rows), m) float32, as ``Explains`` describes.
    """
    added = np.zeros((len(queries.history_rows), rows.shape[1]), np.float32)
    for asker in range(len(queries)):
        one = queries.slice(asker, asker + 1)
        some, there = np.flatnonzero(one.counted), np.flatnonzero(rows[asker] >= 0)
        cells = np.ix_(queries.offsets[asker] + some, there)
        added[cells] = adds(one, some, rows[asker, there])
    return added


def leaving_out(
    model: Retriever, queries: Queries, rows: NDArray[np.int32]
) -> NDArray[np.float32]:
    """For any other model that reads the history: the score less what it is without the entry.

    Args:
        model: fitted.
        queries: n askers.
        rows: (n, m) item rows; -1 is no item, to which nothing adds.

    Returns:
        (len(queries.history_rows), m) float32; they need not sum to the score. Of a long history only
        the latest 200 entries that count are told; the others hold 0.
    """
    added = np.zeros((len(queries.history_rows), rows.shape[1]), np.float32)
    for asker in range(len(queries)):
        one, wanted = queries.slice(asker, asker + 1), rows[asker : asker + 1]
        some = np.flatnonzero(one.counted)[-_LATEST:]
        whole = np.maximum(model.score(one, wanted), np.finfo(np.float32).min)
        without = model.score(
            _each_left_out(one, some), np.repeat(wanted, len(some), axis=0)
        )  # (some, m)
        added[queries.offsets[asker] + some] = np.where(wanted < 0, 0.0, whole - without)
    return added


def _each_left_out(one: Queries, some: NDArray[np.int64]) -> Queries:
    # the asker once for each of some entries, without it
    entries, times = len(one.history_rows), len(some)
    kept = np.ones((times, entries), bool)
    kept[np.arange(times), some] = False
    at = np.nonzero(kept)[1]
    again = np.zeros(times, np.int64)
    offsets = np.arange(times + 1) * max(entries - 1, 0)
    ages, ratings = one.history_ages, one.history_ratings
    return replace(
        one,
        user_rows=one.user_rows[again],
        history_rows=one.history_rows[at],
        offsets=offsets.astype(np.int64),
        history_liked=one.history_liked[at],
        history_ages=None if ages is None else ages[at],
        history_ratings=None if ratings is None else ratings[at],
        users=None if one.users is None else one.users[again.tolist()],
        context=None if one.context is None else one.context[again.tolist()],
    )
