"""The gate: may a new recommender replace the one that is running?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import DataError
from shortlist.evaluation.comparison import Comparison, compare_reports
from shortlist.evaluation.judge import judge
from shortlist.evaluation.report import direction
from shortlist.recommender.recommender import Recommender

# Five who all do better do so by chance 2 times in 2 ** 5, more often than the 5 % that an interval
# leaves out; six once in 32.
LEAST_ASKERS = 6


@dataclass(frozen=True, eq=False)
class Gate:
    """What the same rows say of a new recommender and the one that is running.

    Attributes:
        comparison: the new one set against the running one, user by user.
        worse: whether the new one is shown to be worse; never from fewer than ``LEAST_ASKERS`` users.
        verdict: in words.
    """

    comparison: Comparison
    worse: bool
    verdict: str


def gate(
    new: Recommender,
    running: Recommender,
    test: Interactions,
    *,
    names: tuple[str, str] = ("new", "running"),
    metric: str | None = None,
    k: int | Sequence[int] = (10, 100),
    keep_seen: bool = False,
    seed: int = 0,
) -> Gate:
    """Judge both on rows that neither was fitted on.

    They may have been fitted on different rows: yesterday's and today's.

    Args:
        new: what shall be published.
        running: what is published now.
        test: rows held out from both.
        names: of both, in the verdict.
        metric: decides; None: NDCG at the shortest ``k``.
        k: lengths of list.
        keep_seen: leave seen items in the lists.
        seed: of the intervals.

    Returns:
        A Gate.

    Raises:
        DataError: one of them was fitted on test rows that the other was not.
    """
    known = [_known(one.snapshot, test) for one in (new, running)]
    if known[0] != known[1]:
        msg = (
            f"{names[0]} was fitted on {known[0]:,} of the {len(test):,} test pairs and {names[1]} on {known[1]:,}, so "
            "one knows what the other is asked. Hold the test rows out from both"
        )
        raise DataError(msg)
    reports = [
        replace(judge(one, test, k=k, keep_seen=keep_seen, seed=seed), name=name)
        for one, name in zip((new, running), names, strict=True)
    ]
    comparison = compare_reports(reports, against=1, metric=metric, seed=seed)
    gap, metric = comparison.lines[0].difference, comparison.metric
    worse = False
    words = f"no difference shown between {names[0]} and {names[1]}"
    if gap is not None and gap.n < LEAST_ASKERS:
        words = f"nothing can be shown from {gap.n} of the test's users, at least {LEAST_ASKERS} are needed"
    elif gap is not None and gap.shown:
        ahead = gap.value > 0 if direction(metric) == "higher" else gap.value < 0
        worse = not ahead and direction(metric) != "neither"
        words = f"{names[0]} is {'worse' if worse else 'better'} than {names[1]}"
    return Gate(comparison, worse, f"{words}: {metric} {gap}")


def _known(snapshot: Snapshot, test: Interactions) -> int:
    pairs = snapshot.interactions().table.select(pl.col("user_id", "item_id").cast(pl.String))
    asked = test.table.select(pl.col("user_id", "item_id").cast(pl.String))
    return len(asked.join(pairs.unique(), on=["user_id", "item_id"], how="semi"))
