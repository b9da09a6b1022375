"""``shortlist evaluate``: a bundle on rows held out, beside the simple models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli.fitting import comparison_json, leaves_seen_out, timed
from shortlist.cli.options import (
    TABLE,
    AsJson,
    BundleDir,
    Columns,
    KeepSeen,
    Lengths,
    OnBadRows,
    Positive,
    Seed,
    lengths,
    read_table,
)
from shortlist.cli.printing import as_json, comparison_of, heading, key_of, sentence, show
from shortlist.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shortlist.data.interactions import Interactions
    from shortlist.evaluation.report import Report
    from shortlist.recommender.recommender import Recommender
    from shortlist.selection.gating import Gate

EXAMPLE = "Example: shortlist evaluate movies.bundle --test test.csv --k 10,100"


def evaluate(
    bundle: BundleDir,
    *,
    test: Annotated[str, typer.Option(help=f"Interactions it was not trained on: {TABLE}.")],
    k: Lengths = None,
    keep_seen: KeepSeen = False,
    positive: Positive = None,
    column: Columns = None,
    on_bad_rows: OnBadRows = "stop",
    seed: Seed = 0,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The bundle that is running: judge both, pair by user."
        ),
    ] = None,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse", help="With --against: exit with code 1 where it is shown worse."
        ),
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(help="With --against: what decides; NDCG at the shortest k by default."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Judge a bundle on rows held out.

    As it answers, with popularity and EASE fitted on the same rows beside it. Rows count as liked as they did in training, unless --positive says otherwise.
    """
    import shortlist as sl
    from shortlist.evaluation.judge import judge

    at = lengths(k)
    _insist_on_against(against, metric, fail_if_worse=fail_if_worse)
    rec = sl.load(bundle)
    kept = keep_seen or not leaves_seen_out(rec)
    liked = positive if positive is not None else rec.snapshot.positive
    rows = read_table(test, column=column, positive=liked, on_bad_rows=on_bad_rows)
    if against is not None:
        found = _against(bundle, against, rows, metric=metric, k=at, keep_seen=kept, seed=seed)
        _print_gate(found, bundle, json=json)
        return _leave(worse=fail_if_worse and found.worse)
    with timed(f"judging {rec.name} on {len(rows):,} rows, beside popularity and EASE"):
        comparison = sl.evaluate(rec, rows, k=at, keep_seen=kept, seed=seed)
        other = judge(_leaving_seen_out(rec), rows, k=at, keep_seen=not kept, seed=seed)
    report = comparison.reports[0]
    raw, unseen = (report, other) if kept else (other, report)
    if json:
        accuracy = {"unseen": _accuracy(unseen), "raw": _accuracy(raw)}
        as_json(
            {"bundle": str(bundle), "row_accuracy": accuracy, **comparison_json(comparison)}
        )
        return
    show("", report)
    heading("Row accuracy: the share of test rows whose item is in the user's top K")
    show(_table_of({"unseen: seen items left out": unseen, "raw: seen items kept": raw}))
    heading("Beside the simple models")
    show(comparison_of(comparison), key_of(comparison), sentence(comparison.summary))


def _insist_on_against(
    against: Path | None, metric: str | None, *, fail_if_worse: bool
) -> None:
    if against is None and (fail_if_worse or metric is not None):
        msg = "--fail-if-worse and --metric go with --against: the bundle to set it against"
        raise ConfigError(msg)


def _against(bundle: Path, against: Path, rows: "Interactions", **how: Any) -> "Gate":
    import shortlist as sl
    from shortlist.selection.gating import gate

    new, running = sl.load(bundle), sl.load(against)
    names = (str(bundle), str(against))
    with timed(f"judging {names[0]} and {names[1]} on {len(rows):,} rows"):
        return gate(new, running, rows, names=names, **how)


def _leave(*, worse: bool) -> None:
    if worse:
        raise typer.Exit(1)


def _print_gate(found: "Gate", bundle: Path, *, json: bool) -> None:
    if json:
        as_json(
            {
                "bundle": str(bundle),
                "worse": found.worse,
                "verdict": found.verdict,
                **found.comparison.to_dict(),
            }
        )
        return
    show("", comparison_of(found.comparison), sentence(found.verdict))


def _leaving_seen_out(rec: "Recommender") -> "Recommender":
    from shortlist.recommender.rules import Seen

    rules = [*(rule for rule in rec.rules if not isinstance(rule, Seen)), Seen()]
    return rec.with_parts(rules=rules)


def _accuracy(report: "Report") -> dict[str, float]:
    return {str(k): report[f"row_accuracy@{k}"].value for k in report.protocol.k}


def _table_of(reports: "dict[str, Report]") -> "RenderableType":
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("")
    lengths_of = next(iter(reports.values())).protocol.k
    for k in lengths_of:
        drawn.add_column(f"@{k}")
    for name, report in reports.items():
        drawn.add_row(name, *(str(report[f"row_accuracy@{k}"]) for k in lengths_of))
    return drawn
