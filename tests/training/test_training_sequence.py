"""What the sequence tower is trained on, and that the graph it becomes is the network."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shortlist.data.graphs import run_named
from shortlist.data.interactions import Interactions

torch = pytest.importorskip("torch")

from shortlist.nn.transformer import LastPlace  # noqa: E402
from shortlist.training import sequence  # noqa: E402
from shortlist.training.sequence import train_sequence  # noqa: E402
from shortlist.training.settings import SequenceSettings  # noqa: E402

TINY: dict[str, Any] = {"dim": 8, "layers": 1, "length": 6, "epochs": 2}


def histories(*lengths: int, **columns: Any) -> Interactions:
    """User u takes items 0, 1, ... in this order."""
    rows = [(u, i, i) for u, length in enumerate(lengths) for i in range(length)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Interactions(table.with_columns(**columns))


def pairs(trainer: sequence._Trainer, some: list[int]) -> list[tuple[int, int]]:
    """What is read at each place, and what is to be told there."""
    found = []
    for at, rows in trainer._read(np.array(some)):
        there = at >= 0
        found += list(zip(rows[there], trainer.windows.item_rows[at[there] + 1], strict=True))
    return found


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5), length=st.integers(1, 9))
def test_windows_cover_each_step_of_each_history_once(lengths: list[int], length: int) -> None:
    if max(lengths) < 2:
        return
    train = histories(*lengths)
    windows = sequence._Windows.of(train, length)
    every = np.arange(len(windows.end))
    at = windows.places(every, windows.end, length)
    read = at[at >= 0]
    assert (np.bincount(read, minlength=len(train)) <= 1).all()  # nothing twice
    assert len(read) == sum(max(n - 1, 0) for n in lengths)
    users = train.user_rows[train.time_order]
    assert (users[read] == users[read + 1]).all()  # the next item is the same user's
    assert ((at >= 0).sum(axis=1) <= length).all()
    assert (windows.item_rows[read] + 1 == windows.item_rows[read + 1]).all()


def test_windows_by_hand() -> None:
    # 8 rows are 7 steps: with windows of 3, the latest 4, 5, 6 (and 7 to tell), 1, 2, 3, and 0
    windows = sequence._Windows.of(histories(8), 3)
    at = windows.places(np.arange(3), windows.end, 3)
    assert at.tolist() == [[4, 5, 6], [1, 2, 3], [-1, -1, 0]]
    assert windows.movable.tolist() == [False, True, False]
    assert windows.table_rows.tolist() == [7, 4, 1]


def test_moved_windows_stay_within_the_history_of_their_user() -> None:
    trainer = sequence._Trainer(SequenceSettings(**TINY), histories(30, 5, 23, 2))
    for _ in range(20):
        told = pairs(trainer, list(range(len(trainer.windows.end))))
        assert all(after == read + 1 for read, after in told)


def test_hidden_items_are_still_to_be_told() -> None:
    trainer = sequence._Trainer(SequenceSettings(**TINY, unknown_share=0.5), histories(7, 7))
    told = pairs(trainer, [0, 1])
    assert sorted(after for _, after in told) == sorted([1, 2, 3, 4, 5, 6] * 2)
    assert 0 < sum(read == -1 for read, _ in told) < 12


def test_the_graph_is_the_network() -> None:
    trainer = sequence._Trainer(SequenceSettings(**TINY), histories(20, 9))
    for _ in range(3):
        trainer.step(np.arange(len(trainer.windows.end)))
    arrays = trainer.arrays()
    run = run_named(arrays.graph)
    rows = np.random.default_rng(0).integers(0, 20, (5, 6))
    rows[0, :4] = -1
    with torch.no_grad():
        want = LastPlace(trainer.mean_net.eval())(
            torch.from_numpy(rows), torch.from_numpy(arrays.items)
        )
    assert_allclose(run({"rows": rows, "items": arrays.items}), want, atol=1e-5)
    alone = run({"rows": rows[:1, 4:], "items": arrays.items})  # any batch, any length
    assert_allclose(alone, want[:1], atol=1e-5)


@pytest.mark.parametrize("negatives", [0, 5])
def test_the_loss_falls_and_the_callers_switches_stay(negatives: int) -> None:
    before = torch.get_rng_state(), torch.backends.mkldnn.matmul.fp32_precision
    chosen = SequenceSettings(
        **TINY | {"epochs": 8}, negatives=negatives, learning_rate=0.03, batch_size=4
    )
    _, epochs, failure = train_sequence(chosen, histories(20, 20, 20, 20), None)
    assert failure is None
    assert epochs[-1].loss < 0.8 * epochs[0].loss
    assert (torch.get_rng_state() == before[0]).all()
    assert torch.backends.mkldnn.matmul.fp32_precision == before[1]


def test_rows_of_no_weight_teach_nothing() -> None:
    # user 1 walks backwards, with weight 0
    train = histories(9, 9, weight=pl.when(pl.col("user_id") == 0).then(1.0).otherwise(0.0))
    table = train.table.with_columns(
        item_id=pl.when(pl.col("user_id") == 1).then(8 - pl.col("item_id")).otherwise("item_id")
    )
    train = Interactions(table, train.catalogue)
    chosen = SequenceSettings(**TINY | {"epochs": 80}, learning_rate=0.03, dropout=0.0)
    arrays, _, _ = train_sequence(chosen, train, None)
    run = run_named(arrays.graph)
    query = run({"rows": np.array([[2, 3, 4]]), "items": arrays.items})
    backwards = run({"rows": np.array([[6, 5, 4]]), "items": arrays.items})
    assert (query @ arrays.items.T).argmax() == 5
    assert (backwards @ arrays.items.T).argmax() != 3
