"""Content-based retrieval: items described by tags, title words and years, users by what they liked.

Each item is a TF-IDF vector over its tags, words and ranges of numbers, of length 1; a user is the
sum of the vectors they liked, less a part of those they did not (Rocchio, "Relevance Feedback in
Information Retrieval", 1971); the score is the cosine. An item that nobody rated yet is described
like any other, so it can be recommended at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, cast

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.features import (
    Bucket,
    Category,
    Declared,
    Hash,
    History,
    Number,
    feature_list,
    features_from_json,
    features_to_json,
)
from shortlist.data.interactions import Interactions
from shortlist.data.learned import guess, learn
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import beside, lines_of
from shortlist.data.vocabulary import align
from shortlist.errors import ConfigError, NotReadyError, closest
from shortlist.retrieval.dense import DenseRetriever, unit_lines

_USUAL = ("genres", "tags", "title", "year")
_RANGES = 10  # a number is described by the tenth of the catalogue it falls into


@dataclass(eq=False, kw_only=True)
class Content(DenseRetriever):
    """Cosine between what an item is and what the asker liked.

    Attributes:
        features: columns of the catalogue, or feature objects; empty: those of genres, tags, title
            and year that it has.
        dislike: how much an item that was seen and not liked counts against its like, 0 or more.
    """

    name: ClassVar[str] = "content"
    refits_at_once: ClassVar[bool] = True

    features: Sequence[Declared] = ()
    dislike: float = 0.5
    _items: sp.csr_array | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.features = feature_list("features", self.features)
        if not self.dislike >= 0:
            msg = f"dislike must not be negative; got {self.dislike}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Describe the catalogue; words and their rarity are learned from the items of train.

        Args:
            train: the rows, with a catalogue.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: a feature is not a column of the catalogue, or it has none to read.
        """
        table = align(train.catalogue.table, "item_id", train.item_vocabulary.ids)
        in_train = np.bincount(train.item_rows, minlength=len(table)) > 0
        parts = []
        for feature in self._found(table):
            kind = guess(feature, table[feature]) if isinstance(feature, str) else feature
            if isinstance(kind, Number):
                kind = Bucket(kind.column, _RANGES)
            if isinstance(kind, History):
                msg = f"{kind!r} is no column of the catalogue; Content reads columns only"
                raise ConfigError(msg)
            column = table[kind.column]
            part = learn(kind, column.filter(pl.Series(in_train))).encode(column)
            if isinstance(kind, Bucket | Category | Hash):
                part = part[
                    :, :-1
                ]  # that nothing is known of two items makes them no more alike
            parts.append(part)
        words = beside(parts)
        words.data = np.abs(np.sign(words.data))  # present or not
        present = np.bincount(words[in_train].indices, minlength=words.shape[1])
        rarity = np.log((1 + in_train.sum()) / (1 + present)) + 1
        words.data = (words.data * rarity[words.indices]).astype(np.float32)
        self._items = unit_lines(words)
        return self

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        return int(self._fitted().shape[0])

    @property
    def item_lines(self) -> sp.csr_array:
        """(n_items, words) float32 CSR: what describes each item, scaled to length 1."""
        return self._fitted()

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Cosines of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        items = self._fitted()
        liked = queries.signed_matrix(items.shape[0], others=-self.dislike)
        return np.asarray((unit_lines(liked @ items) @ items.T).toarray(), np.float32)

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings and the items' vectors.
        """
        items = self._fitted()
        config = {
            "features": features_to_json(self.features),
            "dislike": self.dislike,
            "words": items.shape[1],
        }
        arrays = {"offsets": items.indptr, "words": items.indices, "weights": items.data}
        return State(config, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Content.
        """
        features = features_from_json(state.config["features"])
        model = cls(features=features, dislike=state.config["dislike"])
        weights, words, offsets = (
            state.arrays[name] for name in ("weights", "words", "offsets")
        )
        shape = (len(offsets) - 1, state.config["words"])
        model._items = lines_of(weights, words, offsets, shape)
        return model

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        offsets = self._fitted().indptr
        return np.asarray(offsets[rows + 1] > offsets[rows])  # something describes them

    def _found(self, table: pl.DataFrame) -> tuple[Declared, ...]:
        found = tuple(self.features) or _usual(table)
        if not found:
            msg = f"the catalogue has none of {_USUAL}; it has {table.columns}. Name its columns in features=, or give an items table"
            raise ConfigError(msg)
        for feature in found:
            name = feature if isinstance(feature, str) else getattr(feature, "column", None)
            if name is not None and name not in table.columns:
                msg = f"feature {name!r}: no such column in the catalogue; there are {table.columns}.{closest(name, table.columns)}"
                raise ConfigError(msg)
        return found

    def _fitted(self) -> sp.csr_array:
        if self._items is None:
            msg = "this Content is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._items


def describing(table: pl.DataFrame) -> tuple[str, ...]:
    """The columns that tell what an item is like, where nobody named any.

    Args:
        table: of the catalogue.

    Returns:
        Those of genres, tags, title and year that it has; else all others that hold texts, numbers,
        dates, or lists of them; none where it has nothing but ids.
    """
    others = (
        name for name in table.columns if name != "item_id" and _reads(table.schema[name])
    )
    return _usual(table) or tuple(others)


def _usual(table: pl.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in _USUAL if name in table.columns)


def _reads(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List):
        kind = cast("pl.DataType", kind.inner)
    return not kind.is_nested() and kind not in (pl.Binary, pl.Duration, pl.Object)
