"""Two towers: a vector for who is asking, a vector for each item, and their dot product.

Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys
2019. Each tower adds up embeddings of its features (ids, tags, words, numbers, the mean of the
user's latest items) and, where asked for, passes the sum through dense layers. Training needs
torch; what answers is a sparse product in numpy, an ONNX graph for the layers, and an exact index.

Someone whom training never saw has no id embedding. Where they bring a history, it is predicted
from the mean vector of those items by a ridge regression, fitted on the users of train.
"""

from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.extras import Extra
from shortlist.data.features import History, features_from_json, features_to_json
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import mean_lines
from shortlist.data.sides import encode_all, learn_context
from shortlist.errors import ConfigError, NotReadyError, TrainingError
from shortlist.index.contract import Index
from shortlist.index.faiss import check_factory
from shortlist.retrieval.explaining import leaving_out
from shortlist.retrieval.towers import AnsweringTowers
from shortlist.retrieval.validation import RecallWatch
from shortlist.retrieval.vectors import VectorRetriever
from shortlist.training.settings import Epoch, TowerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shortlist.training.two_tower import Towers

_FEATURES = ("user", "item", "context")
_OWN_PARTS = (
    "user_tower",
    "item_tower",
    "loss",
    "start_users",
    "start_items",
)  # code and vectors


@dataclass(eq=False, kw_only=True)
class TwoTower(VectorRetriever, TowerSettings):
    """Two towers; the settings are its fields (see :class:`TowerSettings`).

    Scores are logits: dot products over the temperature.
    """

    name: ClassVar[str] = "two-tower"
    learning_needs: ClassVar[Extra] = Extra(
        "torch", "training TwoTower needs torch", "Popularity and EASE do without"
    )

    _fit: AnsweringTowers | None = field(init=False, repr=False, default=None)
    epochs_run: list[Epoch] = field(init=False, repr=False, default_factory=list)
    chosen_epoch: int | None = field(init=False, repr=False, default=None)
    _own_parts_missing: tuple[str, ...] = field(init=False, repr=False, default=())

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Train the towers.

        Args:
            train: the rows; only the liked ones are learned from.
            validate: rows that choose the epoch by recall at 100; None runs all ``epochs``.

        Returns:
            Itself, fitted.

        Raises:
            MissingExtraError: torch is not installed, or FAISS where ``index`` asks for it.
            ConfigError: a feature is not there, FAISS cannot read ``index``, or a part of one's own does not fit.
            TrainingError: the loss was not finite. After a good epoch, the model is that epoch's.
        """
        self.learning_needs.insist()
        from shortlist.training.loop import kept_epoch
        from shortlist.training.two_tower import TowerInputs, train_towers

        if self._own_parts_missing:
            msg = f"this TwoTower was trained with parts of your own ({', '.join(self._own_parts_missing)}), which a bundle does not hold. Make it anew with them to train again"
            raise ConfigError(msg)
        if self.index != "exact" and self.item_tower is None:
            check_factory(self.index, self.dim)
        n_items = len(train.item_vocabulary)
        sides, static = encode_all(train, self.user, self.item, liked_only=True)
        context = learn_context(train, self.context)
        lines = (static[1][:n_items], mean_lines(train.liked_matrix()))

        def answering(towers: "Towers") -> AnsweringTowers:
            return AnsweringTowers.build(self, sides, lines, context, towers)

        judge: Callable[[Towers], float] | None = None
        if validate is not None:
            watch = RecallWatch(train, validate)

            def judge(towers: "Towers") -> float:
                trial = replace(self)
                trial._fit = answering(towers)
                return watch(trial)

        inputs = TowerInputs(sides, static, context)
        towers, self.epochs_run, failure = train_towers(self, train, inputs, judge)
        self._fit = answering(towers).indexed(self.index, self.index_effort)
        self.chosen_epoch = kept_epoch(self.epochs_run)
        if failure is not None:
            msg = f"{failure} Training stopped; the towers of epoch {self.chosen_epoch}, the last good one, are kept in this TwoTower"
            raise TrainingError(msg)
        return self

    def settled(self) -> Self:
        """An unfitted copy that runs as many epochs as validation chose.

        Returns:
            A TwoTower.
        """
        twin = replace(self, epochs=self.chosen_epoch or self.epochs)
        twin._own_parts_missing = self._own_parts_missing
        return twin

    @property
    def reads_history(self) -> bool:
        """Whether what a known user did last changes their answers before the next fit."""
        return "user_id" not in self.user or any(isinstance(f, History) for f in self.user)

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Whoever brings a liked item, or a column that the query tower reads.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        read = [part.feature.column for part in self._fitted().sides[0].learned]
        return (queries.liked_counts > 0) | queries.having(read)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each entry of a history adds: the logit less what it is without the entry.

        A user of train whose tower reads no :class:`~shortlist.History` is their id: nothing in
        their history adds anything.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; they need not sum to the logit.
        """
        return leaving_out(self, queries, rows)

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Query vectors.

        Args:
            queries: n askers.

        Returns:
            (n, dim) float32, divided by the temperature.
        """
        return self._fitted().encode(queries)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the embeddings of users out; what they taught the layers and items stays.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        left._fit = self._fitted().without_users(rows)
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, learned features, embeddings, item vectors, and the layers as ONNX graphs.
        """
        settings = {f.name: getattr(self, f.name) for f in fields(TowerSettings)}
        own = [name for name in _OWN_PARTS if settings.pop(name) is not None]
        settings |= {name: features_to_json(settings[name]) for name in _FEATURES}
        settings["layers"] = list(self.layers)
        answering = self._fitted().state()
        config = {
            "settings": settings,
            "own_parts": own or list(self._own_parts_missing),
            "epochs": [[e.number, e.loss, e.validation] for e in self.epochs_run],
            "chosen_epoch": self.chosen_epoch,
        }
        return State(config | answering.config, answering.arrays, answering.graphs)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild, without torch.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted TwoTower.
        """
        settings = dict(state.config["settings"])
        settings |= {name: features_from_json(settings[name]) for name in _FEATURES}
        model = cls(**settings)
        model.epochs_run = [Epoch(*record) for record in state.config["epochs"]]
        model.chosen_epoch = state.config["chosen_epoch"]
        model._own_parts_missing = tuple(state.config["own_parts"])
        model._fit = AnsweringTowers.from_state(state, model)
        return model

    def _item_index(self) -> Index:
        return self._fitted().index

    def _fitted(self) -> AnsweringTowers:
        if self._fit is None:
            msg = "this TwoTower is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit
