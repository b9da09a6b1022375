"""What is known of items and users: titles, years and genres brought to one form."""

from collections.abc import Sequence

import polars as pl

from shortlist.data.columns import ITEM_FIELDS, Named, find_columns, plain

_NO_GENRES = "(no genres listed)"
_USER_COLUMNS = ("age", "gender", "sex", "occupation", "zipcode", "zip", "country", "city")
_ITEM_PREFIXES = ("item", "movie", "product", "film", "book", "song", "track", "artist")
_ITEM_COLUMNS = ("releasedate", "imdbid", "tmdbid", "imdburl", "brand", "director", "author")


def tidy_items(table: pl.DataFrame) -> pl.DataFrame:
    """Bring ``title``, ``year`` and ``genres`` to one form, where they are there.

    Args:
        table: items with our column names.

    Returns:
        ``title`` text (null for "nan" and empty), ``year`` Int64 (null where it cannot be read;
        derived from titles such as "Heat (1995)" where there is no such column), ``genres`` a
        list of text, empty where none are listed.
    """
    if "title" in table.columns:
        title = table["title"].cast(pl.String).str.strip_chars()
        table = table.with_columns(
            title.set(title.is_in(["", "nan", "NaN"]), None).alias("title")
        )
    if "year" in table.columns:
        table = table.with_columns(years(table["year"]))
    elif "title" in table.columns:
        year = table["title"].str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64, strict=False)
        if year.null_count() < len(year):
            table = table.with_columns(year.alias("year"))
    if "genres" in table.columns:
        table = table.with_columns(tags(table["genres"]).alias("genres"))
    return table


def years(column: pl.Series) -> pl.Series:
    """Years as Int64.

    Args:
        column: numbers, dates, or text with odd values among them.

    Returns:
        Int64; null where no year can be read.
    """
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return column.dt.year().cast(pl.Int64)
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.extract(r"^(\d{4})(?:\.0*)?$")
    return column.cast(pl.Float64, strict=False).fill_nan(None).cast(pl.Int64, strict=False)


def tags(column: pl.Series) -> pl.Series:
    """Genres as lists of text.

    Args:
        column: lists, or text joined by ``|``, ``;``, ``,`` or spaces. Spaces count as a joint only
            where few words make many combinations: "Science Fiction" is one genre.

    Returns:
        List(String), without empty texts; null where the value is missing.
    """
    around = " "
    if isinstance(column.dtype, pl.List):
        lists = column.cast(pl.List(pl.String))
    else:
        text = column.cast(pl.String).str.strip_chars()
        text = text.set(text.is_in(["nan", "NaN", "None"]), None)
        text = text.set((text == _NO_GENRES).fill_null(value=False), "")
        if (text.str.starts_with("[") & text.str.ends_with("]")).any():
            text, around = text.str.strip_chars("[]"), " '\""  # a list that was written as text
        joint = _joint(text.drop_nulls().unique())
        lists = text.str.split(joint or "\n")
    one = pl.element().str.strip_chars(around)
    kept = (
        lists.alias("g")
        .to_frame()
        .select(pl.col("g").list.eval(one.filter((one != "") & (one != _NO_GENRES))))
    )
    return kept.to_series().alias(column.name)


def _joint(values: pl.Series) -> str | None:
    for sign in ("|", ";", ","):
        if values.str.contains(sign, literal=True).any():
            return sign
    combinations = values.filter(values.str.contains(" ", literal=True))
    words = combinations.str.split(" ").explode().n_unique()
    return " " if len(combinations) > words else None


def tidy_users(table: pl.DataFrame) -> pl.DataFrame:
    """Strip ``user_`` from the names of the users' columns; ages become numbers.

    Args:
        table: users with ``user_id``.

    Returns:
        The same rows.
    """
    names: dict[str, str] = {}
    for name in table.columns:
        short = name[4:].lstrip("_ ")
        if name.lower().startswith("user") and name != "user_id" and short:
            short = short[0].lower() + short[1:]
            if short not in table.columns and short not in names.values() and short != "id":
                names[name] = short
    table = table.rename(names)
    if "age" in table.columns and table["age"].dtype == pl.String:
        age = table["age"].str.strip_chars().cast(pl.Int64, strict=False)
        if age.null_count() == table["age"].null_count():
            table = table.with_columns(age)
    return table


def lift(
    table: pl.DataFrame, key: str, columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Take columns that say the same on every row of a user or item out of the interactions.

    Args:
        table: interactions with our names.
        key: ``"user_id"`` or ``"item_id"``.
        columns: those that may be taken out.

    Returns:
        The interactions without the columns that were constant per key, and a table of one row
        per key with them, in order of appearance; None where there is none. Missing values count
        as no statement.
    """
    if not columns:
        return table, None
    grouped = table.group_by(key, maintain_order=True)
    kinds = grouped.agg(pl.col(c).drop_nulls().n_unique().alias(c) for c in columns)
    constant = [c for c in columns if (kinds[c] <= 1).all()]
    if not constant:
        return table, None
    lifted = grouped.agg(pl.col(c).drop_nulls().first().alias(c) for c in constant)
    return table.drop(constant), lifted


def item_columns(table: pl.DataFrame, named: Named) -> tuple[dict[str, str], list[str]]:
    """Which columns of the interactions tell of items.

    Args:
        table: interactions with our names.
        named: ours -> theirs, from the user.

    Returns:
        ours -> theirs of title, year and genres; and the other columns that look like an item's.
    """
    free = [c for c in table.columns if c not in {"user_id", "item_id", "rating", "timestamp"}]
    found = find_columns(free, ITEM_FIELDS[1:], named=named)
    others = [
        c
        for c in free
        if c not in found.values()
        and (plain(c) in _ITEM_COLUMNS or plain(c).startswith(_ITEM_PREFIXES))
    ]
    return found, others


def user_columns(table: pl.DataFrame) -> list[str]:
    """Which columns of the interactions tell of users.

    Args:
        table: interactions with our names.

    Returns:
        Names that start with ``user``, and age, gender, occupation and their like.
    """
    return [
        c
        for c in table.columns
        if c != "user_id" and (plain(c).startswith("user") or plain(c) in _USER_COLUMNS)
    ]
