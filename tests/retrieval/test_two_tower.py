"""Two towers as they answer: scores by hand, guests, features, early stop, no torch."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.eligible import Eligible
from shortlist.data.features import History, Tags
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError, MissingExtraError
from shortlist.retrieval import TwoTower
from shortlist.testing import checkerboard, small_world

pytest.importorskip("torch")

ADDED: dict[str, Any] = {"learning_rate": 0.05, "weight_decay": 0.0, "dropout": 0.0}


def tiny(**changes: Any) -> TwoTower:
    few: dict[str, Any] = {"dim": 8, "epochs": 3, "batch_size": 64}
    return TwoTower(**(few | changes))


def everyone(train: Interactions) -> Queries:
    return Snapshot.of(train).queries_of_rows(
        np.arange(len(train.user_vocabulary), dtype=np.int32)
    )


def test_scores_are_dot_products_over_the_temperature() -> None:
    train, _ = checkerboard()
    model = tiny(temperature=0.5).fit(train)
    state, queries = model.state(), everyone(train)
    users = state.arrays["user_table"][:20].astype(np.float64)
    items = state.arrays["item_table"][train.item_rows].astype(np.float64)
    want = np.sum(users[train.user_rows] * items, axis=1) / 0.5
    rows = np.full((20, 20), -1, np.int32)
    rows[train.user_rows, train.item_rows] = train.item_rows
    got = model.score(queries, rows)[train.user_rows, train.item_rows]
    assert_allclose(got, want, rtol=1e-5)
    assert_allclose(
        model.score_all(queries)[rows >= 0], model.score(queries, rows)[rows >= 0], rtol=1e-4
    )


def test_normalized_scores_are_cosines_over_the_temperature() -> None:
    train = small_world()
    model = tiny(layers=(6,), normalize=True, temperature=0.1).fit(train)
    assert_allclose(np.linalg.norm(model.item_vectors, axis=1), 1, rtol=1e-5)
    assert_allclose(np.linalg.norm(model.encode(everyone(train)), axis=1), 10, rtol=1e-5)


def test_items_that_nobody_took_stand_for_the_unknown() -> None:
    train = small_world(never_taken=3)
    model = tiny().fit(train)
    unknown = model.state().arrays["item_table"][-1]
    assert_array_equal(model.item_vectors[-3:], np.tile(unknown, (3, 1)))


def test_a_guest_with_a_history_fares_better_than_one_without() -> None:
    train = small_world(users=80, items=40)
    model = tiny(epochs=25, **ADDED).fit(train)
    snapshot = Snapshot.of(train)
    hits = {True: 0, False: 0}
    for cluster in range(4):
        own = [f"i{item}" for item in range(cluster, 40, 4)]
        for brings in (True, False):
            guest = snapshot.guest(own[:3] if brings else [])
            seen = Eligible.of(1, excluded=(guest.history_rows, guest.offsets))
            top = model.retrieve(guest, 7, seen).rows[0]
            hits[brings] += len(set(snapshot.item_vocabulary.decode(top)) & set(own))
    assert hits[True] >= 24  # of 28
    assert hits[True] > hits[False] + 8


def test_a_guest_is_answered_near_a_user_with_the_same_history() -> None:
    train, _ = checkerboard(users=40, items=20, hidden=3)
    model, queries = tiny(epochs=30, **ADDED).fit(train), everyone(train)
    guests = Queries(
        np.full(len(queries), -1, np.int32),
        queries.history_rows,
        queries.offsets,
        queries.history_liked,
    )
    known, guest = model.encode(queries), model.encode(guests)
    cosine = (
        np.sum(known * guest, axis=1)
        / np.linalg.norm(known, axis=1)
        / np.linalg.norm(guest, axis=1)
    )
    assert np.median(cosine) > 0.8


def test_history_alone_solves_the_checkerboard_for_anyone() -> None:
    train, _ = checkerboard(users=80)
    model = tiny(user=[History(10)], epochs=40, **ADDED).fit(train)
    for first in (0, 1):
        guest = Snapshot.of(train).guest(range(first, 10, 2))
        top = model.retrieve(
            guest, 3, Eligible.of(1, excluded=(guest.history_rows, guest.offsets))
        )
        assert (top.rows % 2 == first).all()


def test_only_the_latest_of_a_history_are_read() -> None:
    train = small_world()
    model, snapshot = tiny(user=[History(2)]).fit(train), Snapshot.of(small_world())
    long, short = snapshot.guest(["i5", "i9", "i1", "i2"]), snapshot.guest(["i1", "i2"])
    assert_array_equal(model.encode(long), model.encode(short))
    assert (model.encode(long) != model.encode(snapshot.guest(["i5", "i9"]))).any()


def test_features_speak_for_users_and_items_that_train_never_saw() -> None:
    world = small_world(users=80, never_taken=8)
    model = tiny(user=["town"], item=[Tags("genres")], epochs=25, **ADDED).fit(world)
    guest = Snapshot.of(world).guest(about={"town": "town 2"})
    assert model.knows(guest).tolist() == [True]
    genres = world.catalogue.table["genres"].to_list()
    best = [genres[row] for row in model.retrieve(guest, 8).rows[0]]
    assert sum("Horror" in tags for tags in best) >= 6  # the genre of cluster 2
    never = np.arange(44) >= 36
    top = model.retrieve(guest, 2, Eligible.of(1, mask=never)).rows[0]
    assert any("Horror" in genres[row] for row in top)


def test_knows_needs_a_column_that_the_towers_read() -> None:
    train = small_world()
    with_town = Snapshot.of(train).guest(about={"town": "town 1", "age": 3})
    assert tiny(user=["user_id", "town"]).fit(train).knows(with_town).tolist() == [True]
    assert tiny().fit(train).knows(with_town).tolist() == [False]


def test_similar_items_come_from_the_same_cluster() -> None:
    train = small_world(users=80)
    model = tiny(epochs=25, **ADDED).fit(train)
    rows = np.arange(36, dtype=np.int32)
    top = model.similar(rows, 3)
    assert ((top.rows % 4) == (rows % 4)[:, None]).mean() > 0.8
    assert top.scores.max() <= 1.0001


def test_early_stop_keeps_the_best_epoch_and_settled_repeats_it() -> None:
    world = small_world(users=60, rows_per_user=14)
    held = np.arange(len(world)) % 4 == 3
    train, later = world.subset(~held), world.subset(held)
    model = tiny(epochs=12, patience=3, **ADDED).fit(train, validate=later)
    figures = [epoch.validation for epoch in model.epochs_run]
    assert model.chosen_epoch == int(np.argmax(figures)) + 1  # type: ignore[arg-type]
    again = model.settled().fit(train)
    assert len(again.epochs_run) == model.chosen_epoch
    assert_array_equal(again.item_vectors, model.item_vectors)


def test_validation_that_liked_nothing_chooses_nothing() -> None:
    train = small_world()
    disliked = train.subset(~train.liked)
    with pytest.raises(DataError, match="validation has no liked row"):
        tiny().fit(train, validate=disliked)


def test_training_on_no_liked_row_says_so() -> None:
    train = small_world()
    with pytest.raises(DataError, match="no row to learn from"):
        tiny().fit(train.subset(~train.liked))


def test_without_torch_the_message_names_models_that_do_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("shortlist.training")]:
        if not name.endswith("settings"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'shortlist\[torch\]'. Popularity"
    ):
        tiny().fit(small_world())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"dim": 0}, "dim and layers must be at least 1"),
        ({"layers": (0,)}, "dim and layers must be at least 1"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temperature": float("nan")}, "temperature must be positive"),
        ({"item": "item_id"}, r"item is a list of features.*\['item_id'\]"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"unknown_share": 1.0}, "unknown_share is a share"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        tiny(**settings)
