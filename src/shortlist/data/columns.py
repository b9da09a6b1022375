"""Which column is which: names are guessed, or given; what is ambiguous is asked."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

import polars as pl

from shortlist.errors import ConfigError, DataError, closest

Named = Mapping[str, str | None]

# Per field: groups of names without case, spaces and signs; the first group that occurs decides.
_ALIASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "user_id": (
        ("userid",),
        (
            *("user", "uid", "users", "userindex", "useridx", "customerid", "customer"),
            *("memberid", "member", "visitorid", "visitor", "reviewerid", "reviewer"),
            *("accountid", "account", "clientid", "client", "profileid", "buyerid"),
            *("personid", "person", "listenerid", "readerid", "viewerid"),
        ),
        ("sessionid", "session", "username"),
    ),
    "item_id": (
        ("itemid",),
        (
            *("item", "iid", "items", "itemindex", "itemidx", "movieid", "movie", "filmid"),
            *("film", "productid", "product", "bookid", "book", "isbn", "songid", "song"),
            *("trackid", "track", "artistid", "artist", "articleid", "article", "newsid"),
            *("asin", "parentasin", "sku", "videoid", "video", "gameid", "game", "showid"),
            *("animeid", "recipeid", "businessid", "venueid", "locationid", "poiid"),
            *("contentid", "jokeid", "hotelid", "postid", "appid", "courseid"),
        ),
    ),
    "rating": (
        ("rating",),
        (
            *("userrating", "ratings", "score", "userscore", "stars", "star", "starrating"),
            *("ratingvalue", "reviewscore", "reviewrating", "overall", "grade"),
            *("bookrating", "movierating", "itemrating"),
        ),
    ),
    "timestamp": (
        ("timestamp",),
        (
            *("time", "ts", "date", "datetime", "unix", "unixtime", "unixtimestamp", "epoch"),
            *("unixreviewtime", "reviewtime", "reviewdate", "ratingtime", "ratingdate"),
            *("ratingtimestamp", "eventtime", "eventtimestamp", "ratedat", "createdat"),
            *("created", "watchedat", "viewedat", "purchasedat", "orderdate", "dateadded"),
            *("timestampms", "timems", "visittime", "when"),
        ),
        ("seq", "sequence", "position", "step", "order"),
    ),
    "weight": (("weight",), ("weights", "sampleweight"), ("playcount", "plays")),
    "event": (
        ("event",),
        ("eventtype", "action", "interactiontype", "behavior", "behaviour", "behaviortype"),
    ),
    "title": (
        ("title",),
        (
            *("movietitle", "itemtitle", "producttitle", "filmtitle", "booktitle"),
            *("songtitle", "tracktitle", "articletitle", "gametitle", "itemname"),
            *("moviename", "productname", "trackname", "songname", "artistname"),
        ),
        ("name",),
    ),
    "year": (
        ("year",),
        ("releaseyear", "movieyear", "yearofrelease", "publicationyear", "yearofpublication"),
    ),
    "genres": (
        ("genres",),
        ("genre", "moviegenres", "moviegenre", "itemgenres"),
        ("categories",),
    ),
}
INTERACTION_FIELDS = ("user_id", "item_id", "rating", "timestamp", "weight", "event")
ITEM_FIELDS = ("item_id", "title", "year", "genres")
USER_FIELDS = ("user_id",)


def plain(name: str) -> str:
    """A column name without case, spaces and signs.

    Args:
        name: as it stands in the table.

    Returns:
        Only letters and digits, in lower case.
    """
    return "".join(c for c in name.lower() if c.isalnum())


def check_names(named: Named) -> None:
    """Refuse names of ours that do not exist.

    Args:
        named: ours -> theirs.

    Raises:
        ConfigError: a key is none of our names.
    """
    for ours in named:
        if ours not in _ALIASES:
            msg = (
                f"columns: {ours!r} is no name of ours; write columns={{'user_id': 'their name'}} "
                f"with {', '.join(_ALIASES)}.{closest(ours, list(_ALIASES))}"
            )
            raise ConfigError(msg)


def check_named(named: Named, tables: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse a column that was named and is in no table: a guess in its place would go unnoticed.

    Args:
        named: ours -> theirs, from the user.
        tables: of each table where it may be, what messages call it, and its columns.

    Raises:
        DataError: no table has the column.
    """
    for ours, theirs in named.items():
        if theirs is None or any(theirs in columns for _, columns in tables):
            continue
        near = _nearest(theirs, [name for _, columns in tables for name in columns])
        there = "; ".join(f"{where}: {list(columns)}" for where, columns in tables)
        msg = f"columns names {theirs!r} as the {ours}, but no table has it.{near} Columns are {there}"
        raise DataError(msg)


def _nearest(name: str, columns: Sequence[str]) -> str:
    # capitals and signs are the commonest mistakes, and difflib counts them like any other
    by_plain = {plain(column): column for column in columns}
    near = get_close_matches(plain(name), list(by_plain), n=3)
    words = " or ".join(repr(by_plain[one]) for one in near)
    return f" Did you mean {words}?" if near else ""


def find_columns(
    columns: Sequence[str],
    fields: Sequence[str],
    *,
    named: Named | None = None,
    required: Collection[str] = (),
    sparse: Collection[str] = (),
    where: str = "the table",
) -> dict[str, str]:
    """Find the column of each field.

    Args:
        columns: the names in the table.
        fields: ours, such as ``INTERACTION_FIELDS``.
        named: ours -> theirs, from the user; it wins over every guess. None as a value: the table
            has no such column, whatever the names say. A name that is not in ``columns`` is left
            to the guess, because it may belong to another table.
        required: fields that must be found.
        sparse: columns that are mostly empty; for the time, another candidate is preferred.
        where: the file, for messages.

    Returns:
        ours -> theirs, for the fields that were found.

    Raises:
        DataError: a required column is missing, or several columns could be meant.
    """
    named = named or {}
    found = {
        ours: theirs
        for ours, theirs in named.items()
        if ours in fields and theirs is not None and theirs in columns
    }
    missing: list[str] = []
    for ours in fields:
        if ours in found or (ours in named and named[ours] is None):
            continue
        claimed = {*found.values(), *named.values()}
        free = [name for name in columns if name not in claimed]
        full = [name for name in free if name not in sparse or ours != "timestamp"]
        theirs = _guess(ours, full, columns, where) or _guess(ours, free, columns, where)
        if theirs is not None:
            found[ours] = theirs
        elif ours in required:
            missing.append(ours)
    if missing:
        raise DataError(_missing(missing, columns, where, named))
    return found


def _guess(ours: str, free: Sequence[str], columns: Sequence[str], where: str) -> str | None:
    if ours in free:
        return ours
    for group in _ALIASES[ours]:
        meant = [name for name in free if plain(name) in group]
        if len(meant) > 1:
            msg = (
                f"{where}: {' and '.join(map(repr, meant))} could both be the {ours}; say which: "
                f"columns={{{ours!r}: {meant[0]!r}}}. Columns are {list(columns)}"
            )
            raise DataError(msg)
        if meant:
            return meant[0]
    return None


def _missing(missing: list[str], columns: Sequence[str], where: str, named: Named) -> str:
    data = any(name[:1].isdigit() for name in columns)
    header = ", or put a header line into the file if it has none" if data else ""
    names = ", ".join(f"{ours!r}: 'its name there'" for ours in missing)
    told = {ours: theirs for ours in missing if (theirs := named.get(ours))}
    said = "".join(
        f" The {ours} was named {theirs!r}, which is not there.{_nearest(theirs, columns)}"
        for ours, theirs in told.items()
    )
    return (
        f"{where}: no column looks like the {' or the '.join(missing)}; columns are "
        f"{list(columns)}.{said or _nearest(missing[0], columns)} Name it: "
        f"columns={{{names}}}{header}"
    )


def renamed(
    table: pl.DataFrame, found: Mapping[str, str], fields: Sequence[str]
) -> pl.DataFrame:
    """Give the columns our names.

    Args:
        table: as it came.
        found: ours -> theirs.
        fields: our names; a column that has one of them without being it gets ``_given`` behind.

    Returns:
        The same columns, renamed, our fields first.
    """
    names = {theirs: ours for ours, theirs in found.items()}
    taken = set(fields) | set(table.columns)
    for name in table.columns:
        if name in fields and name not in names:
            new = f"{name}_given"
            while new in taken:
                new += "_"
            names[name] = new
            taken.add(new)
    table = table.rename(names)
    first = [name for name in fields if name in found]
    return table.select(*first, *(c for c in table.columns if c not in first))
