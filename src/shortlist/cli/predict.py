"""``shortlist predict``: ratings that users would give."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.files import check_out_file, id_columns, write_table
from shortlist.cli.options import (
    AsJson,
    BundleDir,
    Columns,
    MaybeK,
    exactly_one,
    named_columns,
    only_with,
)
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of
from shortlist.errors import NotReadyError

if TYPE_CHECKING:
    import polars as pl

    from shortlist.recommender.recommender import Recommender

EXAMPLE = "Example: shortlist predict movies.bundle --user 42 --k 20"
_SHOWN = 20  # lines on the page; more go to --out


def predict(
    bundle: BundleDir,
    *,
    pairs: Annotated[
        Path | None,
        typer.Option(help="A table with a user and an item column, one row per question."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="One user's id: the catalogue by predicted rating.")
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="With --user: only these items, by id or title. May be repeated."),
    ] = None,
    k: MaybeK = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write user_id, item_id, prediction: .parquet, .csv, .jsonl or .json."
        ),
    ] = None,
    column: Columns = None,
    json: AsJson = False,
) -> None:
    """Predict ratings.

    Needs a bundle trained with --rank. Unknown users and items are answered too.
    """
    import shortlist as sl

    exactly_one(
        "say what to predict: --pairs FILE, or --user ID", pairs is not None, user is not None
    )
    if user is None:
        only_with("--user", item=item, k=k)
    else:
        only_with("the table of --pairs", column=column)
    if item:
        only_with("the whole catalogue, as --item asks for all of its items", k=k)
    check_out_file(out)
    rec = sl.load(bundle)
    ranker = _ranker_of(rec, bundle)
    table = (
        _of_pairs(rec, pairs, named_columns(column))
        if pairs is not None
        else _of_user(rec, str(user), item, 10 if k is None else k)
    )
    if out is not None:
        write_table(table.select("user_id", "item_id", "prediction"), out)
    if json:
        said = {"predictions": rows_of(table)} if out is None else {"out": str(out)}
        as_json({"bundle": str(bundle), "ranker": ranker, "rows": len(table), **said})
    elif out is not None:
        show(f"{len(table):,} predictions: {out}")
    else:
        _print(rec, table, user)


def _ranker_of(rec: "Recommender", bundle: Path) -> str:
    if rec.rank is None:
        msg = f"{bundle} ({rec.name}) has no ranker, so it predicts no ratings; train with --rank rating or --rank bias"
        raise NotReadyError(msg)
    return rec.rank.name


def _of_pairs(rec: "Recommender", pairs: Path, column: dict[str, str | None]) -> "pl.DataFrame":
    import polars as pl

    snapshot = rec.snapshot
    table = id_columns(
        pairs,
        ("user_id", "item_id"),
        column,
        (snapshot.user_vocabulary, snapshot.item_vocabulary),
    )
    predicted = rec.predict_pairs(table["user_id"], table["item_id"])
    if predicted is None:
        msg = f"the ranker {'' if rec.rank is None else rec.rank.name} predicts what is taken next, among the candidates of one asker, and no ratings: ask with --user"
        raise NotReadyError(msg)
    return table.with_columns(pl.Series("prediction", predicted))


def _of_user(rec: "Recommender", user: str, items: list[str] | None, k: int) -> "pl.DataFrame":
    import polars as pl

    from shortlist.index.select import check_k

    check_k(k)
    given: list[str | int] | None = None if not items else [*items]
    table = rec.predict(user, given).head(len(items) if items else k)
    return table.insert_column(0, pl.Series("user_id", [user] * len(table), dtype=pl.String))


def _print(rec: "Recommender", table: "pl.DataFrame", user: str | None) -> None:
    if user is not None:
        heading(f"Ratings that user {user} would give")
        if rec.snapshot.user_vocabulary.row(user) < 0:
            show("Nobody of that id was in the training rows: these are for the average user.")
        table = table.drop("user_id")
    show(table_of(table, first=None if user is not None else _SHOWN))
    if user is None and len(table) > _SHOWN:
        show(f"... and {len(table) - _SHOWN:,} more rows; --out FILE writes them all")
