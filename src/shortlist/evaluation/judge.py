"""Judge anything that recommends: ask once, as users are served, and count what they went on to choose.

Relevant are the liked rows of the test. Users and items that train never saw are asked about and
counted like all others: leaving them out would flatter. All users are asked in one call for the
longest list; the shorter lists are its beginnings.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions, check_table
from shortlist.data.protocols import Recommends
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError, ShapeError
from shortlist.evaluation.report import Counts, EvaluationProtocol, Report
from shortlist.metrics.intervals import RESAMPLES, Estimate, Ratio, bootstrap
from shortlist.metrics.lists import coverage, diversity, novelty, popularity_bias
from shortlist.metrics.ranking import Relevant, row_accuracy, row_hits, values_per_user
from shortlist.metrics.rating import RatingErrors, rating_errors


def judge(
    recommender: Recommends,
    test: Interactions,
    *,
    k: int | Sequence[int] = (10, 100),
    keep_seen: bool = False,
    seed: int = 0,
) -> Report:
    """Measure a recommender on rows that it was not fitted on.

    Args:
        recommender: what is judged. It is asked for one list per test user, and for predicted
            ratings where the test has ratings and it predicts any.
        test: the rows held out; those that count as liked are what should be found.
        k: lengths of list to judge, one or several. One above the catalogue is fine.
        keep_seen: leave the items in the lists that the user had in train.
        seed: of the resamples behind the intervals; the same seed gives the same report.

    Returns:
        A Report: hit rate, recall, precision, NDCG, MRR, MAP, row accuracy (the share of liked test
        rows whose item is in the list), coverage, novelty, diversity and popularity bias at each k;
        RMSE and MAE over all rows where there are predictions.

    Raises:
        ConfigError: ``k`` is empty, or holds anything but whole numbers of at least 1.
        DataError: the test is empty, or an answer is not a list of distinct items.
        ShapeError: an answer has another shape than was asked for.
    """
    check_table(test, "test")
    lengths = _checked_lengths(k)
    if not len(test):
        msg = "the test has no rows, so there is nothing to judge. Hold out more, or check the split"
        raise DataError(msg)
    asked = _Asked.of(test, recommender.snapshot)
    answered = recommender.top(asked.users, lengths[-1], keep_seen=keep_seen).rows
    _check_answer(answered, (len(asked.users), lengths[-1]), recommender)
    errors = _rating_errors(recommender, test, asked)
    ratios = _ratios(answered, lengths, asked, recommender.snapshot)
    if errors is not None:
        rows = errors.rows.astype(np.float64)
        ratios["rmse"] = Ratio(errors.squared, rows, root=True)
        ratios["mae"] = Ratio(errors.absolute, rows)
    rng = np.random.default_rng(seed)
    estimates = dict(zip(ratios, bootstrap(list(ratios.values()), rng), strict=True))
    for at in lengths:  # resampled users repeat lists: an interval would lie below the value
        shown = coverage(answered[:, :at], recommender.snapshot.n_items)
        estimates[f"coverage@{at}"] = Estimate(shown, np.nan, np.nan, len(asked.users))
    protocol = EvaluationProtocol(
        lengths, keep_seen, seed, RESAMPLES, len(test), _fingerprint(test)
    )
    counts = _counts(asked, answered, 0 if errors is None else errors.unpredicted)
    return Report(recommender.name, asked.users, ratios, estimates, counts, protocol)


@dataclass(frozen=True, eq=False)
class _Asked:
    """The test in the rows of the judged recommender.

    Attributes:
        users: (n,) ids of the test users, in order of appearance.
        user_of_row: (rows,) int32 number of each row's user among them.
        items: (rows,) int64 item rows; an id without a row gets one past the catalogue of its own.
        liked: (rows,) bool.
        relevant: the liked rows by user.
        history_rows: flat int32, what the users had in train.
        history_offsets: (n + 1,) int64.
        new: (n,) bool, users that train never saw.
        seen_counts: (n_items,) train rows per item.
    """

    users: pl.Series
    user_of_row: NDArray[np.int32]
    items: NDArray[np.int64]
    liked: NDArray[np.bool_]
    relevant: Relevant
    history_rows: NDArray[np.int32]
    history_offsets: NDArray[np.int64]
    new: NDArray[np.bool_]
    seen_counts: NDArray[np.int64]

    @classmethod
    def of(cls, test: Interactions, snapshot: Snapshot) -> "_Asked":
        users = test.user_vocabulary.ids
        queries = snapshot.queries(users)
        ids = test.table["item_id"]
        items = snapshot.item_vocabulary.rows(ids).astype(np.int64)
        unknown = items < 0
        if unknown.any():
            codes = ids.filter(pl.Series(unknown)).rank("dense").to_numpy().astype(np.int64)
            items[unknown] = snapshot.n_items + codes - 1
        liked = test.liked
        return cls(
            users,
            test.user_rows,
            items,
            liked,
            Relevant.of_pairs(test.user_rows[liked], items[liked], len(users)),
            queries.history_rows,
            queries.offsets,
            queries.user_rows < 0,
            snapshot.item_counts,
        )


def _ratios(
    answered: NDArray[np.int32], lengths: Sequence[int], asked: _Asked, snapshot: Snapshot
) -> dict[str, Ratio]:
    found = row_hits(answered, asked.relevant)  # (n, k)
    per_user = values_per_user(found > 0, asked.relevant.n_items, lengths)
    ratios = {name: Ratio.mean(values) for name, values in per_user.items()}
    tags = snapshot.catalogue.tag_matrix()
    for at in lengths:
        hit, rows = row_accuracy(found, asked.relevant.n_rows, at)
        ratios[f"row_accuracy@{at}"] = Ratio(hit.astype(np.float64), rows.astype(np.float64))
        lists = answered[:, :at]
        ratios[f"novelty@{at}"] = Ratio.mean(novelty(lists, asked.seen_counts))
        if tags is not None:
            ratios[f"diversity@{at}"] = Ratio.mean(diversity(lists, tags))
        bias = popularity_bias(
            lists, asked.seen_counts, asked.history_rows, asked.history_offsets
        )
        ratios[f"popularity_bias@{at}"] = Ratio.mean(bias)
    return ratios


def _rating_errors(
    recommender: Recommends, test: Interactions, asked: _Asked
) -> RatingErrors | None:
    if test.ratings is None:
        return None
    predicted = recommender.predict_pairs(test.table["user_id"], test.table["item_id"])
    if predicted is None:
        return None
    return rating_errors(predicted, test.ratings, asked.user_of_row, len(asked.users))


def _counts(asked: _Asked, answered: NDArray[np.int32], unpredicted: int) -> Counts:
    n_items = len(asked.seen_counts)
    unknown = asked.items >= n_items
    fresh = unknown.copy()
    fresh[~unknown] = asked.seen_counts[asked.items[~unknown]] == 0
    owner = np.repeat(np.arange(len(asked.users)), np.diff(asked.history_offsets))
    before = Relevant.of_pairs(owner, asked.history_rows, len(asked.users))
    liked_items = np.where(unknown, -1, asked.items)[asked.liked]
    repeated = before.count(asked.user_of_row[asked.liked], liked_items) > 0
    return Counts(
        users=len(asked.users),
        users_new=int(asked.new.sum()),
        users_without_liked=int((asked.relevant.n_items == 0).sum()),
        rows=len(asked.items),
        rows_liked=int(asked.liked.sum()),
        rows_new_items=int(fresh.sum()),
        rows_unknown_items=int(unknown.sum()),
        rows_repeated=int(repeated.sum()),
        rows_unpredicted=unpredicted,
        lists_short=int((answered < 0).any(axis=1).sum()),
    )


def _checked_lengths(k: int | Sequence[int]) -> tuple[int, ...]:
    given = np.atleast_1d(np.asarray(k))
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu" or given.min() < 1:
        msg = f"k must hold whole numbers of at least 1, such as (10, 100); got {k!r}"
        raise ConfigError(msg)
    return tuple(sorted(set(given.tolist())))


def _check_answer(
    rows: NDArray[np.int32], asked_for: tuple[int, int], recommender: Recommends
) -> None:
    if rows.shape != asked_for:
        msg = (
            f"{recommender.name} answered {rows.shape} where {asked_for} was asked: "
            "a list per user, with -1 in places that stay empty"
        )
        raise ShapeError(msg)
    n_items = recommender.snapshot.n_items
    if rows.max(initial=-1) >= n_items:
        msg = f"{recommender.name} answered item row {rows.max()}, but its vocabulary ends at {n_items - 1}"
        raise DataError(msg)
    ordered = np.sort(rows, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        user, place = np.argwhere(twice)[0]
        msg = (
            f"{recommender.name} answered item row {ordered[user, place]} twice in list {user}. A repeat takes the "
            "place of another item; does its index hold an item twice?"
        )
        raise DataError(msg)


def _fingerprint(test: Interactions) -> str:
    names = [name for name in ("user_id", "item_id", "rating") if name in test.table.columns]
    table = test.table.select(pl.col(names).cast(pl.String)).with_columns(
        liked=pl.Series(test.liked).cast(pl.String)
    )
    lines = table.select(pl.concat_str(pl.all(), separator="\x1f").sort().str.join("\x1e"))
    return hashlib.sha256(lines.item().encode()).hexdigest()
