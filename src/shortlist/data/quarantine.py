"""The side file for rows that cannot be used: as they came, with their number and the reason."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from shortlist.data.faults import Fault
from shortlist.errors import DataError


def write_quarantine(
    table: pl.DataFrame, numbers: pl.Series, faults: Sequence[Fault], path: Path
) -> None:
    """Write the rows at fault, whole or not at all.

    Args:
        table: all rows, as they came.
        numbers: (rows,) the number each row has in the source.
        faults: at least one kind of fault over these rows.
        path: a ``.parquet`` file, or else CSV, where lists are joined by ``|``.

    Raises:
        DataError: the file cannot be written.
    """
    reasons = pl.DataFrame(
        pl.select(pl.when(f.bad).then(pl.lit(f"{f.column}: {f.reason}")))
        .to_series()
        .alias(str(i))
        for i, f in enumerate(faults)
    ).select(reason=pl.concat_str(pl.all(), separator="; ", ignore_nulls=True))
    side = table.with_columns(numbers.alias("row"), reasons["reason"])
    side = side.filter(pl.col("reason") != "")
    part = path.with_name(f"{path.name}.part")
    try:
        if path.suffix == ".parquet":
            side.write_parquet(part)
        else:
            lists = [c for c, kind in side.schema.items() if isinstance(kind, pl.List)]
            texts = [pl.col(c).cast(pl.List(pl.String)).list.join("|") for c in lists]
            side.with_columns(texts).write_csv(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"the bad rows cannot be written to {path}: {error}; pass quarantine='a path that can be written'"
        raise DataError(msg) from None
