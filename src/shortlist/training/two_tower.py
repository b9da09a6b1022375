"""Trains two towers with the in-batch softmax and hands back arrays."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shortlist.data.interactions import Interactions
from shortlist.data.ragged import beside, binary_matrix, mean_lines
from shortlist.data.sides import Side
from shortlist.errors import ConfigError, TrainingError
from shortlist.nn.losses import hard_negative_softmax, in_batch_softmax
from shortlist.nn.towers import Head
from shortlist.training.embeddings import EmbeddingTable, take_csr
from shortlist.training.graphs import export_graph
from shortlist.training.loop import (
    Kept,
    dense_optimizer,
    keep_copy,
    pick_device,
    run_epochs,
)
from shortlist.training.own_parts import check_tower, checked_loss, own_tower
from shortlist.training.settings import Epoch, StartVectors, TowerSettings

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


@dataclass(frozen=True, eq=False)
class Towers:
    """Both towers.

    Attributes:
        user: the query tower.
        item: the candidate tower.
        context: (columns, dim) float32 embeddings of what is known at the time of asking, or None.
    """

    user: TowerArrays
    item: TowerArrays
    context: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class TowerInputs:
    """What the towers read.

    Attributes:
        sides: features of users and of items.
        static: (n_users + 1, ...) and (n_items + 1, ...) encoded features, the last line unknown.
        context: features of the asking and their (rows, ...) encoded lines, or None.
    """

    sides: tuple[Side, Side]
    static: tuple[sp.csr_array, sp.csr_array]
    context: tuple[Side, sp.csr_array] | None = None


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_towers(
    settings: TowerSettings,
    train: Interactions,
    inputs: TowerInputs,
    validate: Callable[[Towers], float] | None,
) -> tuple[Towers, list[Epoch], TrainingError | None]:
    """Train a query tower and a candidate tower on the liked rows.

    Args:
        settings: of the towers and the training.
        train: the rows.
        inputs: what the towers read of them.
        validate: figure of towers that are not final, higher is better; None runs all epochs.

    Returns:
        The towers, a record of the epochs, and what stopped the training early: the towers are
        then those of the last good epoch.

    Raises:
        TrainingError: training went wrong in its first epoch.
    """
    trainer = _Trainer(settings, train, inputs)
    best: list[Kept] = []

    def keep() -> None:
        best[:] = [keep_copy(trainer.tables, trainer.heads)]

    epochs, failure = run_epochs(
        trainer.table_rows,
        trainer.step,
        settings=settings,
        title="two towers",
        validate=None if validate is None else lambda: validate(trainer.trial()),
        keep=keep,
    )
    tables, states = best[0]
    heads = zip(tables[:2], trainer.heads, states, strict=True)
    user, item = (_finished(table, head, state) for table, head, state in heads)
    return Towers(user, item, *tables[2:]), epochs, failure


def _finished(
    table: NDArray[np.float32], head: nn.Module, state: dict[str, Tensor]
) -> TowerArrays:
    if _is_identity(head):
        return TowerArrays(table)
    head.load_state_dict(state)
    return TowerArrays(table, graph=export_graph(head, table.shape[1]))


def _is_identity(head: nn.Module) -> bool:
    return isinstance(head, Head) and head.is_identity


class _Trainer:
    def __init__(
        self, settings: TowerSettings, train: Interactions, inputs: TowerInputs
    ) -> None:
        self.settings = settings
        self.sides, self.static = inputs.sides, inputs.static
        order = self.table_rows = train.time_order[train.liked[train.time_order]]
        self.user_rows = train.user_rows[order]
        self.item_rows = train.item_rows[order]
        self.weights = None if train.weights is None else train.weights[order]
        self.context = None if inputs.context is None else take_csr(inputs.context[1], order)
        self.ordered = train.timestamps is not None and self.sides[0].ordered
        counts = np.bincount(self.user_rows, minlength=len(train.user_vocabulary))
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.n_items = len(train.item_vocabulary)
        self.log_shares = self._log_shares()
        self.corrects = settings.logq and settings.negatives == "batch"
        self.device = pick_device(settings.device)
        self.rng = np.random.default_rng([settings.seed, 1])
        generator = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(settings.seed)  # dropout draws from the global generator
        read = [*self.sides, *([] if inputs.context is None else [inputs.context[0]])]
        self.tables = [
            EmbeddingTable(side.columns, settings.dim, settings, generator, self.device)
            for side in read
        ]
        vocabularies = (train.user_vocabulary, train.item_vocabulary)
        starts = (settings.start_users, settings.start_items)
        for table, side, vocabulary, start in zip(
            self.tables[:2], self.sides, vocabularies, starts, strict=True
        ):
            if start is not None:
                table.start_from(*_start_rows(start, side, vocabulary.rows(start[0]), settings))
        names = ("user_tower", "item_tower")
        copied: dict[int, object] = {}
        self.heads = [self._head(name, copied).to(self.device) for name in names]
        widths = [
            settings.dim
            if getattr(settings, name) is None
            else check_tower(name, head, settings.dim, self.device)
            for name, head in zip(names, self.heads, strict=True)
        ]
        if widths[0] != widths[1]:
            msg = f"the towers must give vectors of one width; user_tower gives {widths[0]}, item_tower {widths[1]}"
            raise ConfigError(msg)
        dense = list(dict.fromkeys(p for head in self.heads for p in head.parameters()))
        self.optimizer = dense_optimizer(dense, settings) if dense else None

    def step(self, rows: NDArray[np.int64]) -> Tensor:
        if self.sides[0].history or self.context is not None:
            pair_query, askers = np.arange(len(rows)), self.user_rows[rows]
        else:  # equal users have equal inputs: each is computed once
            rows = rows[np.argsort(self.user_rows[rows], kind="stable")]
            askers, pair_query = np.unique(self.user_rows[rows], return_inverse=True)
        items, at, counts = self._met(self.item_rows[rows])
        lines = self._lines(0, askers)
        if self.sides[0].history:
            lines = beside([lines, self._histories(rows)])
        pooled = self.tables[0].pool(lines)  # (u, dim)
        if self.context is not None:
            pooled = pooled + self.tables[2].pool(take_csr(self.context, rows))
        queries = self.heads[0](pooled)  # (u, width)
        vectors = self.heads[1](self.tables[1].pool(self._lines(1, items)))  # (v, width)
        loss = self._loss(
            queries,
            vectors,
            self._tensor(pair_query),
            self._tensor(at),
            item_counts=self._tensor(counts),
            log_frequency=self._tensor(self.log_shares[items]) if self.corrects else None,
            weights=None if self.weights is None else self._tensor(self.weights[rows]),
        )
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        (loss * len(rows)).backward()  # the batch's sum: Adagrad's start is small beside it
        for table in self.tables:
            table.step()
        if self.optimizer is not None:
            self.optimizer.step()
        return loss.detach()

    def _met(
        self, own: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        # the items that a batch's queries meet, where each row's own stands, how often each counts
        if self.settings.negatives == "all":
            everything = np.arange(self.n_items, dtype=np.int32)
            return everything, own.astype(np.int64), np.ones(self.n_items, np.int64)
        drawn = self.rng.integers(0, self.n_items, self.settings.extra_negatives)
        items, at, counts = np.unique(
            np.concatenate([own, drawn]), return_inverse=True, return_counts=True
        )
        return items.astype(np.int32), at[: len(own)], counts

    def trial(self) -> Towers:
        user, item = (
            TowerArrays(table.numpy(), head=self._answer(head))
            for table, head in zip(self.tables[:2], self.heads, strict=True)
        )
        return Towers(user, item, *(table.numpy() for table in self.tables[2:]))

    def _loss(
        self,
        *arrays: Tensor,  # queries, items, pair_query, pair_item
        item_counts: Tensor,
        log_frequency: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        chosen = self.settings
        loss: Callable[..., Tensor] = in_batch_softmax
        more: dict[str, object] = {
            "temperature": chosen.temperature,
            "mask_repeats": chosen.mask_repeats,
        }
        if chosen.hard_negatives:
            loss = hard_negative_softmax
            more = {"temperature": chosen.temperature, "hardest": chosen.hard_negatives}
        if chosen.loss is not None:
            loss, more = chosen.loss, {}
        return checked_loss(
            loss(
                *arrays,
                item_counts=item_counts,
                log_frequency=log_frequency,
                weights=weights,
                **more,
            )
        )

    def _log_shares(self) -> NDArray[np.float32]:
        # of what a batch's columns are drawn from: its rows, and the extra negatives
        shares = np.bincount(self.item_rows, minlength=self.n_items) / max(
            1, len(self.item_rows)
        )
        extra = self.settings.extra_negatives
        rows = min(self.settings.batch_size, len(self.item_rows))
        mixed = (rows * shares + extra / max(1, self.n_items)) / max(1, rows + extra)
        return np.log(np.maximum(mixed, 1e-12)).astype(np.float32)

    def _head(self, name: str, copied: dict[int, object]) -> nn.Module:
        chosen = self.settings
        given = getattr(chosen, name)
        if given is not None:
            return own_tower(name, given, copied)
        return Head(
            chosen.dim, chosen.layers, dropout=chosen.dropout, normalize=chosen.normalize
        )

    def _answer(self, head: nn.Module) -> Callable[[Vectors], Vectors] | None:
        if _is_identity(head):
            return None
        frozen = copy.deepcopy(head).cpu().double().eval()

        @torch.no_grad()
        def answer(pooled: Vectors) -> Vectors:
            return np.asarray(frozen(torch.from_numpy(pooled)).numpy(), np.float64)

        return answer

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _lines(self, number: int, rows: NDArray[np.int32]) -> sp.csr_array:
        return self.sides[number].hiding_ids(
            take_csr(self.static[number], rows), self.settings.unknown_share, self.rng
        )

    def _histories(self, rows: NDArray[np.int64]) -> sp.csr_array:
        # mean of what came before each row, never its own item nor anything later; without order the
        # latest of what is beside it: what answering reads, leaving the row out
        length = self.sides[0].history
        users = self.user_rows[rows]
        start, end = self.starts[users], self.starts[users + 1]
        if self.ordered:
            counts = np.minimum(rows - start, length)
            first = rows - counts
        else:
            counts = np.minimum(end - start - 1, length)
            first = end - 1 - counts
        offsets = np.concatenate([[0], np.cumsum(counts)])
        at = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], counts)
        if not self.ordered:
            at += at >= np.repeat(rows, counts)  # the row itself is stepped over
        items = self.item_rows[at]
        line = np.repeat(np.arange(len(rows)), counts)
        other = items != self.item_rows[rows][line]
        shape = (len(rows), self.sides[0].n_items)
        return mean_lines(binary_matrix(line[other], items[other], shape))


def _start_rows(
    start: StartVectors, side: Side, rows: NDArray[np.int32], settings: TowerSettings
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    vectors = np.asarray(start[1], np.float32)
    if not side.has_id or vectors.shape != (len(rows), settings.dim):
        msg = (
            f"start vectors are ({len(rows)}, {settings.dim}) for a side that reads its id; got {vectors.shape}. "
            "Give one vector per id, as wide as dim"
        )
        raise ConfigError(msg)
    return rows[rows >= 0], vectors[rows >= 0]
