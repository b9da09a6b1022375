"""Trains a rating network on squared error and hands back arrays."""

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.sides import Side
from shortlist.nn.towers import RatingHead
from shortlist.training.embeddings import EmbeddingTable, take_csr
from shortlist.training.graphs import export_graph
from shortlist.training.loop import (
    Kept,
    dense_optimizer,
    keep_copy,
    pick_device,
    run_epochs,
)
from shortlist.training.settings import Epoch, RatingSettings

if TYPE_CHECKING:
    from collections.abc import Callable

Given = tuple[NDArray[np.float32], NDArray[np.generic]]
Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_rating(
    settings: RatingSettings,
    train: Interactions,
    given: Given,
    sides: tuple[Side, Side],
    static: tuple[sp.csr_array, sp.csr_array],
    validate: Pairs | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], bytes, list[Epoch]]:
    """Train embeddings and dense layers to predict ratings.

    Args:
        settings: of the network and the training.
        train: rows.
        given: (rows,) float32 what biases leave of each rating, which is what to predict; and the
            (n_users + 1,) biases of users, the unknown's last: the first number of the embedding
            of a user's id starts from it.
        sides: features of users and of items.
        static: (n_users + 1, ...) and (n_items + 1, ...) encoded features, the last line unknown.
        validate: user rows, item rows (-1: unknown) and targets whose RMSE chooses the epoch; None
            runs all epochs.

    Returns:
        The user table, the item table, the layers as ONNX, and a record of the epochs, whose
        validation figure is the RMSE with a minus sign.
    """
    trainer = _Trainer(settings, train, given, sides, static)
    best: list[Kept] = []

    def keep() -> None:
        best[:] = [keep_copy(trainer.tables, [trainer.head])]

    figure: Callable[[], float] | None = (
        None if validate is None else lambda: -trainer.rmse(validate)
    )
    epochs, failure = run_epochs(
        np.arange(len(train)),
        trainer.step,
        settings=settings,
        title="ratings",
        validate=figure,
        keep=keep,
    )
    if failure is not None:
        raise failure
    tables, layers = best[0]
    trainer.head.load_state_dict(layers[0])
    return tables[0], tables[1], export_graph(trainer.head, 2 * settings.dim), epochs


class _Trainer:
    def __init__(
        self,
        settings: RatingSettings,
        train: Interactions,
        given: Given,
        sides: tuple[Side, Side],
        static: tuple[sp.csr_array, sp.csr_array],
    ) -> None:
        self.settings = settings
        self.sides = sides
        self.static = static
        self.rows = (train.user_rows, train.item_rows)
        self.targets = torch.from_numpy(given[0])
        self.weights = (
            None if train.weights is None else torch.from_numpy(np.array(train.weights))
        )
        self.device = pick_device(settings.device)
        self.rng = np.random.default_rng([settings.seed, 1])
        generator = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(
            settings.seed
        )  # the layers' start and dropout draw from the global generator
        self.tables = [
            EmbeddingTable(side.columns, settings.dim, settings, generator, self.device)
            for side in sides
        ]
        if sides[0].has_id:
            start = self.tables[0].weight[: sides[0].id_columns, 0]
            start.copy_(torch.from_numpy(given[1]))
        mean = float(self.targets.mean()) if len(train) else 0.0
        self.head = RatingHead(
            settings.dim,
            settings.layers,
            dropout=settings.dropout,
            mean=mean,
            cross_layers=settings.cross_layers,
            cross_rank=settings.cross_rank,
        ).to(self.device)
        self.optimizer = dense_optimizer(list(self.head.parameters()), settings)

    def step(self, batch: NDArray[np.int64]) -> torch.Tensor:
        pooled = []
        for table, side, static, rows in zip(
            self.tables, self.sides, self.static, self.rows, strict=True
        ):
            distinct, inverse = np.unique(rows[batch], return_inverse=True)
            lines = side.hiding_ids(
                take_csr(static, distinct), self.settings.unknown_share, self.rng
            )
            pooled.append(table.pool(lines)[torch.from_numpy(inverse).to(self.device)])
        predicted = self.head(torch.cat(pooled, dim=1))  # (batch,)
        error = F.mse_loss(predicted, self.targets[batch].to(self.device), reduction="none")
        weights = None if self.weights is None else self.weights[batch].to(self.device)
        if weights is None:
            loss = error.mean()
        else:  # all may weigh 0
            norm = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
            loss = (error * weights).sum() / norm
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        for table in self.tables:
            table.step()
        return loss.detach()

    @torch.no_grad()
    def rmse(self, pairs: Pairs) -> float:
        self.head.eval()
        pooled = []
        for table, static, rows in zip(self.tables, self.static, pairs[:2], strict=True):
            everything = torch.from_numpy(np.asarray(static @ table.numpy()))
            pooled.append(
                everything[torch.from_numpy(rows.astype(np.int64))]
            )  # -1 is the last: unknown
        predicted = self.head(torch.cat(pooled, dim=1).to(self.device)).cpu()
        self.head.train()
        return float(F.mse_loss(predicted, torch.from_numpy(pairs[2])).sqrt())
