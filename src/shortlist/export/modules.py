"""Query towers as torch modules of rows, for the formats that are made from torch.

A bundle holds arrays and ONNX graphs; here the layers are built anew and get the graph's weights. What a
known user's own columns add is computed once and kept beside their row, so that the modules read rows and
nothing else. A row that is not among the known ones stands for someone, or something, unknown.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.data.ragged import times_table
from shortlist.data.sides import Side
from shortlist.errors import ExportError
from shortlist.nn.towers import Head
from shortlist.nn.transformer import CausalTransformer, LastPlace
from shortlist.retrieval import SequenceTower, TwoTower

if TYPE_CHECKING:
    import scipy.sparse as sp

    from shortlist.data.protocols import Retriever, State
    from shortlist.data.snapshot import Snapshot

GUEST_HISTORY = 50  # latest items that a tower without a History reads of someone new


class QueryTower(nn.Module):
    """The query vectors of two towers.

    Args:
        users: (n_users + 1, dim) what stands for each user, the last unknown.
        n_items: how many items there are.
        latest: (n_items, dim) what the latest items add by their mean, or None.
        reads: how many items that is.
        guest: (n_items + 1, dim) what the items of someone unknown add by their mean, the last line
            whatever they are; None where the tower has no embedding of users.
        head: the layers, from (n, dim) to (n, width).
        temperature: divides the vectors.
    """

    def __init__(
        self,
        users: NDArray[np.floating],
        n_items: int,
        latest: NDArray[np.floating] | None,
        reads: int,
        guest: NDArray[np.floating] | None,
        head: nn.Module,
        temperature: float,
    ) -> None:
        super().__init__()
        self.n_users, self.n_items, self.reads = len(users) - 1, n_items, reads
        self.users, self.head, self.temperature = table_of(users), head, temperature
        self.latest = None if latest is None else _padded(latest)
        self.guest = None if guest is None else _padded(guest[:-1])
        if guest is not None:
            self.offset: Tensor
            self.register_buffer("offset", torch.from_numpy(guest[-1].astype(np.float32)))

    def forward(self, user: Tensor, history: Tensor) -> Tensor:
        """Encode askers.

        Args:
            user: (n,) int32 user rows.
            history: (n, places) int32 rows of liked items, oldest first; -1 where there is none.

        Returns:
            (n, width) float32.
        """
        known = known_or_last(user, self.n_users)
        pooled = self.users(known)  # (n, dim)
        history = _rows_or_none(history, self.n_items)
        there = (history >= 0).float()  # (n, places)
        if self.latest is not None:
            after = there @ torch.tril(torch.ones(history.shape[1], history.shape[1]))
            pooled = pooled + _mean(self.latest, history, there * (after <= self.reads))
        if self.guest is not None:
            brings = (known == self.n_users).float()[:, None] * there.amax(dim=1, keepdim=True)
            pooled = pooled + brings * (_mean(self.guest, history, there) + self.offset)
        vectors: Tensor = self.head(pooled)
        return vectors / self.temperature


class HistoryTower(nn.Module):
    """The query vectors of a sequence tower.

    Args:
        items: (n_items, dim) item vectors.
        net: the transformer.
    """

    def __init__(self, items: NDArray[np.float32], net: LastPlace) -> None:
        super().__init__()
        self.items: Tensor
        self.register_buffer("items", torch.from_numpy(np.array(items, np.float32)))
        self.net = net

    def forward(self, history: Tensor) -> Tensor:
        """Encode histories.

        Args:
            history: (n, places) int32 rows of liked items, oldest first; -1, before the others, where
                there is none.

        Returns:
            (n, dim) float32.
        """
        rows = _rows_or_none(history, len(self.items)).long()
        vectors: Tensor = self.net(rows, self.items)
        return vectors


def tower_module(retriever: "Retriever", snapshot: "Snapshot") -> nn.Module:
    """A retriever's query tower as a module.

    Args:
        retriever: fitted.
        snapshot: what is known of users.

    Returns:
        A :class:`QueryTower` or a :class:`HistoryTower`.

    Raises:
        ExportError: this kind of retriever has no tower, or one of the user's own.
    """
    state = retriever.state() if isinstance(retriever, SequenceTower | TwoTower) else None
    if state is None:
        msg = f"the retriever {retriever.name!r} has no query tower; TwoTower and SequenceTower have one. Export it whole with --to onnx"
        raise ExportError(msg)
    if isinstance(retriever, SequenceTower):
        return _history_tower(retriever, state)
    if "user_tower" in state.config["own_parts"]:
        msg = "this TwoTower has a user tower of your own, whose code a bundle does not hold; export it with --to onnx"
        raise ExportError(msg)
    return _query_tower(retriever, state, snapshot)


def places_of(retriever: "Retriever") -> int:
    """How many latest liked items its query tower reads.

    Args:
        retriever: a fitted TwoTower or SequenceTower.

    Returns:
        At least 1.
    """
    if isinstance(retriever, SequenceTower):
        return retriever.length
    side = Side.from_json(retriever.state().config["sides"][0])
    return max(side.history, GUEST_HISTORY)


def _history_tower(retriever: SequenceTower, state: "State") -> HistoryTower:
    net = CausalTransformer(
        retriever.dim,
        layers=retriever.layers,
        heads=retriever.heads,
        length=retriever.length,
        dropout=0.0,
    )
    last = LastPlace(net)
    fill(last, state.graphs["history"])
    return HistoryTower(state.arrays["item_vectors"], last)


def _query_tower(model: "Retriever", state: "State", snapshot: "Snapshot") -> QueryTower:
    settings = state.config["settings"]
    side = Side.from_json(state.config["sides"][0])
    table = np.asarray(state.arrays["user_table"])
    users = times_table(static_lines(side, snapshot), table[: side.static_columns])
    if state.config["context"] is not None:
        users += state.arrays["context_mean_table"].astype(np.float64)
    head = Head(settings["dim"], settings["layers"], normalize=settings["normalize"])
    if not head.is_identity:
        fill(head, state.graphs["user"])
    guest = None
    if side.has_id:
        guest = state.arrays["guest_table"].astype(np.float64)
        guest[-1] -= table[side.n_rows]  # the guess stands in the unknown's place
    return QueryTower(
        users,
        snapshot.n_items,
        table[side.static_columns :] if side.history else None,
        side.history,
        guest,
        head,
        settings["temperature"],
    )


def static_lines(side: Side, snapshot: "Snapshot") -> "sp.csr_array":
    """The static features of every user.

    Args:
        side: the users' features.
        snapshot: knows the users and their columns.

    Returns:
        (n_users + 1, columns) CSR; the last line is of someone unknown.
    """
    rows = np.append(np.arange(snapshot.n_users), -1).astype(np.int32)
    return side.encode(rows, snapshot.queries_of_rows(rows).users)


def known_or_last(rows: Tensor, count: int) -> Tensor:
    """Rows of known users or items; one that is not there becomes the last line, the unknown.

    Args:
        rows: int32 of any shape.
        count: how many are known.

    Returns:
        The same shape, 0 to ``count``.
    """
    return torch.where((rows < 0) | (rows >= count), count, rows)


def _rows_or_none(rows: Tensor, count: int) -> Tensor:
    return torch.where((rows < 0) | (rows >= count), -1, rows)


def _mean(table: nn.Embedding, history: Tensor, counts: Tensor) -> Tensor:
    # over the distinct items that count; table's last line is nothing
    same = (history[:, :, None] == history[:, None, :]).float()  # (n, places, places)
    later = torch.triu(torch.ones(history.shape[1], history.shape[1]), diagonal=1)
    repeated = (same * later * counts[:, None, :]).sum(dim=2) > 0
    weights = counts * (~repeated).float()  # (n, places)
    lines = table(torch.where(history < 0, table.num_embeddings - 1, history))
    total = (lines * weights[:, :, None]).sum(dim=1)
    mean: Tensor = total / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
    return mean


def table_of(values: NDArray[np.floating]) -> nn.Embedding:
    """An array as a table that is looked up.

    Args:
        values: (n, dim).

    Returns:
        The table, in float32.
    """
    table: nn.Embedding = nn.Embedding.from_pretrained(
        torch.from_numpy(values.astype(np.float32))
    )
    return table


def _padded(values: NDArray[np.floating]) -> nn.Embedding:
    return table_of(np.vstack([values, np.zeros((1, values.shape[1]))]))


def fill(module: nn.Module, graph: bytes) -> None:
    """Give layers the weights that a bundle's graph holds.

    Args:
        module: built anew.
        graph: ONNX; its initializers have the names of the module's parameters.
    """
    import onnx

    held = {
        one.name: onnx.numpy_helper.to_array(one)
        for one in onnx.load_from_string(graph).graph.initializer
    }
    weights = {name: torch.from_numpy(held[name].copy()) for name in module.state_dict()}
    module.load_state_dict(weights)  # to float32
