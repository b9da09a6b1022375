"""Small bundles of each kind of model that can, and cannot, be files of rows or vectors."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shortlist.data.features import Bucket, History, Number
from shortlist.ranking import Biases, Factorisation, RatingNetwork
from shortlist.recommender import Recommender
from shortlist.retrieval import ALS, EASE, SequenceTower, TwoTower
from shortlist.testing import small_world

Bundle = Callable[[str], Path]
TINY: dict[str, Any] = {"dim": 4, "epochs": 1, "batch_size": 128, "progress": False}
RICH: dict[str, Any] = {
    "user": ["user_id", "town", Number("age"), History(3)],
    "context": [Bucket("timestamp", 4)],
    "layers": (5,),
    "normalize": True,
    "temperature": 0.1,
}


def _made(kind: str) -> Recommender:
    made: dict[str, Callable[[], Recommender]] = {
        "rich": lambda: Recommender(
            TwoTower(**TINY, **RICH),
            RatingNetwork(**TINY, layers=(6,), user=["user_id", "town"], cross_layers=1),
            rank_lists=False,
        ),
        "plain": lambda: Recommender(TwoTower(**TINY), Biases(), rank_lists=False),
        "drawn": lambda: Recommender(
            ALS(dim=4), Factorisation(dim=2, sweeps=8, burn_in=2, draws=6), rank_lists=False
        ),
        "attributes": lambda: Recommender(TwoTower(**TINY, user=["town"]), rank=None),
        "history": lambda: Recommender(TwoTower(**TINY, user=[History(2)])),
        "sequence": lambda: Recommender(SequenceTower(**TINY, length=4)),
        "als": lambda: Recommender(ALS(dim=4)),
        "ease": lambda: Recommender(EASE()),
        "two": lambda: Recommender([TwoTower(**TINY), ALS(dim=4)]),
    }
    if kind not in {"als", "drawn", "ease"}:
        pytest.importorskip("torch")
    return made[kind]().fit(small_world())


@cache
def _fitted(kind: str) -> Recommender:
    return _made(kind)


@pytest.fixture(scope="module", name="bundle")
def small_bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    def saved(kind: str) -> Path:
        path = tmp_path_factory.mktemp("bundles") / f"{kind}.bundle"
        _fitted(kind).save(path)
        return path

    return saved
