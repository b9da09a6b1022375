"""The honest order: what a list model learns from is what would have been served, and nothing later."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

import shortlist as sl
from shortlist.data.eligible import Eligible
from shortlist.data.lists import ListRanker, Lists, askings
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.errors import BundleError
from shortlist.ranking import Biases
from shortlist.ranking.order import order_by
from shortlist.retrieval import EASE, Popularity
from shortlist.retrieval.dense import DenseRetriever
from shortlist.testing import worlds

if TYPE_CHECKING:
    from shortlist.recommender.rules import Rule


@dataclass(eq=False, kw_only=True)
class Spy:
    """A list model that keeps what it was given, and orders by the item row."""

    name: ClassVar[str] = "spy"
    holdout: str | None = None
    share: float = 0.2
    askers: int = 1000
    seed: int = 0
    lists: Lists | None = field(init=False, default=None)
    later: Lists | None = field(init=False, default=None)

    sources: ClassVar[tuple[str, ...]] = ("ease",)
    user_columns: ClassVar[tuple[str, ...]] = ()
    predicts_ratings: ClassVar[bool] = False

    def fit(self, train: sl.Interactions, *, validate: sl.Interactions | None = None) -> Self:
        msg = "the recommender must give lists"
        raise AssertionError(msg)

    def fit_lists(
        self, lists: Lists, train: sl.Interactions, *, validate: Lists | None = None
    ) -> Self:
        self.lists, self.later = lists, validate
        return self

    def settled(self) -> Self:
        return replace(self)

    def values(self, queries: Queries, candidates: Candidates) -> Any:
        return candidates.rows.astype(np.float32)

    def predictions(self, queries: Queries, candidates: Candidates) -> Any:
        return candidates.rows.astype(np.float32)

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        return order_by(self.values(queries, candidates), candidates)

    def predict(self, queries: Queries, rows: Any) -> Any:
        return np.full(rows.shape, -1, np.float32)

    def state(self) -> State:
        return State({})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls()


class Remembers(DenseRetriever):
    """Gives 1 to what its asker has in the rows it was fitted on, else nearly nothing: a planted leak."""

    name: ClassVar[str] = "remembers"

    def __init__(self) -> None:
        self.fits: list[int] = []
        self.held: np.ndarray[Any, Any] = np.empty((0, 0), np.float32)

    @property
    def n_items(self) -> int:
        return int(self.held.shape[1])

    def settled(self) -> "Remembers":
        return Remembers()

    def fit(self, train: sl.Interactions, *, validate: sl.Interactions | None = None) -> Self:
        self.held = np.asarray(train.liked_matrix().toarray(), np.float32)
        self.fits.append(len(train))
        return self

    def knows(self, queries: Queries) -> Any:
        return queries.user_rows >= 0

    def score_all(self, queries: Queries) -> Any:
        noise = np.arange(self.n_items, dtype=np.float32) / 1e4
        return self.held[queries.user_rows] + noise

    def state(self) -> State:
        return State({})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls()


def test_the_spy_is_a_list_ranker() -> None:
    assert isinstance(Spy(), ListRanker)
    assert not isinstance(Biases(), ListRanker)


def test_each_row_held_back_is_asked_for_with_the_history_before_it() -> None:
    train = worlds.small_world(positive=None)
    rec = sl.Recommender(EASE(l2=10.0), Spy(), candidates=20).fit(train)
    lists = rec.rank.lists  # type: ignore[union-attr]
    assert lists is not None
    held = sl.split.latest(train, test=0.2)
    ids = lists.known.user_vocabulary.ids
    items = lists.known.item_vocabulary.ids
    assert_array_equal(lists.known.table["item_id"], held.train.table["item_id"])
    assert len(lists) == len(held.test)  # fewer than askers: a list for each row
    asked = 0
    for user, rows in held.test.table.group_by("user_id", maintain_order=True):
        taken = rows.sort("timestamp", maintain_order=True)["item_id"].to_list()
        before = (
            held.train.table.filter(pl.col("user_id") == user[0])
            .sort("timestamp", maintain_order=True)["item_id"]
            .to_list()
        )
        for number, item in enumerate(taken):
            [line] = [
                n
                for n in range(len(lists))
                if ids[int(lists.queries.user_rows[n])] == user[0]
                and lists.queries.offsets[n + 1] - lists.queries.offsets[n]
                == len(before) + number
            ]
            history = lists.queries.history_rows[
                lists.queries.offsets[line] : lists.queries.offsets[line + 1]
            ]
            assert items.gather(history).to_list() == before + taken[:number]
            shown = lists.candidates.rows[line]
            assert not np.isin(history[history >= 0], shown[shown >= 0]).any()  # Seen
            labelled = items.gather(shown[lists.liked[line]]).to_list()
            assert labelled in ([], [item])
            asked += len(labelled)
    assert asked == lists.liked.sum() > 0


def test_without_times_each_user_is_asked_once() -> None:
    train = worlds.small_world(positive=None)
    timeless = replace(train, table=train.table.drop("timestamp"))
    parts = sl.split.random(timeless, test=0.2, seed=1)
    queries, told = askings(parts.train, parts.test, most=1000, seed=0)
    assert len(np.unique(queries.user_rows)) == len(queries)
    before = np.bincount(parts.train.user_rows)
    assert_array_equal(np.diff(queries.offsets), before[queries.user_rows])
    rows = parts.train.user_vocabulary.rows(parts.test.table["user_id"])
    assert len(told.rows) == (rows >= 0).sum()
    few, _ = askings(parts.train, parts.test, most=5, seed=0)
    assert len(few) == 5


def test_users_take_turns_where_there_are_too_many_rows() -> None:
    train = worlds.small_world(positive=None)
    parts = sl.split.latest(train, test=0.3)
    queries, _ = askings(parts.train, parts.test, most=48, seed=0)
    assert len(np.unique(queries.user_rows)) == 48  # one of each of the 48 users


def test_a_retriever_that_remembers_cannot_leak_the_labels() -> None:
    train = worlds.small_world(positive=None)
    memory = Remembers()
    rec = sl.Recommender(memory, Spy(), candidates=40)
    rec.fit(train)
    lists = rec.rank.lists  # type: ignore[union-attr]
    assert lists is not None
    assert memory.fits == [len(train)]  # itself fitted once, on everything
    scores = lists.candidates.source_scores[0]
    assert lists.liked.any()
    assert (scores[lists.liked] < 0.5).all()  # its copy never saw what followed
    # the same lists from the retriever fitted on everything: it gives every label away
    cheat = memory.score(lists.queries, lists.candidates.rows)
    assert (cheat[lists.liked] > 0.5).all()


def test_the_lists_keep_to_the_rules_and_the_number_of_candidates() -> None:
    train = worlds.small_world(positive=None)
    rules: list[Rule] = [sl.rules.Seen(), sl.rules.Where("year >= 1975")]
    rec = sl.Recommender(EASE(l2=10.0), Spy(), rules=rules, candidates=7).fit(train)
    lists = rec.rank.lists  # type: ignore[union-attr]
    assert lists is not None
    assert lists.candidates.k == 7
    years = lists.known.catalogue.aligned(lists.known.item_vocabulary.ids).table["year"]
    shown = lists.candidates.rows[lists.candidates.rows >= 0]
    assert (years.gather(shown) >= 1975).all()


def test_validation_gives_lists_that_choose() -> None:
    parts = sl.split.latest(worlds.small_world(positive=None), validation=0.2, test=0.1)
    spy = Spy()
    sl.Recommender(EASE(l2=10.0), spy).fit(parts.train, validate=parts.validation)
    assert spy.later is not None
    assert spy.later.known is parts.train
    again = Spy()
    sl.Recommender(EASE(l2=10.0), again).fit(parts.train)
    assert again.later is None
    assert spy.lists is not None
    assert again.lists is not None
    assert_array_equal(spy.lists.liked, again.lists.liked)  # validation only chooses


def test_who_is_known_to_no_retriever_is_not_learned_from() -> None:
    class Half(EASE):
        def knows(self, queries: Queries) -> Any:
            return queries.user_rows % 2 == 0

    spy = Spy()
    sl.Recommender(Half(l2=10.0), spy).fit(worlds.small_world(positive=None))
    assert spy.lists is not None
    assert (spy.lists.queries.user_rows % 2 == 0).all()


def test_predictions_ask_the_retrievers_first() -> None:
    train = worlds.small_world(positive=None)
    rec = sl.Recommender(EASE(l2=10.0), Spy(), candidates=5).fit(train)
    found = rec.predict("u0").sort("prediction", descending=True)
    proposed = found.filter(pl.col("prediction") >= 0)
    alone = sl.Recommender(EASE(l2=10.0)).fit(train).recommend("u0", k=5)
    assert set(proposed["item_id"]) == set(alone["item_id"])
    ids = train.table["user_id"][:3], train.table["item_id"][:3]
    assert rec.predict_pairs(*ids) is None  # the spy predicts no ratings


def test_rules_that_leave_nothing_leave_the_list_empty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train = worlds.small_world(positive=None)
    rec = sl.Recommender(EASE(l2=10.0), Spy(), candidates=5).fit(train)
    with caplog.at_level("WARNING"):
        assert len(rec.recommend("u0", where="year > 3000")) == 0
    assert "no item meets the rules" in caplog.text
    top = rec.rank.rank(  # type: ignore[union-attr]
        rec.snapshot.queries(["u0"]),
        Candidates(
            np.full((1, 3), -1, np.int32),
            np.full((1, 3), -np.inf, np.float32),
            ("ease",),
            np.full((1, 1, 3), np.nan, np.float32),
            np.zeros((1, 1, 3), np.int32),
        ),
    )
    assert_array_equal(top.rows, [[-1, -1, -1]])


def test_the_fallback_answers_where_the_rules_leave_no_candidate() -> None:
    class Narrow(EASE):
        def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
            top = super().retrieve(queries, k, eligible)
            rows = np.where(top.rows < 20, top.rows, -1).astype(
                np.int32
            )  # knows no other items
            return TopK(rows, np.where(rows < 0, -np.inf, top.scores).astype(np.float32))

    train = worlds.small_world(positive=None)
    rec = sl.Recommender(Narrow(l2=10.0), Spy(), candidates=40).fit(train)
    late = train.item_vocabulary.ids[30:].to_list()
    shown = rec.recommend("u0", k=3, allow=late)
    assert set(shown["item_id"]) <= set(late)
    assert shown["source"].to_list() == ["popularity (fallback)"] * 3
    assert set(rec.recommend("u0", k=3)["source"]) == {"ease"}


def test_lists_grow_with_the_catalogue() -> None:
    pytest.importorskip("lightgbm")
    train = worlds.small_world(positive=None)
    ranker = sl.ranking.Boosted(trees=5, least=5)
    rec = sl.Recommender([EASE(l2=10.0), Popularity()], ranker, candidates=20).fit(train)
    new = pl.DataFrame({"item_id": ["new"], "title": ["new"], "genres": [["Comedy"]]})
    rec.add_items(new)
    shown = rec.recommend("u0", k=30)
    assert "new" in shown["item_id"].to_list()
    assert shown["score"].is_finite().all()
    assert rec.predict("u0", ["new"])["prediction"].is_finite().all()


def test_a_ranker_of_other_retrievers_is_refused(tmp_path: Any) -> None:
    pytest.importorskip("lightgbm")
    train = worlds.small_world(positive=None)
    rec = sl.Recommender(EASE(l2=10.0), sl.ranking.Boosted(trees=5, least=5)).fit(train)
    other = sl.Recommender.from_parts(
        rec.snapshot,
        retrieve=[Popularity().fit(train)],
        rank=rec.rank,
        rules=rec.rules,
        fallback=rec.fallback,
        candidates=20,
        name="other",
        metrics={},
    )
    with pytest.raises(BundleError, match=r"learned from lists of \['ease'\].*popularity"):
        other.save(tmp_path / "bundle")
    bare = replace(rec.snapshot, users=None)
    nobody = sl.Recommender.from_parts(
        bare,
        retrieve=rec.retrievers,
        rank=rec.rank,
        rules=rec.rules,
        fallback=rec.fallback,
        candidates=20,
        name="bare",
        metrics={},
    )
    with pytest.raises(BundleError, match="reads the users' columns"):
        nobody.save(tmp_path / "bundle")
    rec.save(tmp_path / "bundle")
    loaded = sl.load(tmp_path / "bundle")
    ids = train.user_vocabulary.ids
    assert_array_equal(loaded.top(ids, 5).scores, rec.top(ids, 5).scores)


def test_eligible_is_what_serving_uses() -> None:
    # the exclusions of a list are those of its own moment: later rows of the user may be proposed
    train = worlds.small_world(positive=None)
    spy = Spy()
    sl.Recommender(EASE(l2=10.0), spy, candidates=50).fit(train)
    assert spy.lists is not None
    seen = Eligible.of(
        len(spy.lists), excluded=(spy.lists.queries.history_rows, spy.lists.queries.offsets)
    )
    may = np.zeros((len(spy.lists), len(train.item_vocabulary)), np.float32)
    seen.apply(may)
    shown = spy.lists.candidates.rows
    line, place = np.nonzero(shown >= 0)
    assert (may[line, shown[line, place]] == 0).all()
