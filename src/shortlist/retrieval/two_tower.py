"""Two towers: a vector for who is asking, a vector for each item, and their dot product.

Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys
2019. Each tower adds up embeddings of its features (ids, tags, words, numbers, the mean of the
user's latest items) and, where asked for, passes the sum through dense layers. Training needs
torch; what answers is a sparse product in numpy, an ONNX graph for the layers, and an exact index.

Someone whom training never saw has no id embedding. Where they bring a history, it is predicted
from the mean vector of those items by a ridge regression, fitted on the users of train.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.features import features_from_json, features_to_json
from shortlist.data.graphs import run_graph
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import mean_lines, times_table
from shortlist.data.sides import Side, encode_all
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import MissingExtraError, NotReadyError
from shortlist.index.exact import ExactIndex
from shortlist.retrieval.dense import excluding_itself
from shortlist.retrieval.validation import RecallWatch
from shortlist.training.settings import TowerSettings

if TYPE_CHECKING:
    from shortlist.training.loop import Epoch
    from shortlist.training.two_tower import TowerArrays

Vectors = NDArray[np.float64]
_GUEST_RIDGE = 1e-3  # share of the mean variance


@dataclass(eq=False, kw_only=True)
class TwoTower(TowerSettings):
    """Two towers; the settings are its fields (see :class:`TowerSettings`)."""

    name: ClassVar[str] = "two-tower"

    _fit: "_Fitted | None" = field(init=False, repr=False, default=None)
    epochs_run: "list[Epoch]" = field(init=False, repr=False, default_factory=list)
    chosen_epoch: int | None = field(init=False, repr=False, default=None)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Train the towers.

        Args:
            train: the rows; only the liked ones are learned from.
            validate: rows that choose the epoch by recall at 100; None runs all ``epochs``.

        Returns:
            Itself, fitted.

        Raises:
            MissingExtraError: torch is not installed.
        """
        try:
            from shortlist.training.loop import kept_epoch
            from shortlist.training.two_tower import train_towers
        except ImportError as error:
            msg = f"training TwoTower needs torch ({error}): pip install 'shortlist[torch]'. Popularity and EASE do without"
            raise MissingExtraError(msg) from None
        n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
        sides, static = encode_all(train, self.user, self.item, liked_only=True)
        item_lines = static[1][:n_items]
        everyone = Snapshot.of(train).queries_of_rows(np.arange(n_users, dtype=np.int32))
        histories = mean_lines(everyone.liked_matrix(n_items))
        watch = None if validate is None else RecallWatch(train, validate)

        def judge(user: "TowerArrays", item: "TowerArrays") -> float:
            assert_watch = watch
            trial = replace(self)
            trial._fit = _Fitted.build(
                sides, item_lines, histories, user, item, self.temperature
            )
            return 0.0 if assert_watch is None else assert_watch(trial)

        user, item, self.epochs_run = train_towers(
            self, train, sides, static, None if watch is None else judge
        )
        self._fit = _Fitted.build(sides, item_lines, histories, user, item, self.temperature)
        self.chosen_epoch = kept_epoch(self.epochs_run)
        return self

    def settled(self) -> Self:
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A TwoTower.
        """
        return replace(self, epochs=self.chosen_epoch or self.epochs)

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Whoever brings a liked item, or a column that the query tower reads.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        return (queries.liked_counts > 0) | (
            queries.has_columns & bool(self._fitted().sides[0].learned)
        )

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        """The eligible items whose vectors point the query's way.

        Args:
            queries: n askers.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything.

        Returns:
            A TopK (n, k); scores are logits: dot products over the temperature.
        """
        fitted = self._fitted()
        return fitted.index.search(fitted.encode(queries), k, eligible)

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits of given items.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 scores -inf.

        Returns:
            (n, m) float32.
        """
        fitted = self._fitted()
        return fitted.index.score(fitted.encode(queries), rows)

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        fitted = self._fitted()
        return fitted.encode(queries) @ fitted.index.vectors.T

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Items whose vectors have the highest cosine with that of the given item.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k); scores are cosines.
        """
        vectors = self._fitted().index.vectors
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return ExactIndex(unit).search(unit[rows], k, excluding_itself(rows, eligible))

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors.

        Args:
            queries: n askers.

        Returns:
            (n, dim) float32, divided by the temperature.
        """
        return self._fitted().encode(queries)

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """(n_items, dim) float32."""
        return self._fitted().index.vectors

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, learned features, embeddings, item vectors, and the layers as ONNX graphs.
        """
        fitted = self._fitted()
        settings = {item.name: getattr(self, item.name) for item in fields(TowerSettings)}
        settings |= {side: features_to_json(settings[side]) for side in ("user", "item")}
        settings["layers"] = list(self.layers)
        epochs = [[e.number, e.loss, e.validation] for e in self.epochs_run]
        config = {
            "settings": settings,
            "sides": [side.to_json() for side in fitted.sides],
            "epochs": epochs,
            "chosen_epoch": self.chosen_epoch,
        }
        arrays = {
            "user_table": fitted.user_table,
            "item_table": fitted.item_table,
            "item_vectors": fitted.index.vectors,
            "guest_table": fitted.guest_table,
        }
        return State(config, arrays, fitted.graphs)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild, without torch.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted TwoTower.
        """
        settings = dict(state.config["settings"])
        settings |= {side: features_from_json(settings[side]) for side in ("user", "item")}
        model = cls(**settings)
        model.chosen_epoch = state.config["chosen_epoch"]
        user, item = (Side.from_json(side) for side in state.config["sides"])
        arrays = {name: np.asarray(array, np.float32) for name, array in state.arrays.items()}
        tables = (arrays["user_table"], arrays["item_table"], arrays["guest_table"])
        model._fit = _Fitted(
            (user, item),
            tables,
            ExactIndex(arrays["item_vectors"]),
            dict(state.graphs),
            model.temperature,
        )
        return model

    def _fitted(self) -> "_Fitted":
        if self._fit is None:
            msg = "this TwoTower is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit


class _Fitted:
    """The answering half."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        tables: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
        index: ExactIndex,
        graphs: dict[str, bytes],
        temperature: float,
        user_head: Callable[[Vectors], Vectors] | None = None,
    ) -> None:
        self.sides = sides
        self.user_table, self.item_table, self.guest_table = tables
        self.index = index
        self.graphs = graphs
        self._temperature = temperature
        self._user_head = user_head or (run_graph(graphs["user"]) if "user" in graphs else None)

    @classmethod
    def build(
        cls,
        sides: tuple[Side, Side],
        item_lines: sp.csr_array,
        histories: sp.csr_array,
        user: "TowerArrays",
        item: "TowerArrays",
        temperature: float,
    ) -> "_Fitted":
        graphs = {
            name: tower.graph
            for name, tower in (("user", user), ("item", item))
            if tower.graph is not None
        }
        pooled = np.asarray(item_lines.astype(np.float64) @ item.table.astype(np.float64))
        head = item.head or (run_graph(graphs["item"]) if "item" in graphs else None)
        vectors = head(pooled) if head is not None else pooled
        ids = user.table[: sides[0].n_rows if sides[0].has_id else 0].astype(np.float64)
        guest_table = _guest_table(histories, vectors, ids).astype(np.float32)
        tables = (user.table, item.table, guest_table)
        return cls(
            sides,
            tables,
            ExactIndex(vectors.astype(np.float32)),
            graphs,
            temperature,
            user.head,
        )

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        side, dim = self.sides[0], self.user_table.shape[1]
        # sparse lines times dense tables, in float64, rounded: the same bits whatever stands beside
        lines = side.encode(queries.user_rows, queries.users)
        pooled = times_table(lines, self.user_table[: side.static_columns])
        if side.history:
            latest = mean_lines(queries.liked_matrix(side.n_items, last=side.history))
            pooled += times_table(latest, self.user_table[side.static_columns :])
        guests = (queries.user_rows < 0) & (queries.liked_counts > 0)
        if side.has_id and guests.any():
            means = mean_lines(queries.liked_matrix(len(self.guest_table) - 1))
            predicted = times_table(means, self.guest_table[:-1]) + self.guest_table[-1]
            unknown = self.user_table[side.n_rows]  # the guess stands in its place
            pooled[guests] += (predicted - unknown)[guests]
        vectors = self._user_head(pooled) if self._user_head is not None else pooled
        return (vectors.reshape(len(queries), dim) / self._temperature).astype(np.float32)


def _guest_table(histories: sp.csr_array, vectors: Vectors, ids: Vectors) -> Vectors:
    # (n_items + 1, dim): lines whose mean over a history, plus the last, predicts a user's id embedding.
    if not len(ids):
        return np.zeros((1, vectors.shape[1]))
    brings = np.diff(histories.indptr) > 0
    means = np.asarray((histories.astype(np.float64) @ vectors)[brings])  # (users, dim)
    means = np.column_stack([means, np.ones(len(means))])
    gram = means.T @ means
    gram[np.diag_indices_from(gram)] += max(
        _GUEST_RIDGE * float(np.trace(gram)) / len(gram), 1e-9
    )
    weights = np.linalg.solve(gram, means.T @ ids[brings])  # (dim + 1, dim)
    return np.vstack([vectors @ weights[:-1], weights[-1:]])
