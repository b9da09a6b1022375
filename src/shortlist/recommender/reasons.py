"""Because you watched: the entries of a history that speak most for each item of a shortlist."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.protocols import AnsweringRetriever, Explains
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.recommender.stages import Answer

_MOST = 3  # reasons for an item


def reasons(
    retrievers: Sequence[AnsweringRetriever],
    snapshot: Snapshot,
    queries: Queries,
    answer: Answer,
) -> pl.Series:
    """Why each item stands there, by the retriever that proposed it.

    Args:
        retrievers: those that answered, in the order of ``answer.parts``.
        snapshot: holds ids and titles.
        queries: the n askers.
        answer: what they got.

    Returns:
        One list per filled place, of at most three structs ``item_id``, ``title``, ``share``: the
        entry's share of all that speaks for the item, 0 to 1, largest first. Empty where the
        retriever cannot say, or where nothing of the history speaks for the item.
    """
    rows, source = answer.top.rows, answer.source
    found: list[list[dict[str, object]]] = []
    for asker in range(len(queries)):
        one = queries.slice(asker, asker + 1)
        wanted = rows[asker][rows[asker] >= 0]
        shares = np.zeros((len(one.history_rows), len(wanted)))
        for number, part in enumerate(retrievers):
            if isinstance(part, Explains) and (source[asker] == number).any():
                mine = source[asker][: len(wanted)] == number
                shares[:, mine] = _shares(part.explain(one, wanted[None, mine]))
        found += [_named(snapshot, one.history_rows, share) for share in shares.T]
    kind = pl.Struct(
        {"item_id": snapshot.item_vocabulary.ids.dtype, "title": pl.String, "share": pl.Float32}
    )
    return pl.Series("because", found, dtype=pl.List(kind))


def _shares(added: NDArray[np.float32]) -> NDArray[np.float64]:
    speaks = np.maximum(added.astype(np.float64), 0.0)
    total: NDArray[np.float64] = speaks.sum(axis=0)
    return speaks / np.maximum(total, 1e-30)


def _named(
    snapshot: Snapshot, history: NDArray[np.int32], share: NDArray[np.float64]
) -> list[dict[str, object]]:
    best = np.argsort(-share, kind="stable")[:_MOST]
    best = best[share[best] > 0]
    ids, titles = snapshot.item_vocabulary.ids, snapshot.catalogue.titles
    return [
        {
            "item_id": ids[int(history[entry])],
            "title": titles[int(history[entry])],
            "share": float(share[entry]),
        }
        for entry in best
    ]
