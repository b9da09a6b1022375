"""Whom a retriever may say that it knows."""

from collections.abc import Callable

import numpy as np

from shortlist.data.protocols import Retriever
from shortlist.data.queries import Queries
from shortlist.testing.asking import askers, fitted, insist, world


def knows_says_who_has_a_personal_answer(make: Callable[[], Retriever]) -> None:
    """(n,) bool, the same for each asker alone."""
    queries, model = askers(world()), fitted(make)
    knows = model.knows(queries)
    insist(knows.shape == (len(queries),) and knows.dtype == bool, "knows must be (n,) bool")
    alone = [bool(model.knows(queries.slice(i, i + 1))[0]) for i in range(len(queries))]
    insist(knows.tolist() == alone, "knows depends on the batch")


def a_history_that_tells_nothing_is_not_known(make: Callable[[], Retriever]) -> None:
    """Whoever brings but an item that nobody took is for the fallback, or finds items that differ."""
    train, model = world(), fitted(make)
    liked = np.bincount(train.item_rows[train.liked], minlength=len(train.item_vocabulary))
    asked = Queries.of_items(np.flatnonzero(liked == 0).astype(np.int32))
    scores = model.score_all(asked)
    says = scores.max(axis=1) > scores.min(axis=1)
    insist(
        (says | ~model.knows(asked)).all(),
        "knows() says True of a history beside which every item scores the same",
    )
