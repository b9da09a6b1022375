"""Two towers: context at the time of asking, histories by time, start vectors, approximate indexes."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.features import Bucket, Category, Declared, History, Number
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, DataError, MissingExtraError
from shortlist.retrieval import TwoTower
from shortlist.testing import small_world
from shortlist.testing.asking import same_bits, through_bytes

pytest.importorskip("torch")

CONTEXT: tuple[Declared, ...] = (Bucket("hour", 4), Number("hour"), "device")


def tiny(**changes: Any) -> TwoTower:
    few: dict[str, Any] = {"dim": 8, "epochs": 2, "batch_size": 64}
    return TwoTower(**(few | changes))


def asked_somewhere(*, users: int = 40, rows_per_user: int = 12) -> Interactions:
    """On the phone everyone takes the first 15 items, at the TV the last 15, at any hour."""
    rng = np.random.default_rng(0)
    n = users * rows_per_user
    device = rng.integers(0, 2, n)
    table = pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), rows_per_user),
            "item_id": 15 * device + rng.integers(0, 15, n),
            "device": np.array(["phone", "tv"])[device],
            "hour": rng.integers(0, 24, n),
        }
    )
    return Interactions(table, Catalogue.of_ids(pl.Series(range(32))))


def everyone(train: Interactions) -> Queries:
    return Snapshot.of(train).queries_of_rows(
        np.arange(len(train.user_vocabulary), dtype=np.int32)
    )


def asking(train: Interactions, rows: list[int], **context: list[object]) -> Queries:
    asked = Snapshot.of(train).queries_of_rows(np.array(rows, np.int32))
    return replace(asked, context=pl.DataFrame(context, strict=False))


def test_the_context_decides_where_train_says_so() -> None:
    train = asked_somewhere()
    model = tiny(
        context=["device"], epochs=30, learning_rate=0.05, weight_decay=0.0, dropout=0.0
    ).fit(train)
    asked = asking(train, [3, 3, -1, -1], device=["phone", "tv", "phone", "tv"])
    top = model.retrieve(asked, 10).rows
    assert [(line < 15).sum() for line in top] == [10, 0, 10, 0]


def test_asking_without_a_context_is_asking_in_the_mean_of_train() -> None:
    train = asked_somewhere()
    model = tiny(context=CONTEXT).fit(train)
    rows = [5] * len(train)
    given = asking(
        train, rows, hour=train.table["hour"].to_list(), device=train.table["device"].to_list()
    )
    without = model.encode(replace(given, context=None))
    assert_allclose(without[0], model.encode(given).mean(axis=0), rtol=1e-4, atol=1e-6)
    assert (without == without[0]).all()
    assert (model.encode(given) != without).any(axis=1).all()


def test_a_context_answers_the_same_bits_in_any_batch_and_after_loading() -> None:
    train = asked_somewhere()
    model = tiny(context=CONTEXT, user=["user_id", History(3)]).fit(train)
    asked = asking(
        train,
        [0, 7, -1, 2, -1, 9],
        hour=[3, None, 23, 10**9, -5, float("nan")],
        device=["tv", "phone", None, "fridge", "", "tv"],
    )
    whole = model.retrieve(asked, 9)
    assert np.isfinite(whole.scores).all()
    alone = [model.retrieve(asked.slice(i, i + 1), 9) for i in range(6)]
    same_bits(TopK.stack(alone), whole, "the batch changes bits")
    loaded = TwoTower.from_state(through_bytes(model.state()))
    same_bits(loaded.retrieve(asked, 9), whole, "loaded, it differs")
    bare = replace(asked, context=None)
    same_bits(loaded.retrieve(bare, 9), model.retrieve(bare, 9), "without, it differs")
    assert (model.retrieve(bare, 9).scores != whole.scores).any()


def test_values_that_train_never_had_are_the_unknown() -> None:
    train = asked_somewhere()
    model = tiny(context=["device"]).fit(train)
    asked = asking(train, [1, 1, 1], device=["fridge", None, "tv"])
    vectors = model.encode(asked)
    assert_array_equal(vectors[0], vectors[1])
    assert (vectors[0] != vectors[2]).any()


def test_a_context_that_is_not_there() -> None:
    train = asked_somewhere()
    with pytest.raises(ConfigError, match=r"feature 'devices': no such column.*'device'"):
        tiny(context=["devices"]).fit(train)
    with pytest.raises(ConfigError, match=r"context is a list of features.*\['device'\]"):
        tiny(context="device")
    model = tiny(context=["device"]).fit(train)
    with pytest.raises(DataError, match="reads column 'device'"):
        model.encode(asking(train, [0], hour=[3]))


def test_only_liked_rows_teach_the_context() -> None:
    table = asked_somewhere().table.with_columns(rating=pl.lit(5.0))
    odd = pl.DataFrame(
        {"user_id": [0], "item_id": [1], "device": ["fridge"], "hour": [1], "rating": [1.0]}
    )
    train = Interactions(pl.concat([table, odd], how="vertical_relaxed"), positive="rating > 3")
    model = tiny(context=[Category("device")]).fit(train)
    (learned,) = model.state().config["context"]["learned"]
    assert learned["values"] == ["phone", "tv"]


@pytest.mark.parametrize("timed", [True, False])
def test_histories_with_and_without_times(timed: bool) -> None:
    world = small_world(users=60)
    table = world.table if timed else world.table.drop("timestamp")
    train = Interactions(table, world.catalogue, world.users, world.positive)
    more: dict[str, Any] = {"learning_rate": 0.05, "weight_decay": 0.0, "dropout": 0.0}
    model = tiny(user=[History(4)], epochs=25, **more).fit(train)
    snapshot, right = Snapshot.of(train), 0
    for cluster in range(4):
        own = [f"i{item}" for item in range(cluster, 36, 4)]
        guest = snapshot.guest(own[:4])
        seen = Eligible.of(1, excluded=(guest.history_rows, guest.offsets))
        top = model.retrieve(guest, 5, seen).rows[0]
        right += len(set(snapshot.item_vocabulary.decode(top)) & set(own))
    assert right >= 15  # of 20; by chance 5. Five seeds gave 16 to 20
    queries = everyone(train)
    loaded = TwoTower.from_state(through_bytes(model.state()))
    same_bits(loaded.retrieve(queries, 9), model.retrieve(queries, 9), "loaded, it differs")


def test_with_times_the_order_of_the_table_does_not_matter() -> None:
    train = small_world()
    later = np.random.default_rng(0).permutation(len(train))
    mixed = Interactions(train.table[later], train.catalogue, train.users, train.positive)
    model = tiny(user=[History(2)]).fit(train)
    ids = train.user_vocabulary.ids
    assert_array_equal(
        model.encode(Snapshot.of(mixed).queries(ids)),
        model.encode(Snapshot.of(train).queries(ids)),
    )


def test_start_vectors_move_the_answers_towards_them() -> None:
    train = small_world()
    far = np.zeros((2, 8), np.float32)
    far[:, 0] = 3.0
    slow: dict[str, Any] = {"learning_rate": 1e-6, "weight_decay": 0.0, "epochs": 1}
    model = tiny(start_users=(["u0"], far[:1]), start_items=(["i7", "i9"], far), **slow)
    vectors = model.fit(train).item_vectors
    rows = train.item_vocabulary.rows(["i7", "i9"])
    assert_allclose(vectors[rows], far, atol=1e-3)
    asked = Snapshot.of(train).queries(["u0"])
    assert model.retrieve(asked, 2).rows[0].tolist() == sorted(rows.tolist())
    assert_allclose(model.encode(asked), far[:1], atol=1e-3)


@pytest.mark.parametrize("factory", ["Flat", "HNSW32"])
def test_an_approximate_index_saved_and_loaded(factory: str) -> None:
    pytest.importorskip("faiss")
    train = small_world()
    exact = tiny().fit(train)
    model = tiny(index=factory).fit(train)
    queries = everyone(train)
    top = model.retrieve(queries, 9)
    # with an effort of 128 and 39 items, the graph is visited whole
    same_bits(top, exact.retrieve(queries, 9), "another answer than exact search")
    loaded = TwoTower.from_state(through_bytes(model.state()))
    assert loaded.index == factory
    assert_array_equal(loaded.state().arrays["faiss"], model.state().arrays["faiss"])
    same_bits(loaded.retrieve(queries, 9), top, "loaded, it differs")
    rows = np.arange(39, dtype=np.int32)
    same_bits(loaded.similar(rows, 4), exact.similar(rows, 4), "similar is exact")
    seen = Eligible.of(len(queries), excluded=(queries.history_rows, queries.offsets))
    same_bits(
        loaded.retrieve(queries, 30, seen), exact.retrieve(queries, 30, seen), "under limits"
    )


def never(*_: object, **__: object) -> object:
    raise AssertionError


def test_an_index_that_cannot_be_is_refused_before_training() -> None:
    pytest.importorskip("faiss")
    with pytest.raises(ConfigError, match=r"index='NOPE'.*'HNSW32', or 'exact'"):
        tiny(index="NOPE", loss=never).fit(small_world())


def test_an_index_without_faiss_says_so_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[faiss\]'"):
        tiny(index="HNSW32", loss=never).fit(small_world())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"hard_negatives": -1}, "hard_negatives must not be negative; got -1"),
        ({"extra_negatives": -1}, "extra_negatives must not be negative; got -1"),
        ({"index_effort": 0}, "index_effort must be at least 1; got 0"),
        ({"hard_negatives": 2.5}, "hard_negatives .* got 2.5. It is a whole number"),
        ({"batch_size": 64.0}, "batch_size .* got 64.0. It is a whole number"),
        ({"epochs": True}, "epochs .* got True. It is a whole number"),
        ({"dim": 8.0}, "dim and layers must be at least 1; got 8.0"),
        ({"layers": (4.5,)}, "dim and layers must be at least 1"),
        ({"loss": "bpr"}, "loss must be a function .* got 'bpr'"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        tiny(**settings)
