"""Trains two towers with the in-batch softmax and hands back arrays."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.ragged import beside, mean_lines
from shortlist.data.sides import Side
from shortlist.nn.losses import in_batch_softmax
from shortlist.nn.towers import Head
from shortlist.training.embeddings import EmbeddingTable, take_csr
from shortlist.training.graphs import export_graph
from shortlist.training.loop import (
    Epoch,
    Kept,
    dense_optimizer,
    keep_copy,
    pick_device,
    run_epochs,
)
from shortlist.training.settings import TowerSettings

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TowerArrays:
    """A trained tower.

    Attributes:
        table: (columns, dim) float32 embeddings of the side's feature columns.
        head: turns (n, dim) float64 pooled embeddings into vectors; None leaves them as they are.
        graph: the head as ONNX; None where there is none.
    """

    table: NDArray[np.float32]
    head: Callable[[Vectors], Vectors] | None = None
    graph: bytes | None = None


def train_towers(
    settings: TowerSettings,
    train: Interactions,
    sides: tuple[Side, Side],
    static: tuple[sp.csr_array, sp.csr_array],
    validate: Callable[[TowerArrays, TowerArrays], float] | None,
) -> tuple[TowerArrays, TowerArrays, list[Epoch]]:
    """Train a query tower and a candidate tower on the liked rows.

    Args:
        settings: of the towers and the training.
        train: the rows.
        sides: features of users and of items.
        static: (n_users + 1, ...) and (n_items + 1, ...) encoded features, the last line unknown.
        validate: figure of towers that are not final, higher is better; None runs all epochs.

    Returns:
        The user tower, the item tower, and a record of the epochs.
    """
    trainer = _Trainer(settings, train, sides, static)
    best: list[Kept] = []

    def keep() -> None:
        best[:] = [keep_copy(trainer.tables, trainer.heads)]

    epochs = run_epochs(
        trainer.table_rows,
        trainer.step,
        settings=settings,
        title="two towers",
        validate=None if validate is None else lambda: validate(*trainer.trial()),
        keep=keep,
    )
    user, item = (
        _finished(table, head, state)
        for table, head, state in zip(best[0][0], trainer.heads, best[0][1], strict=True)
    )
    return user, item, epochs


def _finished(
    table: NDArray[np.float32], head: Head, state: dict[str, torch.Tensor]
) -> TowerArrays:
    if head.is_identity:
        return TowerArrays(table)
    head.load_state_dict(state)
    return TowerArrays(table, graph=export_graph(head, table.shape[1]))


class _Trainer:
    def __init__(
        self,
        settings: TowerSettings,
        train: Interactions,
        sides: tuple[Side, Side],
        static: tuple[sp.csr_array, sp.csr_array],
    ) -> None:
        self.settings = settings
        self.sides = sides
        self.static = static
        order = self.table_rows = train.time_order[train.liked[train.time_order]]
        self.user_rows = train.user_rows[order]
        self.item_rows = train.item_rows[order]
        self.weights = None if train.weights is None else train.weights[order]
        self.ordered = train.timestamps is not None
        counts = np.bincount(self.user_rows, minlength=len(train.user_vocabulary))
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        shares = np.bincount(self.item_rows, minlength=len(train.item_vocabulary)) / max(
            1, len(order)
        )
        self.log_shares = np.log(np.maximum(shares, 1e-12)).astype(np.float32)
        self.device = pick_device(settings.device)
        self.rng = np.random.default_rng([settings.seed, 1])
        generator = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(settings.seed)  # dropout draws from the global generator
        self.tables = [
            EmbeddingTable(side.columns, settings.dim, settings, generator, self.device)
            for side in sides
        ]
        self.heads = [
            Head(
                settings.dim,
                settings.layers,
                dropout=settings.dropout,
                normalize=settings.normalize,
            ).to(self.device)
            for _ in sides
        ]
        dense = [p for head in self.heads for p in head.parameters()]
        self.optimizer = dense_optimizer(dense, settings) if dense else None

    def step(self, rows: NDArray[np.int64]) -> torch.Tensor:
        if self.sides[0].history:
            pair_query, askers = np.arange(len(rows)), self.user_rows[rows]
        else:  # equal users have equal inputs: each is computed once
            rows = rows[np.argsort(self.user_rows[rows], kind="stable")]
            askers, pair_query = np.unique(self.user_rows[rows], return_inverse=True)
        items, pair_item = np.unique(self.item_rows[rows], return_inverse=True)
        lines = self._lines(0, askers)
        if self.sides[0].history:
            lines = beside([lines, self._histories(rows)])
        queries = self.heads[0](self.tables[0].pool(lines))  # (u, dim)
        vectors = self.heads[1](self.tables[1].pool(self._lines(1, items)))  # (v, dim)
        loss = in_batch_softmax(
            queries,
            vectors,
            torch.from_numpy(pair_query).to(self.device),
            torch.from_numpy(pair_item).to(self.device),
            log_frequency=torch.from_numpy(self.log_shares[items]).to(self.device)
            if self.settings.logq
            else None,
            weights=None
            if self.weights is None
            else torch.from_numpy(self.weights[rows]).to(self.device),
            temperature=self.settings.temperature,
            mask_repeats=self.settings.mask_repeats,
        )
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        (loss * len(rows)).backward()  # the batch's sum: Adagrad's start is small beside it
        for table in self.tables:
            table.step()
        if self.optimizer is not None:
            self.optimizer.step()
        return loss.detach()

    def trial(self) -> tuple[TowerArrays, TowerArrays]:
        user, item = (
            TowerArrays(table.numpy(), head=self._answer(head))
            for table, head in zip(self.tables, self.heads, strict=True)
        )
        return user, item

    def _answer(self, head: Head) -> Callable[[Vectors], Vectors] | None:
        if head.is_identity:
            return None
        frozen = copy.deepcopy(head).cpu().double().eval()

        @torch.no_grad()
        def answer(pooled: Vectors) -> Vectors:
            return np.asarray(frozen(torch.from_numpy(pooled)).numpy(), np.float64)

        return answer

    def _lines(self, number: int, rows: NDArray[np.int32]) -> sp.csr_array:
        return self.sides[number].hiding_ids(
            take_csr(self.static[number], rows), self.settings.unknown_share, self.rng
        )

    def _histories(self, rows: NDArray[np.int64]) -> sp.csr_array:
        # mean of what came before each row: never its own item, nor anything later
        length = self.sides[0].history
        users = self.user_rows[rows]
        start, end = self.starts[users], self.starts[users + 1]
        if self.ordered:
            first = np.maximum(start, rows - length)
            counts = rows - first
            at = np.repeat(first, counts)
        else:  # without order: leave one out, the next ones around the user's circle of rows
            first = rows + 1
            counts = np.minimum(end - start - 1, length)
            at = np.repeat(first, counts)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        at = at + np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        if not self.ordered:
            size, begin = np.repeat(end - start, counts), np.repeat(start, counts)
            at = begin + (at - begin) % size
        items = self.item_rows[at]
        line = np.repeat(np.arange(len(rows)), counts)
        other = items != self.item_rows[rows][line]
        lines = sp.csr_array(
            (np.ones(int(other.sum()), np.float32), (line[other], items[other])),
            shape=(len(rows), self.sides[0].n_items),
        )
        lines.data[:] = 1.0  # an item seen twice counts once, as in answering
        return mean_lines(lines)
