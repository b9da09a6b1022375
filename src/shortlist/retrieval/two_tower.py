"""Two towers: a vector for who is asking, a vector for each item, and their dot product.

Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys
2019. Each tower adds up embeddings of its features (ids, tags, words, numbers, the mean of the
user's latest items) and, where asked for, passes the sum through dense layers. Training needs
torch; what answers is a sparse product in numpy, an ONNX graph for the layers, and an exact index.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.features import features_from_json, features_to_json
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.sides import Side
from shortlist.data.topk import TopK
from shortlist.errors import MissingExtraError, NotReadyError
from shortlist.index.exact import ExactIndex
from shortlist.retrieval.dense import excluding_itself
from shortlist.data.graphs import run_graph
from shortlist.retrieval.validation import RecallWatch
from shortlist.training.settings import TowerSettings

if TYPE_CHECKING:
    from shortlist.training.loop import Epoch
    from shortlist.training.two_tower import TowerArrays

Vectors = NDArray[np.float64]


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
            from shortlist.training.two_tower import train_towers
        except ImportError as error:
            msg = f"training TwoTower needs torch ({error}): pip install 'shortlist[torch]'. Popularity and EASE do without"
            raise MissingExtraError(msg) from None
        n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
        users, items = _user_columns(train), train.catalogue.aligned(train.item_vocabulary.ids).table
        counts = np.bincount(train.item_rows[train.liked], minlength=n_items)
        sides = (
            Side.learn(self.user, id_name="user_id", n_rows=n_users, table=users, in_train=np.ones(n_users, bool), n_items=n_items),
            Side.learn(self.item, id_name="item_id", n_rows=n_items, table=items, in_train=counts > 0),
        )
        learned = np.where(counts > 0, np.arange(n_items), -1).astype(np.int32)  # the others stand for the unknown
        static = (sides[0].encode(np.arange(n_users, dtype=np.int32), users), sides[1].encode(np.arange(n_items, dtype=np.int32), items))
        item_lines = sides[1].encode(learned, items)
        watch = None if validate is None else RecallWatch(train, validate)

        def judge(user: "TowerArrays", item: "TowerArrays") -> float:
            assert_watch = watch
            trial = replace(self)
            trial._fit = _Fitted.build(sides, item_lines, user, item, self.temperature)
            return 0.0 if assert_watch is None else assert_watch(trial)

        user, item, self.epochs_run = train_towers(self, train, sides, static, None if watch is None else judge)
        self._fit = _Fitted.build(sides, item_lines, user, item, self.temperature)
        best = max(self.epochs_run, key=lambda epoch: (epoch.validation is not None, epoch.validation or 0.0, epoch.number))
        self.chosen_epoch = best.number
        return self

    def settled(self) -> "TwoTower":
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A TwoTower.
        """
        return replace(self, epochs=self.chosen_epoch or self.epochs)

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

    def similar(self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None) -> TopK:
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
        epochs = [asdict(epoch) for epoch in self.epochs_run]
        config = {"settings": settings, "sides": [side.to_json() for side in fitted.sides], "epochs": epochs, "chosen_epoch": self.chosen_epoch}
        arrays = {"user_table": fitted.user_table, "item_table": fitted.item_table, "item_vectors": fitted.index.vectors}
        return State(config, arrays, fitted.graphs)

    @classmethod
    def from_state(cls, state: State) -> "TwoTower":
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
        model._fit = _Fitted(
            (user, item), arrays["user_table"], arrays["item_table"], ExactIndex(arrays["item_vectors"]), dict(state.graphs), model.temperature
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
        user_table: NDArray[np.float32],
        item_table: NDArray[np.float32],
        index: ExactIndex,
        graphs: dict[str, bytes],
        temperature: float,
        user_head: Callable[[Vectors], Vectors] | None = None,
    ) -> None:
        self.sides = sides
        self.user_table = user_table
        self.item_table = item_table
        self.index = index
        self.graphs = graphs
        self._temperature = temperature
        self._user_head = user_head or (run_graph(graphs["user"]) if "user" in graphs else None)
        self._wide_table = user_table.astype(np.float64)

    @classmethod
    def build(
        cls, sides: tuple[Side, Side], item_lines: sp.csr_array, user: "TowerArrays", item: "TowerArrays", temperature: float
    ) -> "_Fitted":
        graphs = {name: tower.graph for name, tower in (("user", user), ("item", item)) if tower.graph is not None}
        pooled = np.asarray(item_lines.astype(np.float64) @ item.table.astype(np.float64))
        head = item.head or (run_graph(graphs["item"]) if "item" in graphs else None)
        vectors = head(pooled) if head is not None else pooled
        return cls(sides, user.table, item.table, ExactIndex(vectors.astype(np.float32)), graphs, temperature, user.head)

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        side = self.sides[0]
        lines = side.encode(queries.user_rows, queries.users)
        if side.history:
            history = queries.liked_matrix(side.n_items, last=side.history)
            history.data /= np.repeat(np.maximum(np.diff(history.indptr), 1), np.diff(history.indptr))
            lines = sp.csr_array(sp.hstack([lines, history], format="csr"))
        # float64, line by line, then rounded: the same bits whatever stands beside it
        pooled = np.asarray(lines.astype(np.float64) @ self._wide_table)
        vectors = self._user_head(pooled) if self._user_head is not None else pooled
        return (vectors / self._temperature).astype(np.float32)


def _user_columns(train: Interactions) -> pl.DataFrame | None:
    if train.users is None:
        return None
    keys = train.user_vocabulary.ids.cast(pl.String).alias("_key").to_frame()
    table = train.users.with_columns(pl.col("user_id").cast(pl.String).alias("_key")).drop("user_id")
    return keys.join(table, on="_key", how="left", maintain_order="left").drop("_key")
