"""Item to items: the first retriever that knows what is like an item says it."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.protocols import AnsweringRetriever
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import LikenessError

_log = logging.getLogger(__name__)


def alike(
    retrievers: Sequence[AnsweringRetriever],
    snapshot: Snapshot,
    row: NDArray[np.int32],
    k: int,
    eligible: Eligible,
) -> TopK:
    """The items most like a given one.

    Args:
        retrievers: asked in turn.
        snapshot: names the item where nobody knows of one like it.
        row: (1,) the item.
        k: how many.
        eligible: what may be answered.

    Returns:
        A TopK (1, k); empty, with a logged warning, where nothing like the item is known.

    Raises:
        LikenessError: no retriever can say which items are alike.
    """
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
