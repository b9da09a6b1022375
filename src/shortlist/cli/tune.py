"""``shortlist tune``: search one method's settings with Optuna, on rows held back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.fitting import check_learnable
from shortlist.cli.options import (
    TABLE,
    AsJson,
    Columns,
    ItemsFile,
    OnBadRows,
    Positive,
    Seed,
    UsersFile,
    exactly_one,
    held_back,
    read_table,
)
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of
from shortlist.cli.words import as_flags

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.selection.tuning import Tuned

EXAMPLE = (
    "Example: shortlist tune --train ratings.csv --retrieve ease --trials 20 --study ease.study"
)


def tune(
    *,
    train: Annotated[str, typer.Option("--train", help=f"Interactions: {TABLE}.")],
    retrieve: Annotated[str, typer.Option(metavar="NAME", help="The method to tune.")],
    validation: Annotated[
        str | None, typer.Option(help="Interactions that judge; instead of --holdout.")
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="latest|time|last-out|random",
            help="Rows of --train held back to judge, as in train.",
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(help="How many in all, those in the study file counted.")
    ] = 30,
    seconds: Annotated[
        float | None, typer.Option(help="Begin no further trial after so many seconds.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="File that keeps the trials; the same command goes on from it."),
    ] = None,
    metric: Annotated[str, typer.Option(help="What is maximised.")] = "ndcg@10",
    items: ItemsFile = None,
    users: UsersFile = None,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Judge lists that may hold what the user has.")
    ] = False,
    column: Columns = None,
    positive: Positive = None,
    on_bad_rows: OnBadRows = "stop",
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Tune one method's settings.

    Needs the extra tune. Judged on the rows held back only; the best settings are printed as train
    takes them.
    """
    exactly_one(
        "give --validation or --holdout, not both: one set of rows judges",
        validation is None or holdout is None,
    )
    reading = {"column": column, "positive": positive, "on_bad_rows": on_bad_rows}
    data = read_table(train, items=items, users=users, **reading)  # type: ignore[arg-type]
    check_learnable(data, train, None)
    learned, held, protocol = held_back(data, validation, holdout, seed, reading)
    check_learnable(held, validation or f"{train} that are held back", None)
    tuned = _searched(
        retrieve,
        learned,
        held,
        trials=trials,
        seconds=seconds,
        study=study,
        metric=metric,
        keep_seen=keep_seen,
        seed=seed,
    )
    command = f"shortlist train --train {train} {tuned.words}"
    if json:
        as_json(
            {
                "method": tuned.method,
                "metric": tuned.metric,
                "value": tuned.value,
                "best": dict(tuned.best),
                "holdout": protocol,
                "trials": rows_of(tuned.table),
                "train": command,
            }
        )
        return
    heading(f"Holdout: {protocol['name']}, {protocol['rows']:,} rows")
    show(f"What leaks: {as_flags(protocol['leaks'])}")
    show("", table_of(tuned.table))
    from shortlist.metrics.intervals import brief

    show(
        f"Best {tuned.metric} {brief(tuned.value)}; the rows that chose it flatter it.",
        f"Train with: {command}",
    )


def _searched(
    method: str, learned: "Interactions", held: "Interactions", *, trials: int, **rest: object
) -> "Tuned":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    import shortlist as sl

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(f"tuning {method}", total=trials)

        def moved(done: int, best: float) -> None:
            words = f"tuning {method}, best {best:.4f}"
            bar.update(task, completed=done, description=words)

        return sl.tune(method, learned, held, trials=trials, progress=moved, **rest)  # type: ignore[arg-type]
