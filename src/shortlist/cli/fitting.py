"""The honest order that train, compare and the demo share: fit on a part, judge on the rest, refit on all."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shortlist.cli.models import AUTO, LIST_RANKERS
from shortlist.cli.printing import heading, progress, show
from shortlist.errors import DataError

if TYPE_CHECKING:
    from shortlist.data.interactions import Interactions
    from shortlist.evaluation.comparison import Comparison
    from shortlist.metrics.intervals import Difference
    from shortlist.recommender.recommender import Recommender


@contextmanager
def timed(words: str) -> Iterator[None]:
    """Say on stderr what is going on, and how long it took.

    Args:
        words: such as ``"fitting ease"``.

    Yields:
        Nothing.
    """
    started = time.perf_counter()
    progress(f"{words} ...")
    yield
    progress(f"  {time.perf_counter() - started:.1f} s")


def leaves_seen_out(fitted: "Recommender") -> bool:
    """Say whether lists leave out what their asker already has.

    Args:
        fitted: a Recommender.

    Returns:
        False for those trained with ``--keep-seen``.
    """
    from shortlist.recommender.rules import Seen

    return any(isinstance(rule, Seen) for rule in fitted.rules)


def check_learnable(data: "Interactions", where: str, rank: str | None) -> None:
    """Refuse rows that would stop training after a while, or make it pointless.

    Args:
        data: rows to learn from, or to judge on.
        where: how messages call them.
        rank: as given to ``--rank``.

    Raises:
        DataError: a ranker is asked for and there are no ratings, or no row counts as liked.
    """
    if rank not in {None, AUTO, *LIST_RANKERS} and data.ratings is None:
        msg = (
            f"--rank {rank} learns from ratings, and {where} has no column rating; name it with "
            "--column rating=NAME, or leave --rank out"
        )
        raise DataError(msg)
    if not data.liked.any():
        ratings = data.ratings
        span = (
            ""
            if ratings is None
            else f"; its ratings run from {ratings.min():g} to {ratings.max():g}"
        )
        msg = (
            f"--positive {data.positive!r} marks none of the {len(data):,} rows of {where}{span}. "
            "Nothing would count as liked: loosen the condition"
        )
        raise DataError(msg)


def lineup(fitted: "Recommender") -> "list[Recommender]":
    """A recommender, then itself with parts taken away: does each part earn its place?

    Args:
        fitted: the whole.

    Returns:
        The whole; without its ranker; each of several retrievers alone.
    """
    everyone = [fitted]
    if fitted.rank is not None:
        everyone.append(fitted.with_parts(rank=None, name=""))
    if len(fitted.retrievers) > 1:
        everyone += [
            fitted.with_parts(retrieve=[part], rank=None, name="") for part in fitted.retrievers
        ]
    return everyone


def ranker_gap(comparison: "Comparison", whole: str) -> "Difference | None":
    """How far a ranker behind the retrievers changes the list.

    Args:
        comparison: of the whole, itself without its ranker, and others.
        whole: name of the one with the ranker.

    Returns:
        With the ranker less without, paired by user; None where one of the two does not take part.
    """
    from shortlist.evaluation.comparison import compare_reports

    reports = {report.name: report for report in comparison.reports}
    without = whole.partition(" > ")[0]
    if without == whole or without not in reports:
        return None
    pair = compare_reports(
        [reports[without], reports[whole]],
        metric=comparison.metric,
        seed=reports[whole].protocol.seed,
    )
    return pair.lines[1].difference


def ranker_verdict(comparison: "Comparison", whole: str) -> str | None:
    """Say whether a ranker behind the retrievers makes the list better.

    Args:
        comparison: of the whole, itself without its ranker, and others.
        whole: name of the one with the ranker.

    Returns:
        A sentence; None where one of the two does not take part.
    """
    gap = ranker_gap(comparison, whole)
    if gap is None:
        return None
    if not gap.shown:
        return f"The ranker is not shown to change the list: {comparison.metric} {gap}."
    if gap.value > 0:
        return f"The ranker makes the list better: {comparison.metric} {gap}."
    words = f"As a second stage the ranker makes the list worse: {comparison.metric} {gap}."
    if whole.rpartition(" > ")[2] in LIST_RANKERS:
        return f"{words} Serve the retrievers alone."
    return (
        f"{words} It puts first what people would rate highest, not what they choose next: for predict, "
        "not for lists."
    )


def rating_errors_beside_bias(
    fitted: "Recommender",
    learned: "Interactions",
    held: "Interactions",
    comparison: "Comparison",
) -> "Comparison | None":
    """Set predicted ratings beside the simple model that they have to beat.

    Args:
        fitted: with a ranker, judged in ``comparison``.
        learned: the rows it was fitted on.
        held: the rows it was judged on.
        comparison: where its report is.

    Returns:
        A Comparison by RMSE; None where there are no ratings, or the ranker is that model.
    """
    from shortlist.evaluation.comparison import compare_reports
    from shortlist.evaluation.judge import judge
    from shortlist.ranking import Biases

    rates = fitted.rank is not None and getattr(fitted.rank, "predicts_ratings", True)
    if not rates or held.ratings is None or isinstance(fitted.rank, Biases):
        return None
    report = next(one for one in comparison.reports if one.name == fitted.name)
    simple = fitted.with_parts(rank=Biases().fit(learned), name=Biases.name)
    asked = report.protocol
    other = judge(simple, held, k=asked.k, keep_seen=asked.keep_seen, seed=asked.seed)
    return compare_reports([report, other], metric="rmse", baselines=[Biases.name])


def epochs_of(fitted: "Recommender") -> dict[str, dict[str, int]]:
    """When training stopped, for the parts that are trained step by step.

    Args:
        fitted: a Recommender.

    Returns:
        By part: how many epochs were ``run`` and which was ``chosen``.
    """
    stopped = {}
    for part in fitted.parts:
        chosen = getattr(part, "chosen_epoch", None)
        if chosen is not None:
            stopped[part.name] = {"run": len(getattr(part, "epochs_run", ())), "chosen": chosen}
    return stopped


def comparison_json(comparison: "Comparison") -> dict[str, Any]:
    """A comparison with the reports behind it.

    Args:
        comparison: any.

    Returns:
        Plain values.
    """
    return {
        **comparison.to_dict(),
        "reports": [report.to_dict() for report in comparison.reports],
    }


def show_saved(final: "Recommender", out: Path, version: Path, seconds: float) -> None:
    """Say what was saved, and what to do with it.

    Args:
        final: the recommender in the bundle.
        out: the bundle.
        version: the folder of the version written.
        seconds: that it took.
    """
    snapshot = final.snapshot
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    heading("Saved")
    show(
        f"{final.name}, fitted on all {len(snapshot.histories.item_rows):,} rows of {snapshot.n_users:,} "
        f"users and {snapshot.n_items:,} items, in {seconds:.1f} s",
        f"{out} (version {version.name}, {size / 1e6:.1f} MB)",
        f"Try: shortlist recommend {out} --user {snapshot.user_vocabulary.ids[0]}",
    )


def saved_json(
    final: "Recommender", out: Path, version: Path, seconds: float
) -> dict[str, Any]:
    """What :func:`show_saved` says, with the figures, for programs.

    Args:
        final: the recommender in the bundle.
        out: the bundle.
        version: the folder of the version written.
        seconds: that it took.

    Returns:
        Plain values.
    """
    snapshot = final.snapshot
    return {
        "bundle": str(out),
        "version": version.name,
        "name": final.name,
        "rows": len(snapshot.histories.item_rows),
        "users": snapshot.n_users,
        "items": snapshot.n_items,
        "seconds": round(seconds, 3),
        **final.metrics,
    }
