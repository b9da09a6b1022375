"""Knowledge-based answers: stated preferences in, ranked items with the reasons out, no history.

Conditions that must hold are rules; what is merely liked is a score. Where nothing meets the
conditions, the fewest are dropped that leave something, and the answer says which.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.expression import Expression
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, closest
from shortlist.index.select import check_k, select_top_k

_CALM = 10.0  # units beyond a wanted range at which a number is worth 1/e of one inside
_POPULAR = 0.1  # weight of popularity: it only decides between items that match alike


def match(
    snapshot: Snapshot,
    like: Mapping[str, Sequence[object]],
    must: Sequence[str],
    must_not: Sequence[str],
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """Rank the catalogue by stated preferences.

    Args:
        snapshot: holds the catalogue and the counts of train.
        like: column -> what is wanted of it: values (tags or categories), or (low, high) of a
            number. Each column is worth the share of the wish it fulfils, 0 to 1.
        must: conditions, as of :class:`shortlist.recommender.rules.Where`.
        must_not: conditions that must not hold.
        k: how many, at least 1.
        allowed: (n_items,) standing rules, or None.

    Returns:
        ``rank``, ``item_id``, ``title``, ``score``, ``reasons`` (what it fulfils), ``relaxed``
        (conditions that were dropped, so that anything was left).
    """
    check_k(k)
    table = snapshot.catalogue.table
    open_to = np.ones(len(table), bool) if allowed is None else allowed
    conditions = {text: Expression(text).mask(table) for text in must}
    conditions |= {f"not ({text})": ~Expression(text).mask(table) for text in must_not}
    mask, relaxed = _relax(conditions, open_to)
    worth = {column: _worth(table, column, list(wanted)) for column, wanted in like.items()}
    order = np.argsort(np.argsort(snapshot.item_counts, kind="stable"), kind="stable")
    score = np.mean(list(worth.values()), axis=0) if worth else np.zeros(len(table))
    score = score + _POPULAR * order / max(1, len(table))
    top = select_top_k(
        np.where(mask, score, -np.inf).astype(np.float32)[None], min(k, len(table))
    )
    rows = top.rows[0][top.rows[0] >= 0]
    reasons = [_reasons(snapshot, row, like, worth) for row in rows]
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(rows) + 1, dtype=np.int32),
            "item_id": snapshot.item_vocabulary.decode(rows),
            "title": snapshot.catalogue.titles.gather(rows),
            "score": top.scores[0][: len(rows)],
            "reasons": pl.Series(reasons, dtype=pl.String),
            "relaxed": pl.Series([relaxed] * len(rows), dtype=pl.String),
        }
    )


def _relax(
    conditions: Mapping[str, NDArray[np.bool_]], open_to: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], str]:
    for dropped in range(len(conditions) + 1):
        choices = []
        for kept in combinations(conditions, len(conditions) - dropped):
            mask = np.logical_and.reduce([open_to, *(conditions[name] for name in kept)])
            choices.append((int(mask.sum()), kept, mask))
        most, kept, mask = max(choices, key=lambda choice: choice[0])  # the first of the best
        if most:
            return mask, "; ".join(name for name in conditions if name not in kept)
    return open_to, "; ".join(conditions)


def _worth(table: pl.DataFrame, column: str, wanted: list[object]) -> NDArray[np.float64]:
    if column not in table.columns:
        msg = f"like names column {column!r}, which is not there; columns are {table.columns}.{closest(column, table.columns)}"
        raise ConfigError(msg)
    if not wanted:
        msg = f"like[{column!r}] is empty; name what is wanted, or leave the column out"
        raise ConfigError(msg)
    values = table[column]
    if isinstance(values.dtype, pl.List):
        hits = [
            values.list.contains(str(one)).fill_null(value=False).to_numpy() for one in wanted
        ]
        return np.asarray(np.mean(hits, axis=0), np.float64)
    if values.dtype.is_numeric():
        return _within(values, column, wanted)
    texts = [str(one) for one in wanted]
    return (
        values.cast(pl.String).is_in(texts).fill_null(value=False).to_numpy().astype(np.float64)
    )


def _within(values: pl.Series, column: str, wanted: list[object]) -> NDArray[np.float64]:
    numbers = [one for one in wanted if isinstance(one, int | float)]
    if len(numbers) != 2 or len(wanted) != 2 or numbers[0] > numbers[1]:
        msg = f"like[{column!r}] must be (low, high), as the column holds numbers; got {wanted}"
        raise ConfigError(msg)
    given = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    gap = np.maximum(0, np.maximum(numbers[0] - given, given - numbers[1]))
    return np.nan_to_num(np.exp(-gap / _CALM), nan=0.0)


def _reasons(
    snapshot: Snapshot,
    row: int,
    like: Mapping[str, Sequence[object]],
    worth: Mapping[str, NDArray[np.float64]],
) -> str:
    said = []
    for column, wanted in like.items():
        if worth[column][row] <= 0:
            continue
        value = snapshot.catalogue.table[column][int(row)]
        if isinstance(value, pl.Series):
            there = [str(one) for one in wanted if str(one) in value.to_list()]
            said.append(f"{column}: {', '.join(there)}")
        else:
            near = "" if worth[column][row] == 1 else " (near)"
            said.append(f"{column}: {value}{near}")
    return "; ".join([*said, f"chosen {snapshot.item_counts[row]} times"])
