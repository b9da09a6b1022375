"""What makes a row of an interactions table unusable, and what to do about it."""

import time
from dataclasses import dataclass

import polars as pl

MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138
A_DAY = 86_400


@dataclass(frozen=True, eq=False)
class Fault:
    """One kind of bad row.

    Attributes:
        column: the column at fault.
        reason: what is wrong, in words.
        remedy: what to do.
        bad: (rows,) bool, True for the rows at fault.
    """

    column: str
    reason: str
    remedy: str
    bad: pl.Series

    def __str__(self) -> str:
        return (
            f"column {self.column!r}, row {self.bad.arg_max()} (and {self.bad.sum() - 1:,} more): "
            f"{self.reason}. {self.remedy}"
        )


def find_faults(table: pl.DataFrame) -> list[Fault]:
    """Look for rows that cannot be used.

    Args:
        table: interactions with the standard column names.

    Returns:
        One entry per kind of fault that occurs.
    """
    quarantine = 'or read with on_bad_rows="quarantine"'
    found = [
        Fault(
            name,
            "the id is missing",
            f"Give the row an id, remove it, {quarantine}",
            table[name].is_null(),
        )
        for name in ("user_id", "item_id")
    ]
    for name in ("rating", "weight"):
        if name in table.columns:
            bad = table[name].is_null() | ~table[name].is_finite().fill_null(value=False)
            found.append(
                Fault(
                    name,
                    f"the {name} is missing, NaN or infinite",
                    f"Correct it, {quarantine}",
                    bad,
                )
            )
    if "weight" in table.columns:
        bad = (table["weight"] < 0).fill_null(value=False)
        found.append(
            Fault(
                "weight",
                "the weight is negative",
                f"Weights start at 0. Correct it, {quarantine}",
                bad,
            )
        )
    if "timestamp" in table.columns:
        found.append(
            Fault(
                "timestamp",
                "the time is missing",
                f"Correct it, {quarantine}",
                table["timestamp"].is_null(),
            )
        )
        late = (table["timestamp"] > time.time() + A_DAY).fill_null(value=False)
        found.append(
            Fault(
                "timestamp",
                "the time lies in the future",
                f"Check the unit (seconds since 1970, UTC), {quarantine}",
                late,
            )
        )
    return [fault for fault in found if fault.bad.any()]
