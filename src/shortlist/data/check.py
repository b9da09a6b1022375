"""The data doctor: what is in a table, what is wrong with it, and what to do about it."""

from dataclasses import replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.checkup import Checkup, Finding, RatingScale, Times
from shortlist.data.columns import Named, check_names
from shortlist.data.findings import ENOUGH_ROWS, findings_of
from shortlist.data.interactions import Interactions
from shortlist.data.read import assemble, typed_interactions
from shortlist.data.sources import Source, load
from shortlist.errors import DataError

__all__ = ["Checkup", "Finding", "RatingScale", "Times", "check", "diagnose"]

_POSITIONS_BELOW = 31_536_000  # a year after 1970: such small times count something else
_MANY_REPEATS = 0.05
_PERHAPS_MISSING = ("na", "n/a")  # or somebody's initials


def check(data: Interactions) -> Checkup:
    """Examine a table that was read.

    Args:
        data: at least one row.

    Returns:
        The numbers, and findings with what to do.

    Raises:
        DataError: there are no rows.
    """
    return _examined(data, ())


def diagnose(
    source: Source,
    *,
    items: "Source | None" = None,
    users: "Source | None" = None,
    columns: Named | None = None,
    positive: str | None = None,
) -> Checkup:
    """Examine a file as it is: rows that would stop ``read`` are counted, not fatal.

    Args:
        source: as for ``read``.
        items: as for ``read``.
        users: as for ``read``.
        columns: as for ``read``.
        positive: as for ``read``.

    Returns:
        The check-up of the usable rows, and a warning for each kind of bad row.

    Raises:
        DataError: the file cannot be read, a column is missing, or no row can be used.
    """
    named = columns or {}
    check_names(named)
    item_table = None if items is None else load(items, what="the items table")
    user_table = None if users is None else load(users, what="the users' table")
    typed = typed_interactions(source, named, item_table, user_table)
    bad = typed.bad
    if bad.all():
        msg = f"{typed.loaded.where}: no row can be used. {typed.told(typed.faults[0])}"
        raise DataError(msg)
    data = assemble(
        typed.table.filter(~bad),
        item_table,
        user_table,
        named,
        positive,
    )
    counted = tuple((f.column, f.reason, int(f.bad.sum())) for f in typed.faults)
    found = _examined(data, tuple(typed.told(f) for f in typed.faults))
    return replace(found, bad_rows=counted)


def _examined(data: Interactions, faults: tuple[str, ...]) -> Checkup:
    if len(data) == 0:
        msg = "there are no rows to check; read a table with at least one"
        raise DataError(msg)
    n = len(data)
    n_users, n_known = len(data.user_vocabulary), len(data.item_vocabulary)
    pairs = data.user_rows.astype(np.int64) * n_known + data.item_rows
    pairs.sort()
    distinct = pairs[np.diff(pairs, prepend=-1) > 0]
    per_item = np.bincount(data.item_rows, minlength=n_known)
    touched = per_item > 0
    items_per_user = np.bincount(distinct // n_known, minlength=n_users)
    popular = np.sort(per_item)[::-1][: max(1, round(int(touched.sum()) / 100))]
    duplicates = _duplicates(data.table) if len(distinct) < n else 0
    repeats = (n - duplicates - len(distinct)) / (n - duplicates)
    unknown, untitled = _metadata_gaps(data, touched)
    checkup = Checkup(
        rows=n,
        users=n_users,
        items=int(touched.sum()),
        density=len(distinct) / (n_users * int(touched.sum())),
        duplicates=duplicates,
        repeat_share=max(repeats, 0.0),
        keep_seen=repeats > _MANY_REPEATS,
        liked_share=float(data.liked.mean()),
        ratings=_scale(data),
        times=_times(data),
        catalogue_items=len(data.catalogue),
        items_without_metadata=unknown,
        items_without_title=untitled,
        untouched_items=int((~touched).sum()),
        users_with_one_item=int((items_per_user == 1).sum()),
        testable_users=int((np.bincount(data.user_rows) >= ENOUGH_ROWS).sum()),
        top_share=float(popular.sum() / n),
        unsure_ids=_unsure_ids(data.table),
    )
    return replace(checkup, findings=findings_of(checkup, faults))


def _unsure_ids(table: pl.DataFrame) -> int:
    texts = [c for c in ("user_id", "item_id") if table.schema[c] == pl.String]
    if not texts:
        return 0
    unsure = pl.any_horizontal(
        pl.col(c).str.strip_chars().str.to_lowercase().is_in(_PERHAPS_MISSING) for c in texts
    )
    return int(table.select(unsure.sum()).item())


def _duplicates(table: pl.DataFrame) -> int:
    flat = table.select(pl.col(c) for c, kind in table.schema.items() if not kind.is_nested())
    return len(table) - flat.n_unique()


def _metadata_gaps(data: Interactions, touched: NDArray[np.bool_]) -> tuple[int, int | None]:
    # touched items of which nothing is known, and those without title (None: no item has one)
    table = data.catalogue.aligned(data.item_vocabulary.ids).table.filter(pl.Series(touched))
    columns = [c for c in table.columns if c != "item_id"]
    if not columns:
        return len(table), None
    said = [
        (pl.col(c).list.len() > 0).fill_null(value=False)
        if isinstance(table.schema[c], pl.List)
        else pl.col(c).is_not_null()
        for c in columns
    ]
    unknown = int(table.select((~pl.any_horizontal(said)).sum()).item())
    if "title" not in columns or data.catalogue.table["title"].null_count() == len(
        data.catalogue
    ):
        return unknown, None
    return unknown, table["title"].null_count()


def _scale(data: Interactions) -> RatingScale | None:
    if data.ratings is None:
        return None
    values = data.table["rating"].unique().sort().to_numpy().astype(np.float64)
    step = float(np.diff(values).min()) if len(values) > 1 else 0.0
    mean = float(data.ratings.mean(dtype=np.float64))
    return RatingScale(float(values[0]), float(values[-1]), mean, len(values), step)


def _times(data: Interactions) -> Times | None:
    times = data.timestamps
    if times is None:
        return None
    order: Literal["by time", "by time within users", "mixed"] = "mixed"
    in_file = np.argsort(data.user_rows, kind="stable")  # each user's rows as the file has them
    same_user = np.diff(data.user_rows[in_file]) == 0
    if (np.diff(times) >= 0).all():
        order = "by time"
    elif (np.diff(times[in_file])[same_user] >= 0).all():
        order = "by time within users"
    counts = np.bincount(data.user_rows)
    last = np.full(len(counts), np.iinfo(np.int64).min)
    np.maximum.at(last, data.user_rows, times)
    at_last = np.bincount(data.user_rows, weights=times == last[data.user_rows])
    several = counts > 1
    tied = float((at_last[several] > 1).mean()) if several.any() else 0.0
    unit: Literal["seconds", "positions"] = (
        "positions" if times.max() < _POSITIONS_BELOW else "seconds"
    )
    return Times(unit, int(times.min()), int(times.max()), order, tied)
