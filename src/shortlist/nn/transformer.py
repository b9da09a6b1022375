"""A causal transformer: each place of a sequence reads itself and the places before it.

Vaswani et al., "Attention Is All You Need", NIPS 2017; as a recommender, SASRec: Kang & McAuley,
"Self-Attentive Sequential Recommendation", ICDM 2018. Blocks normalise before they mix, so that
deep stacks train without care. Places are told apart by how far they are from the place that reads
them: a learned number per distance, added to the attention (Shaw et al., NAACL 2018; Raffel et al.,
JMLR 2020). So a place means the same in a window of five as in one of fifty.
"""

import torch
from torch import Tensor, nn

_NEVER = -1e9  # not -inf: a line of nothing else would be NaN


class Block(nn.Module):
    """Attention over what came before, then a small dense network, each added to its input.

    Args:
        dim: width of a place's vector; a multiple of ``heads``.
        heads: attentions side by side, each over its share of the width.
        length: the longest sequence.
        dropout: share of what is added that is set to zero in training.
    """

    def __init__(self, dim: int, heads: int, length: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_mixing = nn.LayerNorm(dim)
        self.read = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)
        self.before_dense = nn.LayerNorm(dim)
        self.dense = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.dropout = nn.Dropout(dropout)
        self.distance = nn.Parameter(torch.zeros(heads, length))

    def forward(self, x: Tensor, away: Tensor, hidden: Tensor) -> Tensor:
        """Let each place read.

        Args:
            x: (batch, places, dim).
            away: (places, places) int64 how far back a column is from a line, at least 0.
            hidden: (batch or 1, 1, places, places) bool, which columns a line must not read.

        Returns:
            (batch, places, dim).
        """
        batch, places, dim = x.shape
        width = dim // self.heads
        query, key, value = (
            part.reshape(batch, places, self.heads, width).transpose(1, 2)
            for part in self.read(self.before_mixing(x)).chunk(3, dim=2)
        )  # (batch, heads, places, width) each
        weights = query @ key.transpose(2, 3) * width**-0.5 + self.distance[:, away]
        read = weights.masked_fill(hidden, _NEVER).softmax(dim=3) @ value
        x = x + self.dropout(self.mix(read.transpose(1, 2).reshape(batch, places, dim)))
        added: Tensor = x + self.dropout(self.dense(self.before_dense(x)))
        return added


class CausalTransformer(nn.Module):
    """Reads a sequence of vectors; each place's answer depends on itself and what came before.

    Args:
        dim: width of the vectors; a multiple of ``heads``.
        layers: blocks.
        heads: attentions per block.
        length: the longest sequence.
        dropout: share of the numbers set to zero in training, of the input and in each block.
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, length: int, dropout: float
    ) -> None:
        super().__init__()
        self.scale = dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, length, dropout) for _ in range(layers))
        self.normalize = nn.LayerNorm(dim)

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        """Answer at every place.

        Args:
            vectors: (batch, places, dim).
            there: (batch, places) bool; False is padding, which no other place reads.

        Returns:
            (batch, places, dim); what stands at padding means nothing.
        """
        place = torch.arange(vectors.shape[1], device=vectors.device)
        back = place[:, None] - place[None, :]  # (places, places)
        # each place may read itself, be it padding: a line without anything to read has no softmax
        hidden = (back < 0) | (~there[:, None, None, :] & (back != 0))
        x = self.dropout(vectors * self.scale)
        for block in self.blocks:
            x = block(x, back.clamp(min=0), hidden)
        answers: Tensor = self.normalize(x)
        return answers


class LastPlace(nn.Module):
    """The answer after a whole history: what is exported.

    Args:
        transformer: reads the history.
    """

    def __init__(self, transformer: CausalTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, rows: Tensor, items: Tensor) -> Tensor:
        """Turn histories into query vectors.

        Args:
            rows: (batch, places) int64 item rows, oldest first; -1 is padding, before the others.
            items: (n_items, dim) item vectors.

        Returns:
            (batch, dim).
        """
        answers: Tensor = self.transformer(items[rows.clamp(min=0)], rows >= 0)
        return answers[:, -1]
