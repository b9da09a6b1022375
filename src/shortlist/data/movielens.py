"""The official MovieLens layouts, from a folder or a zip: 100K, 1M and 10M, and the CSV ones.

A zip is never unpacked: its members are looked up by name and read in memory.
"""

import zipfile
from pathlib import Path, PurePosixPath

import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.metadata import tidy_items
from shortlist.errors import DataError

_SEEN_IN_NO_TEXT = "\x01"  # splits nothing: the whole line becomes one field
_GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_LAYOUTS = {"u.data": "100k", "ratings.dat": "dat", "ratings.csv": "csv"}


class _Folder:
    """A folder or a zip: files by their plain name, at the top or one folder down."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, str] = {}
        if path.is_dir():
            names = [p.relative_to(path).as_posix() for p in path.glob("*") if p.is_file()]
            names += [p.relative_to(path).as_posix() for p in path.glob("*/*") if p.is_file()]
        elif path.exists():
            names = self._zipped()
        else:
            msg = f"{path} is not there; give the folder or zip of a MovieLens data set"
            raise DataError(msg)
        for name in sorted(names, key=lambda n: (n.count("/"), n)):  # the shallower one counts
            self.members.setdefault(PurePosixPath(name).name, name)

    def _zipped(self) -> list[str]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [n for n in archive.namelist() if not n.endswith("/")]
        except (zipfile.BadZipFile, OSError) as error:
            msg = f"{self.path} is neither a folder nor a whole zip ({error}); fetch it again"
            raise DataError(msg) from None

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def where(self, name: str) -> str:
        return f"{self.path}/{self.members.get(name, name)}"

    def read(self, name: str) -> bytes:
        if name not in self.members:
            msg = f"{self.path} has no {name}; it holds {sorted(self.members)[:20]}"
            raise DataError(msg)
        if self.path.is_dir():
            return (self.path / self.members[name]).read_bytes()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.members[name])
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            msg = f"{self.where(name)} cannot be read ({error}); the zip is damaged, fetch it again"
            raise DataError(msg) from None


def read_movielens(path: str | Path, *, positive: str | None = None) -> Interactions:
    """Read a MovieLens data set as GroupLens publishes it.

    Args:
        path: a folder or zip with ``u.data`` (100K), ``ratings.dat`` (1M, 10M) or ``ratings.csv``
            (latest, 20M, 25M, 32M).
        positive: an expression such as ``"rating >= 4"`` that says which rows count as liked.

    Returns:
        Interactions with integer ids, the catalogue (with a list ``tags`` per item where the CSV
        layout brings ``tags.csv``), and the users where the layout has them.

    Raises:
        DataError: none of the layouts is there, or a file of it is missing or unreadable.
    """
    folder = _Folder(Path(path).expanduser())
    layout = next((kind for name, kind in _LAYOUTS.items() if name in folder), None)
    if layout is None:
        msg = (
            f"{folder.path} is no MovieLens data set: one of {', '.join(_LAYOUTS)} must be in it; "
            f"it holds {sorted(folder.members)[:20]}"
        )
        raise DataError(msg)
    reader = {"100k": _read_100k, "dat": _read_dat, "csv": _read_csv}[layout]
    rows, items, users = reader(folder)
    if len(rows) == 0:
        msg = f"{folder.path}: the ratings file has no rows; fetch it again"
        raise DataError(msg)
    return Interactions(rows, Catalogue(tidy_items(items)), users, positive)


def _text(folder: _Folder, name: str) -> bytes:
    raw = folder.read(name)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode("utf-8")
    return raw


def _table(
    folder: _Folder,
    name: str,
    separator: str,
    schema: dict[str, pl.DataType | type[pl.DataType]],
) -> pl.DataFrame:
    raw = _text(folder, name)
    if not raw.strip():
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_csv(
            raw, has_header=False, separator=separator, quote_char=None, schema=schema
        )
    except pl.exceptions.PolarsError as error:
        msg = f"{folder.where(name)} is not as GroupLens publishes it: {str(error).splitlines()[0]}; fetch it again"
        raise DataError(msg) from None


def _ratings(folder: _Folder, name: str, separator: str) -> pl.DataFrame:
    fields = {
        "user_id": pl.Int64(),
        "item_id": pl.Int64(),
        "rating": pl.Float32(),
        "timestamp": pl.Int64(),
    }
    if separator == "::":  # read as ":" with an empty field between each two
        schema: dict[str, pl.DataType | type[pl.DataType]] = {}
        for i, (field, kind) in enumerate(fields.items()):
            schema |= {f"_{i}": pl.String(), field: kind} if i else {field: kind}
        return _table(folder, name, ":", schema).select(*fields)
    return _table(folder, name, separator, dict(fields))


def _fields(folder: _Folder, name: str, columns: tuple[str, ...]) -> pl.DataFrame:
    # small files, whose texts may hold a single colon
    lines = _table(folder, name, _SEEN_IN_NO_TEXT, {"line": pl.String()})["line"].drop_nulls()
    parts = lines.str.strip_chars("\r").str.split("::")
    if (parts.list.len() != len(columns)).any():
        row = int((parts.list.len() != len(columns)).arg_max() or 0)
        msg = f"{folder.where(name)}, line {row + 1}: {lines[row][:80]!r} has no {len(columns)} fields joined by '::'; fetch it again"
        raise DataError(msg)
    return pl.DataFrame([parts.list.get(i).alias(c) for i, c in enumerate(columns)])


def _read_100k(
    folder: _Folder,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
    flags = [f"_{i}" for i in range(len(_GENRES_100K))]
    names = ("item_id", "title", "release_date", "_video", "imdb_url", *flags)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {n: pl.String() for n in names}
    schema |= {"item_id": pl.Int64()} | {f: pl.Int8() for f in flags}
    items = _table(folder, "u.item", "|", schema)
    said = [
        pl.when(pl.col(flag) == 1).then(pl.lit(name))
        for flag, name in zip(flags, _GENRES_100K, strict=True)
    ]
    items = items.with_columns(pl.concat_list(said).list.drop_nulls().alias("genres"))
    items = items.drop("_video", *flags)
    users = None
    if "u.user" in folder:
        people = ("user_id", "age", "gender", "occupation", "zip_code")
        form: dict[str, pl.DataType | type[pl.DataType]] = {n: pl.String() for n in people}
        users = _table(folder, "u.user", "|", form | {"user_id": pl.Int64(), "age": pl.Int64()})
    return _ratings(folder, "u.data", "\t"), items, users


def _read_dat(folder: _Folder) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
    items = _fields(folder, "movies.dat", ("item_id", "title", "genres"))
    items = items.with_columns(pl.col("item_id").cast(pl.Int64))
    users = None
    if "users.dat" in folder:
        users = _fields(
            folder, "users.dat", ("user_id", "gender", "age", "occupation", "zip_code")
        )
        users = users.with_columns(pl.col("user_id", "age", "occupation").cast(pl.Int64))
    return _ratings(folder, "ratings.dat", "::"), items, users


def _csv(folder: _Folder, name: str, columns: dict[str, str]) -> pl.DataFrame:
    kinds = {
        "userId": pl.Int64,
        "movieId": pl.Int64,
        "rating": pl.Float32,
        "timestamp": pl.Int64,
    }
    try:
        table = pl.read_csv(
            _text(folder, name),
            schema_overrides={c: kinds.get(c, pl.String) for c in columns},
            columns=list(columns),
        )
    except pl.exceptions.PolarsError as error:
        msg = f"{folder.where(name)} is not as GroupLens publishes it: {str(error).splitlines()[0]}; fetch it again"
        raise DataError(msg) from None
    return table.select(*columns).rename(columns)


def _read_csv(folder: _Folder) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
    ids = {"userId": "user_id", "movieId": "item_id"}
    rows = _csv(folder, "ratings.csv", {**ids, "rating": "rating", "timestamp": "timestamp"})
    items = _csv(
        folder, "movies.csv", {"movieId": "item_id", "title": "title", "genres": "genres"}
    )
    if "tags.csv" in folder:
        given = _csv(folder, "tags.csv", {"movieId": "item_id", "tag": "tag"})
        words = given.with_columns(pl.col("tag").str.strip_chars().str.to_lowercase())
        words = words.drop_nulls().group_by("item_id").agg(pl.col("tag").unique().sort())
        items = items.join(
            words.rename({"tag": "tags"}), on="item_id", how="left", maintain_order="left"
        )
    return rows, items, None  # the CSV layouts know nothing of their users
