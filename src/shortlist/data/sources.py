"""Anything a user may hand over, turned into one polars table: files, frames, Arrow tables.

Text files are read as text, column by column: what is a number is decided when the columns are
known, so that an id such as ``007`` keeps its zeros and one bad number does not stop the reader.
"""

import csv
import gzip
import io
import logging
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from shortlist.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Source: TypeAlias = "str | Path | pl.DataFrame | pl.LazyFrame | pd.DataFrame | pa.Table"

log = logging.getLogger("shortlist.data")
_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = (",", "\t", ";", "|")
_NAMES_OF_DATA = re.compile(r"-?\d+([.,]\d+)?")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A table as it came.

    Attributes:
        table: the columns under the names they have there.
        where: the file's path, or ``"the table"``, for messages.
        path: the file, or None for a table in memory.
        numbers: (rows,) the number each row has in the source, from 0.
        is_text: whether every column is still text.
    """

    table: pl.DataFrame
    where: str
    path: Path | None
    numbers: pl.Series
    is_text: bool = False


def load(source: Source, *, what: str = "the table") -> Loaded:
    """Read a source whole.

    Args:
        source: a path to a CSV, TSV or Parquet file (also ``.csv.gz``), a polars DataFrame or
            LazyFrame, a pandas DataFrame or a pyarrow Table.
        what: how messages call a table that has no path.

    Returns:
        The table, with text files still as text.

    Raises:
        DataError: the file is missing, a folder, of an unknown kind, or cannot be read; or the
            source is none of the above.
    """
    if isinstance(source, str | Path):
        return _load_path(Path(source).expanduser())
    if isinstance(source, pl.LazyFrame):
        table = _collected(source, what)
    elif isinstance(source, pl.DataFrame):
        table = source
    else:
        table = _from_arrow_or_pandas(source, what)
    return _checked(Loaded(table, what, None, _counted(table)))


def _collected(source: pl.LazyFrame, what: str) -> pl.DataFrame:
    try:
        return source.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{what}: the LazyFrame cannot be collected: {_first_line(error)}; does source.collect() work?"
        raise DataError(msg) from None


def _counted(table: pl.DataFrame) -> pl.Series:
    return pl.int_range(len(table), dtype=pl.Int64, eager=True)


def _checked(loaded: Loaded) -> Loaded:
    if len(loaded.table) == 0:
        msg = (
            f"{loaded.where} has no rows (columns {loaded.table.columns}); "
            "check that this is the right file and that its export finished"
        )
        raise DataError(msg)
    return loaded


def _from_arrow_or_pandas(source: object, what: str) -> pl.DataFrame:
    home = type(source).__module__.split(".")[0]
    try:
        if home == "pandas":
            return pl.DataFrame(pl.from_pandas(source))  # type: ignore[call-overload]
        if home == "pyarrow":
            return pl.DataFrame(pl.from_arrow(source))
    except ImportError as error:
        msg = f'a pandas table needs pyarrow ({error}); run: pip install "shortlist[pandas]"'
        raise MissingExtraError(msg) from None
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        msg = (
            f"{what}: a column holds values of several kinds ({error}); "
            "bring it to one kind first, for example frame['id'].astype(str)"
        )
        raise DataError(msg) from None
    msg = (
        f"{what}: cannot read a {type(source).__name__}; give a path to a CSV or Parquet file, "
        "a polars or pandas DataFrame, or a pyarrow Table"
    )
    raise DataError(msg)


def _load_path(path: Path) -> Loaded:
    name = path.name.lower()
    if path.is_dir():
        msg = (
            f"{path} is a folder; give the file itself. "
            "A MovieLens folder or zip is read by datasets.movielens(path=...)"
        )
        raise DataError(msg)
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*") if p.is_file())[:10]
        msg = f"{path} is not there; " + (
            f"its folder has {near}" if near else "check the folder and the spelling"
        )
        raise DataError(msg)
    try:
        if name.endswith(_PARQUET):
            table = pl.read_parquet(path)
            return _checked(Loaded(table, str(path), path, _counted(table)))
        if name.endswith(_TEXT):
            return _load_text(path)
    except OSError as error:
        msg = f"{path} cannot be opened: {error}; check its permissions"
        raise DataError(msg) from None
    except pl.exceptions.PolarsError as error:
        msg = f"{path} cannot be read: {_first_line(error)}; is it complete, and what its name says?"
        raise DataError(msg) from None
    raise DataError(_unknown_kind(path))


def _unknown_kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".xlsx", ".xls", ".ods")):
        return f"{path} is a spreadsheet; save it as CSV (UTF-8) from the spreadsheet program and read that"
    if name.endswith((".zip", ".dat", ".data", ".item", ".user")):
        return f"{path} is not a table with a header; the official MovieLens files are read by datasets.movielens(path=...)"
    return (
        f"{path} is of an unknown kind {path.suffix!r}; "
        "give a .csv, .tsv, .csv.gz or .parquet file, or read it yourself and pass the table"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _load_text(path: Path) -> Loaded:
    raw: Path | bytes = path
    try:
        if path.name.lower().endswith(".gz"):
            raw = gzip.decompress(path.read_bytes())
            head = raw[:65_536]
        else:
            with path.open("rb") as file:
                head = file.read(65_536)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        msg = f"{path} is not a whole gzip file ({error}); fetch or compress it again"
        raise DataError(msg) from None
    separator = _look_at_head(path, head)
    try:
        table = pl.read_csv(raw, separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        whole = raw if isinstance(raw, bytes) else path.read_bytes()
        raise DataError(_explained(path, whole, separator, error)) from None
    _check_header(path, table, head)
    return _without_blank_lines(path, table)


def _look_at_head(path: Path, head: bytes) -> str:
    if not head.strip():
        msg = f"{path} is empty; check that its export finished"
        raise DataError(msg)
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        msg = f"{path} is a spreadsheet or a zip under another name; save it as CSV (UTF-8) and read that"
        raise DataError(msg)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head:
        raise DataError(_not_utf8(path, "utf-16", 1))
    first = head.strip().split(b"\n", 1)[0].decode("utf-8", errors="replace")
    if "::" in first:
        msg = f"{path} is separated by '::', the layout of MovieLens 1M and 10M; read its folder by datasets.movielens(path=...)"
        raise DataError(msg)
    if path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    return max(_SEPARATORS, key=first.count)  # on a tie the earlier one


def _not_utf8(path: Path, encoding: str, line: int) -> str:
    return (
        f"{path}, line {line}: the text is not UTF-8. Convert it, for example by "
        f"iconv -f {encoding} -t utf-8 {path.name} > utf8.csv, or save it as 'CSV UTF-8' from the spreadsheet program"
    )


def _explained(path: Path, whole: bytes, separator: str, error: Exception) -> str:
    # looks for what stopped the reader; only now is the file gone through line by line
    try:
        text = whole.decode("utf-8")
    except UnicodeDecodeError as bad:
        return _not_utf8(path, "latin1", whole.count(b"\n", 0, bad.start) + 1)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        width = len(next(reader))
        for row in reader:
            if len(row) > width:
                return (
                    f"{path}, line {reader.line_num}: {len(row)} fields but the header has {width}; "
                    f"put quotes around a text that holds {separator!r}, or remove what is too much"
                )
    except (csv.Error, StopIteration) as bad:
        return f"{path}, line {reader.line_num}: {bad}; correct the line"
    return f"{path} cannot be read as CSV: {_first_line(error)}. Is a quotation mark left open?"


def _check_header(path: Path, table: pl.DataFrame, head: bytes) -> None:
    first = head.strip().split(b"\n", 1)[0].decode("utf-8", errors="replace").strip("\ufeff\r")
    names = [re.sub(r"_duplicated_\d+$", "", name).strip() for name in table.columns]
    numeric = sum(bool(_NAMES_OF_DATA.fullmatch(name)) for name in names)
    if numeric * 2 > len(names) or (numeric >= 2 and len(names) > 2):
        msg = (
            f"{path} has no header: its first line is {first[:80]!r}. Put the column names there, "
            "for example user_id,item_id,rating,timestamp, or read it yourself with "
            "pl.read_csv(path, has_header=False, new_columns=[...]) and pass the table"
        )
        raise DataError(msg)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        msg = f"{path} has more than one column {twice[0]!r}; rename one of them in the header"
        raise DataError(msg)


def _without_blank_lines(path: Path, table: pl.DataFrame) -> Loaded:
    table = table.rename({name: name.strip() for name in table.columns})
    numbers = _counted(table)
    blank = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
    if blank.any():
        log.info(
            "%s: %d blank lines of %d left out", path, blank.sum(), len(table)
        )  # no field at all
        table, numbers = table.filter(~blank), numbers.filter(~blank)
    return _checked(Loaded(table, str(path), path, numbers, is_text=True))
