from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from shortlist.data.interactions import Interactions
from shortlist.data.sides import encode_all
from shortlist.errors import TrainingError
from shortlist.ranking import Biases
from shortlist.testing import planted_ratings, small_world

torch = pytest.importorskip("torch")

from shortlist.training.rating import Given, Pairs, _Trainer, train_rating  # noqa: E402
from shortlist.training.settings import RatingSettings  # noqa: E402


def settings(**changes: Any) -> RatingSettings:
    few: dict[str, Any] = {
        "dim": 4,
        "layers": (8,),
        "epochs": 4,
        "batch_size": 64,
        "learning_rate": 0.01,
    }
    return RatingSettings(**(few | changes))


def given(train: Interactions) -> Given:
    solved = Biases().fit(train)
    left = solved.residuals(np.array(train.ratings), train.user_rows, train.item_rows)
    return left, solved.state().arrays["users"]


def fit(train: Interactions, validate: Pairs | None = None, **changes: Any) -> Any:
    chosen = settings(**changes)
    sides = encode_all(train, chosen.user, chosen.item, liked_only=False)
    return train_rating(chosen, train, given(train), *sides, validate)


def test_the_loss_falls_below_that_of_the_mean() -> None:
    train, _ = planted_ratings()
    *_, epochs = fit(train, epochs=15, dropout=0.0, weight_decay=0.0, learning_rate=0.02)
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].loss < float(np.var(train.table["rating"].to_numpy()))


def test_the_embedding_of_a_users_id_starts_with_the_bias() -> None:
    train, _ = planted_ratings()
    chosen = settings()
    encoded = encode_all(train, chosen.user, chosen.item, liked_only=False)
    made = _Trainer(chosen, train, given(train), *encoded)
    user, item = (table.numpy() for table in made.tables)
    assert_array_equal(user[:, 0], given(train)[1].astype(np.float32))
    assert max(np.abs(user[:, 1:]).max(), np.abs(item).max()) <= 0.05


def test_the_figure_is_the_rmse_with_a_minus_sign() -> None:
    train, _ = planted_ratings()
    chosen = settings()
    made = _Trainer(
        chosen,
        train,
        given(train),
        *encode_all(train, chosen.user, chosen.item, liked_only=False),
    )
    rows = np.array([0, -1, 3], np.int32), np.array([2, 4, -1], np.int32)
    pairs = (*rows, np.array([3.0, 4.0, 5.0], np.float32))
    users, items = (table.numpy() for table in made.tables)
    pooled = np.concatenate([users[rows[0]], items[rows[1]]], axis=1)  # -1: the unknown, last
    with torch.no_grad():
        predicted = made.head.eval()(torch.from_numpy(pooled)).numpy()
    want = np.sqrt(np.mean((predicted - pairs[2]) ** 2))
    made.head.train()
    assert made.rmse(pairs) == pytest.approx(want, rel=1e-5)
    assert made.head.training


def test_early_stop_hands_back_the_best_epoch() -> None:
    train, _ = planted_ratings()
    rows = np.arange(10, dtype=np.int32)
    pairs = (rows, rows, np.full(10, 3.5, np.float32))
    _, _, _, epochs = fit(train, pairs, epochs=12, learning_rate=0.2, patience=2)
    figures = [epoch.validation for epoch in epochs]
    best = int(np.argmax(figures)) + 1
    user, item, _, again = fit(train, None, epochs=best, learning_rate=0.2)
    kept = fit(train, pairs, epochs=12, learning_rate=0.2, patience=2)
    assert len(again) == best
    assert_array_equal(kept[0], user)
    assert_array_equal(kept[1], item)


def test_the_unknown_is_trained_where_ids_are_hidden() -> None:
    train, _ = planted_ratings()
    chosen = settings(unknown_share=0.3)
    made = _Trainer(
        chosen,
        train,
        given(train),
        *encode_all(train, chosen.user, chosen.item, liked_only=False),
    )
    user, item, _, _ = fit(train, unknown_share=0.3)
    for start, learned in zip(made.tables, (user, item), strict=True):
        assert (start.numpy()[-1] != learned[-1]).any()


def test_rows_that_weigh_nothing_teach_nothing() -> None:
    world = small_world()
    weight = pl.when(pl.col("user_id") == "u3").then(0.0).otherwise(1.0)
    train = Interactions(world.table.with_columns(weight=weight), world.catalogue)
    plain: dict[str, Any] = {"unknown_share": 0.0, "weight_decay": 0.0, "optimizer": "adagrad"}
    chosen = settings(**plain)
    made = _Trainer(
        chosen,
        train,
        given(train),
        *encode_all(train, chosen.user, chosen.item, liked_only=False),
    )
    user, *_ = fit(train, **plain)
    row = train.user_vocabulary.rows(["u3"])
    assert_array_equal(user[row], made.tables[0].numpy()[row])
    assert (user != made.tables[0].numpy()).any(axis=1).sum() == len(train.user_vocabulary) - 1


def test_a_loss_that_explodes_is_an_error() -> None:
    with pytest.raises(TrainingError, match="is not finite"):
        fit(planted_ratings()[0], learning_rate=1e30, epochs=6)


def test_a_batch_that_weighs_nothing_is_no_error() -> None:
    world = small_world()
    silent = Interactions(world.table.with_columns(weight=pl.lit(0.0)), world.catalogue)
    *_, epochs = fit(silent, epochs=1)
    assert epochs[0].loss == 0
