"""Features of a pair: what is known of an asker and an item at the time of asking, as numbers.

Each retriever's score (z-scores over what it proposed to the asker) and place; what the asker's last
items are like and are followed by; how far tags and numbers of the item are from those of the history;
the item's popularity in all, lately and its trend, age and mean rating; columns of items and users; how
active the asker is and how long ago they were last there.

The same code runs in training and in answering. Statistics are of the rows known at the time of asking:
:meth:`PairFeatures.at` gives the same features with other facts.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.ragged import beside, lines_of, take_lines
from shortlist.data.topk import Candidates
from shortlist.ranking.columns import Columns
from shortlist.ranking.likeness import NEAREST, following, together

_log = logging.getLogger(__name__)
_DAY = 86_400.0
_CELLS = 1 << 22  # numbers held at a time
_WINDOWS = (1, 3, 10)  # last items
_LATELY = (90, 30)  # days
_PULL = 5.0  # ratings' worth of pull of an item's mean towards that of all
NOT_PROPOSED = -5.0  # standard deviations
_NO_PLACE = 1_000.0
_OF_ITEM = (
    "popularity",
    *(f"popularity, {days} days" for days in _LATELY),
    "trend",
    "item age",
    "mean rating",
)
_OF_USER = ("activity", "time since last", "own mean rating")


@dataclass(frozen=True, eq=False, repr=False)
class PairFeatures:
    """What is read of a pair, and the facts it is read from.

    Attributes:
        sources: retrievers whose scores and places are read.
        user: columns of the users' table.
        item: columns of the catalogue.
        mean: of all ratings; 0 where there are none.
        items: (n_items + 1, c) float32 what is known of each item; the last line is the unknown item.
        tags: for each column of tags (n_items + 1, t) float32 shares.
        near: (n_items, 2 n_items) CSR: what is like each item, then what follows it.
    """

    sources: tuple[str, ...]
    user: Columns
    item: Columns
    mean: float
    items: NDArray[np.float32]
    tags: tuple[NDArray[np.float32], ...]
    near: sp.csr_array
    _said: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"PairFeatures({len(self.names)}: {', '.join(self.names)})"

    @classmethod
    def of(cls, known: Interactions, sources: tuple[str, ...]) -> Self:
        """Choose the features, with the facts of the time of asking.

        Args:
            known: the rows known then.
            sources: names of the retrievers that propose.

        Returns:
            PairFeatures.
        """
        user = Columns.learn(known.users, tags=False)
        item = Columns.learn(known.catalogue.table, tags=True)
        empty = np.empty((1, 0), np.float32)
        nothing = np.empty(0, np.float32), (np.empty(0, np.int32), np.empty(0, np.int32))
        near = sp.csr_array(nothing, shape=(0, 0))
        return cls(sources, user, item, 0.0, empty, (), near).at(known)

    def at(self, known: Interactions) -> Self:
        """The same features, with the facts of other rows.

        Args:
            known: the rows known at another time.

        Returns:
            PairFeatures over the item rows of ``known``.
        """
        n = len(known.item_vocabulary)
        table = known.catalogue.aligned(known.item_vocabulary.ids).table
        mean = 0.0 if known.ratings is None or not len(known) else float(known.ratings.mean())
        facts = [_facts(known, mean), self.item.plain(table, n)]
        items = np.concatenate(facts, axis=1)
        unknown = (
            np.median(items, axis=0, keepdims=True) if n else np.zeros((1, items.shape[1]))
        )
        tags = tuple(np.pad(lines, ((0, 1), (0, 0))) for lines in self.item.tag_lines(table, n))
        return replace(
            self,
            mean=mean,
            items=np.concatenate([items, unknown]).astype(np.float32),
            tags=tags,
            near=beside([together(known), following(known)]),
            _said=set(),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in the order of :meth:`table`."""
        near = [f"{how} last {last}" for how in ("like", "follows") for last in _WINDOWS]
        return (
            *(f"{name} {what}" for name in self.sources for what in ("score", "place")),
            *near,
            *_OF_ITEM,
            *(f"item {name}" for name in self.item.names),
            *(f"match of {one.feature.column}" for one in self.item.tags),
            *(f"distance of {one.feature.column}" for one in self.item.numbers),
            *_OF_USER,
            *(f"user {name}" for name in self.user.names),
        )

    def table(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """The features of every pair.

        Args:
            queries: n askers.
            candidates: (n, m); row -1 is the unknown item.

        Returns:
            (n, m, features) float32, all finite.
        """
        n, m = candidates.rows.shape
        self._warn_of_missing(queries, candidates.sources)
        values = np.zeros((n, m, len(self.names)), np.float32)
        step = max(1, _CELLS // (self.near.shape[0] + 2 * NEAREST * _WINDOWS[-1]))
        at = 2 * len(self.sources)
        self._proposals(candidates, values)
        for start in range(0, n if m else 0, step):
            some = slice(start, min(start + step, n))
            self._nearness(
                queries.slice(some.start, some.stop),
                candidates.rows[some],
                values[some, :, at:],
            )
        at += 2 * len(_WINDOWS)
        values[:, :, at : at + self.items.shape[1]] = self.items[candidates.rows]
        at += self.items.shape[1]
        at = self._distances(queries, candidates.rows, values, at)
        values[:, :, at:] = self._of_users(queries)[:, None]
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The facts, for a bundle.

        Returns:
            Named arrays.
        """
        near = {
            "near": self.near.data,
            "near_items": self.near.indices,
            "near_offsets": self.near.indptr,
        }
        return {
            "items": self.items,
            **near,
            **{f"tags-{i}": t for i, t in enumerate(self.tags)},
        }

    def to_json(self) -> Json:
        """The rest of it, for a bundle.

        Returns:
            JSON values.
        """
        columns = {"user": self.user.to_json(), "item": self.item.to_json()}
        return {"sources": list(self.sources), "mean": self.mean, **columns}

    @classmethod
    def from_parts(cls, value: Json, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild.

        Args:
            value: what :meth:`to_json` gave.
            arrays: what :meth:`arrays` gave.

        Returns:
            The same features.
        """
        item = Columns.from_json(value["item"])
        offsets = arrays["near_offsets"]
        n = len(offsets) - 1
        near = lines_of(arrays["near"], arrays["near_items"], offsets, (n, 2 * n))
        tags = tuple(np.asarray(arrays[f"tags-{i}"]) for i in range(len(item.tags)))
        user = Columns.from_json(value["user"])
        return cls(
            tuple(value["sources"]), user, item, value["mean"], arrays["items"], tags, near
        )

    def _proposals(self, candidates: Candidates, values: NDArray[np.float32]) -> None:
        for place, name in enumerate(self.sources):
            own = values[:, :, 2 * place : 2 * place + 2]
            own[:, :, 0], own[:, :, 1] = NOT_PROPOSED, np.log(_NO_PLACE)
            if name not in candidates.sources:
                continue
            source = candidates.sources.index(name)
            ranks, scores = candidates.source_ranks[source], candidates.source_scores[source]
            there = (ranks > 0) & np.isfinite(scores)
            own[:, :, 0] = _levelled(scores, there)
            own[:, :, 1] = np.where(there, np.log(np.maximum(ranks, 1)), np.log(_NO_PLACE))

    def _nearness(
        self, queries: Queries, rows: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None:
        # sums of likeness over the last 1, 3 and 10 liked items, into the first columns of values
        (n, m), n_items, windows = rows.shape, self.near.shape[0], len(_WINDOWS)
        lines = np.arange(n)[:, None]
        place = np.full((n, n_items + 1), -1, np.int32)  # of an item among the candidates
        place[lines, rows] = np.arange(m)
        liked = np.flatnonzero(queries.history_liked)
        asker = np.repeat(np.arange(n), queries.liked_counts)
        back = np.cumsum(queries.liked_counts)[asker] - np.arange(len(liked))  # 1 is the last
        late = back <= _WINDOWS[-1]
        first = asker[late] * 2 * windows + np.searchsorted(_WINDOWS, back[late])
        at, offsets = take_lines(self.near.indptr, queries.history_rows[liked[late]])
        lengths = np.diff(offsets)
        column = self.near.indices[at]
        item = np.where(column < n_items, column, column - n_items)
        to = place.ravel()[np.repeat(asker[late] * (n_items + 1), lengths) + item]
        hit = np.flatnonzero(to >= 0)
        kind = column[hit] >= n_items
        cell = (np.repeat(first, lengths)[hit] + kind * windows) * m + to[hit]
        sums = np.bincount(cell, self.near.data[at[hit]], minlength=n * 2 * windows * m)
        sums = np.cumsum(sums.reshape(n, 2, windows, m), axis=2).reshape(n, -1, m)
        own = place[lines, rows]  # an item may stand twice
        values[:, :, : 2 * windows] = sums[lines, :, own]

    def _distances(
        self, queries: Queries, rows: NDArray[np.int32], values: NDArray[np.float32], at: int
    ) -> int:
        liked = queries.history_liked
        counts = np.maximum(queries.liked_counts, 1).astype(np.float32)
        offsets = np.append(0, np.cumsum(queries.liked_counts)).astype(np.int32)
        ones = np.ones(offsets[-1], np.float32)
        shape = (len(queries), len(self.items))
        held = lines_of(ones, queries.history_rows[liked], offsets, shape)
        for lines in self.tags:
            mix = (held @ lines) / counts[:, None]  # (n, t)
            both = mix.T[:, :, None] * lines.T[:, rows]  # (t, n, m)
            # added in order: the same bits whatever the batch
            values[:, :, at] = np.cumsum(both, axis=0)[-1] if len(both) else 0.0
            at += 1
        first = len(_OF_ITEM)
        numbers = self.items[:, first : first + len(self.item.numbers)]
        means = (held @ numbers) / counts[:, None]
        for place in range(numbers.shape[1]):
            values[:, :, at] = numbers[:, place][rows] - means[:, place, None]
            at += 1
        return at

    def _of_users(self, queries: Queries) -> NDArray[np.float32]:
        n, lengths = len(queries), np.diff(queries.offsets)
        some = lengths > 0
        values = np.zeros((n, len(_OF_USER) + len(self.user.names)), np.float32)
        values[:, 0] = np.log1p(lengths)
        if queries.history_ages is not None:
            newest = queries.history_ages[queries.offsets[1:][some] - 1]
            values[some, 1] = np.log1p(np.maximum(newest, 0) / _DAY)
        values[:, 2] = self.mean
        if queries.history_ratings is not None:
            total = np.bincount(queries.askers, queries.history_ratings, minlength=n)
            values[:, 2] = (total + _PULL * self.mean) / (lengths + _PULL)
        if self.user.names:
            about = pl.DataFrame() if queries.users is None else queries.users
            values[:, len(_OF_USER) :] = self.user.plain(about, n)
        return values

    def _warn_of_missing(self, queries: Queries, sources: tuple[str, ...]) -> None:
        have = () if queries.users is None else queries.users.columns
        lacking = [name for name in self.sources if name not in sources]
        lacking += [f"user column {name}" for name in self.user.names if name not in have]
        fresh = [name for name in lacking if name not in self._said]
        if fresh and len(queries):
            self._said.update(fresh)
            _log.warning(
                "ranking %d askers without %s: defaults stand in (said once)",
                len(queries),
                ", ".join(fresh),
            )


def _levelled(scores: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    # z-scores of each line over the places that are there
    held = np.where(there, scores, 0.0).astype(np.float64)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = held.sum(axis=1, keepdims=True) / count
    rest = np.where(there, held - mean, 0.0)
    spread = np.sqrt((rest * rest).sum(axis=1, keepdims=True) / count)
    spread = np.where(spread > 0, spread, 1.0)
    return np.where(there, rest / spread, NOT_PROPOSED).astype(np.float32)


def _facts(known: Interactions, mean: float) -> NDArray[np.float32]:
    # (n_items, 6): popularity in all, of 90 and 30 days, trend, age, mean rating
    n, items = len(known.item_vocabulary), known.item_rows
    liked = known.liked

    def share(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts = np.bincount(items[rows], minlength=n)
        shares: NDArray[np.float64] = np.log((counts + 0.5) / (counts.sum() + 0.5 * n))
        return shares

    everything = share(liked)
    lately, age = [everything, everything], np.zeros(n)
    if known.timestamps is not None and len(known):
        before = (known.timestamps.max() - known.timestamps) / _DAY
        lately = [share(liked & (before <= days)) for days in _LATELY]
        np.maximum.at(age, items, before)
    rating = np.full(n, mean)
    if known.ratings is not None:
        counts = np.bincount(items, minlength=n)
        rating = (np.bincount(items, known.ratings, minlength=n) + _PULL * mean) / (
            counts + _PULL
        )
    columns = [everything, *lately, lately[0] - everything, np.log1p(age), rating]
    return np.stack(columns, axis=1).astype(np.float32)
