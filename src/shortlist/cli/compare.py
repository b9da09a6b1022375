"""``shortlist compare``: several recommenders on one test, popularity and EASE always among them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.fitting import (
    check_learnable,
    comparison_json,
    leaves_seen_out,
    timed,
)
from shortlist.cli.models import make_recommender
from shortlist.cli.options import (
    TABLE,
    AsJson,
    Columns,
    ItemsFile,
    KeepSeen,
    Lengths,
    OnBadRows,
    Positive,
    Seed,
    UsersFile,
    exactly_one,
    lengths,
    only_with,
    read_table,
)
from shortlist.cli.printing import as_json, comparison_of, heading, key_of, sentence, show

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.data.protocols import Retriever
    from shortlist.recommender.recommender import Recommender

EXAMPLE = (
    "Example: shortlist compare --train train.csv --test test.csv --retrieve two-tower "
    "--retrieve ease,two-tower"
)


def compare(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...", help="Bundles trained on the same rows; or --train."
        ),
    ] = None,
    *,
    test: Annotated[str, typer.Option(help=f"Interactions to judge on: {TABLE}.")],
    train: Annotated[
        str | None,
        typer.Option(help="Fit the recommenders that --retrieve names on these rows."),
    ] = None,
    retrieve: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[,NAME]", help="A recommender to fit. May be repeated."),
    ] = None,
    rank: Annotated[
        str | None, typer.Option(help="With --train: each of them also with this second stage.")
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="latest|time|last-out|random",
            help="With --train: rows of it that choose when to stop, as in train.",
        ),
    ] = None,
    items: ItemsFile = None,
    users: UsersFile = None,
    k: Lengths = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What decides, such as recall@100; NDCG at the shortest list."),
    ] = None,
    keep_seen: KeepSeen = False,
    positive: Positive = None,
    column: Columns = None,
    on_bad_rows: OnBadRows = "stop",
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Compare recommenders on one test.

    Popularity and EASE are always among them; differences come with 95 % intervals.
    """
    import shortlist as sl

    at = lengths(k)
    exactly_one(
        "say what to compare: bundles, or --train with --retrieve NAME, once for each recommender",
        bool(bundles),
        train is not None,
    )
    if bundles:
        fits = {"retrieve": retrieve, "rank": rank, "holdout": holdout}
        only_with("--train, as bundles are fitted", **fits, items=items, users=users)
        recs = _distinct([sl.load(path) for path in bundles], bundles)
        positive = positive if positive is not None else recs[0].snapshot.positive
        rows = read_table(test, column=column, positive=positive, on_bad_rows=on_bad_rows)
        keep_seen = keep_seen or not any(leaves_seen_out(rec) for rec in recs)
    else:
        planned = [make_recommender(names, None, seed) for names in retrieve or ["ease"]]
        if rank is not None:
            planned += [make_recommender(names, rank, seed) for names in retrieve or ["ease"]]
        reading = {"column": column, "positive": positive, "on_bad_rows": on_bad_rows}
        data = read_table(str(train), items=items, users=users, **reading)  # type: ignore[arg-type]
        check_learnable(data, str(train), rank)
        rows = read_table(test, **reading)  # type: ignore[arg-type]
        recs = _fitted(planned, data, holdout, seed)
    with timed(f"judging on {len(rows):,} rows"):
        comparison = sl.compare(recs, rows, k=at, keep_seen=keep_seen, metric=metric, seed=seed)
    if json:
        as_json({"overview": comparison.overview().to_dicts(), **comparison_json(comparison)})
        return
    seen = "kept" if keep_seen else "left out"
    heading(f"{len(recs)} and the simple models on {len(rows):,} test rows, seen items {seen}")
    show(
        comparison_of(comparison),
        key_of(comparison),
        sentence(comparison.summary),
    )


def _distinct(recs: "list[Recommender]", bundles: Sequence[Path]) -> "list[Recommender]":
    counts, taken = Counter(rec.name for rec in recs), Counter[str]()
    for rec, path in zip(recs, bundles, strict=True):
        if counts[rec.name] > 1:
            name = f"{rec.name} ({path.name}"
            taken[name] += 1
            rec.name = f"{name} {taken[name]})" if taken[name] > 1 else f"{name})"
    return recs


def _fitted(
    planned: "list[Recommender]", data: "Interactions", holdout: str | None, seed: int
) -> "list[Recommender]":
    # every retriever is fitted once, however many recommenders it is part of
    import shortlist as sl

    parts = sl.split.holdout(data, holdout, seed=seed)
    fitted: dict[str, Retriever] = {}
    recs: list[Recommender] = []

    def fit(rec: "Recommender") -> "Recommender":
        with timed(f"fitting {rec.name} on {len(data):,} rows"):
            return rec.fit(parts.train, validate=parts.test).settled().fit(data)

    for plan in planned:
        if plan.rank is not None:
            recs.append(fit(plan))
            continue
        for part in plan.retrievers:
            if part.name not in fitted:
                whole = fit(sl.Recommender(part))
                fitted[part.name] = whole.retrievers[0]
        several = [fitted[part.name] for part in plan.retrievers]
        recs.append(whole.with_parts(retrieve=several, name=""))
    return recs
