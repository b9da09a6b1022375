import sys
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from shortlist.data.features import History
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError, MissingExtraError, NotReadyError
from shortlist.ranking import Biases, RatingNetwork
from shortlist.testing import planted_ratings, small_world
from shortlist.testing.asking import through_bytes


def tiny(**changes: Any) -> RatingNetwork:
    few: dict[str, Any] = {"dim": 4, "layers": (8,), "epochs": 3, "batch_size": 64}
    return RatingNetwork(**(few | changes))


def rmse(model: Any, train: Interactions, test: Interactions) -> float:
    queries = Snapshot.of(train).queries(test.table["user_id"])
    rows = train.item_vocabulary.rows(test.table["item_id"])[:, None]
    return float(np.sqrt(np.mean((model.predict(queries, rows)[:, 0] - test.ratings) ** 2)))


def test_a_planted_world_is_learned() -> None:
    pytest.importorskip("torch")
    rows, _ = planted_ratings(users=60, items=40)
    hidden = np.arange(len(rows)) % 5 == 0
    train, test = rows.subset(~hidden), rows.subset(hidden)
    model = tiny(epochs=30, learning_rate=0.02, dropout=0.0, weight_decay=0.01).fit(train)
    spread = float(np.std(test.table["rating"].to_numpy()))
    assert rmse(model, train, test) < 0.6 * spread
    assert rmse(Biases(l2_user=0.1, l2_item=0.1).fit(train), train, test) < 0.2 * spread


def test_what_a_network_adds_stands_beside_the_biases() -> None:
    # one epoch of vanishing steps leaves the network as it starts: near 0
    pytest.importorskip("torch")
    rows, _ = planted_ratings()
    model = tiny(epochs=1, learning_rate=1e-9).fit(rows)
    asked = np.array([[0, 1, -1], [2, 0, 5], [3, -1, 1]], np.int32)
    queries = Snapshot.of(rows).queries([0, 1, "nobody"])
    added = model.predict(queries, asked) - Biases().fit(rows).predict(queries, asked)
    assert np.abs(added).max() < 0.3  # the ratings spread over 3 and more
    guest = replace(queries.slice(2, 3), **rated_history([4, 2], [5.0, 5.0]))
    fan = model.predict(guest, asked[:1]) - model.predict(queries.slice(2, 3), asked[:1])
    assert (fan > 0.1).all()  # who rates high gets high ratings


def test_a_side_that_does_not_declare_its_id_has_no_bias() -> None:
    pytest.importorskip("torch")
    world = small_world(positive=None)
    model = tiny(user=["town"], item=["genres"], epochs=1).fit(world)
    queries = Snapshot.of(world).queries(world.users["user_id"][:12])  # type: ignore[index]
    predicted = model.predict(queries, np.zeros((12, 1), np.int32))
    towns = world.users["town"][:12].to_list()  # type: ignore[index]
    assert len({*np.round(predicted[:, 0], 5).tolist()}) == len({*towns}) < 12


def rated_history(items: list[int], ratings: list[float]) -> dict[str, Any]:
    return {
        "history_rows": np.array(items, np.int32),
        "offsets": np.array([0, len(items)]),
        "history_liked": np.ones(len(items), bool),
        "history_ages": None,
        "history_ratings": np.array(ratings, np.float32),
    }


def test_features_carry_what_ids_cannot() -> None:
    pytest.importorskip("torch")
    world = small_world(positive=None)
    model = tiny(
        user=["town"], item=["genres"], epochs=30, learning_rate=0.02, dropout=0.2
    ).fit(world)
    users = pl.DataFrame({"town": ["town 0", "town 1"]})
    guest = Snapshot.of(world).guest([])
    asked = [
        model.predict(guest.__class__(**(vars(guest) | {"users": users[i : i + 1]})), rows)
        for i, rows in ((0, np.array([[0, 1]])), (1, np.array([[0, 1]])))
    ]
    assert asked[0][0, 0] > asked[0][0, 1]  # item 0 is of the genre of town 0
    assert asked[1][0, 0] < asked[1][0, 1]


def test_settled_runs_as_many_epochs_as_validation_chose() -> None:
    pytest.importorskip("torch")
    rows, _ = planted_ratings()
    held = np.arange(len(rows)) % 4 == 0
    model = tiny(epochs=8, learning_rate=0.1, patience=2).fit(
        rows.subset(~held), validate=rows.subset(held)
    )
    figures = [epoch.validation for epoch in model.epochs_run]
    assert model.chosen_epoch == int(np.argmax(figures)) + 1  # type: ignore[arg-type]
    assert model.settled().epochs == model.chosen_epoch
    again = model.settled().fit(rows.subset(~held))
    queries = Snapshot.of(rows.subset(~held)).queries([0, 1])
    asked = np.array([[0, 1], [2, -1]], np.int32)
    assert_array_equal(again.predict(queries, asked), model.predict(queries, asked))


def test_validation_without_rows_is_refused() -> None:
    pytest.importorskip("torch")
    rows, _ = planted_ratings()
    with pytest.raises(DataError, match="validation has no row"):
        tiny().fit(rows, validate=rows.subset(np.zeros(len(rows), bool)))


def test_without_torch_the_message_names_the_model_that_does_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("shortlist.training")]:
        if not name.endswith("settings"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'shortlist\[torch\]'. Biases does"
    ):
        tiny().fit(planted_ratings()[0])


def test_ratings_are_needed() -> None:
    pytest.importorskip("torch")
    rows, _ = planted_ratings()
    with pytest.raises(NotReadyError, match="'rating'"):
        tiny().fit(Interactions(rows.table.drop("rating")))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"layers": ()}, "layers at least one width"),
        ({"dim": 0}, "dim must be at least 1"),
        ({"user": ["user_id", History(3)]}, "does not read a History"),
        ({"user": "user_id"}, r"user is a list of features.*\['user_id'\]"),
        ({"cross_layers": -1}, "cross_layers and cross_rank must not be negative; got -1"),
        ({"cross_rank": -2}, "must not be negative; got 0 and -2"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"dropout": 1.0}, "dropout is a share"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"weight_decay": float("nan")}, "weight_decay not negative"),
        ({"optimizer": "sgd"}, "'adagrad' or 'adam'"),
        ({"device": "tpu"}, "'auto', 'cpu' or 'cuda'"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        tiny(**settings)


@pytest.mark.parametrize(("layers", "rank"), [(2, 3), (1, 0)])
def test_cross_layers_saved_and_loaded_predict_the_same(layers: int, rank: int) -> None:
    pytest.importorskip("torch")
    rows, _ = planted_ratings()
    model = tiny(cross_layers=layers, cross_rank=rank, epochs=2).fit(rows)
    loaded = RatingNetwork.from_state(through_bytes(model.state()))
    assert (loaded.cross_layers, loaded.cross_rank) == (layers, rank)
    queries = Snapshot.of(rows).queries([0, 1, "nobody"])
    asked = np.array([[0, 1, -1], [2, 0, 5], [3, -1, 1]], np.int32)
    predicted = model.predict(queries, asked)
    assert_array_equal(loaded.predict(queries, asked), predicted)
    assert_array_equal(model.predict(queries.slice(1, 2), asked[1:2]), predicted[1:2])
    assert (tiny(epochs=2).fit(rows).predict(queries, asked) != predicted).any()
