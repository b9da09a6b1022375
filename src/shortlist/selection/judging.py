"""A recommender beside the simple ones it has to beat, on the same rows."""

import logging
from collections.abc import Sequence

import polars as pl

from shortlist.data.interactions import Interactions, check_table
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, closest
from shortlist.evaluation.comparison import Comparison, Line, compare_reports
from shortlist.evaluation.judge import judge
from shortlist.evaluation.report import Report
from shortlist.recommender.recommender import Recommender
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.popularity import Popularity

_log = logging.getLogger(__name__)


def evaluate(
    recommender: Recommender,
    test: Interactions,
    *,
    k: int | Sequence[int] = (10, 100),
    keep_seen: bool = False,
    histories: Interactions | None = None,
    baselines: bool = True,
    seed: int = 0,
) -> Comparison:
    """Measure one recommender as it is served, with popularity and EASE beside it.

    Where it reads context (``TwoTower(context=...)``) and the test has the columns, each user is asked
    once for each context of their test rows, and the baselines likewise.

    Args:
        recommender: fitted, or loaded from a bundle.
        test: rows held out; its liked rows are what should be found.
        k: lengths of list.
        keep_seen: leave seen items in the lists.
        histories: for a test of strangers, such as ``sl.split.new_users(..., brings=0.8)``: the rows
            they bring, ``parts.brought``; each is asked as ``recommend(history=...)`` asks a guest.
        baselines: whether to fit popularity and EASE, on the rows that the recommender knows and
            under its rules.
        seed: of the intervals.

    Returns:
        A Comparison; ``reports[0]`` is the recommender's own report.
    """
    return compare(
        [recommender],
        test,
        k=k,
        keep_seen=keep_seen,
        histories=histories,
        baselines=baselines,
        seed=seed,
    )


def compare(
    recommenders: Recommender | Sequence[Recommender],
    test: Interactions,
    *,
    k: int | Sequence[int] = (10, 100),
    keep_seen: bool = False,
    histories: Interactions | None = None,
    metric: str | None = None,
    baselines: bool = True,
    seed: int = 0,
) -> Comparison:
    """Measure several recommenders on one test, with paired differences.

    Where one of them reads context that the test has, all are asked once for each context of a
    user's test rows.

    Args:
        recommenders: fitted on the same rows; the first is what the others are set against.
        test: rows held out; its liked rows are what should be found.
        k: lengths of list.
        keep_seen: leave seen items in the lists.
        histories: for a test of strangers, such as ``sl.split.new_users(..., brings=0.8)``: the rows
            they bring, ``parts.brought``; each is asked as ``recommend(history=...)`` asks a guest.
        metric: decides the verdict; None: NDCG at the shortest ``k``.
        baselines: whether popularity and EASE are fitted and set beside, where they are not there;
            on the rows that the first recommender knows and under its rules.
        seed: of the intervals.

    Returns:
        A Comparison.

    Raises:
        ConfigError: no recommender, or recommenders that know different rows.
    """
    if isinstance(recommenders, Recommender):
        recommenders = [recommenders]
    if not recommenders:
        msg = "compare needs at least one recommender"
        raise ConfigError(msg)
    everyone = list(recommenders)
    for other in everyone[1:]:
        _insist_same_train(everyone[0], other)
    simple = [one.name for one in everyone if _is_simple(one)]
    if baselines:
        extra = _baselines(everyone[0], taken=simple)
        everyone += extra
        simple += [one.name for one in extra]
    context = _context(everyone, test)
    reports = [
        judge(
            one, test, k=k, keep_seen=keep_seen, context=context, histories=histories, seed=seed
        )
        for one in everyone
    ]
    if len(reports) == 1:
        return _alone(reports[0], metric)
    return compare_reports(reports, metric=metric, baselines=simple, seed=seed)


def _context(everyone: Sequence[Recommender], test: Interactions) -> list[str]:
    check_table(test, "test")
    read = sorted({column for one in everyone for column in one.context_columns})
    missing = [column for column in read if column not in test.table.columns]
    if missing:
        _log.warning("the test lacks %s, so it is asked without that context", missing)
    return [column for column in read if column not in missing]


def _is_simple(one: Recommender) -> bool:
    # by what it is: a tower that somebody named "ease" is no baseline
    kinds = {Popularity.name: Popularity, EASE.name: EASE}
    plain = len(one.retrievers) == 1 and one.rank is None
    return plain and kinds.get(one.name) is type(one.retrievers[0])


def _insist_same_train(first: Recommender, other: Recommender) -> None:
    one, two = first.snapshot, other.snapshot
    if one is two:
        return
    rows = [len(held.histories.item_rows) for held in (one, two)]
    if rows[0] == rows[1] and _pairs(one).equals(_pairs(two)):
        return
    msg = (
        f"{first.name} and {other.name} were fitted on different rows ({rows[0]:,} of {one.n_users:,} users, "
        f"{rows[1]:,} of {two.n_users:,} users), so one may know what the other is asked. Fit them on the same train"
    )
    raise ConfigError(msg)


def _pairs(snapshot: Snapshot) -> pl.DataFrame:
    table = snapshot.interactions().table
    return table.select(pl.col("user_id", "item_id").cast(pl.String)).sort("user_id", "item_id")


def _alone(report: Report, metric: str | None) -> Comparison:
    metric = metric if metric is not None else f"ndcg@{report.protocol.k[0]}"
    if metric not in report.estimates:
        known = list(report.estimates)
        msg = f"{report.name} has no {metric!r}; it has {known}.{closest(metric, known)}"
        raise ConfigError(msg)
    estimate = report.estimates[metric]
    line = Line(
        report.name, estimate, None, "nothing is set against it", best=True, baseline=False
    )
    summary = f"{report.name}: {metric} {estimate}, with nothing beside it"
    return Comparison(metric, report.name, (line,), summary, None, (report,))


def _baselines(first: Recommender, *, taken: Sequence[str]) -> list[Recommender]:
    train = first.snapshot.interactions()
    fitted = []
    for make in (Popularity, EASE):
        if make.name in taken:
            continue
        try:
            fitted.append(Recommender(make(), rules=first.rules).fit(train))
        except ConfigError as error:  # a catalogue too large for EASE
            _log.warning("no %s baseline: %s", make.name, error)
    return fitted
