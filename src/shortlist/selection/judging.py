"""A recommender beside the simple ones it has to beat, on the same rows."""

import logging
from collections.abc import Sequence

from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError
from shortlist.evaluation.comparison import Comparison, compare_reports
from shortlist.evaluation.judge import judge
from shortlist.recommender.recommender import Recommender
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.popularity import Popularity

_log = logging.getLogger(__name__)


def evaluate(
    recommender: Recommender,
    test: Interactions,
    *,
    k: Sequence[int] = (10, 100),
    keep_seen: bool = False,
    baselines: bool = True,
    seed: int = 0,
) -> Comparison:
    """Measure one recommender as it is served, with popularity and EASE beside it.

    Args:
        recommender: fitted, or loaded from a bundle.
        test: rows held out; its liked rows are what should be found.
        k: lengths of list.
        keep_seen: leave seen items in the lists.
        baselines: whether to fit popularity and EASE, on the rows that the recommender knows.
        seed: of the intervals.

    Returns:
        A Comparison; ``reports[0]`` is the recommender's own report.
    """
    return compare([recommender], test, k=k, keep_seen=keep_seen, baselines=baselines, seed=seed)


def compare(
    recommenders: Sequence[Recommender],
    test: Interactions,
    *,
    k: Sequence[int] = (10, 100),
    keep_seen: bool = False,
    metric: str | None = None,
    baselines: bool = True,
    seed: int = 0,
) -> Comparison:
    """Measure several recommenders on one test, with paired differences.

    Args:
        recommenders: fitted on the same rows; the first is what the others are set against.
        test: rows held out; its liked rows are what should be found.
        k: lengths of list.
        keep_seen: leave seen items in the lists.
        metric: decides the verdict; None: NDCG at the shortest ``k``.
        baselines: whether popularity and EASE are fitted and set beside, where they are not there.
        seed: of the intervals.

    Returns:
        A Comparison.

    Raises:
        ConfigError: no recommender, or recommenders that know different rows.
    """
    if not recommenders:
        msg = "compare needs at least one recommender"
        raise ConfigError(msg)
    sizes = {(len(one.snapshot.histories.item_rows), one.snapshot.n_users) for one in recommenders}
    if len(sizes) > 1:
        msg = f"the recommenders were fitted on different rows: {sorted(sizes)} (rows, users). Fit them on the same train"
        raise ConfigError(msg)
    everyone = list(recommenders)
    simple = [one.name for one in everyone if one.name in {"popularity", "ease"}]
    if baselines:
        extra = _baselines(everyone[0].snapshot.interactions(), taken=simple)
        everyone += extra
        simple += [one.name for one in extra]
    reports = [judge(one, test, k=k, keep_seen=keep_seen, seed=seed) for one in everyone]
    return compare_reports(reports, metric=metric, baselines=simple, seed=seed)


def _baselines(train: Interactions, *, taken: Sequence[str]) -> list[Recommender]:
    fitted = []
    for make in (Popularity, EASE):
        if make.name in taken:
            continue
        try:
            fitted.append(Recommender(make()).fit(train))
        except ConfigError as error:  # a catalogue too large for EASE
            _log.warning("no %s baseline: %s", make.name, error)
    return fitted
