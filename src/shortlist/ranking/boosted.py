"""Boosted trees that learn to order lists: LambdaRank over features of the pair.

Burges, "From RankNet to LambdaRank to LambdaMART", 2010, as LightGBM grows it (Ke et al., NIPS 2017); by
default with its objective ``rank_xendcg`` (Bruch, "An Alternative Cross Entropy Loss for Learning-to-Rank",
WWW 2021). LightGBM is needed to fit; what answers is an ONNX graph of the trees.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.data.extras import Extra
from shortlist.data.graphs import run_graph
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates
from shortlist.errors import ConfigError, NotReadyError
from shortlist.ranking.examples import Examples
from shortlist.ranking.list_model import ListModel
from shortlist.ranking.trees import Trees

Objective = Literal["rank_xendcg", "lambdarank"]
_LATE = 20  # trees without a better NDCG on validation before growing stops


@dataclass(eq=False, kw_only=True)
class Boosted(ListModel):
    """Boosted trees; beside its own settings, those of :class:`ListModel`.

    Attributes:
        trees: how many; with validation, at most.
        runs: with other draws of features, whose trees are averaged: steadier, and as many times slower.
        learning_rate: share of each tree's answer that counts.
        leaves: of each tree.
        least: pairs in a leaf.
        l2: pull of a leaf's answer towards 0.
        objective: ``"rank_xendcg"`` or ``"lambdarank"``.
        places: how many of the first places matter to ``"lambdarank"``, and to validation.
    """

    name: ClassVar[str] = "boosted"
    learning_needs: ClassVar[Extra] = Extra(
        "boosted", "growing Boosted needs LightGBM and onnx", "Answering needs neither"
    )

    trees: int = 60
    runs: int = 1
    learning_rate: float = 0.12
    leaves: int = 15
    least: int = 50
    l2: float = 10.0
    objective: Objective = "rank_xendcg"
    places: int = 10
    chosen_trees: int | None = field(init=False, repr=False, default=None)
    _trees: Trees | None = field(init=False, repr=False, default=None)
    _graph: bytes = field(init=False, repr=False, default=b"")
    _run: Any = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        super().__post_init__()
        whole = {"trees": 1, "runs": 1, "leaves": 2, "least": 1, "places": 1}
        for name, least in whole.items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                msg = f"{name} must be a whole number of at least {least}; got {getattr(self, name)}"
                raise ConfigError(msg)
        if not self.learning_rate > 0 or not self.l2 >= 0:
            msg = f"learning_rate must be positive and l2 not negative; got {self.learning_rate} and {self.l2}"
            raise ConfigError(msg)
        if self.objective not in get_args(Objective):
            msg = f"objective must be one of {get_args(Objective)}; got {self.objective!r}"
            raise ConfigError(msg)

    def settled(self) -> Self:
        """An unfitted copy that grows as many trees as validation chose.

        Returns:
            A Boosted.
        """
        return replace(self, trees=self.chosen_trees or self.trees)

    def explain(
        self, queries: Queries, candidates: Candidates
    ) -> dict[str, NDArray[np.float32]]:
        """What each feature adds to the scores, along the paths through the trees.

        Args:
            queries: n askers.
            candidates: (n, m).

        Returns:
            Feature to (n, m) float32, the strongest feature of all first; an item's numbers sum to
            its score less a constant.
        """
        x = self._fitted().table(queries, candidates)
        n, m, width = x.shape
        added, _ = self._grown().contributions(x.reshape(-1, width), width)
        by_feature = added.reshape(n, m, width).astype(np.float32)
        strength = np.abs(added).sum(axis=0)
        order = np.argsort(-strength, kind="stable")
        return {self.feature_names[one]: by_feature[:, :, one] for one in order}

    def _learn(
        self, examples: Examples, chooses: Examples | None, names: tuple[str, ...]
    ) -> None:
        self.learning_needs.insist()
        import lightgbm

        settings = {
            "objective": self.objective,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.least,
            "lambda_l2": self.l2,
            "lambdarank_truncation_level": 2 * self.places,
            "feature_fraction": 0.7,
            "metric": "ndcg",
            "ndcg_eval_at": [self.places],
            "seed": self.seed,
            "objective_seed": self.seed,
            "use_missing": False,  # features are all finite
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }

        def lists(of: Examples, like: Any = None) -> Any:
            liked = of.liked.astype(np.int32)
            return lightgbm.Dataset(of.x, liked, group=of.sizes, reference=like)

        data = lists(examples)
        held = [] if chooses is None else [lists(chooses, data)]
        stop: list[Any] = (
            [] if chooses is None else [lightgbm.early_stopping(_LATE, verbose=False)]
        )
        grown = lightgbm.train(settings, data, self.trees, valid_sets=held, callbacks=stop)
        self.chosen_trees = grown.best_iteration if chooses is not None else None
        told = grown.dump_model(num_iteration=self.chosen_trees)["tree_info"]
        for run in range(1, self.runs):
            again = settings | {"seed": self.seed + run, "objective_seed": self.seed + run}
            more = lightgbm.train(again, data, self.chosen_trees or self.trees)
            told += more.dump_model()["tree_info"]
        trees = Trees.of(told, share=1 / self.runs)
        self._set_trees(trees, trees.graph(len(names)))

    def _set_trees(self, trees: Trees, graph: bytes) -> None:
        self._trees, self._graph, self._run = trees, graph, run_graph(graph)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._run(x.astype(np.float64))[:, 0], np.float32)

    def _grown(self) -> Trees:
        if self._trees is None:
            msg = "these trees are not grown; call fit first"
            raise NotReadyError(msg)
        return self._trees

    def _inner_state(self) -> State:
        arrays = {f"tree-{n}": a for n, a in self._grown().arrays().items()}
        return State({"chosen_trees": self.chosen_trees}, arrays, {"trees": self._graph})

    def _set_inner(
        self,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        graphs: Mapping[str, bytes],
    ) -> None:
        self.chosen_trees = config["chosen_trees"]
        grown = {n.removeprefix("tree-"): a for n, a in arrays.items() if n.startswith("tree-")}
        self._set_trees(Trees.from_arrays(grown), graphs["trees"])
