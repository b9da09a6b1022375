"""What answers for two towers: sparse lines times embedding tables, ONNX layers, and an index."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.graphs import run_graph
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import mean_lines, times_table
from shortlist.data.sides import Side
from shortlist.index.contract import Index
from shortlist.index.exact import ExactIndex
from shortlist.index.faiss import FaissIndex

if TYPE_CHECKING:
    from shortlist.training.settings import TowerSettings
    from shortlist.training.two_tower import Towers

Vectors = NDArray[np.float64]
_GUEST_RIDGE = 1e-3  # share of the mean variance


@dataclass(frozen=True, eq=False)
class AnsweringTowers:
    """Fitted towers, without torch.

    Attributes:
        sides: features of users and of items.
        context: features of the asking, or None.
        tables: named embedding tables: ``user``, ``item``, ``guest`` and, with a context, ``context``
            and ``context_mean``.
        graphs: the towers' layers as ONNX, ``user`` and ``item``, where there are any.
        index: the item vectors.
        temperature: divides the query vectors.
        user_head: the query tower's layers.
    """

    sides: tuple[Side, Side]
    context: Side | None
    tables: dict[str, NDArray[np.float32]]
    graphs: dict[str, bytes]
    index: Index
    temperature: float
    user_head: Callable[[Vectors], Vectors] | None

    @classmethod
    def build(
        cls,
        settings: "TowerSettings",
        sides: tuple[Side, Side],
        lines: tuple[sp.csr_array, sp.csr_array],
        context: tuple[Side, sp.csr_array] | None,
        towers: "Towers",
    ) -> "AnsweringTowers":
        """Turn what training gave into what answers.

        Args:
            settings: of the towers.
            sides: features of users and of items.
            lines: (n_items, ...) encoded items, and (n_users, n_items) mean lines of the histories.
            context: features of the asking and their lines in train, or None.
            towers: trained.

        Returns:
            Towers with an exact index; see :meth:`indexed`.
        """
        user, item = towers.user, towers.item
        graphs = {"user": user.graph, "item": item.graph}
        pooled = times_table(lines[0], item.table)
        head = item.head or (run_graph(item.graph) if item.graph is not None else None)
        vectors = head(pooled) if head is not None else pooled
        ids = user.table[: sides[0].n_rows if sides[0].has_id else 0].astype(np.float64)
        # whoever liked nothing taught their embedding nothing: they stand for the unknown user
        user_table = user.table.copy()
        untaught = np.flatnonzero(np.diff(lines[1].indptr) == 0)
        if sides[0].has_id:
            user_table[untaught] = user_table[sides[0].n_rows]
        tables = {
            "user": user_table,
            "item": item.table,
            "guest": _guest_table(lines[1], vectors, ids).astype(np.float32),
        }
        if context is not None and towers.context is not None:
            asked = times_table(context[1], towers.context)
            tables |= {
                "context": towers.context,
                "context_mean": asked.mean(axis=0).astype(np.float32),
            }
        return cls(
            sides,
            None if context is None else context[0],
            tables,
            {name: graph for name, graph in graphs.items() if graph is not None},
            ExactIndex(vectors.astype(np.float32)),
            settings.temperature,
            user.head or (run_graph(user.graph) if user.graph is not None else None),
        )

    def indexed(self, kind: str, effort: int) -> Self:
        """The same towers over another index.

        Args:
            kind: ``"exact"`` or a FAISS factory string.
            effort: of a FAISS index.

        Returns:
            New towers.
        """
        if kind == "exact":
            return self
        return replace(self, index=FaissIndex(self.index.vectors, kind, effort=effort))

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors.

        Args:
            queries: n askers.

        Returns:
            (n, width) float32, divided by the temperature.
        """
        side, table = self.sides[0], self.tables["user"]
        # sparse lines times dense tables, in float64, rounded: the same bits whatever stands beside
        lines = side.encode(queries.user_rows, queries.users)
        pooled = times_table(lines, table[: side.static_columns])
        if side.history:
            latest = mean_lines(queries.liked_matrix(side.n_items, last=side.history))
            pooled += times_table(latest, table[side.static_columns :])
        if self.context is not None:
            pooled += self._asked(self.context, queries)
        guests = (queries.user_rows < 0) & (queries.liked_counts > 0)
        if side.has_id and guests.any():
            guest = self.tables["guest"]
            means = mean_lines(queries.liked_matrix(len(guest) - 1))
            unknown = table[side.n_rows]  # the guess stands in its place
            pooled[guests] += (times_table(means, guest[:-1]) + guest[-1] - unknown)[guests]
        vectors = self.user_head(pooled) if self.user_head is not None else pooled
        return (vectors / self.temperature).astype(np.float32)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the embeddings of users out.

        Args:
            rows: user rows, rising.

        Returns:
            Towers for the users who stay.
        """
        user, item = self.sides
        table = self.tables["user"]
        if user.has_id:
            table = np.delete(table, rows, axis=0)
        return replace(
            self,
            sides=(user.without_rows(len(rows)), item),
            tables=self.tables | {"user": table},
        )

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Learned features, tables, item vectors, a built FAISS index, and graphs.
        """
        config = {
            "sides": [side.to_json() for side in self.sides],
            "context": None if self.context is None else self.context.to_json(),
        }
        arrays: dict[str, NDArray[np.generic]] = {
            f"{name}_table": t for name, t in self.tables.items()
        }
        arrays["item_vectors"] = self.index.vectors
        if isinstance(self.index, FaissIndex):
            arrays["faiss"] = self.index.to_bytes()
        return State(config, arrays, self.graphs)

    @classmethod
    def from_state(cls, state: State, settings: "TowerSettings") -> "AnsweringTowers":
        """Rebuild, without torch.

        Args:
            state: what :meth:`state` gave.
            settings: of the towers.

        Returns:
            The same towers.
        """
        arrays, graphs = dict(state.arrays), dict(state.graphs)
        vectors = np.asarray(arrays.pop("item_vectors"), np.float32)
        built = arrays.pop("faiss", None)
        index: Index = ExactIndex(vectors)
        if built is not None:
            index = FaissIndex(
                vectors,
                settings.index,
                effort=settings.index_effort,
                built=np.asarray(built, np.uint8),
            )
        user, item = (Side.from_json(side) for side in state.config["sides"])
        context = state.config["context"]
        return cls(
            (user, item),
            None if context is None else Side.from_json(context),
            {
                name.removesuffix("_table"): np.asarray(a, np.float32)
                for name, a in arrays.items()
            },
            graphs,
            index,
            settings.temperature,
            run_graph(graphs["user"]) if "user" in graphs else None,
        )

    def _asked(self, side: Side, queries: Queries) -> Vectors:
        # whoever asks without a context gets the mean of train's
        if queries.context is None:
            mean = self.tables["context_mean"].astype(np.float64)
            return np.broadcast_to(mean, (len(queries), len(mean)))
        lines = side.encode(np.full(len(queries), -1, np.int32), queries.context)
        return times_table(lines, self.tables["context"])


def _guest_table(histories: sp.csr_array, vectors: Vectors, ids: Vectors) -> Vectors:
    # (n_items + 1, dim): the mean of its lines over a history, plus the last line, predicts a user's
    # id embedding
    if not len(ids):
        return np.zeros((1, vectors.shape[1]))
    brings = np.diff(histories.indptr) > 0
    means = times_table(histories, vectors)[brings]  # (users, width)
    means = np.column_stack([means, np.ones(len(means))])
    gram = means.T @ means
    ridge = max(_GUEST_RIDGE * float(np.trace(gram)) / len(gram), 1e-9)
    gram[np.diag_indices_from(gram)] += ridge
    weights = np.linalg.solve(gram, means.T @ ids[brings])  # (width + 1, dim)
    return np.vstack([vectors @ weights[:-1], weights[-1:]])
