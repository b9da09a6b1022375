"""A contract is worth what it catches: models that break one promise each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.errors import NotReadyError
from shortlist.index.exact import ExactIndex
from shortlist.ranking import Biases
from shortlist.retrieval import EASE, Popularity
from shortlist.testing import check_index, check_ranker, check_retriever

Rows = NDArray[np.int32]


@dataclass(eq=False, kw_only=True)
class Sound(EASE):
    """A model of one's own, as a base for what is broken."""

    l2: float = 10.0


class FiltersAfterwards(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        top = super().retrieve(queries, k)
        if eligible is None:
            return top
        allowed = np.zeros((len(queries), self.n_items))
        eligible.apply(allowed)
        bad = (top.rows >= 0) & ~np.isfinite(np.take_along_axis(allowed, top.rows, axis=1))
        return TopK(
            np.where(bad, -1, top.rows), np.where(bad, -np.inf, top.scores).astype(np.float32)
        )


class IgnoresMasks(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        if eligible is not None:
            eligible = replace(eligible, mask_of_query=np.full(len(eligible), -1, np.int32))
        return super().retrieve(queries, k, eligible)


class WorstFirst(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        top = super().retrieve(queries, k, eligible)
        return TopK(top.rows[:, ::-1].copy(), top.scores[:, ::-1].copy())


class HigherRowFirst(Sound):
    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        return super().score_all(queries).round(1)

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        top = super().retrieve(queries, k, eligible)
        order = np.lexsort((-top.rows, -top.scores))
        return TopK(
            np.take_along_axis(top.rows, order, axis=1),
            np.take_along_axis(top.scores, order, axis=1),
        )


class DependsOnTheBatch(Sound):
    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        return super().score_all(queries) * np.float32(1 + 1e-6 * len(queries))


class ScoresOtherwise(Sound):
    def score(self, queries: Queries, rows: Rows) -> NDArray[np.float32]:
        return super().score(queries, rows) * np.float32(1.001)


class WritesIntoTheQuestion(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        top = super().retrieve(queries, k, eligible)
        queries.history_liked[:] = True
        return top


class ForgetsItsState(Sound):
    @classmethod
    def from_state(cls, state: State) -> Self:
        zeros = {name: np.zeros_like(array) for name, array in state.arrays.items()}
        return super().from_state(State(state.config, zeros))


class HidesAnObject(Sound):
    def state(self) -> State:
        return State(super().state().config, {"all": np.array([self], object)})


class SettlesOnOtherSettings(Sound):
    def settled(self) -> Self:
        return type(self)(l2=self.l2 * 3)


class StaysFitted(Sound):
    def settled(self) -> Self:
        return self


class SimilarToItself(Sound):
    def similar(self, rows: Rows, k: int, eligible: Eligible | None = None) -> TopK:
        n = len(rows)
        alone = Queries(np.full(n, -1, np.int32), rows, np.arange(n + 1), np.ones(n, bool))
        return self.retrieve(alone, k, eligible)


class LeavesStrangersOut(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        top = super().retrieve(queries, k, eligible)
        top.rows[queries.user_rows < 0] = -1
        top.scores[queries.user_rows < 0] = -np.inf
        return top


class KnowsWhoeverBringsAnything(Sound):
    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        return queries.liked_counts > 0


class DiffersEachTime(Sound):
    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        super().fit(train)
        noise = np.random.default_rng().normal(size=(self.n_items, self.n_items))
        self._weights = self._fitted() + 1e-3 * noise.astype(np.float32)
        return self


class AnswersUnfitted(Sound):
    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        try:
            return super().retrieve(queries, k, eligible)
        except NotReadyError:
            return TopK.nothing(len(queries), k)


BROKEN = [
    FiltersAfterwards,
    IgnoresMasks,
    WorstFirst,
    HigherRowFirst,
    DependsOnTheBatch,
    ScoresOtherwise,
    WritesIntoTheQuestion,
    ForgetsItsState,
    HidesAnObject,
    SettlesOnOtherSettings,
    StaysFitted,
    SimilarToItself,
    LeavesStrangersOut,
    KnowsWhoeverBringsAnything,
    DiffersEachTime,
    AnswersUnfitted,
]


def test_a_sound_model_passes() -> None:
    check_retriever(Sound)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_retriever_is_caught(broken: type[Sound]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_retriever(broken)


def test_popularity_is_not_personal() -> None:
    with pytest.raises(AssertionError, match="must get"):
        check_retriever(Popularity)
    check_retriever(Popularity, personal=False)


class Rounds(ExactIndex):
    def search(self, queries: Any, k: int, eligible: Eligible | None = None) -> TopK:
        return super().search(np.round(queries), k, eligible)


class Forgets(ExactIndex):
    def search(self, queries: Any, k: int, eligible: Eligible | None = None) -> TopK:
        return super().search(queries, k)


@pytest.mark.parametrize("broken", [Rounds, Forgets])
def test_a_broken_index_is_caught(broken: Callable[[Any], ExactIndex]) -> None:
    with pytest.raises(AssertionError):
        check_index(broken)


class LosesOne(Biases):
    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        top = super().rank(queries, candidates)
        top.rows[:, 0] = -1
        return top


class KnowsNoStranger(Biases):
    def predict(self, queries: Queries, rows: Rows) -> NDArray[np.float32]:
        values = super().predict(queries, rows)
        return np.where(queries.user_rows[:, None] < 0, np.float32("nan"), values)


class RanksByBatch(Biases):
    def predict(self, queries: Queries, rows: Rows) -> NDArray[np.float32]:
        values = super().predict(queries, rows)
        return np.asarray(values + values.mean(), np.float32) if values.size else values


def test_a_sound_ranker_passes() -> None:
    check_ranker(Biases)


@pytest.mark.parametrize("broken", [LosesOne, KnowsNoStranger, RanksByBatch])
def test_a_broken_ranker_is_caught(broken: type[Biases]) -> None:
    with pytest.raises(AssertionError):
        check_ranker(broken)
