"""Does a second stage earn its place? Rankers are tried behind the same retrievers, and beside none."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Json, Ranker
from shortlist.errors import ShortlistError
from shortlist.evaluation.comparison import compare_reports
from shortlist.evaluation.judge import judge
from shortlist.evaluation.report import Report
from shortlist.metrics.intervals import Difference
from shortlist.ranking import Biases, Boosted
from shortlist.recommender.recommender import Recommender

NONE = "none"
_K = 10


@dataclass(frozen=True, eq=False)
class TriedRanker:
    """One ranker's turn.

    Attributes:
        name: of the ranker; ``"none"`` for the retrievers alone.
        report: None where it has no figure.
        difference: to the retrievers alone, paired by user; None where there is none.
        seconds: that fitting and judging took.
        remark: why it has no figure; empty where it has one.
    """

    name: str
    report: Report | None
    difference: Difference | None
    seconds: float
    remark: str = ""


@dataclass(frozen=True, eq=False)
class BestRanker:
    """Which second stage to keep.

    Attributes:
        recommender: not fitted, with the ranker that was kept, if any.
        kept: its name; ``"none"`` where nothing is shown to be better than the retrievers alone.
        why: in a sentence.
        tried: every ranker's turn, in order; the first is none.
    """

    recommender: Recommender
    kept: str
    why: str
    tried: tuple[TriedRanker, ...]

    def to_dict(self) -> dict[str, Json]:
        """As JSON.

        Returns:
            Keys ``kept, why, tried``.
        """
        tried = []
        for one in self.tried:
            gap, report = one.difference, one.report
            value = None if report is None else report.estimates[f"ndcg@{_K}"].value
            difference = None if gap is None else [gap.value, gap.low, gap.high]
            tried.append(
                {
                    "ranker": one.name,
                    "value": value,
                    "difference": difference,
                    "seconds": round(one.seconds, 1),
                    "remark": one.remark,
                }
            )
        return {"kept": self.kept, "why": self.why, "tried": tried}


def best_ranker(
    recommender: Recommender,
    learned: Interactions,
    held: Interactions,
    *,
    rankers: Sequence[Ranker] | None = None,
    keep_seen: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> BestRanker:
    """Try rankers behind a recommender's retrievers; keep the best of those shown to be better than none.

    The rows held back only judge: nothing is fitted or stopped by them.

    Args:
        recommender: its retrievers, rules and candidates; its own ranker is not read.
        learned: rows to fit on.
        held: later rows that judge, by NDCG at 10.
        rankers: unfitted; None: :class:`Biases` where there are ratings, and :class:`Boosted`.
        keep_seen: whether lists may hold what their asker has.
        seed: of rankers and intervals.
        progress: told what is going on, a line at a time.

    Returns:
        The recommender to fit, and why.

    Raises:
        ShortlistError: the retrievers alone cannot be fitted or judged.
    """
    given: list[Ranker | None] = [None]
    if rankers is None:
        given += [Biases()] if learned.ratings is not None else []
        given += [Boosted(seed=seed)]
    else:
        given += rankers
    tried: list[TriedRanker] = []
    better: list[tuple[float, Ranker]] = []
    for ranker in given:
        name = NONE if ranker is None else ranker.name
        if progress is not None:
            progress(f"trying {name} behind {'+'.join(p.name for p in recommender.retrievers)}")
        started = time.perf_counter()
        rec = replace(recommender.settled(), rank=ranker, rank_lists=True, name=name)
        try:
            report = judge(rec.fit(learned), held, k=_K, keep_seen=keep_seen, seed=seed)
        except ShortlistError as error:
            if ranker is None:
                raise  # the retrievers alone must work
            seconds = time.perf_counter() - started
            tried.append(TriedRanker(name, None, None, seconds, f"left out: {error}"))
            continue
        gap = None
        if ranker is not None and tried[0].report is not None:
            gap = (
                compare_reports([tried[0].report, report], metric=f"ndcg@{_K}", seed=seed)
                .lines[1]
                .difference
            )
        tried.append(TriedRanker(name, report, gap, time.perf_counter() - started))
        if ranker is not None and gap is not None and gap.shown and gap.value > 0:
            better.append((gap.value, ranker.settled()))
    kept = max(better, key=lambda one: one[0], default=(0.0, None))[1]
    chosen = replace(recommender.settled(), rank=kept, rank_lists=True, name="")
    return BestRanker(
        chosen, NONE if kept is None else kept.name, _why(kept, tried), tuple(tried)
    )


def _why(kept: Ranker | None, tried: Sequence[TriedRanker]) -> str:
    metric = f"ndcg@{_K}"
    told = [
        f"{one.name} {one.difference}"
        if one.difference is not None
        else f"{one.name} {one.remark}"
        for one in tried[1:]
    ]
    if kept is None:
        return f"no ranker is kept: none is shown to make the lists better ({metric}: {'; '.join(told)})"
    return f"the ranker {kept.name} is kept: it is shown to make the lists better ({metric}: {'; '.join(told)})"
