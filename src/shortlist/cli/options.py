"""Options that several commands share, and how tables are read by them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.errors import ConfigError

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions

BUNDLED = "movielens"  # stands for the data set that comes with the package
TABLE = "CSV or Parquet, a MovieLens folder or zip, or 'movielens' for the bundled data"

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
BundleDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="A bundle: the folder that train --out wrote.")
]


def whole_number(word: str | int) -> int:
    """Read ``--k`` where it is one number.

    Args:
        word: such as ``"10"``.

    Returns:
        The number.

    Raises:
        ConfigError: it is no whole number.
    """
    try:
        return int(word)
    except ValueError:
        msg = f"k must be a whole number, such as 10; got {word!r}"
        raise ConfigError(msg) from None


K = Annotated[
    int, typer.Option("--k", "-k", metavar="<int>", parser=whole_number, help="How many.")
]
MaybeK = Annotated[
    int | None,
    typer.Option(
        "--k", "-k", metavar="<int>", parser=whole_number, help="How many; 10 by default."
    ),
]
Lengths = Annotated[
    list[str] | None,
    typer.Option(
        "--k", "-k", help="Lengths of list: -k 10 -k 100, or --k 10,100, as by default."
    ),
]
ItemsFile = Annotated[
    Path | None,
    typer.Option("--items", help="Table of items: item_id, title, year, genres, ..."),
]
UsersFile = Annotated[Path | None, typer.Option("--users", help="Table of users: user_id, ...")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="Where the guess of a column fails, such as user_id=who. May be repeated.",
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(help='Which rows count as liked, such as "rating >= 4"; all by default.'),
]
OnBadRows = Annotated[
    str,
    typer.Option(
        metavar="stop|quarantine",
        help="What to do about rows that cannot be used; quarantine writes them to a side file.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the retriever, such as l2=250; ease.l2=250 where there are several. "
        "May be repeated.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of all that is random.")]
KeepSeen = Annotated[
    bool, typer.Option("--keep-seen", help="Leave items a user has in the lists.")
]


def named_columns(given: list[str] | None) -> dict[str, str | None]:
    """Read ``--column``.

    Args:
        given: such as ``["user_id=who"]``; ``rating=`` says that there is no rating.

    Returns:
        Ours to theirs.

    Raises:
        ConfigError: there is no equals sign.
    """
    named: dict[str, str | None] = {}
    for pair in given or ():
        ours, sign, theirs = pair.partition("=")
        if not sign:
            msg = f"--column takes OURS=THEIRS, such as user_id=who; got {pair!r}"
            raise ConfigError(msg)
        named[ours.strip()] = theirs.strip() or None
    return named


def exactly_one(what: str, *given: bool) -> None:
    """Insist that one thing is said, and no two.

    Args:
        what: the message otherwise.
        *given: which were said.

    Raises:
        ConfigError: none or several were.
    """
    if sum(given) != 1:
        raise ConfigError(what)


def only_with(what: str, **flags: object) -> None:
    """Refuse flags that would be ignored.

    Args:
        what: that they go with and that was not given, such as ``"--train"``.
        **flags: by name; None, False and an empty list were not given.

    Raises:
        ConfigError: one was.
    """
    given = [
        f"--{name.replace('_', '-')}"
        for name, value in flags.items()
        if value is not None and value is not False and value != []
    ]
    if given:
        msg = f"{' and '.join(given)} would be ignored here: for {what} only; leave out what does not belong"
        raise ConfigError(msg)


def lengths(given: list[str] | None) -> tuple[int, ...]:
    """Read ``--k`` where it may be several.

    Args:
        given: such as ``["10", "100"]`` or ``["10,100"]``.

    Returns:
        The numbers; 10 and 100 where none is given.

    Raises:
        ConfigError: something is no whole number.
    """
    words = [word.strip() for one in given or ["10,100"] for word in one.split(",")]
    try:
        return tuple(int(word) for word in words)
    except ValueError:
        msg = f"k must be whole numbers, such as 10 or 10,100; got {','.join(words)!r}"
        raise ConfigError(msg) from None


def read_table(
    source: str | Path,
    *,
    items: Path | None = None,
    users: Path | None = None,
    column: list[str] | None = None,
    positive: str | None = None,
    on_bad_rows: str = "stop",
) -> "Interactions":
    """Read interactions from whatever a path may name.

    Args:
        source: a table, a MovieLens folder or zip, or the word ``movielens``.
        items: a table, or None.
        users: a table, or None.
        column: as given to ``--column``.
        positive: which rows count as liked.
        on_bad_rows: ``"stop"`` or ``"quarantine"``.

    Returns:
        The Interactions.

    Raises:
        ConfigError: a MovieLens data set together with tables, columns or bad rows of one's own.
    """
    import shortlist as sl

    path, named = Path(source), named_columns(column)
    whole = path.is_dir() or path.suffix == ".zip"
    if whole or (str(source) == BUNDLED and not path.exists()):
        if items or users or named or on_bad_rows != "stop":
            msg = f"{source} brings its own items, users and columns, and is read as it is; leave --items, --users, --column and --on-bad-rows out"
            raise ConfigError(msg)
        return sl.datasets.movielens(path=path if whole else None, positive=positive)
    return sl.read(
        path,
        items=items,
        users=users,
        columns=named,
        positive=positive,
        on_bad_rows=on_bad_rows,
    )


def held_back(
    data: "Interactions",
    validation: str | None,
    holdout: str | None,
    seed: int,
    reading: dict[str, Any],
) -> "tuple[Interactions, Interactions, dict[str, Any]]":
    """What is learned from, and what chooses and judges.

    Args:
        data: all rows.
        validation: a table, or None.
        holdout: by name, or None.
        seed: of the lot.
        reading: how the table is read.

    Returns:
        The rows to learn from, those held back, and what to say of them.
    """
    import shortlist as sl

    if validation is not None:
        held = read_table(validation, **reading)
        leaks = "Unknown: it depends on how the two files were made."
        return data, held, {"name": "validation file", "leaks": leaks, "rows": len(held)}
    parts = sl.split.holdout(data, holdout, seed=seed)
    name = holdout or ("latest" if data.timestamps is not None else "random")
    return (
        parts.train,
        parts.test,
        {"name": name, "leaks": parts.leaks, "rows": len(parts.test)},
    )
