"""Messages of the library speak Python; on the command line they name the flags instead."""

import re

_PAIR = re.compile(r"'(\w+)': '([^']*)'")
_PLAIN = (
    ('read with on_bad_rows="quarantine"', "pass --on-bad-rows quarantine"),
    ("on_bad_rows must be", "--on-bad-rows must be"),
    ("read with positive=", "pass --positive "),
    ("Pass items=... with", "Pass --items FILE with"),
    ("is read by datasets.movielens(path=...)", "is read whole: give the folder or zip"),
    ("are read by datasets.movielens(path=...)", "are read whole: give their folder or zip"),
    ("read its folder by datasets.movielens(path=...)", "give its folder"),
    (
        "read it yourself with pl.read_csv(path, has_header=False, new_columns=[...]) and pass the table",
        "write it as Parquet",
    ),
    ("or read it yourself and pass the table", "or convert it"),
    ("give rank=RatingNetwork() or rank=Biases()", "train with --rank rating or --rank bias"),
    (
        "Use TwoTower, leave rare items out, or raise max_gigabytes",
        "Use --retrieve two-tower or popularity, or leave rare items out",
    ),
    ("; max_gigabytes is 6.0", ", and 6 are allowed"),
    (
        "Take a larger share, or split.last_out where users have few rows",
        "Try --holdout last-out, or bring --validation FILE",
    ),
    (
        "split.random or by_time with a larger share can hold rows back, or bring a table of them",
        "bring --validation FILE, or many more rows",
    ),
    ("columns names", "--column names"),
    ("The holdout 'latest' judges more users", "--holdout latest judges more users"),
    ("Recommender(..., rules=()) and keep_seen=True", "train --keep-seen"),
    ("Name it when reading", "Name it with --column"),
    ("put EASE or TwoTower first in retrieve", "train with --retrieve ease or two-tower"),
    ("the folder that save() or --out wrote", "the folder that train --out wrote"),
    (
        "Name the column of times when reading, or use EASE or TwoTower, which",
        "Name the column of times with --column, or --retrieve ease or two-tower, which",
    ),
    ("Popularity and EASE do without", "--retrieve popularity and ease do without"),
    ("Biases does without", "--rank bias does without"),
    ("; call fit(train) first, or load a bundle", ""),
)


def as_flags(message: str) -> str:
    """Say a message of the library in the words of the command line.

    Args:
        message: such as ``... or read with on_bad_rows="quarantine"``.

    Returns:
        Such as ``... or pass --on-bad-rows quarantine``.
    """
    for python, flag in _PLAIN:
        message = message.replace(python, flag)
    return re.sub(r"(?:columns: )?columns=\{([^}]*)\}", _columns, message)


def _columns(found: re.Match[str]) -> str:
    pairs = _PAIR.findall(found[1])
    return " ".join(
        f"--column {ours}={theirs if ' ' not in theirs else 'NAME'}" for ours, theirs in pairs
    )
