"""The loop that every training shares: shuffle, step, validate, keep the best, stop in time."""

import math
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shortlist.errors import ConfigError, DataError, TrainingError
from shortlist.training.embeddings import ADAGRAD_EPSILON, ADAGRAD_START, EmbeddingTable
from shortlist.training.settings import Epoch, TrainingSettings


def run_epochs(
    table_rows: NDArray[np.int64],
    step: Callable[[NDArray[np.int64]], torch.Tensor],
    *,
    settings: TrainingSettings,
    title: str,
    validate: Callable[[], float] | None,
    keep: Callable[[], None],
) -> tuple[list[Epoch], TrainingError | None]:
    """Train.

    Args:
        table_rows: (rows,) where each training row stands in the train table, for messages.
        step: takes the numbers of a batch's rows, updates the model, returns the mean loss.
        settings: batch size, epochs, patience, seed, progress.
        title: words beside the progress bar.
        validate: figure of the model as it is, higher is better; None runs all the epochs.
        keep: called whenever the model is the best so far (after every epoch without validation).

    Returns:
        One record per good epoch, and what stopped the training early, if anything did.

    Raises:
        DataError: there is no row to learn from.
        TrainingError: the loss or the validation figure is not finite in the first epoch, so that
            there is no good one to keep; of a loss, the message names the step and its rows.
    """
    rows = len(table_rows)
    if not rows:
        msg = f"{title}: no row to learn from. Give train rows, or another idea of positive: only liked rows teach towers"
        raise DataError(msg)
    rng = np.random.default_rng(settings.seed)
    history: list[Epoch] = []
    best, best_epoch = -math.inf, 0
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    visible = settings.progress and sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not visible, transient=True) as bar:
        steps = math.ceil(rows / settings.batch_size)
        task = bar.add_task(title, total=settings.epochs * steps, figures="")
        for number in range(1, settings.epochs + 1):
            began = time.perf_counter()
            order = rng.permutation(rows)
            total = 0.0
            try:
                for first in range(0, rows, settings.batch_size):
                    batch = order[first : first + settings.batch_size]
                    total += len(batch) * _finite(
                        step(batch), number, 1 + first // settings.batch_size, table_rows[batch]
                    )
                    bar.advance(task)
                seconds = time.perf_counter() - began
                figure = None if validate is None else _finite_figure(validate(), number)
            except TrainingError as error:
                if not history:
                    raise
                return history, error
            loss = total / rows
            history.append(Epoch(number, loss, figure, seconds))
            said = "" if figure is None else f", validation {figure:.4f}"
            bar.update(task, figures=f"epoch {number}: loss {loss:.4f}{said}")
            if figure is None:
                keep()
            elif figure > best:
                best, best_epoch = figure, number
                keep()
            elif number - best_epoch >= settings.patience:
                break
    return history, None


Kept = tuple[list[NDArray[np.float32]], list[dict[str, torch.Tensor]]]


def keep_copy(tables: list[EmbeddingTable], heads: Sequence[torch.nn.Module]) -> Kept:
    """Copy a model as it is now.

    Args:
        tables: embedding tables.
        heads: dense parts.

    Returns:
        Arrays of the tables, and states of the dense parts.
    """
    states = [
        {name: value.detach().clone() for name, value in head.state_dict().items()}
        for head in heads
    ]
    return [table.numpy() for table in tables], states


def _finite(loss: torch.Tensor, epoch: int, step: int, table_rows: NDArray[np.int64]) -> float:
    value = float(loss)
    if not math.isfinite(value):
        msg = (
            f"the loss of epoch {epoch}, step {step} is not finite (rows {table_rows[:5].tolist()}, ... of train). "
            "Lower learning_rate, or look for extreme numbers in the features"
        )
        raise TrainingError(msg)
    return value


def _finite_figure(figure: float, epoch: int) -> float:
    if not math.isfinite(figure):
        msg = f"the validation figure of epoch {epoch} is {figure}. Lower learning_rate, or look for extreme numbers in validation"
        raise TrainingError(msg)
    return figure


def kept_epoch(epochs: list[Epoch]) -> int:
    """Which epoch :func:`run_epochs` kept.

    Args:
        epochs: its records, at least one.

    Returns:
        The number of the first with the best figure; of the last where there was no validation.
    """
    judged = [epoch for epoch in epochs if epoch.validation is not None]
    best = max(judged, key=lambda epoch: epoch.validation or 0.0, default=epochs[-1])
    return best.number


def pick_device(name: str) -> torch.device:
    """Turn a setting into a device.

    Args:
        name: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns:
        The device; ``"auto"`` is a GPU where torch sees one.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        msg = "device='cuda', but torch sees no GPU; use device='auto' or 'cpu'"
        raise ConfigError(msg)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def dense_optimizer(
    parameters: list[torch.nn.Parameter], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """The optimizer of the dense layers, of the kind that the embeddings use.

    Args:
        parameters: of the layers; at least one.
        settings: optimizer, learning rate, weight decay.

    Returns:
        A torch optimizer.
    """
    if settings.optimizer == "adagrad":
        return torch.optim.Adagrad(
            parameters,
            lr=settings.learning_rate,
            initial_accumulator_value=ADAGRAD_START,
            eps=ADAGRAD_EPSILON,
        )
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
