"""Trains a transformer over histories to tell the next item, and hands back arrays and a graph."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.data.interactions import Interactions
from shortlist.errors import TrainingError
from shortlist.nn.losses import full_softmax, sampled_softmax
from shortlist.nn.transformer import CausalTransformer, LastPlace
from shortlist.training.embeddings import EmbeddingTable
from shortlist.training.graphs import export_open, filled
from shortlist.training.loop import dense_optimizer, pick_device, run_epochs
from shortlist.training.settings import Epoch, SequenceSettings

_SMALL_CATALOGUE, _DRAWN = 20_000, 1_024  # up to where the whole catalogue is met; draws beyond
_GROUPS = 4  # of like widths that a batch is read in, so that few places are padding
_LINES = (
    8  # their heights are multiples of it: each new shape costs bfloat16 its preparation anew
)


@dataclass(frozen=True, eq=False)
class SequenceArrays:
    """A trained sequence model.

    Attributes:
        items: (n_items, dim) float32 item vectors, read from histories and scored against.
        graph: ONNX, from ``rows`` (batch, places) int64 and ``items`` to ``y`` (batch, dim).
    """

    items: NDArray[np.float32]
    graph: bytes


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_sequence(
    settings: SequenceSettings,
    train: Interactions,
    validate: Callable[[SequenceArrays], float] | None,
) -> tuple[SequenceArrays, list[Epoch], TrainingError | None]:
    """Train on the liked rows of each user, in the order of time: each predicts the next.

    Args:
        settings: of the model and the training.
        train: the rows.
        validate: figure of a model that is not final, higher is better; None runs all epochs.

    Returns:
        The model, a record of the epochs, and what stopped the training early: the model is then
        that of the last good epoch.

    Raises:
        DataError: nobody liked two items, so nothing follows anything.
        TrainingError: training went wrong in its first epoch.
    """
    trainer = _Trainer(settings, train)
    best: list[SequenceArrays] = []

    def keep() -> None:
        best[:] = [trainer.arrays()]

    with _products_in_bf16(settings.bf16):
        epochs, failure = run_epochs(
            trainer.windows.table_rows,
            trainer.step,
            settings=settings,
            title="sequence",
            validate=None if validate is None else lambda: validate(trainer.arrays()),
            keep=keep,
        )
    return best[0], epochs, failure


@dataclass(frozen=True, eq=False)
class _Windows:
    # the liked rows of everyone, user after user in the order of time, cut into windows

    item_rows: NDArray[np.int64]
    weights: NDArray[np.float32] | None
    first: NDArray[np.int64]  # of each window: where its user's rows begin
    end: NDArray[np.int64]  # the last place that is read; the next one is predicted
    movable: NDArray[np.bool_]  # whole windows with rows on both sides
    table_rows: NDArray[np.int64]  # where the last item that is predicted stands in train

    @classmethod
    def of(cls, train: Interactions, length: int) -> "_Windows":
        order = train.time_order[train.liked[train.time_order]]
        counts = np.bincount(train.user_rows[order], minlength=len(train.user_vocabulary))
        begin = np.cumsum(counts) - counts
        pairs = np.maximum(counts - 1, 0)
        cuts = -(-pairs // length)  # windows of each user, the last ones whole
        user = np.repeat(np.arange(len(counts)), cuts)
        back = np.arange(len(user)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        end = begin[user] + pairs[user] - 1 - back * length
        return cls(
            train.item_rows[order].astype(np.int64),
            None if train.weights is None else train.weights[order],
            begin[user],
            end,
            (back > 0) & (end - length >= begin[user]),
            order[end + 1],
        )

    def places(
        self, some: NDArray[np.int64], end: NDArray[np.int64], length: int
    ) -> NDArray[np.int64]:
        # (windows, length) where each place stands; -1 before the first
        at = end[:, None] - np.arange(length)[::-1]
        return np.where(at >= self.first[some][:, None], at, -1)


class _Trainer:
    def __init__(self, settings: SequenceSettings, train: Interactions) -> None:
        self.settings = settings
        # written before the seed is set: it draws random numbers, the first time only
        self.structure = _structure(
            settings.dim, settings.layers, settings.heads, settings.length
        )
        self.n_items = len(train.item_vocabulary)
        self.windows = _Windows.of(train, settings.length)
        self.negatives = settings.negatives
        if self.negatives is None:
            self.negatives = 0 if self.n_items <= _SMALL_CATALOGUE else _DRAWN
        self.device = pick_device(settings.device)
        self.rng = np.random.default_rng([settings.seed, 1])
        generator = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(
            settings.seed
        )  # dropout and the layers draw from the global generator
        self.table = EmbeddingTable(
            self.n_items, settings.dim, settings, generator, self.device
        )
        self.net = CausalTransformer(
            settings.dim,
            layers=settings.layers,
            heads=settings.heads,
            length=settings.length,
            dropout=settings.dropout,
        ).to(self.device)
        self.optimizer = dense_optimizer(list(self.net.parameters()), settings)
        self.mean_items = self.table.weight.clone()
        self.mean_net = copy.deepcopy(self.net)
        self.steps = 0

    def step(self, some: NDArray[np.int64]) -> Tensor:
        parts = self._read(some)
        targets = [self.windows.item_rows[at[at >= 0] + 1] for at, _ in parts]
        wanted = np.concatenate(targets)
        if self.negatives:
            drawn = self.rng.integers(0, self.n_items, self.negatives)
            met = np.unique(
                np.concatenate([*(rows.ravel() for _, rows in parts), wanted, drawn])
            )
            met = met[met >= 0]
        else:
            drawn, met = np.empty(0, np.int64), np.arange(self.n_items)
        items = self.table.take(met)  # (v, dim)
        answers = []
        for at, rows in parts:
            places = self._tensor(np.searchsorted(met, np.maximum(rows, met[0])))
            told = self.net(items[places], self._tensor(rows >= 0))
            answers.append(told[self._tensor(at >= 0)])
        queries = torch.cat(answers)  # (targets, dim)
        weights = self.windows.weights
        shares = None
        if weights is not None:
            shares = self._tensor(np.concatenate([weights[at[at >= 0] + 1] for at, _ in parts]))
        own = self._tensor(np.searchsorted(met, wanted))
        if self.negatives:
            others = self._tensor(np.searchsorted(met, drawn))
            loss = sampled_softmax(
                queries, items, own, others, n_items=self.n_items, weights=shares
            )
        else:
            loss = full_softmax(queries, items, own, weights=shares)
        self.optimizer.zero_grad()
        (loss * len(some)).backward()
        self.table.step()
        self.optimizer.step()
        self._remember()
        return loss.detach()

    def arrays(self) -> SequenceArrays:
        weights = {
            f"transformer.{name}": value.detach().cpu().numpy()
            for name, value in self.mean_net.named_parameters()
        }
        return SequenceArrays(
            self.mean_items.cpu().numpy().copy(), filled(self.structure, weights)
        )

    def _read(
        self, some: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        # groups of windows of like width: where their places stand, and the items read there
        windows, length = self.windows, self.settings.length
        end = windows.end[some]
        shift = self.rng.integers(-(length // 2), length // 2 + 1, len(some))
        end = np.where(windows.movable[some], end + shift, end)
        width = np.minimum(end - windows.first[some] + 1, length)
        size = -(-_GROUPS * width // length)
        groups = []
        for number in np.unique(size):
            group = np.flatnonzero(size == number)
            lines = -(-len(group) // _LINES) * _LINES
            at = np.full((lines, -(-length * number // _GROUPS)), -1)
            at[: len(group)] = windows.places(some[group], end[group], at.shape[1])
            hidden = self.rng.random(at.shape) < self.settings.unknown_share
            groups.append((at, np.where((at >= 0) & ~hidden, windows.item_rows[at], -1)))
        return groups

    @torch.no_grad()
    def _remember(self) -> None:
        # a running mean over the last steps: as good as a learning rate that falls, at any epoch
        self.steps += 1
        fresh = 1 - min(self.settings.averaging, self.steps / (10 + self.steps))
        self.mean_items.lerp_(self.table.weight, fresh)
        for mean, now in zip(self.mean_net.parameters(), self.net.parameters(), strict=True):
            mean.lerp_(now, fresh)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


@lru_cache(maxsize=4)
def _structure(dim: int, layers: int, heads: int, length: int) -> bytes:
    net = LastPlace(
        CausalTransformer(dim, layers=layers, heads=heads, length=length, dropout=0.0)
    )
    rows = torch.zeros(2, min(2, length), dtype=torch.int64)
    inputs = {
        "rows": (rows, {0: "batch", 1: "places"}),
        "items": (torch.zeros(3, dim), {0: "n_items"}),
    }
    return export_open(net, inputs)


@contextmanager
def _products_in_bf16(wanted: bool) -> Iterator[None]:  # noqa: FBT001
    # on one of the caller's switches, which is put back
    switch: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = getattr(switch, "fp32_precision", None)  # older versions of torch have none
    if not wanted or before is None:
        yield
        return
    switch.fp32_precision = "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before
