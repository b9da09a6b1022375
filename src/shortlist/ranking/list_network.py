"""A small network that learns to order lists, over the same features of the pair as the boosted trees.

Its loss sees each pair by itself (cross-entropy), taken items above the others (RankNet), or the list
as a whole (ListNet); beside it, a second head may learn the ratings (multi-task). Training needs torch;
what answers is an ONNX graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.data.extras import Extra
from shortlist.data.graphs import run_graph
from shortlist.data.protocols import State
from shortlist.errors import ConfigError, DataError
from shortlist.ranking.examples import Examples
from shortlist.ranking.list_model import ListModel
from shortlist.training.settings import Epoch, TrainingSettings

Loss = Literal["pointwise", "pairwise", "listwise"]


@dataclass(eq=False, kw_only=True)
class ListNetwork(ListModel):
    """A network over pair features; beside its own settings, those of :class:`ListModel`.

    Attributes:
        loss: ``"pointwise"``, ``"pairwise"`` or ``"listwise"``.
        rating_weight: how much the squared error of ratings counts beside ``loss``; above 0, ``predict``
            answers ratings.
        layers: widths of the hidden layers.
        epochs: passes over the lists; with validation, at most.
        batch_size: lists per step.
        learning_rate: step size.
        weight_decay: share of a weight taken away per unit of ``learning_rate``.
        dropout: share of hidden numbers set to zero in training.
    """

    name: ClassVar[str] = "network"
    learning_needs: ClassVar[Extra] = Extra(
        "torch", "training ListNetwork needs torch", "Boosted does without"
    )

    loss: Loss = "listwise"
    rating_weight: float = 0.0
    layers: Sequence[int] = (64, 32)
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    dropout: float = 0.1
    chosen_epoch: int | None = field(init=False, repr=False, default=None)
    epochs_run: list[Epoch] = field(init=False, repr=False, default_factory=list)
    _graph: bytes = field(init=False, repr=False, default=b"")
    _run: Any = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        super().__post_init__()
        self.layers = tuple(self.layers)
        self._training()
        if self.loss not in get_args(Loss):
            msg = f"loss must be one of {get_args(Loss)}; got {self.loss!r}"
            raise ConfigError(msg)
        if not self.rating_weight >= 0 or not all(width >= 1 for width in self.layers):
            msg = f"rating_weight must be 0 or more and layers at least 1 wide; got {self.rating_weight} and {self.layers}"
            raise ConfigError(msg)
        if self.rating_weight and self.calibrated is not None:
            msg = "predict answers ratings (rating_weight) or probabilities (calibrated), not both: leave one out"
            raise ConfigError(msg)

    def settled(self) -> Self:
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A ListNetwork.
        """
        return replace(self, epochs=self.chosen_epoch or self.epochs)

    @property
    def predicts_ratings(self) -> bool:
        """Whether there is a head for ratings."""
        return self.rating_weight > 0

    def _training(self) -> TrainingSettings:
        return TrainingSettings(
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=3,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            seed=self.seed,
        )

    def _learn(
        self, examples: Examples, chooses: Examples | None, names: tuple[str, ...]
    ) -> None:
        self.learning_needs.insist()
        from shortlist.training.lists import NetworkShape, train_lists
        from shortlist.training.loop import kept_epoch

        if self.rating_weight and (
            examples.ratings is None or np.isnan(examples.ratings).all()
        ):
            msg = "rating_weight asks for ratings, and no candidate has one: give rows with ratings, or rating_weight=0"
            raise DataError(msg)
        shape = NetworkShape(tuple(self.layers), self.loss, self.rating_weight)
        graph, self.epochs_run = train_lists(shape, self._training(), examples, chooses)
        self.chosen_epoch = kept_epoch(self.epochs_run)
        self._graph, self._run = graph, run_graph(graph)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._run(x.astype(np.float64))[:, 0], np.float32)

    def _predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        told = self._run(x.astype(np.float64))  # float64 inside: the same bits in any batch
        return np.asarray(told[:, -1], np.float32)

    def _inner_state(self) -> State:
        epochs = [[e.number, e.loss, e.validation] for e in self.epochs_run]
        config = {"epochs_run": epochs, "chosen_epoch": self.chosen_epoch}
        return State(config, {}, {"layers": self._graph})

    def _set_inner(
        self,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        graphs: Mapping[str, bytes],
    ) -> None:
        self.epochs_run = [Epoch(*record) for record in config["epochs_run"]]
        self.chosen_epoch = config["chosen_epoch"]
        self._graph, self._run = graphs["layers"], run_graph(graphs["layers"])
