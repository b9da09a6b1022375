"""The dense part of a tower: what happens to the pooled embeddings."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module):
    """Dropout, dense layers with ReLU between, and unit length where asked for.

    Args:
        dim: width of the pooled embeddings and of the vector.
        layers: widths of the hidden layers; none leaves the pooled embedding as the vector.
        dropout: share of the pooled embedding's numbers set to zero in training.
        normalize: whether vectors get length 1.
    """

    def __init__(
        self,
        dim: int,
        layers: Sequence[int] = (),
        *,
        dropout: float = 0.0,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        widths = [dim, *layers, dim] if layers else [dim]
        blocks: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            blocks += [nn.Linear(inside, outside), nn.ReLU()]
        self.layers = nn.Sequential(*blocks[:-1])  # no ReLU after the last
        self.normalize = normalize

    @property
    def is_identity(self) -> bool:
        """Whether answering needs nothing beyond the pooled embedding."""
        return len(self.layers) == 0 and not self.normalize

    def forward(self, pooled: Tensor) -> Tensor:
        """Turn pooled embeddings into vectors.

        Args:
            pooled: (n, dim).

        Returns:
            (n, dim).
        """
        vector: Tensor = self.layers(self.dropout(pooled))  # (n, dim)
        return F.normalize(vector, dim=1) if self.normalize else vector


class Cross(nn.Module):
    """A cross layer of DCN-v2: ``x0 * (W x + b) + x``, products of features by explicit degree.

    Wang et al., "DCN V2: Improved Deep & Cross Network", WWW 2021.

    Args:
        width: of the input.
        rank: of W; 0 for a full matrix, otherwise ``W = U V`` with U (width, rank).
    """

    def __init__(self, width: int, rank: int = 0) -> None:
        super().__init__()
        self.weight: nn.Module = nn.Linear(width, width)
        if rank:
            self.weight = nn.Sequential(
                nn.Linear(width, rank, bias=False), nn.Linear(rank, width)
            )

    def forward(self, start: Tensor, x: Tensor) -> Tensor:
        """Raise the degree by one.

        Args:
            start: (n, width) the input of the first cross layer.
            x: (n, width) what the layer before gave.

        Returns:
            (n, width).
        """
        crossed: Tensor = start * self.weight(x) + x
        return crossed


class RatingHead(nn.Module):
    """A predicted rating from the pooled embeddings of a user and of an item.

    Args:
        dim: width of each pooled embedding.
        layers: widths of the hidden layers.
        dropout: share of the inputs of each layer set to zero in training.
        mean: the rating to start from.
        cross_layers: how many cross layers the input passes before the dense ones.
        cross_rank: rank of their matrices; 0 for full ones.
    """

    def __init__(
        self,
        dim: int,
        layers: Sequence[int],
        *,
        dropout: float,
        mean: float,
        cross_layers: int = 0,
        cross_rank: int = 0,
    ) -> None:
        super().__init__()
        self.cross = nn.ModuleList(Cross(2 * dim, cross_rank) for _ in range(cross_layers))
        blocks: list[nn.Module] = []
        widths = [2 * dim, *layers]
        for inside, outside in pairwise(widths):
            blocks += [nn.Dropout(dropout), nn.Linear(inside, outside), nn.ReLU()]
        self.layers = nn.Sequential(*blocks, nn.Dropout(dropout), nn.Linear(widths[-1], 1))
        nn.init.constant_(self.layers[-1].bias, mean)  # type: ignore[arg-type]

    def forward(self, pooled: Tensor) -> Tensor:
        """Predict.

        Args:
            pooled: (n, 2 dim), user beside item.

        Returns:
            (n,) ratings.
        """
        x = pooled
        for layer in self.cross:
            x = layer(pooled, x)
        rating: Tensor = self.layers(x)
        return torch.squeeze(rating, 1)
