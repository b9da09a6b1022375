"""What a retriever that explains must do."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from shortlist.data.protocols import Explains, Retriever
from shortlist.testing.asking import askers, fitted, insist, world

MakeRetriever: TypeAlias = Callable[[], Retriever]


def _asked(make: MakeRetriever) -> tuple[Explains, Retriever]:
    model = fitted(make)
    if not isinstance(model, Explains):
        msg = f"{type(model).__name__} has no explain()"
        raise TypeError(msg)
    return model, model


def explanations_are_well_formed(make: MakeRetriever) -> None:
    """One finite number per entry and item; entries that do not count, and row -1, get 0."""
    queries = askers(world())
    model, retriever = _asked(make)
    rows = retriever.retrieve(queries, 3).rows.copy()
    rows[::2, 2] = -1
    added = model.explain(queries, rows)
    shape = (len(queries.history_rows), 3)
    insist(
        added.shape == shape and added.dtype == np.float32, f"explain must give {shape} float32"
    )
    insist(np.isfinite(added).all(), "a contribution is not finite")
    insist((added[~queries.counted] == 0).all(), "an entry that does not count adds something")
    insist((added[rows[queries.askers] < 0] == 0).all(), "something is added to row -1")
    insist(np.abs(added).sum() > 0, "no history adds anything to any score")
    nobody = queries.slice(0, 0)
    insist(model.explain(nobody, rows[:0]).shape == (0, 3), "no askers, no entries")


def explanations_do_not_depend_on_the_batch(make: MakeRetriever) -> None:
    """Each asker alone gets the same contributions."""
    queries = askers(world())
    model, retriever = _asked(make)
    rows = retriever.retrieve(queries, 2).rows
    whole = model.explain(queries, rows)
    for asker in range(0, len(queries), 7):
        alone = model.explain(queries.slice(asker, asker + 1), rows[asker : asker + 1])
        np.testing.assert_allclose(
            alone, whole[queries.askers == asker], rtol=1e-5, atol=1e-6, err_msg="the batch"
        )


def contributions_sum_to_the_score(make: MakeRetriever) -> None:
    """For models that add up a history: an asker's contributions are the score."""
    queries = askers(world())
    model, retriever = _asked(make)
    rows = retriever.retrieve(queries, 4).rows
    added = model.explain(queries, rows).astype(np.float64)
    total = np.zeros(rows.shape)
    np.add.at(total, queries.askers, added)
    some = retriever.knows(queries) & (queries.liked_counts > 0)
    np.testing.assert_allclose(
        total[some], retriever.score(queries, rows)[some], rtol=1e-3, atol=1e-4
    )


EXPLAIN_CHECKS: tuple[Callable[[MakeRetriever], None], ...] = (
    explanations_are_well_formed,
    explanations_do_not_depend_on_the_batch,
)
LINEAR_EXPLAIN_CHECKS = (*EXPLAIN_CHECKS, contributions_sum_to_the_score)
