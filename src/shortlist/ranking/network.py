"""A rating network: embeddings of user and item side by side, dense layers, one number.

The ranking model of the TensorFlow Recommenders tutorials, with dropout, weight decay and early
stopping, and beside user and item biases: ``r = mu + b_u + b_i + network(user, item)``. The biases
are solved for first (see :class:`shortlist.ranking.Biases`), so that an item with three ratings is
pulled towards the mean by the right amount; the network learns what they leave. The embedding of a
user's id starts with the bias as its first number: near 0 alone it could be long in finding anything.
(Not so an item's: of few ratings, each would see itself in the bias.) A side that does not declare
its id has no bias. Training needs torch; what answers is numpy and an ONNX graph.
"""

from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.extras import Extra
from shortlist.data.features import features_from_json, features_to_json
from shortlist.data.graphs import run_graph
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import times_table
from shortlist.data.sides import Side, encode_all
from shortlist.errors import DataError, NotReadyError
from shortlist.ranking.biases import Biases
from shortlist.ranking.order import RatingRanker
from shortlist.training.settings import Epoch, RatingSettings

_PAIRS = 1 << 15  # pairs through the layers at a time
_TO_ZERO = 1e12  # ratings' worth of pull: no bias for a side that does not declare its id


@dataclass(eq=False, kw_only=True)
class RatingNetwork(RatingRanker, RatingSettings):
    """A rating network; the settings are its fields (see :class:`RatingSettings`)."""

    name: ClassVar[str] = "rating"
    learning_needs: ClassVar[Extra] = Extra(
        "torch", "training RatingNetwork needs torch", "Biases does without"
    )

    _fit: "_Fitted | None" = field(init=False, repr=False, default=None)
    epochs_run: list[Epoch] = field(init=False, repr=False, default_factory=list)
    chosen_epoch: int | None = field(init=False, repr=False, default=None)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Train the network.

        Args:
            train: rows with ratings.
            validate: rows with ratings that choose the epoch by RMSE; None runs all ``epochs``.

        Returns:
            Itself, fitted.

        Raises:
            MissingExtraError: torch is not installed.
            DataError: ``validate`` has no row.
        """
        self.learning_needs.insist()
        from shortlist.training.loop import kept_epoch
        from shortlist.training.rating import train_rating

        absent = (("l2_user", "user_id", self.user), ("l2_item", "item_id", self.item))
        pulls = {pull: _TO_ZERO for pull, name, side in absent if name not in side}
        biases = Biases(**pulls).fit(train)
        left = biases.residuals(np.array(train.ratings), train.user_rows, train.item_rows)
        sides, static = encode_all(train, self.user, self.item, liked_only=False)
        generous = biases.state().arrays["users"]
        pairs = None
        if validate is not None:
            if not len(validate):
                msg = "validation has no row, so it can choose nothing; give rows, or leave validate out"
                raise DataError(msg)
            rows = (
                train.user_vocabulary.rows(validate.table["user_id"]),
                train.item_vocabulary.rows(validate.table["item_id"]),
            )
            pairs = (
                *rows,
                biases.residuals(np.array(validate.having("rating").ratings), *rows),
            )
        user_table, item_table, graph, self.epochs_run = train_rating(
            self, train, (left, generous), sides, static, pairs
        )
        items = np.asarray(static[1].astype(np.float64) @ item_table.astype(np.float64)).astype(
            np.float32
        )
        self._fit = _Fitted(sides, user_table, items, graph, biases)
        self.chosen_epoch = kept_epoch(self.epochs_run)
        return self

    def settled(self) -> Self:
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A RatingNetwork.
        """
        return replace(self, epochs=self.chosen_epoch or self.epochs)

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings.

        Args:
            queries: n askers; someone unknown with a rated history gets a bias from it.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        fitted = self._fitted()
        lines = fitted.sides[0].encode(queries.user_rows, queries.users)
        users = times_table(lines, fitted.user_table)  # (n, dim)
        asker, item = np.repeat(np.arange(len(queries)), rows.shape[1]), rows.ravel()
        ratings = np.empty(len(item), np.float32)
        for start in range(0, len(item), _PAIRS):
            some = slice(start, start + _PAIRS)
            pairs = np.concatenate(
                [users[asker[some]], fitted.items[item[some]]], axis=1
            )  # (pairs, 2 dim)
            ratings[some] = fitted.head(
                pairs
            )  # float64 inside, rounded: the same bits in any batch
        return fitted.biases.predict(queries, rows) + ratings.reshape(rows.shape)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the embeddings and biases of users out; what they taught the layers and items stays.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left, held = copy(self), self._fitted()
        user, item = held.sides
        table = np.delete(held.user_table, rows, axis=0) if user.has_id else held.user_table
        left._fit = _Fitted(
            (user.without_rows(len(rows)), item),
            table,
            held.items,
            held.graph,
            held.biases.without_users(rows),
        )
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, learned features, embeddings, and the layers as an ONNX graph.
        """
        fitted = self._fitted()
        settings = {item.name: getattr(self, item.name) for item in fields(RatingSettings)}
        settings |= {side: features_to_json(settings[side]) for side in ("user", "item")}
        settings["layers"] = list(self.layers)
        epochs = [[e.number, e.loss, e.validation] for e in self.epochs_run]
        sides = [side.to_json() for side in fitted.sides]
        biases = fitted.biases.state()
        config = {
            "settings": settings,
            "biases": biases.config,
            "sides": sides,
            "epochs": epochs,
            "chosen_epoch": self.chosen_epoch,
        }
        return State(
            config,
            {"user_table": fitted.user_table, "items": fitted.items}
            | {f"{name}_biases": array for name, array in biases.arrays.items()},
            {"layers": fitted.graph},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild, without torch.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted RatingNetwork.
        """
        settings = dict(state.config["settings"])
        settings |= {side: features_from_json(settings[side]) for side in ("user", "item")}
        model = cls(**settings)
        model.epochs_run = [Epoch(*record) for record in state.config["epochs"]]
        model.chosen_epoch = state.config["chosen_epoch"]
        user, item = (Side.from_json(side) for side in state.config["sides"])
        users, items = (
            np.asarray(state.arrays[name], np.float32) for name in ("user_table", "items")
        )
        parts = {name: state.arrays[f"{name}_biases"] for name in ("users", "items")}
        biases = Biases.from_state(State(state.config["biases"], parts))
        model._fit = _Fitted((user, item), users, items, state.graphs["layers"], biases)
        return model

    def _fitted(self) -> "_Fitted":
        if self._fit is None:
            msg = "this RatingNetwork is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit


class _Fitted:
    """The answering half: ``items`` are pooled embeddings, (n_items + 1, dim), the last unknown."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        user_table: NDArray[np.float32],
        items: NDArray[np.float32],
        graph: bytes,
        biases: Biases,
    ) -> None:
        self.sides = sides
        self.user_table = user_table
        self.items = items
        self.graph = graph
        self.biases = biases
        self.head = run_graph(graph)
