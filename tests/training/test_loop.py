"""The loop that every training shares, driven by steps that need no model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.errors import DataError, TrainingError

torch = pytest.importorskip("torch")

from shortlist.training.loop import kept_epoch, pick_device, run_epochs  # noqa: E402
from shortlist.training.settings import Epoch, TrainingSettings  # noqa: E402

ROWS = np.arange(100, 110)  # where the ten training rows stand in the table


def run(
    figures: list[float] | None = None,
    *,
    loss: Callable[[NDArray[np.int64]], float] = lambda rows: 1.0,
    table_rows: NDArray[np.int64] = ROWS,
    **options: Any,
) -> tuple[list[Epoch], list[int]]:
    """Train for up to six epochs in steps of four rows; which epochs were kept?"""
    kept: list[int] = []
    said = iter(figures or [])
    steps: list[int] = []

    def step(rows: NDArray[np.int64]) -> Any:
        steps.append(len(rows))
        return torch.tensor(loss(rows))

    epochs, failure = run_epochs(
        table_rows,
        step,
        settings=TrainingSettings(batch_size=4, epochs=6, patience=2, **options),
        title="a toy",
        validate=None if figures is None else lambda: next(said),
        keep=lambda: kept.append(len(steps) // 3),
    )
    if failure is not None:
        raise failure
    assert steps == [4, 4, 2] * len(epochs)
    return epochs, kept


def test_without_validation_all_epochs_run_and_the_last_is_kept() -> None:
    epochs, kept = run()
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert kept == [1, 2, 3, 4, 5, 6]
    assert kept_epoch(epochs) == 6


@pytest.mark.parametrize(
    ("figures", "ran", "best"),
    [
        ([0.1, 0.3, 0.2, 0.1], 4, 2),  # two epochs without a better one: enough
        ([0.1, 0.3, 0.3, 0.3], 4, 2),  # as good is not better
        ([0.1, 0.2, 0.1, 0.3, 0.2, 0.4], 6, 6),
        ([0.0, 0.0, 0.0], 3, 1),
        ([-3.0, -1.0, -2.0, -2.0], 4, 2),  # as of an RMSE
        ([-1.0, 0.0, -1.0, -1.0], 4, 2),
    ],
)
def test_early_stop_keeps_the_first_of_the_best(
    figures: list[float], ran: int, best: int
) -> None:
    epochs, kept = run(figures)
    assert len(epochs) == ran
    assert kept[-1] == kept_epoch(epochs) == best


def test_the_loss_of_an_epoch_is_the_mean_over_rows() -> None:
    # steps of 4, 4 and 2 rows lose 4, 4 and 2: (16 + 16 + 4) / 10
    epochs, _ = run(loss=lambda rows: float(len(rows)))
    assert epochs[0].loss == pytest.approx(3.6)


def test_every_row_once_per_epoch_in_an_order_that_the_seed_decides() -> None:
    seen: list[list[int]] = [[], [], []]
    for number, seed in enumerate([0, 0, 1]):

        def loss(rows: NDArray[np.int64], into: list[int] = seen[number]) -> float:
            into.extend(rows.tolist())
            return 1.0

        run(loss=loss, seed=seed)
    assert seen[0] == seen[1] != seen[2]
    assert sorted(seen[0][:10]) == list(range(10))
    assert seen[0][:10] != seen[0][10:20]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_step_and_rows_of_the_table(bad: float) -> None:
    def loss(rows: NDArray[np.int64]) -> float:
        return bad if 7 in rows else 1.0

    with pytest.raises(TrainingError, match=r"epoch 1, step (\d).*rows \[.*107.*learning_rate"):
        run(loss=loss)


def test_a_figure_that_is_not_finite_chooses_nothing() -> None:
    with pytest.raises(TrainingError, match="validation figure of epoch 2 is nan"):
        run([0.5, float("nan")])


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="a toy: no row to learn from"):
        run(table_rows=ROWS[:0])


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in {"cpu", "cuda"}
