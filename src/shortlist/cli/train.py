"""``shortlist train``: fit, judge beside the simple models, refit on everything, save."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli.files import check_out_folder
from shortlist.cli.fitting import (
    comparison_json,
    epochs_of,
    lineup,
    ranker_verdict,
    rating_errors_beside_bias,
    timed,
)
from shortlist.cli.models import RANKERS, RETRIEVERS, make_recommender
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
    read_table,
)
from shortlist.cli.printing import as_json, comparison_of, heading, key_of, sentence, show

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.evaluation.comparison import Comparison
    from shortlist.recommender.recommender import Recommender

EXAMPLE = (
    "Example: shortlist train --train ratings.csv --items movies.csv "
    "--retrieve ease,two-tower --out movies.bundle"
)


def train(
    *,
    train: Annotated[str, typer.Option("--train", help=f"Interactions: {TABLE}.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the bundle; a new version where it exists.")
    ],
    validation: Annotated[
        str | None,
        typer.Option(help="Interactions that choose and judge; instead of --holdout."),
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="latest|time|last-out|random",
            help="Rows of --train held back to choose and judge: each user's latest tenth, the last "
            "tenth of all time, each user's last row, or any tenth. By default latest where there "
            "are times, else random.",
        ),
    ] = None,
    items: ItemsFile = None,
    users: UsersFile = None,
    retrieve: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME]",
            help=f"Among {', '.join(RETRIEVERS)}; several are merged by rank. EASE by default: it "
            "takes seconds, needs no torch, and on the bundled data nothing is shown to beat it.",
        ),
    ] = "ease",
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Second stage, {' or '.join(RANKERS)}; needed by predict. It also puts the lists in "
            "order of predicted rating. None by default.",
        ),
    ] = None,
    column: Columns = None,
    positive: Positive = None,
    on_bad_rows: OnBadRows = "stop",
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Train, compare with simple models, save.

    Some rows are held back to choose (when to stop) and to judge; then everything is fitted again
    on all rows of --train.
    """
    started = time.perf_counter()
    check_out_folder(out)
    rec = make_recommender(retrieve, rank, seed)
    exactly_one(
        "give --validation or --holdout, not both: one set of rows chooses",
        validation is None or holdout is None,
    )
    reading = {"column": column, "positive": positive, "on_bad_rows": on_bad_rows}
    data = read_table(train, items=items, users=users, **reading)  # type: ignore[arg-type]
    learned, held, protocol = _held_back(data, validation, holdout, seed, reading)
    with timed(f"fitting {rec.name} on {len(learned):,} rows"):
        rec.fit(learned, validate=held)
    with timed(f"judging on {len(held):,} rows, beside popularity and EASE"):
        figures = _figures(rec, learned, held, seed)
    final = rec
    if learned is not data:
        with timed(f"fitting again on all {len(data):,} rows"):
            final = rec.settled().fit(data)
    protocol["epochs"] = epochs_of(rec)
    final.metrics = {
        "holdout": {**protocol, **{k: comparison_json(c) for k, c in figures.items()}}
    }
    version = final.save(out)
    seconds = time.perf_counter() - started
    if json:
        as_json(
            {
                "bundle": str(out),
                "version": version.name,
                "name": final.name,
                "rows": len(data),
                "users": final.snapshot.n_users,
                "items": final.snapshot.n_items,
                "seconds": round(seconds, 3),
                **final.metrics,
            }
        )
    else:
        _print(final, protocol, figures, out, version, seconds)


def _held_back(
    data: "Interactions",
    validation: str | None,
    holdout: str | None,
    seed: int,
    reading: dict[str, Any],
) -> "tuple[Interactions, Interactions, dict[str, Any]]":
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


def _figures(
    rec: "Recommender", learned: "Interactions", held: "Interactions", seed: int
) -> "dict[str, Comparison]":
    import shortlist as sl

    figures = {"comparison": sl.compare(lineup(rec), held, seed=seed)}
    ratings = rating_errors_beside_bias(rec, learned, held, figures["comparison"])
    if ratings is not None:
        figures["ratings"] = ratings
    return figures


def _print(
    final: "Recommender",
    protocol: dict[str, Any],
    figures: "dict[str, Comparison]",
    out: Path,
    version: Path,
    seconds: float,
) -> None:
    comparison = figures["comparison"]
    heading(f"Holdout: {protocol['name']}, {protocol['rows']:,} rows")
    show(f"What leaks: {protocol['leaks']}")
    if protocol["epochs"]:
        stops = ", ".join(
            f"{n} epoch {e['chosen']} of {e['run']}" for n, e in protocol["epochs"].items()
        )
        show(
            f"These rows also chose when to stop ({stops}), which flatters a little. For a clean "
            "figure, keep a test file and run shortlist evaluate."
        )
    show("", comparison_of(comparison))
    show(key_of(comparison))
    show(sentence(comparison.summary))
    ranker = ranker_verdict(comparison, final.name)
    if ranker is not None:
        show(ranker)
    if "ratings" in figures:
        network, bias = figures["ratings"].lines
        show(
            f"Predicted ratings: RMSE {network.estimate}; the bias model {bias.estimate}: {bias.verdict}"
        )
    for note in comparison.reports[0].notes:
        show(f"Note: {note}.")
    heading("Saved")
    snapshot = final.snapshot
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    show(
        f"{final.name}, fitted on all {len(snapshot.histories.item_rows):,} rows of {snapshot.n_users:,} "
        f"users and {snapshot.n_items:,} items, in {seconds:.1f} s",
        f"{out} (version {version.name}, {size / 1e6:.1f} MB)",
        f"Try: shortlist recommend {out} --user {snapshot.user_vocabulary.ids[0]}",
    )
