"""Rankers of ratings as torch modules of rows, for the formats that are made from torch."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.data.ragged import times_table
from shortlist.data.sides import Side
from shortlist.errors import ExportError
from shortlist.export.modules import fill, known_or_last, static_lines, table_of
from shortlist.nn.towers import RatingHead
from shortlist.ranking import Biases, Factorisation, RatingNetwork

if TYPE_CHECKING:
    from shortlist.data.protocols import Ranker
    from shortlist.data.snapshot import Snapshot


class PairRatings(nn.Module):
    """Predicted ratings of pairs.

    Args:
        users: (n_users + 1, dim) pooled embeddings, the last unknown.
        items: (n_items + 1, dim) likewise.
        biases: (n_users + 1,) and (n_items + 1,) what is added for each; the users' hold the mean.
        head: from (n, 2 dim) to (n,); None where the biases are all.
        clip: lowest and highest rating; None for no bounds.
    """

    def __init__(
        self,
        users: NDArray[np.floating],
        items: NDArray[np.floating],
        biases: tuple[NDArray[np.floating], NDArray[np.floating]],
        head: nn.Module | None,
        clip: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.n_users, self.n_items = len(users) - 1, len(items) - 1
        self.dim = users.shape[1]
        # a bias stands behind its embedding: one line is read for each
        self.users = table_of(np.column_stack([users, biases[0]]))
        self.items = table_of(np.column_stack([items, biases[1]]))
        self.head, self.clip = head, clip

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Predict.

        Args:
            user: (n,) int32 user rows.
            item: (n,) int32 item rows.

        Returns:
            (n,) float32.
        """
        users = self.users(known_or_last(user, self.n_users))  # (n, dim + 1)
        items = self.items(known_or_last(item, self.n_items))
        ratings: Tensor = users[:, self.dim] + items[:, self.dim]
        if self.head is not None:
            pair = torch.cat([users[:, : self.dim], items[:, : self.dim]], dim=1)
            ratings = ratings + self.head(pair)
        return ratings if self.clip is None else ratings.clamp(*self.clip)


class _Product(nn.Module):
    # (n, 2 dim), user beside item, to (n,) dot products

    def forward(self, pair: Tensor) -> Tensor:
        users, items = pair.chunk(2, dim=1)
        return (users * items).sum(dim=1)


def rating_module(ranker: "Ranker", snapshot: "Snapshot") -> PairRatings:
    """A ranker of ratings as a module.

    Args:
        ranker: fitted.
        snapshot: what is known of users.

    Returns:
        A module of user rows and item rows.

    Raises:
        ExportError: this kind of ranker has no such form.
    """
    write = _WRITERS.get(type(ranker))
    if write is None:
        kinds = ", ".join(kind.__name__ for kind in _WRITERS)
        msg = f"the ranker {ranker.name!r} cannot be written as a graph of rows: it reads more than the pair. {kinds} can; or export the retriever alone with part='user'"
        raise ExportError(msg)
    return write(ranker, snapshot)


def _biases(ranker: Any, snapshot: "Snapshot") -> PairRatings:
    state = ranker.state()
    users, items = state.arrays["users"] + state.config["mean"], state.arrays["items"]
    nothing = np.empty((len(users), 0)), np.empty((len(items), 0))
    return PairRatings(nothing[0], nothing[1], (users, items), None)


def _network(ranker: Any, snapshot: "Snapshot") -> PairRatings:
    state = ranker.state()
    mean = state.config["biases"]["mean"]
    side = Side.from_json(state.config["sides"][0])
    head = RatingHead(
        ranker.dim,
        ranker.layers,
        dropout=0.0,
        mean=0.0,
        cross_layers=ranker.cross_layers,
        cross_rank=ranker.cross_rank,
    )
    fill(head, state.graphs["layers"])
    return PairRatings(
        times_table(static_lines(side, snapshot), state.arrays["user_table"]),
        state.arrays["items"],
        (state.arrays["users_biases"] + mean, state.arrays["items_biases"]),
        head,
    )


def _factorisation(ranker: Any, snapshot: "Snapshot") -> PairRatings:
    # the draws stand side by side, so that one product is the sum over them
    fitted = ranker._fitted()
    rows = np.append(np.arange(snapshot.n_users), -1).astype(np.int32)
    queries = snapshot.queries_of_rows(rows)
    asked = fitted.askers(queries, implicit=ranker.implicit)
    mood, _ = fitted.moods.at(rows, np.full(len(rows), np.nan))
    held, scale = fitted.posterior, fitted.scale
    generous = asked.bias.mean(axis=1, dtype=np.float64) + mood
    liked = held.item_bias.mean(axis=1, dtype=np.float64)
    return PairRatings(
        asked.factors * (scale.spread / asked.bias.shape[1]),
        held.item_factors,
        (generous * scale.spread + scale.mean, liked * scale.spread),
        _Product(),
        (scale.low, scale.high) if ranker.clip else None,
    )


_WRITERS: Mapping[type[Any], Callable[[Any, "Snapshot"], PairRatings]] = {
    Biases: _biases,
    RatingNetwork: _network,
    Factorisation: _factorisation,
}
