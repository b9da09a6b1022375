"""The list network learns what a list model can know, under each loss, and ratings beside it."""

from typing import Any

import numpy as np
import pytest

import shortlist as sl
from shortlist.errors import ConfigError, DataError
from shortlist.ranking import ListNetwork
from shortlist.retrieval import EASE, Popularity
from shortlist.testing import worlds

pytest.importorskip("torch")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["pointwise", "listwise"])  # pairwise: with ratings, below
def test_a_loss_learns_the_cluster_of_the_asker(loss: str) -> None:
    train = worlds.small_world(users=80, items=80, positive=None)
    ranker = ListNetwork(loss=loss, epochs=15, batch_size=16, learning_rate=0.01, layers=(16,))  # type: ignore[arg-type]
    rec = sl.Recommender([Popularity(), EASE(l2=10.0)], ranker, candidates=30).fit(train)
    hits = [
        int(item[1:]) % 4 == int(user[1:]) % 4
        for user in rec.snapshot.user_vocabulary.ids
        for item in rec.recommend(user, k=1)["item_id"]
    ]
    assert np.mean(hits) > 0.5


@pytest.mark.slow
def test_a_second_head_predicts_ratings_and_validation_chooses_the_epoch() -> None:
    train = worlds.small_world(users=80, items=80, rows_per_user=12, positive=None)
    parts = sl.split.latest(train, validation=0.1, test=0.2)
    ranker = ListNetwork(
        loss="pairwise",
        rating_weight=1.0,
        epochs=20,
        batch_size=16,
        learning_rate=0.01,
        layers=(16,),
    )
    rec = sl.Recommender(EASE(l2=10.0), ranker, candidates=40)
    rec.fit(parts.train, validate=parts.validation)
    assert all(epoch.validation is not None for epoch in ranker.epochs_run)
    assert ranker.settled().epochs == ranker.chosen_epoch
    assert ranker.predicts_ratings
    test = parts.test.table
    predicted = rec.predict_pairs(test["user_id"], test["item_id"])
    assert predicted is not None
    rest = predicted - test["rating"].to_numpy()
    assert np.sqrt((rest**2).mean()) < test["rating"].std() * 1.1  # type: ignore[operator]
    assert 3 < predicted.mean() < 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "softmax"},
        {"rating_weight": -1.0},
        {"layers": (0,)},
        {"epochs": 0},
        {"batch_size": 0},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"rating_weight": 1.0, "calibrated": "platt"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ListNetwork(**wrong)


def test_ratings_are_asked_for_where_there_are_none() -> None:
    train = worlds.small_world(positive=None)
    bare = sl.Interactions(train.table.drop("rating"), train.catalogue)
    with pytest.raises(DataError, match="rating_weight"):
        sl.Recommender(EASE(l2=10.0), ListNetwork(rating_weight=1.0, epochs=1)).fit(bare)
