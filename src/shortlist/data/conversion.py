"""Text and dates become numbers here, a whole column at a time; what cannot is a fault.

Whole-number ids become integers only where nothing is lost by it: ``007`` and ``1.0`` stay text.
"""

from collections.abc import Callable

import polars as pl

from shortlist.data.faults import MILLISECONDS_FROM, Fault
from shortlist.errors import DataError

_NO_ID = ("", "nan", "null", "none")
_MISSING = (*_NO_ID, "na", "n/a")
_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_DATES = (
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)
QUARANTINE = 'or read with on_bad_rows="quarantine"'


def ids(column: pl.Series) -> pl.Series:
    """Ids as given: whole numbers where every text is one, written the short way; else text.

    Args:
        column: text, numbers or categories.

    Returns:
        The column; null where the text is empty, or "nan", "null" or "none" in any case.
    """
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_float():
        return column.fill_nan(None)
    if column.dtype != pl.String:
        return column
    return column.set(column.str.strip_chars().str.to_lowercase().is_in(_NO_ID), None)


def whole_numbers(column: pl.Series) -> pl.Series:
    """Text as integers, where all of it can be written back letter for letter.

    Args:
        column: text, as a file gives it.

    Returns:
        Int64, or the text unchanged.
    """
    if column.dtype != pl.String or column.null_count() == len(column):
        return column
    sample = column.drop_nulls().head(100)
    if not _comes_back(sample, sample.cast(pl.Int64, strict=False)):
        return column
    number = column.cast(pl.Int64, strict=False)
    return number if _comes_back(column, number) else column


def _comes_back(text: pl.Series, number: pl.Series) -> bool:
    return number.null_count() == text.null_count() and bool(
        (number.cast(pl.String) == text).all()
    )


def natural(column: pl.Series) -> pl.Series:
    """A column that is no field of ours, from a text file: numbers where all of it is numbers.

    Args:
        column: text.

    Returns:
        Int64 or Float64 where nothing is lost, else the text.
    """
    number = whole_numbers(column)
    if number.dtype != pl.String or column.dtype != pl.String:
        return number
    leading_zero = column.str.contains(r"^[-+]?0\d").any()
    floats = column.cast(pl.Float64, strict=False)
    if leading_zero or floats.null_count() != column.null_count():
        return column
    return floats


def numbers(column: pl.Series, where: str) -> tuple[pl.Series, list[Fault]]:
    """Ratings or weights as float32.

    Args:
        column: text or numbers.
        where: the file, for messages.

    Returns:
        The numbers, null where there is none, and the rows whose text is no number.

    Raises:
        DataError: the column holds neither text nor numbers.
    """
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text.str.to_lowercase().is_in(_MISSING), None)
        comma = text.str.contains(",", literal=True)
        if comma.any() and not text.str.contains(".", literal=True).any():
            short = text.filter(comma).str.contains(r"^[-+]?\d+,\d{1,2}$")
            if short.all():  # decimal commas throughout; 1,000 would be something else
                text = text.str.replace(",", ".", literal=True)
        value = text.cast(pl.Float32, strict=False)
        return value, _unread(column, value.is_null() & text.is_not_null(), "a number")
    if column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean | pl.Null):
        return column.cast(pl.Float32), []
    msg = f"{where}: column {column.name!r} holds {column.dtype}, not numbers; name another one by columns={{...}}"
    raise DataError(msg)


def _unread(column: pl.Series, bad: pl.Series, wanted: str) -> list[Fault]:
    if not bad.any():
        return []
    example = column.filter(bad)[0]
    comma = (
        " (write the decimal point as a point)"
        if wanted == "a number" and "," in example
        else ""
    )
    return [
        Fault(
            column.name,
            f"{example!r} is not {wanted}{comma}",
            f"Correct it, {QUARANTINE}",
            bad,
        )
    ]


def times(column: pl.Series, where: str) -> tuple[pl.Series, list[Fault]]:
    """Times as int64 seconds since 1970, UTC; small rising numbers stay as they are.

    Dates count as midnight UTC, and so does text without a zone. Whole numbers of milliseconds
    or finer are divided where every row has that unit.

    Args:
        column: dates, numbers, or text of either.
        where: the file, for messages.

    Returns:
        The times, null where there is none, and the rows whose text is no time or whose unit is
        another than that of most rows.

    Raises:
        DataError: the column holds neither dates nor numbers nor text.
    """
    faults: list[Fault] = []
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return column.cast(pl.Datetime("us"), strict=False).dt.epoch("s").cast(pl.Int64), []
    if column.dtype == pl.String:
        value, faults = _times_of_text(column)
        if value.dtype.is_temporal():
            return value.dt.epoch("s").cast(pl.Int64), faults
        column = value
    if column.dtype.is_float():
        finite = column.is_finite() & (column.abs() < 9e18)
        column = column.set(~finite.fill_null(value=False), None).floor().cast(pl.Int64)
    if not column.dtype.is_integer() and column.dtype != pl.Null:
        msg = f"{where}: column {column.name!r} holds {column.dtype}, not times; name another one by columns={{...}}"
        raise DataError(msg)
    days = _days(column)
    if days is not None:
        return days, faults
    seconds, mixed = _in_seconds(column.cast(pl.Int64, strict=False))
    return seconds, faults + mixed


def _times_of_text(column: pl.Series) -> tuple[pl.Series, list[Fault]]:
    text = column.str.strip_chars()
    text = text.set(text.str.to_lowercase().is_in(_MISSING), None)
    number = text.cast(pl.Int64, strict=False)
    if number.null_count() > text.null_count():
        number = text.cast(pl.Float64, strict=False)
    if number.null_count() * 2 <= len(text) + text.null_count():  # most of what is there
        bad = number.is_null() & text.is_not_null()
        return number, _unread(column, bad, "a time in the unit of the other rows")
    plain = text.str.replace("T", " ", literal=True).str.replace(r"(?:Z| UTC| GMT)$", "")
    value = pl.repeat(None, len(text), dtype=pl.Datetime("us"), eager=True)
    for read in (_reader(form) for form in _DATES):
        if value.null_count() == text.null_count():
            break
        value = value.to_frame("a").select(pl.col("a").fill_null(read(plain))).to_series()
    bad = value.is_null() & text.is_not_null()
    if bad.any() and value.null_count() == len(value):  # not one of them: it is the format
        return value, [_unknown_dates(column, bad)]
    return value, _unread(column, bad, "a date such as 2024-01-31 or 2024-01-31T18:00:00")


def _unknown_dates(column: pl.Series, bad: pl.Series) -> Fault:
    return Fault(
        column.name,
        f"the format of dates such as {column.filter(bad)[0]!r} is not known",
        f"Give ISO dates (1998-03-30 or 1998-03-30T18:00:00) or seconds since 1970, {QUARANTINE}",
        bad,
    )


def _reader(form: str) -> Callable[[pl.Series], pl.Series]:
    def read(text: pl.Series) -> pl.Series:
        if form.endswith("z"):
            zoned = text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
            return zoned.dt.replace_time_zone(None)
        if "%H" not in form:  # a whole day
            return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
        return text.str.to_datetime(form, strict=False, time_unit="us")

    return read


def _days(column: pl.Series) -> pl.Series | None:
    # whole numbers that are all dates, such as 20240131
    known = column.drop_nulls()
    if len(known) == 0 or not known.is_between(19700101, 21001231).all():
        return None
    dates = column.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    if dates.null_count() > column.null_count():
        return None
    return dates.cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Int64)


def _in_seconds(column: pl.Series) -> tuple[pl.Series, list[Fault]]:
    known = column.drop_nulls()
    if len(known) == 0 or int(known.max()) < MILLISECONDS_FROM:  # type: ignore[arg-type]
        return column, []
    edges = [MILLISECONDS_FROM * 10**n for n in (0, 3, 6)]
    finer = pl.repeat(0, len(column), dtype=pl.Int8, eager=True)  # 0: seconds ... 3: nano
    for edge in edges:
        finer += (column >= edge).cast(pl.Int8)
    counts = {n: int((finer == n).sum()) for n in range(4)}
    usual = max(counts, key=lambda n: counts[n])
    seconds = column // 10 ** (3 * usual)
    other = (finer != usual).fill_null(value=False)
    if not other.any():
        return seconds, []
    units = list(_UNITS)
    parts = " and ".join(f"{times:,} in {units[n]}" for n, times in counts.items() if times)
    reason = (
        f"the times have mixed units ({parts}), such as {column.filter(other)[0]} "
        f"beside {column.filter(~other)[0]}"
    )
    return seconds.set(other, None), [
        Fault(column.name, reason, f"Bring all to seconds since 1970, {QUARANTINE}", other)
    ]
