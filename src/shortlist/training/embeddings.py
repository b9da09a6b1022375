"""Embedding tables whose cost per step depends on the rows touched, not on the size of the table."""

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from shortlist.data.ragged import take_lines
from shortlist.training.settings import TrainingSettings

_ADAM_MEMORY = (0.9, 0.999)
ADAGRAD_START, ADAGRAD_EPSILON = 0.1, 1e-7  # as in TensorFlow


class EmbeddingTable:
    """A table that is read as weighted sums of rows, and learns only the rows that were read.

    The rows of a step are gathered as a leaf; autograd runs through the model to that leaf; then
    the rows are updated in place. For Adagrad this is the dense optimizer exactly, since a row
    without a gradient does not move; for Adam it is the lazy variant, as in ``SparseAdam``.

    Args:
        columns: rows of the table (feature columns).
        dim: width.
        settings: optimizer, learning rate, weight decay.
        generator: of the initial numbers.
        device: where the table lives.
    """

    def __init__(
        self,
        columns: int,
        dim: int,
        settings: TrainingSettings,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.weight = ((torch.rand(columns, dim, generator=generator) - 0.5) * 0.1).to(device)
        self._settings = settings
        start = ADAGRAD_START if settings.optimizer == "adagrad" else 0.0
        self._second = torch.full_like(self.weight, start)
        self._first = torch.zeros_like(self.weight) if settings.optimizer == "adam" else None
        self._steps = 0
        self._leaves: list[tuple[Tensor, Tensor]] = []

    def pool(self, lines: sp.csr_array) -> Tensor:
        """Weighted sums of rows of the table.

        Args:
            lines: (n, columns) CSR, one line per vector.

        Returns:
            (n, dim), with a gradient to the rows it read.
        """
        columns, inside = np.unique(lines.indices, return_inverse=True)
        device = self.weight.device
        return F.embedding_bag(
            torch.from_numpy(inside.astype(np.int64)).to(device),
            self.take(columns),
            torch.from_numpy(lines.indptr.astype(np.int64)).to(device),
            mode="sum",
            per_sample_weights=torch.from_numpy(lines.data).to(device),
            include_last_offset=True,
        )

    def take(self, rows: NDArray[np.integer]) -> Tensor:
        """Rows of the table.

        Args:
            rows: (n,) distinct rows.

        Returns:
            (n, dim), which gathers their gradient.
        """
        touched = torch.from_numpy(rows.astype(np.int64)).to(self.weight.device)
        leaf = self.weight[touched].requires_grad_()
        self._leaves.append((touched, leaf))
        return leaf

    def start_from(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Start some rows of the table from given vectors.

        Args:
            rows: (n,) rows of the table.
            vectors: (n, dim).
        """
        device = self.weight.device
        self.weight[torch.from_numpy(rows.astype(np.int64)).to(device)] = torch.from_numpy(
            vectors
        ).to(device)

    @torch.no_grad()
    def step(self) -> None:
        """Update the rows read since the last step; a row read several times learns from the sum."""
        setting = self._settings
        self._steps += 1
        read = [(rows, leaf.grad) for rows, leaf in self._leaves if leaf.grad is not None]
        self._leaves.clear()
        if not read:
            return
        touched, grad = read[0] if len(read) == 1 else _summed(read)
        if self._first is None:
            second = self._second[touched].addcmul_(grad, grad)
            move = grad / (second.sqrt() + ADAGRAD_EPSILON)
        else:
            keep, keep_square = _ADAM_MEMORY
            first = self._first[touched].mul_(keep).add_(grad, alpha=1 - keep)
            second = (
                self._second[touched]
                .mul_(keep_square)
                .addcmul_(grad, grad, value=1 - keep_square)
            )
            self._first[touched] = first
            size = (second / (1 - keep_square**self._steps)).sqrt_().add_(1e-8)
            move = first / (1 - keep**self._steps) / size
        self._second[touched] = second
        shrunk = self.weight[touched] * (1 - setting.learning_rate * setting.weight_decay)
        self.weight[touched] = shrunk.sub_(move, alpha=setting.learning_rate)

    def numpy(self) -> NDArray[np.float32]:
        """A copy of the table.

        Returns:
            (columns, dim) float32.
        """
        return self.weight.cpu().numpy().copy()


def _summed(read: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    # each row once, with the sum of its gradients
    every, grads = (torch.cat(parts) for parts in zip(*read, strict=True))
    touched, at = torch.unique(every, return_inverse=True)
    return touched, grads.new_zeros(len(touched), grads.shape[1]).index_add_(0, at, grads)


def take_csr(matrix: sp.csr_array, lines: NDArray[np.integer]) -> sp.csr_array:
    """Lines of a CSR matrix, in the order asked for.

    Args:
        matrix: (n, columns).
        lines: (m,) line numbers.

    Returns:
        (m, columns) CSR with its own arrays.
    """
    at, offsets = take_lines(matrix.indptr, lines)
    return sp.csr_array(
        (matrix.data[at], matrix.indices[at], offsets), shape=(len(lines), matrix.shape[1])
    )
