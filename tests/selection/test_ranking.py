"""A second stage is kept only where it is shown to be better than none."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pytest

import shortlist as sl
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.ranking import Biases
from shortlist.ranking.order import order_by
from shortlist.retrieval import EASE, Popularity
from shortlist.selection import best_ranker
from shortlist.testing import worlds


@dataclass(eq=False)
class ByCluster:
    """Knows what the world is made of: users take items of their own cluster."""

    name: ClassVar[str] = "by-cluster"
    sign: float = 1.0

    def fit(self, train: sl.Interactions, *, validate: sl.Interactions | None = None) -> Self:
        assert validate is None  # the rows held back only judge
        users, items = train.user_vocabulary.ids, train.item_vocabulary.ids
        self.users = np.array([int(one[1:]) % 4 for one in users])
        self.items = np.array([int(one[1:]) % 4 for one in items])
        return self

    def settled(self) -> Self:
        return replace(self)

    def predict(self, queries: Queries, rows: Any) -> Any:
        same = self.users[queries.user_rows][:, None] == self.items[rows]
        return (self.sign * same).astype(np.float32)

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        return order_by(self.predict(queries, candidates.rows), candidates)

    def state(self) -> State:
        return State({})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls()


def parts() -> Any:
    return sl.split.latest(worlds.small_world(users=120, items=60, positive=None), test=0.2)


def test_a_ranker_that_is_shown_to_be_better_is_kept() -> None:
    held = parts()
    said: list[str] = []
    best = best_ranker(
        sl.Recommender(Popularity()),
        held.train,
        held.test,
        rankers=[ByCluster(-1.0), ByCluster()],
        progress=said.append,
    )
    assert best.kept == "by-cluster"
    assert isinstance(best.recommender.rank, ByCluster)
    assert best.recommender.rank.sign == 1.0
    assert "shown to make the lists better" in best.why
    assert [one.name for one in best.tried] == ["none", "by-cluster", "by-cluster"]
    assert said[0] == "trying none behind popularity"
    best.recommender.fit(held.train)  # it comes unfitted


def test_a_ranker_that_is_not_better_is_not_kept() -> None:
    held = parts()
    best = best_ranker(
        sl.Recommender(EASE(l2=10.0)),
        held.train,
        held.test,
        rankers=[ByCluster(-1.0), Biases()],
    )
    assert best.kept == "none"
    assert best.recommender.rank is None
    assert "no ranker is kept: none is shown to make the lists better" in best.why
    told = best.to_dict()
    assert [one["ranker"] for one in told["tried"]] == ["none", "by-cluster", "bias"]
    assert told["tried"][0]["difference"] is None


def test_a_ranker_that_cannot_be_fitted_is_left_out_with_the_reason() -> None:
    held = parts()
    bare = [
        sl.Interactions(one.table.drop("rating"), one.catalogue)
        for one in (held.train, held.test)
    ]
    best = best_ranker(sl.Recommender(Popularity()), *bare, rankers=[Biases()])
    assert best.kept == "none"
    assert best.tried[1].remark.startswith("left out: ")
    assert "rating" in best.tried[1].remark


def test_by_default_bias_and_boosted_are_tried() -> None:
    pytest.importorskip("lightgbm")
    held = parts()
    best = best_ranker(sl.Recommender(Popularity(), candidates=30), held.train, held.test)
    assert [one.name for one in best.tried] == ["none", "bias", "boosted"]
    assert all(one.report is not None for one in best.tried)
