"""Judge anything that recommends: ask once, as users are served, and count what they went on to choose.

Relevant are the liked rows of the test. Users and items that train never saw are asked about and
counted like all others: leaving them out would flatter. All users are asked in one call for the
longest list; the shorter lists are its beginnings.

With context columns, a user is asked once for each context of their test rows, and what they took in
that context is relevant; a user's value is then the mean over their lists. Users whom train never saw
may bring histories, and are asked as guests.
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
    context: Sequence[str] = (),
    histories: Interactions | None = None,
    seed: int = 0,
) -> Report:
    """Measure a recommender on rows that it was not fitted on.

    Args:
        recommender: what is judged. It is asked for one list per test user, and for predicted
            ratings where the test has ratings and it predicts any.
        test: the rows held out; those that count as liked are what should be found.
        k: lengths of list to judge, one or several. One above the catalogue is fine.
        keep_seen: leave the items in the lists that the user had in train.
        context: columns of the test that are known at the time of asking: each user is asked once
            for each combination of them. Empty: once.
        histories: rows that the test's users, all strangers to train, bring as guests.
        seed: of the resamples behind the intervals; the same seed gives the same report.

    Returns:
        A Report: hit rate, recall, precision, NDCG, MRR, MAP, row accuracy (the share of liked test
        rows whose item is in the list), coverage, novelty, diversity and popularity bias at each k;
        RMSE and MAE over all rows where there are predictions.

    Raises:
        ConfigError: ``k`` is empty, or holds anything but whole numbers of at least 1.
        DataError: the test is empty, an answer is not a list of distinct items, or somebody who
            brings a history is known to train.
        NotReadyError: the test lacks a context column.
        ShapeError: an answer has another shape than was asked for.
    """
    check_table(test, "test")
    lengths = _checked_lengths(k)
    if not len(test):
        msg = "the test has no rows, so there is nothing to judge. Hold out more, or check the split"
        raise DataError(msg)
    asked = _Asked.of(test, recommender.snapshot, tuple(context), histories)
    answered = asked.answers(recommender, lengths[-1], keep_seen=keep_seen)
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
        lengths,
        keep_seen,
        seed,
        RESAMPLES,
        len(test),
        _fingerprint(test),
        tuple(context),
        None if histories is None else len(histories),
    )
    counts = _counts(asked, answered, 0 if errors is None else errors.unpredicted)
    return Report(recommender.name, asked.users, ratios, estimates, counts, protocol)


@dataclass(frozen=True, eq=False)
class _Asked:
    """The test in the rows of the judged recommender.

    A list is asked for by a user, or by a user in a context.

    Attributes:
        users: (n,) ids of the test users, in order of appearance.
        user_of_row: (rows,) int32 number of each row's user among them.
        user_of_list: (lists,) int32, the same for each list asked for.
        list_of_row: (rows,) int32, the list that should hold the row's item.
        context: (lists rows) what is known at the asking; None without context columns.
        histories: what strangers bring, or None.
        items: (rows,) int64 item rows; an id without a row gets one past the catalogue of its own.
        liked: (rows,) bool.
        relevant: the liked rows by list.
        history_rows: flat int32, what those who ask had in train or bring, list by list.
        history_offsets: (lists + 1,) int64.
        new: (lists,) bool, whether the user is one that train never saw.
        seen_counts: (n_items,) train rows per item.
    """

    users: pl.Series
    user_of_row: NDArray[np.int32]
    user_of_list: NDArray[np.int32]
    list_of_row: NDArray[np.int32]
    context: pl.DataFrame | None
    histories: Interactions | None
    items: NDArray[np.int64]
    liked: NDArray[np.bool_]
    relevant: Relevant
    history_rows: NDArray[np.int32]
    history_offsets: NDArray[np.int64]
    new: NDArray[np.bool_]
    seen_counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        test: Interactions,
        snapshot: Snapshot,
        columns: tuple[str, ...],
        histories: Interactions | None,
    ) -> "_Asked":
        users = test.user_vocabulary.ids
        user_of_list, list_of_row = np.arange(len(users), dtype=np.int32), test.user_rows
        context = None
        if columns:
            user_of_list, list_of_row, context = _by_context(test, columns)
        asking = users.gather(user_of_list)
        queries = (
            snapshot.queries(asking)
            if histories is None
            else snapshot.guests(asking, histories)
        )
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
            user_of_list,
            list_of_row,
            context,
            histories,
            items,
            liked,
            Relevant.of_pairs(list_of_row[liked], items[liked], len(user_of_list)),
            queries.history_rows,
            queries.offsets,
            queries.user_rows < 0,
            snapshot.item_counts,
        )

    def answers(self, recommender: Recommends, k: int, *, keep_seen: bool) -> NDArray[np.int32]:
        asking = self.users.gather(self.user_of_list)
        top = recommender.top(
            asking, k, keep_seen=keep_seen, context=self.context, histories=self.histories
        )
        _check_answer(top.rows, (len(asking), k), recommender)
        return top.rows

    def mean(self, values: NDArray[np.float64]) -> Ratio:
        # each user's mean over their lists that have a value
        there, n = ~np.isnan(values), len(self.users)
        total = np.bincount(self.user_of_list, np.where(there, values, 0.0), n)
        lists = np.bincount(self.user_of_list, there, n)
        with np.errstate(invalid="ignore"):  # a user without a value
            return Ratio.mean(total / lists)

    def ratio(self, above: NDArray[np.integer], below: NDArray[np.integer]) -> Ratio:
        n = len(self.users)
        hits, rows = (
            np.bincount(self.user_of_list, above, n),
            np.bincount(self.user_of_list, below, n),
        )
        return Ratio(hits.astype(np.float64), rows.astype(np.float64))


def _by_context(
    test: Interactions, columns: tuple[str, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int32], pl.DataFrame]:
    context = test.having(*columns).table.select(columns)
    keyed = context.select(
        user=pl.Series(test.user_rows), context=pl.struct(pl.all())
    ).with_row_index("row")
    groups = keyed.group_by("user", "context", maintain_order=True).agg("row")
    list_of_row = np.empty(len(test), np.int32)
    sizes = groups["row"].list.len().to_numpy()
    list_of_row[groups["row"].explode().to_numpy()] = np.repeat(np.arange(len(groups)), sizes)
    return groups["user"].to_numpy(), list_of_row, groups["context"].struct.unnest()


def _ratios(
    answered: NDArray[np.int32], lengths: Sequence[int], asked: _Asked, snapshot: Snapshot
) -> dict[str, Ratio]:
    found = row_hits(answered, asked.relevant)  # (lists, k)
    values = values_per_user(found > 0, asked.relevant.n_items, lengths)
    ratios = {name: asked.mean(value) for name, value in values.items()}
    tags = snapshot.catalogue.tag_matrix()
    for at in lengths:
        hit, rows = row_accuracy(found, asked.relevant.n_rows, at)
        ratios[f"row_accuracy@{at}"] = asked.ratio(hit, rows)
        lists = answered[:, :at]
        ratios[f"novelty@{at}"] = asked.mean(novelty(lists, asked.seen_counts))
        if tags is not None:
            ratios[f"diversity@{at}"] = asked.mean(diversity(lists, tags))
        bias = popularity_bias(
            lists, asked.seen_counts, asked.history_rows, asked.history_offsets
        )
        ratios[f"popularity_bias@{at}"] = asked.mean(bias)
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
    n = len(asked.user_of_list)
    owner = np.repeat(np.arange(n), np.diff(asked.history_offsets))
    before = Relevant.of_pairs(owner, asked.history_rows, n)
    liked_items = np.where(unknown, -1, asked.items)[asked.liked]
    repeated = before.count(asked.list_of_row[asked.liked], liked_items) > 0
    liked_rows = np.bincount(asked.user_of_row[asked.liked], minlength=len(asked.users))
    return Counts(
        users=len(asked.users),
        users_new=len(np.unique(asked.user_of_list[asked.new])),
        users_without_liked=int((liked_rows == 0).sum()),
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
