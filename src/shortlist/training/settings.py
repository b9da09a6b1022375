"""Settings of the models that are trained: written once, torch-free, so that the models can be them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.data.features import Declared, History, feature_list
from shortlist.data.vocabulary import IdColumn
from shortlist.errors import ConfigError

Negatives = Literal["batch", "all"]
StartVectors: TypeAlias = tuple[IdColumn, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Epoch:
    """What one pass did.

    Attributes:
        number: from 1.
        loss: mean training loss of the pass.
        validation: the validation figure after the pass, higher is better; None without validation.
        seconds: how long the pass took, without the validation; NaN where it was read from a bundle.
    """

    number: int
    loss: float
    validation: float | None
    seconds: float = math.nan


@dataclass(kw_only=True)
class TrainingSettings:
    """What every training loop needs.

    Attributes:
        batch_size: rows per step.
        epochs: passes over the rows at the most.
        patience: epochs without a better validation figure before training stops.
        optimizer: ``"adagrad"`` or ``"adam"``; either changes only the embedding rows that a step
            touched.
        learning_rate: step size.
        weight_decay: share of a touched embedding taken away per unit of ``learning_rate``.
        dropout: share of the numbers of an embedding set to zero in training.
        unknown_share: share of ids replaced by the unknown id in training, so that it is trained.
        seed: of all that is random.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        progress: whether to show a progress bar where the error stream is a terminal.
    """

    batch_size: int = 1024
    epochs: int = 40
    patience: int = 5
    optimizer: str = "adam"
    learning_rate: float = 0.003
    weight_decay: float = 0.3
    dropout: float = 0.3
    unknown_share: float = 0.02
    seed: int = 0
    device: str = "auto"
    progress: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a setting is out of range.
        """
        for name in ("batch_size", "epochs", "patience"):
            if not _whole(getattr(self, name), least=1):
                msg = f"{name} must be at least 1; got {getattr(self, name)}. It is a whole number"
                raise ConfigError(msg)
        for name in ("dropout", "unknown_share"):
            if not 0 <= getattr(self, name) < 1:
                msg = f"{name} is a share, at least 0 and below 1; got {getattr(self, name)}"
                raise ConfigError(msg)
        if not self.learning_rate > 0 or not self.weight_decay >= 0:  # also refuses NaN
            msg = f"learning_rate must be positive and weight_decay not negative; got {self.learning_rate} and {self.weight_decay}"
            raise ConfigError(msg)
        if self.optimizer not in {"adagrad", "adam"}:
            msg = f"optimizer must be 'adagrad' or 'adam'; got {self.optimizer!r}"
            raise ConfigError(msg)
        if self.device not in {"auto", "cpu", "cuda"}:
            msg = f"device must be 'auto', 'cpu' or 'cuda'; got {self.device!r}"
            raise ConfigError(msg)


@dataclass(kw_only=True)
class TowerSettings(TrainingSettings):
    """Two towers.

    Attributes:
        dim: width of the vectors.
        user: features of the query tower; ``"user_id"``, ``History(n)`` and columns of the users' table.
        item: features of the candidate tower; ``"item_id"`` and columns of the catalogue.
        layers: widths of hidden layers after the pooled embeddings, in both towers; none by default.
        normalize: whether vectors have length 1 (the score is then a cosine over ``temperature``).
        temperature: divides the dot products.
        logq: whether logits are corrected for how often an item is drawn as a negative.
        mask_repeats: whether a row's own item, drawn by other rows, is left out of its negatives.
        context: columns of the interactions that are known at the time of asking, such as
            ``Bucket("timestamp")``; the query tower reads them. Whoever asks without gets the mean.
        negatives: ``"batch"``: a row's negatives are the items of its batch, in the place of the
            catalogue. ``"all"``: the whole catalogue, the exact softmax; for catalogues of some ten
            thousand items, where ``logq``, ``mask_repeats`` and ``extra_negatives`` have nothing to do.
        hard_negatives: learn from only this many of a row's highest-scoring negatives; 0: from all.
        extra_negatives: items drawn evenly from the catalogue beside each batch's own.
        user_tower: a ``torch.nn.Module`` from pooled (n, dim) to (n, width), instead of ``layers``.
        item_tower: likewise, with the same width.
        loss: called as ``loss(queries, items, pair_query, pair_item, *, item_counts, log_frequency,
            weights)`` with the shapes of :func:`shortlist.nn.losses.in_batch_softmax`, instead of it;
            returns the mean loss of the batch.
        start_users: (ids, (n, dim) vectors) that the users' id embeddings start from.
        start_items: likewise for the items.
        index: ``"exact"``, or a FAISS factory string such as ``"HNSW32"``.
        index_effort: how much of a FAISS index a search visits.
    """

    dim: int = 64
    user: Sequence[Declared] = ("user_id",)
    item: Sequence[Declared] = ("item_id",)
    layers: Sequence[int] = ()
    normalize: bool = False
    temperature: float = 1.0
    logq: bool = True
    mask_repeats: bool = True
    context: Sequence[Declared] = ()
    negatives: Negatives = "batch"
    hard_negatives: int = 0
    extra_negatives: int = 0
    user_tower: Any = None
    item_tower: Any = None
    loss: Callable[..., Any] | None = None
    start_users: StartVectors | None = None
    start_items: StartVectors | None = None
    index: str = "exact"
    index_effort: int = 128

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a setting is out of range.
        """
        super().__post_init__()
        self.user, self.item = feature_list("user", self.user), feature_list("item", self.item)
        self.layers = tuple(self.layers)
        if not all(_whole(width, least=1) for width in (self.dim, *self.layers)):
            msg = f"dim and layers must be at least 1; got {self.dim} and {self.layers}"
            raise ConfigError(msg)
        self.context = feature_list("context", self.context)
        for name in ("hard_negatives", "extra_negatives"):
            if not _whole(getattr(self, name), least=0):
                msg = f"{name} must not be negative; got {getattr(self, name)}. It is a whole number"
                raise ConfigError(msg)
        if self.negatives not in get_args(Negatives):
            msg = f"negatives must be one of {get_args(Negatives)}; got {self.negatives!r}"
            raise ConfigError(msg)
        if self.negatives == "all" and self.extra_negatives:
            msg = "negatives='all' meets every item already; leave extra_negatives out"
            raise ConfigError(msg)
        if not _whole(self.index_effort, least=1):
            msg = f"index_effort must be at least 1; got {self.index_effort}"
            raise ConfigError(msg)
        if (self.user_tower is not None or self.item_tower is not None) and self.layers:
            msg = "give layers, or towers of your own, not both"
            raise ConfigError(msg)
        loss: object = self.loss
        if loss is not None and not callable(loss):
            msg = f"loss must be a function of queries, items and their pairs; got {loss!r}"
            raise ConfigError(msg)
        if not self.temperature > 0:
            msg = f"temperature must be positive; got {self.temperature}"
            raise ConfigError(msg)


@dataclass(kw_only=True)
class RatingSettings(TrainingSettings):
    """A network that predicts ratings.

    Attributes:
        dim: width of the embeddings of user and item.
        user: features of the user; ``"user_id"`` and columns of the users' table.
        item: features of the item; ``"item_id"`` and columns of the catalogue.
        layers: widths of the hidden layers.
        cross_layers: cross layers (DCN-v2) before them; none by default.
        cross_rank: rank of the cross layers' matrices; 0 for full ones.
    """

    dim: int = 32
    user: Sequence[Declared] = ("user_id",)
    item: Sequence[Declared] = ("item_id",)
    layers: Sequence[int] = (256, 64)
    cross_layers: int = 0
    cross_rank: int = 0
    dropout: float = 0.4
    learning_rate: float = 0.001
    epochs: int = 60
    patience: int = 10  # what biases leave is found late: the first epochs seem not to help

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a setting is out of range.
        """
        super().__post_init__()
        self.user, self.item = feature_list("user", self.user), feature_list("item", self.item)
        self.layers = tuple(self.layers)
        if not self.layers or not all(_whole(w, least=1) for w in (self.dim, *self.layers)):
            msg = f"dim must be at least 1 and layers at least one width; got {self.dim} and {self.layers}"
            raise ConfigError(msg)
        if not all(_whole(n, least=0) for n in (self.cross_layers, self.cross_rank)):
            msg = f"cross_layers and cross_rank must not be negative; got {self.cross_layers} and {self.cross_rank}"
            raise ConfigError(msg)
        if any(isinstance(feature, History) for feature in self.user):
            msg = "the rating network does not read a History; leave it out of user"
            raise ConfigError(msg)


@dataclass(kw_only=True)
class SequenceSettings(TrainingSettings):
    """A transformer over the history.

    Attributes:
        batch_size: windows of a history per step.
        unknown_share: share of a history's items that are hidden in training.
        dim: width of the vectors; a multiple of ``heads``.
        layers: transformer blocks.
        heads: attentions per block.
        length: how many of the latest items are read; longer histories are cut into such windows to
            train on.
        negatives: items drawn per step that stand for the whole catalogue in the softmax; 0 takes
            the whole catalogue; None does so up to 20,000 items and draws 1,024 beyond.
        averaging: share of the running mean of the weights that each step keeps; the mean answers. 0 answers with
            the weights themselves.
        bf16: whether products of matrices are taken in bfloat16 while training, on processors that can.
    """

    dim: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 50
    negatives: int | None = None
    averaging: float = 0.995
    bf16: bool = True
    batch_size: int = 64
    epochs: int = 30
    patience: int = 3
    weight_decay: float = 0.01
    dropout: float = 0.2
    unknown_share: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a setting is out of range.
        """
        super().__post_init__()
        for name in ("dim", "layers", "heads", "length"):
            if not _whole(getattr(self, name), least=1):
                msg = f"{name} must be at least 1; got {getattr(self, name)}. It is a whole number"
                raise ConfigError(msg)
        if self.dim % self.heads:
            msg = f"dim must be a multiple of heads; got {self.dim} and {self.heads}"
            raise ConfigError(msg)
        if self.negatives is not None and not _whole(self.negatives, least=0):
            msg = f"negatives must not be negative; got {self.negatives}. 0 takes the whole catalogue"
            raise ConfigError(msg)
        if not 0 <= self.averaging < 1:
            msg = f"averaging is a share, at least 0 and below 1; got {self.averaging}"
            raise ConfigError(msg)


def _whole(value: object, *, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return int(value) >= least
