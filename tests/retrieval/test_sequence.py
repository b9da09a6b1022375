"""The sequence tower as it answers: what follows what, for whom, and what it refuses."""

import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    NotReadyError,
    TrainingError,
)
from shortlist.retrieval import SequenceTower
from shortlist.retrieval.validation import RecallWatch
from shortlist.testing import small_world

pytest.importorskip("torch")

ITEMS = 12


def tiny(**changes: Any) -> SequenceTower:
    few: dict[str, Any] = {"dim": 8, "layers": 1, "length": 6, "epochs": 3, "batch_size": 16}
    return SequenceTower(**(few | changes))


def circle(*, users: int = 60, steps: int = 8, never_taken: int = 0) -> Interactions:
    """Item i is always followed by i + 1, the last by the first; everyone starts somewhere."""
    rows = [(u, (5 * u + step) % ITEMS, step) for u in range(users) for step in range(steps)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Interactions(table, Catalogue.of_ids(pl.Series(range(ITEMS + never_taken))))


@pytest.fixture(scope="module")
def train() -> Interactions:
    return circle(never_taken=2)


@pytest.fixture(scope="module")
def walker(train: Interactions) -> SequenceTower:
    return tiny(epochs=15, dropout=0.0, learning_rate=0.03).fit(train)


def first(model: SequenceTower, train: Interactions, *history: int) -> int:
    return int(model.retrieve(Snapshot.of(train).guest(history), 1).rows[0, 0])


def test_what_always_follows_is_told(walker: SequenceTower, train: Interactions) -> None:
    for item in range(ITEMS):
        assert first(walker, train, item) == (item + 1) % ITEMS
        assert first(walker, train, (item + 7) % ITEMS, item) == (item + 1) % ITEMS  # order


def test_draws_instead_of_the_whole_catalogue_learn_it_as_well(train: Interactions) -> None:
    model = tiny(epochs=25, dropout=0.0, learning_rate=0.03, negatives=6).fit(train)
    right = [first(model, train, item) == (item + 1) % ITEMS for item in range(ITEMS)]
    assert sum(right) >= ITEMS - 1


def test_a_guest_gets_what_a_known_user_with_the_history_gets(
    walker: SequenceTower, train: Interactions
) -> None:
    snapshot = Snapshot.of(train)
    known = snapshot.queries([7])
    guest = snapshot.guest(known.history_rows.tolist())
    one, other = walker.retrieve(known, 9), walker.retrieve(guest, 9)
    assert_array_equal(one.rows, other.rows)
    assert_array_equal(one.scores, other.scores)
    assert walker.knows(guest).tolist() == [True]
    assert walker.knows(snapshot.guest([])).tolist() == [False]


def test_only_the_latest_items_are_read(walker: SequenceTower, train: Interactions) -> None:
    snapshot = Snapshot.of(train)
    long, short = snapshot.guest([9, 9, 9, *range(6)]), snapshot.guest(range(6))  # length 6
    assert_array_equal(walker.encode(long), walker.encode(short))
    assert (walker.encode(snapshot.guest(range(1, 6))) != walker.encode(short)).any()


def test_the_latest_item_speaks_loudest(walker: SequenceTower, train: Interactions) -> None:
    guest = Snapshot.of(train).guest([1, 7, 4])
    added = walker.explain(guest, np.array([[5]], np.int32))
    assert added.shape == (3, 1)
    assert added[:, 0].argmax() == 2
    without = walker.score(Snapshot.of(train).guest([1, 7]), np.array([[5]], np.int32))
    whole = walker.score(guest, np.array([[5]], np.int32))
    assert_allclose(added[2], (whole - without)[0], rtol=1e-5)


def test_what_is_too_old_to_be_read_adds_nothing(
    walker: SequenceTower, train: Interactions
) -> None:
    guest = Snapshot.of(train).guest([9, 8, 1, 2, 3, 4, 5, 6])  # length 6
    rows = np.array([[7, 0]], np.int32)
    added = walker.explain(guest, rows)
    assert (added[:2] == 0).all()
    assert (added[2:] != 0).all()
    without = walker.score(Snapshot.of(train).guest([8, 1, 2, 3, 4, 5]), rows)  # 8 moves in
    assert_array_equal(added[7], (walker.score(guest, rows) - without)[0])


def test_scores_are_dot_products(walker: SequenceTower, train: Interactions) -> None:
    queries = Snapshot.of(train).guest([3, 4])
    rows = np.arange(ITEMS + 2, dtype=np.int32)[None]
    want = walker.encode(queries).astype(np.float64) @ walker.item_vectors.T.astype(np.float64)
    assert_allclose(walker.score(queries, rows), want, rtol=1e-5)
    assert_allclose(walker.score_all(queries), want, rtol=1e-3, atol=1e-4)


def test_items_that_nobody_took_come_last(walker: SequenceTower, train: Interactions) -> None:
    top = walker.retrieve(Snapshot.of(train).guest([3, 4]), ITEMS + 2)
    assert np.isfinite(top.scores).all()
    assert set(top.rows[0, 2:]) >= {ITEMS, ITEMS + 1}


def test_validation_chooses_the_epoch_and_settled_keeps_it() -> None:
    world = small_world()
    parts = sl.split.latest(world, validation=0.2, test=0.1)
    model = tiny(epochs=9, patience=2).fit(parts.train, validate=parts.validation)
    figures = [epoch.validation or 0.0 for epoch in model.epochs_run]
    assert model.chosen_epoch == 1 + int(np.argmax(figures))
    assert model.settled().epochs == model.chosen_epoch
    assert len(figures) <= model.chosen_epoch + 2


def test_without_an_order_it_says_so(train: Interactions) -> None:
    bare = Interactions(train.table.drop("timestamp"), train.catalogue)
    with pytest.raises(
        DataError, match=r"needs rows with an order; got the columns .*or use EASE"
    ):
        tiny().fit(bare)
    still = Interactions(train.table.with_columns(timestamp=5), train.catalogue)
    with pytest.raises(DataError, match=r"got 480 rows that all have the timestamp 5\. Name"):
        tiny().fit(still)


def test_nothing_to_learn_from_where_nobody_took_two() -> None:
    table = pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "timestamp": [1, 2]})
    with pytest.raises(DataError, match="liked rows, at most one of each user"):
        tiny().fit(Interactions(table))


def test_a_loss_that_is_not_finite_stops_with_the_rows(train: Interactions) -> None:
    model = tiny(learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"is not finite \(rows \["):
        model.fit(train)
    with pytest.raises(NotReadyError):
        _ = tiny().item_vectors


def test_without_torch_the_message_names_models_that_do_without(
    monkeypatch: pytest.MonkeyPatch, train: Interactions
) -> None:
    for name in [name for name in sys.modules if name.startswith("shortlist.training")]:
        if not name.endswith("settings"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'shortlist\[torch\]'. Popularity"
    ):
        tiny().fit(train)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"layers": 0}, "layers must be at least 1; got 0"),
        ({"length": 2.5}, "length must be at least 1; got 2.5"),
        ({"dim": 9}, "dim must be a multiple of heads; got 9 and 2"),
        ({"negatives": -1}, "negatives must not be negative; got -1"),
        ({"averaging": 1}, "averaging is a share, at least 0 and below 1; got 1"),
    ],
)
def test_settings_out_of_range(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        tiny(**changes)


def test_movielens_small_is_learned_from() -> None:
    data = sl.datasets.movielens()
    some = data.table["user_id"].unique(maintain_order=True)[:30]
    parts = sl.split.last_out(
        data.subset(data.table["user_id"].is_in(some.implode()).to_numpy())
    )
    model = tiny(epochs=4, learning_rate=0.01).fit(parts.train)
    losses = [epoch.loss for epoch in model.epochs_run]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < np.log(len(parts.train.item_vocabulary)) - 1  # better than by chance
    watch = RecallWatch(parts.train, parts.test, k=500)
    assert watch(model) > 500 / len(parts.train.item_vocabulary)
