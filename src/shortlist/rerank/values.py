"""What re-rankers read: the values that items have in a column, and how good each candidate is."""

from weakref import WeakKeyDictionary

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.ragged import binary_matrix
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, closest

_held: WeakKeyDictionary[Snapshot, dict[str, sp.csr_array]] = WeakKeyDictionary()


def values_of(snapshot: Snapshot, column: str) -> sp.csr_array:
    """Which items have which value of a column; kept for the next request.

    Args:
        snapshot: holds the catalogue.
        column: of lists (genres), or of single values (a director, a year).

    Returns:
        (n_items, values) float32 CSR of ones; an item without a value has an empty line.

    Raises:
        ConfigError: the catalogue has no such column.
    """
    known = _held.setdefault(snapshot, {})
    if column not in known:
        table = snapshot.catalogue.table
        if column not in table.columns:
            msg = f"the catalogue has no column {column!r} to re-rank by; it has {table.columns}.{closest(column, table.columns)}"
            raise ConfigError(msg)
        rows = table.select(pl.int_range(pl.len()).alias("row"), pl.col(column).alias("value"))
        if isinstance(rows.schema["value"], pl.List):
            rows = rows.explode("value")
        rows = rows.drop_nulls("value")
        number = rows["value"].cast(pl.String).cast(pl.Categorical).to_physical()
        width = int(number.max()) + 1 if len(number) else 0  # type: ignore[arg-type]
        known[column] = binary_matrix(
            rows["row"].to_numpy(), number.to_numpy(), (snapshot.n_items, max(1, width))
        )
    return known[column]


def relevance(listed: TopK) -> NDArray[np.float64]:
    """How good each candidate is beside the others of its list, on one scale for all askers.

    Args:
        listed: (n, m) candidates.

    Returns:
        (n, m) float64: 1 for the best score of the list, 0 for the worst; -inf where no item is.
    """
    there = listed.rows >= 0
    scores = np.where(there, listed.scores, np.nan).astype(np.float64)
    with np.errstate(invalid="ignore"):
        best = np.where(there, scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
        worst = np.where(there, scores, np.inf).min(axis=1, initial=np.inf)[:, None]
        span = best - worst
        level = np.where(span > 0, (scores - worst) / np.where(span > 0, span, 1), 1.0)
    return np.where(there, level, -np.inf)


def taken_first(listed: TopK, chosen: NDArray[np.int64]) -> TopK:
    """The same list with some places moved to its front.

    Args:
        listed: (n, m) candidates.
        chosen: (n, c) places, best first; -1 for none.

    Returns:
        A TopK (n, m): the chosen ones, then the others in their order. Scores stay with their items.
    """
    n, m = listed.rows.shape
    turn = np.broadcast_to(np.arange(m) + chosen.shape[1], (n, m)).copy()
    line, place = np.nonzero(chosen >= 0)
    turn[line, chosen[line, place]] = place
    order = np.argsort(turn, axis=1, kind="stable")
    return TopK(
        np.take_along_axis(listed.rows, order, axis=1),
        np.take_along_axis(listed.scores, order, axis=1),
    )


def share_between(name: str, value: float) -> None:
    """Insist on a number from 0 to 1.

    Args:
        name: of the setting.
        value: what was given.

    Raises:
        ConfigError: it is outside.
    """
    if not 0 <= value <= 1:
        msg = f"{name} must lie between 0 and 1; got {value}"
        raise ConfigError(msg)
