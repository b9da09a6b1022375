"""A sequence tower: what somebody takes next, told from what they took and in which order.

SASRec (Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018): a causal transformer
turns a history into a query vector, and the same item vectors are read from the history and scored
against: ``score(h, j) = transformer(v_h1, ..., v_hn) . v_j``. Each place of each history learns to
tell the item that follows it, by cross-entropy over the whole catalogue, which does better than the
binary loss of the paper (Klenitskiy & Vasilev, "Turning Dross Into Gold Loss", RecSys 2023; Petrov &
Macdonald, "gSASRec", RecSys 2023).

Training needs torch; what answers is an ONNX graph over the latest items, and an exact index. Nobody
has an embedding of their own: a guest who brings a history gets what a known user with it gets.
"""

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.extras import Extra
from shortlist.data.graphs import run_named
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.errors import DataError, NotReadyError, TrainingError
from shortlist.index.exact import ExactIndex
from shortlist.retrieval.explaining import leaving_out
from shortlist.retrieval.validation import RecallWatch
from shortlist.retrieval.vectors import VectorRetriever
from shortlist.training.settings import Epoch, SequenceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shortlist.training.sequence import SequenceArrays

_WATCHED = 10  # length of the lists whose recall chooses the epoch


class _Answering:
    # the item vectors in an index, and the graph that reads histories

    def __init__(self, items: NDArray[np.float32], graph: bytes, length: int) -> None:
        self.index, self.graph, self._length = ExactIndex(items), graph, length
        self._run = run_named(graph)

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        first, end = _windows(queries, self._length)
        rows = queries.history_rows[queries.history_liked].astype(np.int64)
        items = self.index.vectors
        answers = np.empty((len(queries), items.shape[1]), np.float32)
        # one asker at a time, without padding: the same bits whatever stands beside
        for asker, (start, stop) in enumerate(zip(first, end, strict=True)):
            read = rows[start:stop] if stop > start else np.array([-1])
            answers[asker] = self._run({"rows": read[None, :], "items": items})[0]
        return answers


@dataclass(eq=False, kw_only=True)
class SequenceTower(VectorRetriever, SequenceSettings):
    """A causal transformer over the liked history; the settings are its fields (see :class:`SequenceSettings`).

    Scores are logits: a softmax over the catalogue gives probabilities.
    """

    name: ClassVar[str] = "sequence"
    learning_needs: ClassVar[Extra] = Extra(
        "torch", "training SequenceTower needs torch", "Popularity and EASE do without"
    )

    _fit: _Answering | None = field(init=False, repr=False, default=None)
    epochs_run: list[Epoch] = field(init=False, repr=False, default_factory=list)
    chosen_epoch: int | None = field(init=False, repr=False, default=None)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Train on the liked rows, in the order of time; ties keep the order of the file.

        Args:
            train: the rows, with timestamps.
            validate: rows that choose the epoch by recall at 10; None runs all ``epochs``.

        Returns:
            Itself, fitted.

        Raises:
            DataError: the rows have no order, or nobody liked two items.
            MissingExtraError: torch is not installed.
            TrainingError: the loss was not finite. After a good epoch, the model is that epoch's.
        """
        self.learning_needs.insist()
        from shortlist.training.loop import kept_epoch
        from shortlist.training.sequence import train_sequence

        _check_order(train)
        judge: Callable[[SequenceArrays], float] | None = None
        if validate is not None:
            watch = RecallWatch(train, validate, k=_WATCHED)

            def judge(arrays: "SequenceArrays") -> float:
                trial = replace(self)
                trial._fit = _Answering(arrays.items, arrays.graph, self.length)
                return watch(trial)

        arrays, self.epochs_run, failure = train_sequence(self, train, judge)
        self._fit = _Answering(arrays.items, arrays.graph, self.length)
        self.chosen_epoch = kept_epoch(self.epochs_run)
        if failure is not None:
            msg = f"{failure} Training stopped; the weights of epoch {self.chosen_epoch}, the last good one, are kept in this SequenceTower"
            raise TrainingError(msg)
        return self

    def settled(self) -> Self:
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A SequenceTower.
        """
        return replace(self, epochs=self.chosen_epoch or self.epochs)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each entry of a history adds: the logit less what it is without the entry.

        Where an entry is left out of a long history, the one before the window moves into it.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; they need not sum to the logit. Entries too old
            to be read add 0.
        """
        _, end = _windows(queries, self.length)
        liked = np.flatnonzero(queries.history_liked)
        place = end[queries.askers[liked]] - np.arange(len(liked))  # 1 for the latest
        kept = liked[place <= self.length + 1]
        ages, ratings = queries.history_ages, queries.history_ratings
        counts = np.bincount(queries.askers[kept], minlength=len(queries))
        recent = replace(
            queries,
            history_rows=queries.history_rows[kept],
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            history_liked=queries.history_liked[kept],
            history_ages=None if ages is None else ages[kept],
            history_ratings=None if ratings is None else ratings[kept],
        )
        added = np.zeros((len(queries.history_rows), rows.shape[1]), np.float32)
        added[kept] = leaving_out(self, recent, rows)
        return added

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors.

        Args:
            queries: n askers.

        Returns:
            (n, dim) float32.
        """
        return self._fitted().encode(queries)

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, item vectors, and the transformer as an ONNX graph.
        """
        fitted = self._fitted()
        config = {
            "settings": {f.name: getattr(self, f.name) for f in fields(SequenceSettings)},
            "epochs": [[e.number, e.loss, e.validation] for e in self.epochs_run],
            "chosen_epoch": self.chosen_epoch,
        }
        return State(config, {"item_vectors": fitted.index.vectors}, {"history": fitted.graph})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild, without torch.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted SequenceTower.
        """
        model = cls(**state.config["settings"])
        model.epochs_run = [Epoch(*record) for record in state.config["epochs"]]
        model.chosen_epoch = state.config["chosen_epoch"]
        items = np.asarray(state.arrays["item_vectors"], np.float32)
        model._fit = _Answering(items, state.graphs["history"], model.length)
        return model

    def _item_index(self) -> ExactIndex:
        return self._fitted().index

    def _fitted(self) -> _Answering:
        if self._fit is None:
            msg = "this SequenceTower is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit


def _windows(queries: Queries, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # where each asker's latest ``length`` rows stand among all liked rows
    end = np.cumsum(queries.liked_counts)
    return np.maximum(end - queries.liked_counts, end - length), end


def _check_order(train: Interactions) -> None:
    times = train.timestamps
    if times is None:
        got = f"the columns {train.table.columns}"
    elif len(times) and times.min() == times.max():
        got = f"{len(times):,} rows that all have the timestamp {times[0]}"
    elif np.bincount(train.user_rows[train.liked], minlength=1).max() < 2:
        got = f"{int(train.liked.sum()):,} liked rows, at most one of each user"
    else:
        return
    msg = (
        f"SequenceTower learns what follows what, so it needs rows with an order; got {got}. "
        "Name the column of times when reading, or use EASE or TwoTower, which need no order"
    )
    raise DataError(msg)
