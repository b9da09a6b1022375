"""What a retriever, a ranker and anything that recommends must offer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates, TopK

Json: TypeAlias = Any  # what json.dumps writes and json.loads reads


@dataclass(frozen=True, eq=False)
class State:
    """All that a fitted model is, without code: what a bundle stores.

    Attributes:
        config: settings and small values, JSON.
        arrays: named arrays.
        graphs: named ONNX graphs, as bytes.
    """

    config: dict[str, Json]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    graphs: Mapping[str, bytes] = field(default_factory=dict)


@runtime_checkable
class Fittable(Protocol):
    """What retrievers and rankers share: they are fitted, and they are their state."""

    name: ClassVar[str]

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Learn from train; validate only chooses (when to stop, which setting)."""
        ...

    def settled(self) -> Self:
        """An unfitted copy, with what validation chose written into its settings."""
        ...

    def state(self) -> State:
        """Everything needed to answer."""
        ...

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from a state, without torch."""
        ...


@runtime_checkable
class RemembersUsers(Protocol):
    """A fitted part that holds something of each known user, and can let go of some."""

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """The part as if it had never held these users; whoever follows moves up.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        ...


@runtime_checkable
class AnsweringRetriever(Protocol):
    """What a retriever answers once it is fitted."""

    @property
    def name(self) -> str:
        """Of the kind of retriever."""
        ...

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Which askers it has a personal answer for; the others are for the fallback.

        A history that tells it nothing, as of items that nobody took may, is no ground for one.
        """
        ...

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        """The best k items per query among the eligible ones, the same bits whatever the batch."""
        ...

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of given items: rows (n, m) to (n, m) float32; the scores retrieve() gives."""
        ...

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """(n, n_items) scores of the whole catalogue, for sums over it."""
        ...

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """The items most like each given item, never the item itself.

        A kind that cannot say raises LikenessError; of an item it knows nothing of, the line is empty.
        """
        ...


@runtime_checkable
class Retriever(Fittable, AnsweringRetriever, Protocol):
    """Stage 1: everything to a few hundred.

    One that answers everyone alike has a class attribute ``personal = False``: it is left out of
    audiences.
    """


@runtime_checkable
class Explains(Protocol):
    """A retriever that says which entries of a history speak for an item."""

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each entry of each asker's history adds to the scores of the asker's ``rows``.

        rows (n, m) to (len(queries.history_rows), m) float32. Entries that do not count (not liked,
        or an earlier entry of the same item) add 0, as does everything to row -1.
        """
        ...


@runtime_checkable
class AnsweringRanker(Protocol):
    """What a ranker answers once it is fitted."""

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        """Put the candidates of each query in order."""
        ...

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted value of given items: rows (n, m) to (n, m) float32; row -1 is an unknown item."""
        ...


@runtime_checkable
class Ranker(Fittable, AnsweringRanker, Protocol):
    """Stage 2: a few hundred to a shortlist."""


@runtime_checkable
class Reranker(Protocol):
    """Stage 3: the shortlist as a whole."""

    kind: ClassVar[str]

    def rerank(self, snapshot: Snapshot, queries: Queries, listed: TopK, k: int) -> TopK:
        """(n, m) candidates, best first, to (n, m): the k that are shown come first.

        Scores stay with their items. What must not be shown is left out: -1, behind the others.
        """
        ...

    def to_json(self) -> dict[str, Json]:
        """Its settings, the keywords of its constructor."""
        ...


@runtime_checkable
class Recommends(Protocol):
    """Anything that evaluation can judge."""

    name: str

    @property
    def snapshot(self) -> Snapshot:
        """The ids, items and histories it knows."""
        ...

    def top(
        self,
        users: pl.Series,
        k: int,
        *,
        keep_seen: bool = False,
        context: pl.DataFrame | None = None,
        histories: Interactions | None = None,
    ) -> TopK:
        """The best k items of each user, rows of ``snapshot.item_vocabulary``, as they are served.

        ``context`` holds what is known at the time of asking, a row per asker; with ``histories``,
        the users are strangers who bring these rows.
        """
        ...

    def predict_pairs(self, users: pl.Series, items: pl.Series) -> NDArray[np.float32] | None:
        """Predicted ratings of pairs of ids, or None where the recommender predicts none."""
        ...
