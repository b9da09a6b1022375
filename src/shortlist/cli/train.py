"""``shortlist train``: fit, judge beside the simple models, refit on everything, save."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli.choosing import choose, with_best_ranker
from shortlist.cli.files import check_out_folder
from shortlist.cli.fitting import (
    check_learnable,
    comparison_json,
    epochs_of,
    lineup,
    ranker_gap,
    ranker_verdict,
    rating_errors_beside_bias,
    saved_json,
    show_saved,
    timed,
)
from shortlist.cli.models import AUTO, RANKERS, RETRIEVERS, make_recommender
from shortlist.cli.options import (
    TABLE,
    AsJson,
    Columns,
    ItemsFile,
    OnBadRows,
    Positive,
    Seed,
    Settings,
    UsersFile,
    exactly_one,
    held_back,
    read_table,
)
from shortlist.cli.printing import as_json, comparison_of, heading, key_of, sentence, show
from shortlist.cli.words import as_flags

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.evaluation.comparison import Comparison
    from shortlist.metrics.intervals import Difference
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
            "takes seconds, needs no torch, and on the bundled data nothing is shown to beat it. auto "
            "tries what applies and keeps the best, or the simplest not shown to be worse.",
        ),
    ] = "ease",
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Second stage, {' or '.join(RANKERS)}; needed by predict. rating, bias, factorisation and stack learn ratings; "
            "boosted (extra: boosted) and network learn from lists what is taken. It also puts the lists in "
            "its order, unless the rows held back show that this makes them worse. auto tries bias and "
            "boosted and keeps what is shown to be better than none. None by default.",
        ),
    ] = None,
    settings: Settings = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="With --retrieve auto: time for trying methods; 120 by default."),
    ] = None,
    keep_seen: Annotated[
        bool,
        typer.Option(
            "--keep-seen",
            help="For repeat purchases: lists may hold items that the user has, and are judged so.",
        ),
    ] = False,
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
    rec = None
    if retrieve != AUTO:
        named = None if rank == AUTO else rank
        rec = make_recommender(retrieve, named, seed, keep_seen=keep_seen, settings=settings)
    exactly_one(
        "--seconds is for --retrieve auto, which chooses a retriever alone: leave --rank and --set out there",
        (rec is None and rank is None and not settings)
        or (rec is not None and seconds is None),
    )
    exactly_one(
        "give --validation or --holdout, not both: one set of rows chooses",
        validation is None or holdout is None,
    )
    reading = {"column": column, "positive": positive, "on_bad_rows": on_bad_rows}
    data = read_table(train, items=items, users=users, **reading)  # type: ignore[arg-type]
    check_learnable(data, train, rank)
    if rec is None:
        choose(
            data,
            None if validation is None else read_table(validation, **reading),  # type: ignore[arg-type]
            out,
            json=json,
            seconds=120.0 if seconds is None else seconds,
            holdout=holdout,
            keep_seen=keep_seen,
            seed=seed,
        )
        return
    learned, held, protocol = held_back(data, validation, holdout, seed, reading)
    check_learnable(held, validation or f"{train} that are held back", rank)
    protocol["keep_seen"] = keep_seen
    if rank == AUTO:
        rec, protocol["second_stage"] = with_best_ranker(
            rec, learned, held, seed, keep_seen=keep_seen
        )
    with timed(f"fitting {rec.name} on {len(learned):,} rows"):
        rec.fit(learned, validate=held)
    with timed(f"judging on {len(held):,} rows, beside popularity and EASE"):
        figures = _figures(rec, learned, held, seed, keep_seen=keep_seen)
    gap = ranker_gap(figures["comparison"], rec.name)
    final = to_keep(rec, None if learned is data else data, gap)
    protocol["rank_lists"] = final.rank_lists
    protocol["epochs"] = epochs_of(rec)
    final.metrics = {
        "holdout": {**protocol, **{k: comparison_json(c) for k, c in figures.items()}}
    }
    version = final.save(out)
    seconds = time.perf_counter() - started
    if json:
        as_json(saved_json(final, out, version, seconds))
    else:
        _print(final, rec.name, protocol, figures, out, version, seconds)


def _figures(
    rec: "Recommender",
    learned: "Interactions",
    held: "Interactions",
    seed: int,
    *,
    keep_seen: bool,
) -> "dict[str, Comparison]":
    import shortlist as sl

    figures = {"comparison": sl.compare(lineup(rec), held, keep_seen=keep_seen, seed=seed)}
    ratings = rating_errors_beside_bias(rec, learned, held, figures["comparison"])
    if ratings is not None:
        figures["ratings"] = ratings
    return figures


def to_keep(
    rec: "Recommender", data: "Interactions | None", gap: "Difference | None"
) -> "Recommender":
    """What is saved: fitted on all rows, with the lists in the order that was the better one.

    Args:
        rec: fitted, and judged.
        data: all rows; None where ``rec`` was fitted on them.
        gap: the lists as the ranker orders them less those of the retrievers alone; None without
            a ranker.

    Returns:
        A fitted Recommender.
    """
    worse = gap is not None and gap.shown and gap.value < 0
    if data is None:
        if not worse:
            return rec
        return rec.with_parts(rank_lists=False, name="")
    with timed(f"fitting again on all {len(data):,} rows"):
        settled = rec.settled()
        return (settled.only_predicting() if worse else settled).fit(data)


def _print(
    final: "Recommender",
    judged: str,
    protocol: dict[str, Any],
    figures: "dict[str, Comparison]",
    out: Path,
    version: Path,
    seconds: float,
) -> None:
    from shortlist.metrics.intervals import brief

    comparison = figures["comparison"]
    seen = ", seen items kept" if protocol["keep_seen"] else ""
    heading(f"Holdout: {protocol['name']}, {protocol['rows']:,} rows{seen}")
    show(f"What leaks: {as_flags(protocol['leaks'])}")
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
    if "second_stage" in protocol:
        show(sentence(protocol["second_stage"]["why"]))
    gap = ranker_gap(comparison, judged)
    ranker = ranker_verdict(comparison, judged)
    if gap is not None and not final.rank_lists:
        better = (
            f"{comparison.metric} {brief(-gap.value)} [{brief(-gap.high)}, {brief(-gap.low)}]"
        )
        ranker = (
            "The ranker predicts ratings; lists keep the retrievers' order, which was better by "
            f"{better}."
        )
    if ranker is not None:
        show(ranker)
    if "ratings" in figures:
        network, bias = figures["ratings"].lines
        show(
            f"Predicted ratings: RMSE {network.estimate}; the bias model {bias.estimate}: {bias.verdict}"
        )
    for note in comparison.reports[0].notes:
        show(f"Note: {note}.")
    show_saved(final, out, version, seconds)
