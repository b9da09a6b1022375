"""Trains a small network on candidate lists and hands it back as an ONNX graph."""

from dataclasses import dataclass
from itertools import pairwise as pairwise_of
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shortlist.nn.list_losses import listwise, pairwise, pointwise
from shortlist.training.graphs import export_graph
from shortlist.training.loop import dense_optimizer, run_epochs
from shortlist.training.settings import Epoch, TrainingSettings

_LOSSES = {"pointwise": pointwise, "pairwise": pairwise, "listwise": listwise}
_WATCHED = 10  # places whose NDCG chooses the epoch


class FlatLists(Protocol):
    """Lists one after the other."""

    @property
    def x(self) -> NDArray[np.float32]:
        """(pairs, features)."""
        ...

    @property
    def liked(self) -> NDArray[np.bool_]:
        """(pairs,)."""
        ...

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(lists,) pairs of each."""
        ...

    @property
    def ratings(self) -> NDArray[np.float32] | None:
        """(pairs,), NaN where there is none; None without ratings."""
        ...


@dataclass(frozen=True)
class NetworkShape:
    """What is trained.

    Attributes:
        layers: widths of the hidden layers.
        loss: ``"pointwise"``, ``"pairwise"`` or ``"listwise"``.
        rating_weight: of the squared error of ratings beside it; 0: there is no head for ratings.
    """

    layers: tuple[int, ...]
    loss: str
    rating_weight: float


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_lists(
    shape: NetworkShape,
    settings: TrainingSettings,
    learned: FlatLists,
    chooses: FlatLists | None,
) -> tuple[bytes, list[Epoch]]:
    """Train.

    Args:
        shape: of the network, and its losses.
        settings: of the training; a batch is ``batch_size`` lists.
        learned: lists with taken items.
        chooses: lists whose NDCG at 10 chooses the epoch; None runs all.

    Returns:
        An ONNX graph from (n, features) to (n, 1), or (n, 2) with the rating second; and a record of
        the epochs.
    """
    torch.manual_seed(settings.seed)
    width = learned.x.shape[1]
    network = _Network(learned, shape, settings.dropout)
    optimizer = dense_optimizer(list(network.parameters()), settings)
    starts = np.cumsum(learned.sizes) - learned.sizes
    kept: list[dict[str, torch.Tensor]] = []

    def step(batch: NDArray[np.int64]) -> torch.Tensor:
        at, filled = _padded(starts[batch], learned.sizes[batch])
        told = network(torch.from_numpy(learned.x[at].reshape(-1, width)))
        scores = told[:, 0].reshape(filled.shape)
        loss = _LOSSES[shape.loss](scores, torch.from_numpy(learned.liked[at]), filled)
        if shape.rating_weight and learned.ratings is not None:
            ratings = torch.from_numpy(learned.ratings[at].ravel())
            rated = filled.ravel() & ~ratings.isnan()
            rest = torch.where(rated, told[:, 1] - ratings.nan_to_num(), 0.0)
            loss = loss + shape.rating_weight * (rest**2).sum() / rated.sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def keep() -> None:
        kept[:] = [{name: value.clone() for name, value in network.state_dict().items()}]

    epochs, failure = run_epochs(
        np.arange(len(learned.sizes)),
        step,
        settings=settings,
        title="lists",
        validate=None if chooses is None else lambda: _ndcg(network, chooses),
        keep=keep,
    )
    if failure is not None:
        raise failure
    network.load_state_dict(kept[0])
    return export_graph(network, width), epochs


class _Network(nn.Module):
    # z-scores, dense layers, one number for taking and, where asked for, one for the rating

    def __init__(self, learned: FlatLists, shape: NetworkShape, dropout: float) -> None:
        super().__init__()
        spread = learned.x.std(axis=0, dtype=np.float64)
        mean = learned.x.mean(axis=0, dtype=np.float64)
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)  # equal for all: 0
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        widths = (learned.x.shape[1], *shape.layers)
        layers: list[nn.Module] = []
        for before, after in pairwise_of(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        last = nn.Linear(widths[-1], 2 if shape.rating_weight else 1)
        if shape.rating_weight and learned.ratings is not None:
            rated = learned.ratings[~np.isnan(learned.ratings)]
            with torch.no_grad():
                last.bias[1] = float(rated.mean()) if len(rated) else 0.0
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        told: torch.Tensor = self.layers(((x - self.mean) * self.scale).clamp(-10, 10))
        return told


def _padded(
    starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], torch.Tensor]:
    # (lists, m) where each pair stands, and whether there is one
    places = np.arange(sizes.max())
    filled = places < sizes[:, None]
    return np.where(filled, starts[:, None] + places, starts[:, None]), torch.from_numpy(filled)


@torch.no_grad()
def _ndcg(network: nn.Module, lists: FlatLists) -> float:
    network.eval()
    scores = network(torch.from_numpy(lists.x))[:, 0].numpy()
    network.train()
    at, filled = _padded(np.cumsum(lists.sizes) - lists.sizes, lists.sizes)
    shown = np.where(filled.numpy(), scores[at], -np.inf)
    order = np.argsort(-shown, axis=1, kind="stable")[:, :_WATCHED]
    liked = lists.liked[at] & filled.numpy()
    gain = 1 / np.log2(np.arange(2, order.shape[1] + 2))
    found = (np.take_along_axis(liked, order, axis=1) * gain).sum(axis=1)
    most = np.cumsum(gain)[np.clip(liked.sum(axis=1), 1, len(gain)) - 1]
    return float((found / most).mean())
