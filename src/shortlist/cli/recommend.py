"""``shortlist recommend``: shortlists for one user, for many, or for a guest with a history."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.files import check_out_file, read_ids, write_table
from shortlist.cli.fitting import leaves_seen_out
from shortlist.cli.options import (
    AsJson,
    BundleDir,
    Columns,
    K,
    KeepSeen,
    exactly_one,
    named_columns,
    only_with,
)
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of

if TYPE_CHECKING:
    import polars as pl

    from shortlist.recommender.recommender import Recommender

EXAMPLE = (
    "Example: shortlist recommend movies.bundle --user 42 --where \"year >= 1990 and 'Comedy' in "
    'genres"'
)
_SHOWN = 60  # lines on the page; more go to --out
Words = list[str] | None


def recommend(
    bundle: BundleDir,
    *,
    user: Annotated[str | None, typer.Option(help="One user's id.")] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            help="Many users: a table with a user column, or a text file of ids, one a line."
        ),
    ] = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="Every known user.")] = False,
    history: Annotated[
        Words, typer.Option(help="What a guest likes, by id or title. May be repeated.")
    ] = None,
    k: K = 10,
    keep_seen: KeepSeen = False,
    where: Annotated[
        str | None,
        typer.Option(help="A condition on the catalogue's columns, as in the example."),
    ] = None,
    allow: Annotated[
        Words, typer.Option(help="Only these items, by id or title. May be repeated.")
    ] = None,
    deny: Annotated[
        Words, typer.Option(help="Not these items, by id or title. May be repeated.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say which items of the history speak for each one, and which features of a ranker.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write user_id, item_id, rank, score: .parquet, .csv, .jsonl or .json."
        ),
    ] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Write title and source too.")
    ] = False,
    column: Columns = None,
    json: AsJson = False,
) -> None:
    """Recommend to a user, many, or a guest.

    A guest names a few things they like; nothing needs to be known of them.
    """
    import shortlist as sl

    exactly_one(
        "say who is asking: exactly one of --user, --users, --all-users and --history",
        user is not None,
        users is not None,
        all_users,
        bool(history),
    )
    if users is None:
        only_with("the table of --users", column=column)
    if out is None:
        only_with("the file of --out", with_titles=with_titles)
    check_out_file(out)
    rec = sl.load(bundle)
    ids: pl.Series | list[str] | None = None if user is None else [user]
    if users is not None:
        ids = read_ids(users, rec.snapshot.user_vocabulary, named_columns(column))
    elif all_users:
        ids = rec.snapshot.user_vocabulary.ids
    table = rec.recommend(
        users=ids,
        history=history or None,
        k=min(k, rec.snapshot.n_items),
        where=where,
        allow=_item_ids(rec, allow),
        deny=_item_ids(rec, deny),
        keep_seen=keep_seen,
        explain=explain,
    )
    columns = [
        name for name in ("user_id", "item_id", "rank", "score") if name in table.columns
    ]
    written = _in_words(table) if explain else table
    if out is not None:
        further = [
            *(["title", "source"] if with_titles else []),
            *[name for name in ("because", "ranked_by") if name in written.columns],
        ]
        write_table(written.select(*columns, *further), out)
    if json:
        said = {} if out is None else {"out": str(out)}
        lists = {} if out is not None else {"recommendations": rows_of(table)}
        as_json(
            {
                "bundle": str(bundle),
                "name": rec.name,
                "k": k,
                "rows": len(table),
                **said,
                **lists,
            }
        )
    elif out is not None:
        people = table["user_id"].n_unique() if "user_id" in columns else 1
        show(f"{len(table):,} rows for {people:,} {'user' if people == 1 else 'users'}: {out}")
    else:
        _print(rec, written, user, history)
        if not len(table):
            show(_nothing(left_out=not keep_seen and leaves_seen_out(rec)))


def _in_words(table: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    words = {
        "because": [
            ", ".join(f"{reason['title']} {reason['share']:.0%}" for reason in reasons)
            for reasons in table["because"]
        ]
    }
    if "ranked_by" in table.columns:
        words["ranked_by"] = [
            ", ".join(f"{one['feature']} {one['added']:+.3f}" for one in features)
            for features in table["ranked_by"]
        ]
    return table.with_columns(pl.DataFrame(words, schema=dict.fromkeys(words, pl.String)))


def _item_ids(rec: "Recommender", given: Words) -> list[str | int] | None:
    if not given:
        return None
    snapshot = rec.snapshot
    return [snapshot.item_vocabulary.ids[snapshot.item_row(item)] for item in given]


def _nothing(*, left_out: bool) -> str:
    if left_out:
        return "Nothing is eligible: loosen --where, --allow or --deny, or pass --keep-seen."
    return "Nothing is eligible: loosen --where, --allow or --deny."


def _print(rec: "Recommender", table: "pl.DataFrame", user: str | None, history: Words) -> None:
    snapshot = rec.snapshot
    if user is not None:
        row = snapshot.user_vocabulary.row(user)
        known = int(snapshot.histories.offsets[row + 1] - snapshot.histories.offsets[row])
        heading(f"For user {user}" + (f", who has {known:,} items" if row >= 0 else ""))
        if row < 0:
            show("Nobody of that id was in the training rows: this is what everybody likes.")
        table = table.drop("user_id")
    elif history:
        heading(f"For someone who likes {', '.join(history)}")
    show(table_of(table, first=_SHOWN))
    if len(table) > _SHOWN:
        show(f"... and {len(table) - _SHOWN:,} more rows; --out FILE writes them all")
