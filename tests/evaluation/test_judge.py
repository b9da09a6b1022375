"""Judging: a small world worked out by hand, and everything that must be counted or refused."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Recommends
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, DataError, NotReadyError, ShapeError
from shortlist.evaluation.judge import judge
from shortlist.evaluation.report import Report

ITEMS = Catalogue(
    pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d", "e"],
            "genres": [["Drama"], ["Drama"], ["Comedy"], ["Comedy", "Drama"], None],
        }
    )
)
TRAIN = Interactions(
    pl.DataFrame(
        {
            "user_id": ["ann", "ann", "bob", "cyd"],
            "item_id": ["a", "b", "a", "d"],
            "rating": [5.0, 4.0, 3.0, 4.0],
        }
    ),
    ITEMS,
)


class Fixed:
    """Answers the rows it was given, and predicts a constant; remembers how it was asked."""

    def __init__(
        self,
        rows: list[list[int]],
        *,
        predicted: float | None = None,
        name: str = "fixed",
        train: Interactions = TRAIN,
    ) -> None:
        self.name = name
        self.snapshot = Snapshot.of(train)
        self.rows, self.predicted = np.array(rows, np.int32), predicted
        self.asked: list[tuple[list[object], int, bool]] = []
        self.context: pl.DataFrame | None = None

    def top(
        self,
        users: pl.Series,
        k: int,
        *,
        keep_seen: bool = False,
        context: pl.DataFrame | None = None,
        histories: Interactions | None = None,
    ) -> TopK:
        self.context = context
        self.asked.append((users.to_list(), k, keep_seen))
        scores = np.where(self.rows >= 0, -np.arange(self.rows.shape[1]), -np.inf)
        return TopK(self.rows, scores.astype(np.float32))

    def predict_pairs(self, users: pl.Series, items: pl.Series) -> NDArray[np.float32] | None:
        return (
            None if self.predicted is None else np.full(len(users), self.predicted, np.float32)
        )


def _test(rows: list[tuple[str, str, float]], positive: str | None = None) -> Interactions:
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    return Interactions(table, ITEMS, positive=positive)


# rows of items: a 0, b 1, c 2, d 3, e 4
TEST = _test(
    [
        ("ann", "c", 5),  # found at place 1
        ("ann", "a", 4),  # a repeat: she had it in train
        ("new", "a", 4),  # a user that train never saw; found at place 2
        ("bob", "x", 5),  # not in the catalogue
        ("bob", "e", 2),  # in the catalogue, never in train; not liked
        ("cyd", "b", 1),  # not liked: cyd has no liked row
    ],
    positive="rating >= 3",
)
ANSWERS = [[2, 3], [1, 0], [4, 1], [0, 1]]  # ann, new, bob, cyd


def _judged(**settings: object) -> Report:
    return judge(Fixed(ANSWERS, predicted=3.0), TEST, k=(1, 2), **settings)  # type: ignore[arg-type]


def test_the_fake_offers_what_is_judged() -> None:
    assert isinstance(Fixed(ANSWERS), Recommends)


def test_everybody_is_asked_once_for_the_longest_list() -> None:
    fixed = Fixed(ANSWERS)
    judge(fixed, TEST, k=(2, 1), keep_seen=True)
    assert fixed.asked == [(["ann", "new", "bob", "cyd"], 2, True)]


@pytest.mark.parametrize(
    ("metric", "ann", "new", "bob"),
    [
        ("hit_rate@1", 1, 0, 0),
        ("recall@2", 1 / 2, 1, 0),
        ("precision@2", 1 / 2, 1 / 2, 0),
        ("mrr@2", 1, 1 / 2, 0),
        ("map@2", 1 / 2, 1 / 2, 0),
        ("ndcg@2", 1 / (1 + 1 / math.log2(3)), 1 / math.log2(3), 0),
        ("row_accuracy@2", 1 / 2, 1, 0),
    ],
)
def test_values_per_user_by_hand(metric: str, ann: float, new: float, bob: float) -> None:
    report = _judged()
    column = report.per_user.select("user_id", metric)
    assert column["user_id"].to_list() == ["ann", "new", "bob", "cyd"]
    assert_allclose(column[metric].to_numpy(), [ann, new, bob, math.nan])  # cyd: no liked row


def test_means_are_over_users_and_row_accuracy_over_rows() -> None:
    report = _judged()
    assert report["recall@2"].value == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert report["recall@2"].n == 3
    assert (
        report["row_accuracy@2"].value == 2 / 4
    )  # liked rows: c and a are found; a and x are not
    assert report["row_accuracy@1"].value == 1 / 4


def test_ratings_are_judged_over_all_rows() -> None:
    # errors of a constant 3: 2, 1, 1, 2, 1, 2
    report = _judged()
    assert report["rmse"].value == pytest.approx(math.sqrt((4 + 1 + 1 + 4 + 1 + 4) / 6))
    assert report["mae"].value == pytest.approx((2 + 1 + 1 + 2 + 1 + 2) / 6)
    rmse = report.per_user["rmse"].to_numpy()
    assert_allclose(rmse, np.sqrt([5 / 2, 1, 5 / 2, 4]))


def test_lists_are_described() -> None:
    report = _judged()
    assert report["coverage@1"].value == 4 / 5  # rows 2, 1, 4 and 0
    assert math.isnan(report["coverage@1"].low)
    # train counts a 2, b 1, d 1 of 4, each plus one, of 9: bits of c, b, e, a at place 1
    bits = [math.log2(9), math.log2(9 / 2), math.log2(9), math.log2(9 / 3)]
    assert_allclose(report.per_user["novelty@1"].to_numpy(), bits)
    # genres of c and d: cosine 1/sqrt 2; b and a: 1; e has none; a and b: 1
    assert_allclose(
        report.per_user["diversity@2"].to_numpy(),
        [1 - 1 / math.sqrt(2), 0, math.nan, 0],
        atol=1e-12,
    )
    # percentiles by counts 2 1 0 1 0: .9 .6 .2 .6 .2; ann answered (c) .2, had (a, b) .75
    assert report.per_user["popularity_bias@1"][0] == pytest.approx(0.2 - 0.75)
    assert math.isnan(report.per_user["popularity_bias@1"][1])  # new: no history


def test_everything_is_counted() -> None:
    counts = _judged().counts
    assert (counts.users, counts.users_new, counts.users_without_liked) == (4, 1, 1)
    assert (counts.rows, counts.rows_liked) == (6, 4)
    assert (counts.rows_new_items, counts.rows_unknown_items) == (3, 1)  # c, e and x; x
    assert counts.rows_repeated == 1
    assert (counts.rows_unpredicted, counts.lists_short) == (0, 0)


def test_unknown_items_are_told_apart() -> None:
    test = _test([("ann", "x", 5), ("ann", "x", 5), ("ann", "y", 5), ("ann", "c", 5)])
    report = judge(Fixed([[2]]), test, k=(1,))
    assert report["recall@1"].value == 1 / 3  # x, y and c
    assert report["row_accuracy@1"].value == 1 / 4


def test_unpredicted_rows_and_short_lists_are_counted() -> None:
    report = judge(Fixed([[2, -1]] * 4, predicted=math.nan), TEST, k=(2,))
    assert report.counts.rows_unpredicted == 6
    assert report.counts.lists_short == 4
    assert math.isnan(report["rmse"].value)


def test_without_predictions_or_ratings_there_is_no_rmse() -> None:
    assert "rmse" not in judge(Fixed(ANSWERS), TEST, k=(2,)).estimates
    unrated = replace(TEST, table=TEST.table.drop("rating"), positive=None)
    assert "rmse" not in judge(Fixed(ANSWERS, predicted=3.0), unrated, k=(2,)).estimates


def test_without_genres_there_is_no_diversity() -> None:
    plain = Interactions(TRAIN.table)
    report = judge(Fixed([[0]] * 4, train=plain), TEST, k=(1,))
    assert "diversity@1" not in report.estimates


def test_a_k_above_the_catalogue_is_fine() -> None:
    report = judge(Fixed([[2, 3, 4, 0, 1, -1, -1]] * 4), TEST, k=(7,))
    assert report["recall@7"].value == pytest.approx((1 + 1 + 0) / 3)


def test_the_same_seed_gives_the_same_report() -> None:
    assert str(_judged(seed=3).to_dict()) == str(_judged(seed=3).to_dict())
    assert str(_judged(seed=3).to_dict()) != str(_judged(seed=4).to_dict())


def test_a_user_alone_has_values_without_intervals() -> None:
    report = judge(Fixed([[2]]), _test([("ann", "c", 5)]), k=(1,))
    assert report["recall@1"].value == 1.0
    assert math.isnan(report["recall@1"].low)


def test_the_fingerprint_is_of_the_rows_in_any_order() -> None:
    def fingerprint(test: Interactions) -> str:
        users = test.table["user_id"].n_unique()
        return judge(Fixed([[2]] * users), test, k=(1,)).protocol.test_sha256

    turned = replace(TEST, table=TEST.table.reverse())
    assert fingerprint(turned) == fingerprint(TEST)
    assert fingerprint(replace(TEST, positive="rating >= 2")) != fingerprint(TEST)
    assert fingerprint(TEST.subset(np.array([0, 1]))) != fingerprint(TEST)


@pytest.mark.parametrize("k", [(), (0,), (10, -1), (1.5,), (True,), 0])
def test_a_k_that_is_no_length_is_refused(k: object) -> None:
    with pytest.raises(ConfigError, match=r"k must hold whole numbers of at least 1.*got"):
        judge(Fixed(ANSWERS), TEST, k=k)  # type: ignore[arg-type]


def test_an_empty_test_is_refused() -> None:
    with pytest.raises(DataError, match=r"no rows.*Hold out more"):
        judge(Fixed(ANSWERS), TEST.subset(np.zeros(6, bool)))


def test_answers_that_break_the_contract_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"answered \(4, 2\) where \(4, 3\) was asked"):
        judge(Fixed(ANSWERS), TEST, k=(3,))
    with pytest.raises(DataError, match="item row 5, but its vocabulary ends at 4"):
        judge(Fixed([[5]] * 4), TEST, k=(1,))
    with pytest.raises(DataError, match="item row 2 twice in list 1"):
        judge(Fixed([[1, 2], [2, 2], [0, -1], [-1, -1]]), TEST, k=(2,))


def test_numbers_as_ids_meet_their_text() -> None:
    train = Interactions(pl.DataFrame({"user_id": [1, 1, 2], "item_id": [10, 11, 12]}))
    test = Interactions(pl.DataFrame({"user_id": ["1", "2"], "item_id": ["12", "10"]}))
    report = judge(Fixed([[2], [0]], train=train), test, k=(1,))
    assert report["row_accuracy@1"].value == 1.0
    assert report.counts.users_new == 0
    assert_array_equal(report.per_user["hit_rate@1"].to_numpy(), [1, 1])


# contexts and guests


def test_each_user_is_asked_once_for_each_context_of_their_rows() -> None:
    table = pl.DataFrame(
        {
            "user_id": ["ann", "bob", "ann", "ann"],
            "item_id": ["c", "e", "d", "e"],
            "rating": [5.0, 5.0, 5.0, 2.0],
            "device": ["tv", "tv", "phone", None],
        }
    )
    test = Interactions(table, ITEMS, positive="rating >= 3")
    # lists: ann on tv, bob on tv, ann on the phone, ann on nothing known (no liked row)
    fixed = Fixed([[2, 3], [3, 2], [2, 3], [4, 2]], predicted=3.0)
    report = judge(fixed, test, k=(1, 2), context=["device"])
    assert fixed.asked == [(["ann", "bob", "ann", "ann"], 2, False)]
    assert fixed.context is not None
    assert fixed.context["device"].to_list() == ["tv", "tv", "phone", None]
    # ann's recall is the mean over two lists: c at place 1 and d at place 2
    assert_allclose(report.per_user["recall@1"].to_numpy(), [1 / 2, 0])
    assert_allclose(report.per_user["recall@2"].to_numpy(), [1, 0])
    assert report["row_accuracy@1"].value == 1 / 3
    assert report["rmse"].value == pytest.approx(math.sqrt((4 + 4 + 4 + 1) / 4))
    assert (report.counts.users, report.counts.users_new) == (2, 0)
    assert report.protocol.context == ("device",)
    assert "once for each device of the test" in report.notes[0]
    with pytest.raises(NotReadyError, match="this needs a column 'weather'"):
        judge(fixed, test, context=["weather"])


def test_one_context_for_all_gives_the_figures_without_context() -> None:
    same = replace(TEST, table=TEST.table.with_columns(device=pl.lit("tv")))
    plain, asked = (
        judge(Fixed(ANSWERS, predicted=3.0), same, k=(1, 2), context=columns)
        for columns in ([], ["device"])
    )
    assert plain.per_user.equals(asked.per_user, null_equal=True)
    assert plain.table().equals(asked.table())


def test_strangers_bring_their_histories() -> None:
    test = _test([("new", "a", 5), ("newer", "c", 5)])
    rows = [("new", "b", 5.0), ("new", "c", 1.0), ("other", "d", 5.0)]
    brought = _test(rows, positive="rating >= 3")
    report = judge(Fixed([[0], [1]]), test, k=1, histories=brought)
    # new brings b, of percentile .6, and is answered a, of .9 (counts 2 1 0 1 0); newer brings nothing
    assert report.per_user["popularity_bias@1"][0] == pytest.approx(0.9 - 0.6)
    assert math.isnan(report.per_user["popularity_bias@1"][1])
    assert report.protocol.brought_rows == 3
    assert "brought 3 rows" in report.notes[0]
    with pytest.raises(DataError, match="'ann' is known"):
        judge(Fixed([[0], [1]]), _test([("new", "a", 5), ("ann", "a", 5)]), histories=brought)
