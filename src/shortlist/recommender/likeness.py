"""Item to items: the first retriever that knows what is like an item says it."""

import logging
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.protocols import AnsweringRetriever
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import UserOrItemId
from shortlist.errors import LikenessError
from shortlist.recommender.stages import Answer
from shortlist.recommender.tables import shortlist_table

_log = logging.getLogger(__name__)


def similar(
    retrievers: Sequence[AnsweringRetriever],
    snapshot: Snapshot,
    item: UserOrItemId,
    k: int,
    mask: NDArray[np.bool_] | None,
) -> pl.DataFrame:
    """The items most like a given one, each title once.

    Args:
        retrievers: asked in turn.
        snapshot: holds ids and titles.
        item: an id, or a title that only one item has.
        k: how many.
        mask: (n_items,) what may be answered; None for all.

    Returns:
        ``rank``, ``item_id``, ``title``, ``score``; no row, and a logged warning, where nothing like
        the item is known.

    Raises:
        LikenessError: no retriever can say which items are alike.
    """
    row = np.array([snapshot.item_row(item)], np.int32)
    titles = snapshot.catalogue.titles
    other = titles != titles[int(row[0])]  # another edition of the item is no answer
    repeats = len(titles) - titles.n_unique()
    mask = other.to_numpy() if mask is None else mask & other.to_numpy()
    wanted = min(k + repeats, snapshot.n_items)
    top = _alike(retrievers, snapshot, row, wanted, Eligible.of(1, mask=mask))
    answer = Answer(top, np.zeros_like(top.rows), ("",))
    found = shortlist_table(snapshot, answer).drop("source")
    folded = found.unique("title", keep="first", maintain_order=True).head(k)
    return folded.with_columns(rank=pl.int_range(1, len(folded) + 1, dtype=pl.Int32))


def _alike(
    retrievers: Sequence[AnsweringRetriever],
    snapshot: Snapshot,
    row: NDArray[np.int32],
    k: int,
    eligible: Eligible,
) -> TopK:
    # (1, k) rows like one row; empty, with a logged warning, where nothing like it is known
    refused: LikenessError | None = None
    silent = []
    for part in retrievers:
        try:
            top = part.similar(row, k, eligible)
        except LikenessError as error:  # the next may know
            refused = refused or error
            continue
        if (top.rows >= 0).any():
            return top
        silent.append(part.name)
    if refused is not None and not silent:
        raise refused
    _log.warning(
        "nothing like %r is known to %s: nobody took it, or nothing else is eligible. Content in retrieve knows items by their description",
        snapshot.item_vocabulary.ids[int(row[0])],
        ", ".join(silent),
    )
    return TopK.nothing(1, k)
