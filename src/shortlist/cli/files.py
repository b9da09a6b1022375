"""Tables of answers written whole or not at all, and lists of ids read."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from shortlist.errors import BundleError, ConfigError, DataError

if TYPE_CHECKING:
    import polars as pl

    from shortlist.data.vocabulary import Vocabulary

_SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")
_TABLES = (".parquet", ".pq", ".csv", ".tsv", ".csv.gz", ".tsv.gz")


def check_out_file(path: Path | None) -> None:
    """Refuse a place for answers before the work is done.

    Args:
        path: to be written; None is fine.

    Raises:
        ConfigError: the suffix is unknown.
        DataError: the folder is not there, or the path is a folder.
    """
    if path is None:
        return
    if path.suffix not in _SUFFIXES:
        msg = (
            f"--out is written by its suffix, one of {', '.join(_SUFFIXES)}; got {str(path)!r}"
        )
        raise ConfigError(msg)
    if path.is_dir():
        msg = f"--out {path} is a folder; name a file in it, such as {path / 'recs.parquet'}"
        raise DataError(msg)
    if not path.parent.is_dir():
        msg = f"--out {path} cannot be written: there is no folder {path.parent}. Make it first"
        raise DataError(msg)


def check_out_folder(path: Path) -> None:
    """Refuse a place for a bundle before the training is done.

    Args:
        path: of the bundle.

    Raises:
        BundleError: something else is there, or the folder cannot be written.
    """
    if path.exists() and not _may_hold_bundle(path):
        msg = f"--out {path} is there and is no bundle; choose another folder or empty it first"
        raise BundleError(msg)
    there = next(one for one in [path, *path.absolute().parents] if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "cannot be written to" if there.is_dir() else "is a file"
        msg = f"--out {path} cannot be made: {there} {what}. Choose another folder, or change its permissions"
        raise BundleError(msg)
    try:
        _try_out(path / "versions")
    except OSError as error:
        msg = f"--out {path} cannot be written: {error}. Choose another folder, or change its permissions"
        raise BundleError(msg) from None


def _may_hold_bundle(path: Path) -> bool:
    # empty, a bundle, or a bundle whose first version was never finished: what saving accepts
    if not path.is_dir():
        return False
    there = {one.name for one in path.iterdir() if not one.name.startswith(".CURRENT-")}
    unfinished = "versions" in there and there <= {"CURRENT", "versions"}
    return not there or unfinished or {"CURRENT", "versions"} <= there


def _try_out(versions: Path) -> None:
    # permissions do not tell everything: what saving will make is made, and taken away again
    made: list[Path] = []
    try:
        for folder in reversed(
            [one for one in (versions, *versions.parents) if not one.exists()]
        ):
            folder.mkdir(exist_ok=True)
            made.append(folder)
        Path(tempfile.mkdtemp(prefix=".draft-", dir=versions)).rmdir()
        if (versions.parent / "CURRENT").exists():  # to be replaced
            Path(tempfile.mkdtemp(prefix=".CURRENT-", dir=versions.parent)).rmdir()
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # somebody else has begun to use it
                folder.rmdir()


def write_table(table: "pl.DataFrame", path: Path) -> None:
    """Write a table in the format of the suffix, beside its place first, then renamed into it.

    Args:
        table: to write.
        path: ``.parquet``, ``.csv``, ``.json`` or ``.jsonl``.

    Raises:
        DataError: it cannot be written; nothing is left behind.
    """
    import polars as pl

    draft = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        draft = Path(name)
        _write(table, draft, path.suffix)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)  # mkstemp lets only the owner read
        draft.replace(path)
        draft = None
    except (OSError, pl.exceptions.PolarsError) as error:
        full = os.strerror(errno.ENOSPC) in str(error)  # polars keeps no number
        todo = "Free some space" if full else "Check the folder's permissions"
        msg = f"{path} cannot be written: {error}. Nothing was left behind. {todo}, or give another --out"
        raise DataError(msg) from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _write(table: "pl.DataFrame", path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        table.write_parquet(path)
    elif suffix == ".csv":
        table.write_csv(path)
    elif suffix == ".jsonl":
        table.write_ndjson(path)
    else:
        table.write_json(path)


def read_ids(
    path: Path, vocabulary: "Vocabulary", column: dict[str, str | None]
) -> "pl.Series":
    """Read users to answer for.

    Args:
        path: a table with a user column, where each user counts once; or a text file, one id a line.
        vocabulary: the users that are known; says whether ids in text are numbers.
        column: as for ``read``.

    Returns:
        (n,) distinct ids in order of appearance.

    Raises:
        DataError: there is no such file, no such column, or no id.
        ConfigError: a column is named, and the file is a text file of ids.
    """
    import polars as pl

    if path.name.lower().endswith(_TABLES):
        ids = id_columns(path, ("user_id",), column, (vocabulary,))["user_id"]
    elif not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        msg = f"--users {path} {what}; give a table with a user column, or a text file with one id a line"
        raise DataError(msg)
    elif column:
        msg = f"{path} is read as one id a line, so it has no columns; leave --column out, or give a table"
        raise ConfigError(msg)
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            msg = f"{path} is not UTF-8 text ({error}); a file of ids holds one id a line"
            raise DataError(msg) from None
        words = [word for line in lines if (word := line.strip())]
        if words and words[0].lower() in {"user_id", "userid", "user"}:
            words = words[1:]  # a header
        ids = _like(pl.Series("user_id", words, dtype=pl.String), vocabulary)
    if not len(ids):
        msg = f"{path} names no user; give a table with a user column, or one id a line"
        raise DataError(msg)
    return ids.unique(maintain_order=True)


def id_columns(
    path: Path,
    names: tuple[str, ...],
    column: dict[str, str | None],
    vocabularies: "tuple[Vocabulary, ...]",
) -> "pl.DataFrame":
    """Read nothing but columns of ids from a table.

    Args:
        path: of the table.
        names: ours.
        column: ours to theirs, where the guess fails.
        vocabularies: one per name; they say whether ids in text files are numbers.

    Returns:
        The columns under our names, in the order of the file.
    """
    import polars as pl

    from shortlist.data.columns import check_named, check_names, find_columns
    from shortlist.data.sources import load
    from shortlist.data.vocabulary import id_series

    check_names(column)
    loaded = load(path)
    check_named(column, [(str(path), loaded.table.columns)])
    found = find_columns(
        loaded.table.columns, names, named=column, required=names, where=str(path)
    )
    columns = []
    for name, vocabulary in zip(names, vocabularies, strict=True):
        ids = id_series(loaded.table[found[name]], name=found[name]).alias(name)
        columns.append(_like(ids, vocabulary) if loaded.is_text else ids)
    return pl.DataFrame(columns)


def _like(ids: "pl.Series", vocabulary: "Vocabulary") -> "pl.Series":
    # text has no types: numbers where the model's ids are numbers and nothing is lost by it
    import polars as pl

    if vocabulary.ids.dtype != pl.Int64:
        return ids
    numbers = ids.cast(pl.Int64, strict=False)
    same = not numbers.null_count() and bool((numbers.cast(pl.String) == ids).all())
    return numbers if same else ids
