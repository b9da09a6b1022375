"""``shortlist train --retrieve auto``: try methods, show the table, keep the winner."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shortlist.cli.fitting import saved_json, show_saved, timed
from shortlist.cli.printing import as_json, heading, progress, sentence, show
from shortlist.cli.words import as_flags

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shortlist.data.interactions import Interactions
    from shortlist.recommender.recommender import Recommender
    from shortlist.selection.auto import Auto


def choose(
    data: "Interactions",
    validation: "Interactions | None",
    out: Path,
    *,
    json: bool,
    **settings: Any,
) -> None:
    """Try what applies, save the winner, and say why it won.

    Args:
        data: all rows to learn from.
        validation: rows that choose, or None for a holdout.
        out: folder of the bundle.
        json: print one document for programs.
        **settings: of ``selection.Auto``.
    """
    import shortlist as sl

    started = time.perf_counter()
    auto = sl.Auto(progress=progress, **settings)
    with timed(f"choosing among methods for about {auto.seconds:g} seconds"):
        auto.fit(data, validate=validation)
    final = auto.recommender
    final.metrics = {"holdout": auto.protocol, "auto": auto.to_dict()}
    version = final.save(out)
    seconds = time.perf_counter() - started
    if json:
        as_json(saved_json(final, out, version, seconds))
        return
    heading(f"Holdout: {auto.protocol['name']}, {auto.protocol['rows']:,} rows")
    show(f"What leaks: {as_flags(auto.protocol['leaks'])}")
    show("", _drawn(auto))
    show(
        "[95 % intervals]; differences are from the best, ~ where none is shown. Simple before complicated "
        f"is: {', '.join(sl.selection.METHODS)}.",
        sentence(auto.why),
        "The rows held back chose, so the winner's figure flatters a little: for a clean one, keep a "
        "test file and run shortlist evaluate.",
    )
    show_saved(final, out, version, seconds)


def with_best_ranker(
    rec: "Recommender",
    learned: "Interactions",
    held: "Interactions",
    seed: int,
    *,
    keep_seen: bool,
) -> "tuple[Recommender, dict[str, Any]]":
    """Try rankers behind the retrievers of a recommender.

    Args:
        rec: not fitted, without a ranker.
        learned: rows to fit on.
        held: rows that judge.
        seed: of rankers and intervals.
        keep_seen: whether lists may hold what their asker has.

    Returns:
        A Recommender that is not fitted, with the ranker that is shown to make its lists better, if any;
        and what was tried.
    """
    import shortlist as sl

    with timed("choosing a second stage"):
        best = sl.selection.best_ranker(
            rec, learned, held, keep_seen=keep_seen, seed=seed, progress=progress
        )
    return best.recommender, best.to_dict()


def _drawn(auto: "Auto") -> "RenderableType":
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("method", str(auto.metric), "difference", "seconds", "remark"):
        drawn.add_column(name, overflow="fold", no_wrap=name == "seconds")
    differences = auto.outcome.differences
    for one in auto.outcome.tried:
        kept = one.name == auto.outcome.kept
        gap = differences.get(one.name)
        figure = None if one.report is None else one.report.estimates[str(auto.metric)]
        drawn.add_row(
            one.name,
            "" if figure is None else str(figure),
            "" if gap is None else f"{gap}{'' if gap.shown else ' ~'}",
            f"{one.seconds:.1f}",
            "kept" if kept else as_flags(one.remark),
            style="bold" if kept else "",
        )
    return drawn
