"""Judge a recommender on the log of another one: what would its lists have earned?

The log holds what was shown, with the probability of showing it (the propensity), and what came of
it. Each place is taken for a choice of its own: a place counts where the judged recommender would
have shown the same item there, weighted by one over the propensity (inverse propensity scoring,
Horvitz and Thompson, JASA 1952). Self-normalised, the weights are divided by their own sum instead
of the number of places: a little bias for much less variance (Swaminathan and Joachims, "The
Self-Normalized Estimator for Counterfactual Learning", NeurIPS 2015).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from shortlist.data.protocols import Recommends
from shortlist.errors import ConfigError, DataError, closest
from shortlist.metrics.intervals import Estimate, Ratio, bootstrap

_NEEDED = ("user_id", "item_id", "rank", "propensity", "reward")


@dataclass(frozen=True)
class OffPolicy:
    """What the judged recommender is estimated to earn for each place it fills.

    Attributes:
        ips: inverse propensity scoring, with an interval over users.
        snips: the self-normalised form.
        logged: what the logging recommender earned for each place.
        places: places in the log.
        matched: those where the judged recommender shows the same item.
        effective: what the matched places are worth, in evenly weighted ones:
            ``(sum w)^2 / sum w^2`` (Kish, 1965). Below some 30 the estimates say little.
    """

    ips: Estimate
    snips: Estimate
    logged: Estimate
    places: int
    matched: int
    effective: float

    def __str__(self) -> str:
        return (
            f"reward for each place: {self.snips} (self-normalised), {self.ips} (IPS); logged {self.logged}; "
            f"{self.matched:,} of {self.places:,} places match, worth {self.effective:.0f}"
        )


def off_policy(
    recommender: Recommends, log: pl.DataFrame, *, clip: float | None = None, seed: int = 0
) -> OffPolicy:
    """Estimate what a recommender would have earned where another one was shown.

    Args:
        recommender: judged, as it answers without exploration of its own.
        log: one row per place shown: ``user_id``, ``item_id``, ``rank`` from 1, ``propensity`` above
            0, ``reward`` (a number). Users are asked as they were known to the recommender.
        clip: highest weight of a place; None does not clip. A clipped estimate lies too low.
        seed: of the intervals.

    Returns:
        An OffPolicy.

    Raises:
        ConfigError: ``clip`` is not positive.
        DataError: a column is missing or holds what it must not, or no place matches.
    """
    if clip is not None and not clip > 0:
        msg = f"clip must be positive; got {clip}"
        raise ConfigError(msg)
    _check(log)
    users = log["user_id"].unique(maintain_order=True)
    asker = _numbers(log["user_id"], users)
    rank = log["rank"].to_numpy().astype(np.int64)
    snapshot = recommender.snapshot
    shown = recommender.top(users, int(rank.max())).rows[asker, rank - 1]
    items = snapshot.item_vocabulary.rows(log["item_id"])
    match = (shown == items) & (items >= 0)
    if not match.any():
        msg = f"{recommender.name} shows none of the {len(log):,} logged items in its place, so the log says nothing of it. Explore more, or over a longer time"
        raise DataError(msg)
    weight = match / log["propensity"].to_numpy().astype(np.float64)
    if clip is not None:
        weight = np.minimum(weight, clip)
    reward = log["reward"].to_numpy().astype(np.float64)
    n = len(users)
    earned, weights, places, plain = (
        np.bincount(asker, value, minlength=n).astype(np.float64)
        for value in (weight * reward, weight, np.ones(len(log)), reward)
    )
    ratios = [Ratio(earned, places), Ratio(earned, weights), Ratio(plain, places)]
    ips, snips, logged = bootstrap(ratios, np.random.default_rng(seed))
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return OffPolicy(ips, snips, logged, len(log), int(match.sum()), effective)


def _check(log: pl.DataFrame) -> None:
    for name in _NEEDED:
        if name not in log.columns:
            msg = f"the log needs a column {name!r}; it has {log.columns}.{closest(name, log.columns)}"
            raise DataError(msg)
    if not len(log):
        msg = "the log has no rows"
        raise DataError(msg)
    chance = log["propensity"].cast(pl.Float64)
    wrong = ~chance.is_between(0, 1, closed="right") | chance.is_nan()
    wrong |= log["rank"].cast(pl.Int64) < 1
    reward = log["reward"].cast(pl.Float64)
    wrong |= ~reward.is_finite()
    bad = wrong.fill_null(value=True)
    if bad.any():
        row = int(bad.arg_max() or 0)
        msg = f"log row {row}: propensity must lie above 0 and at most 1, rank be at least 1, reward a number; got {log.row(row, named=True)}"
        raise DataError(msg)


def _numbers(
    column: pl.Series, values: pl.Series
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    table = pl.DataFrame({"key": values, "number": np.arange(len(values))})
    found = (
        column.alias("key").to_frame().join(table, on="key", how="left", maintain_order="left")
    )
    return found["number"].to_numpy()
