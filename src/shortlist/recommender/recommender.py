"""The recommender: the one object that is fitted, evaluated, saved, loaded and asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Json, Ranker, Retriever
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import IdColumn, UserOrItemId, id_series
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.index.select import check_k
from shortlist.recommender.audience import audience
from shortlist.recommender.rules import Allow, Deny, Rule, Seen, Where
from shortlist.recommender.stages import Answer, Stages
from shortlist.retrieval.popularity import Popularity

_BLOCK = 1024  # askers at a time


@dataclass(eq=False, repr=False)
class Recommender:
    """Retrieve, exclude and filter, rank, fall back.

    Attributes:
        retrieve: one retriever or several; several are merged by reciprocal rank.
        rank: puts the candidates in order; None keeps the retrievers' order.
        rules: what may be answered; by default what the asker has not seen.
        fallback: answers whoever brings nothing that a retriever knows.
        candidates: how many items each retriever hands to the next stage.
        name: shown in comparisons; built from the parts where empty.
        metrics: figures to keep in the bundle, by protocol; set by whoever evaluated.
    """

    retrieve: Retriever | Sequence[Retriever]
    rank: Ranker | None = None
    rules: Sequence[Rule] = (Seen(),)
    fallback: Retriever = field(default_factory=Popularity)
    candidates: int = 200
    name: str = ""
    metrics: dict[str, Json] = field(init=False, default_factory=dict)
    _snapshot: Snapshot | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Check the parts.

        Raises:
            ConfigError: no retriever, two of the same name, or no candidates.
        """
        self.retrieve = (
            tuple(self.retrieve) if isinstance(self.retrieve, Sequence) else (self.retrieve,)
        )
        self.rules = tuple(self.rules)
        names = [part.name for part in self.retrieve]
        if not names or len(set(names)) < len(names):
            msg = f"retrieve needs at least one retriever, each kind once; got {names}"
            raise ConfigError(msg)
        if self.candidates < 1:
            msg = f"candidates must be at least 1; got {self.candidates}"
            raise ConfigError(msg)
        if not self.name:
            self.name = "+".join(names) + (
                f" > {self.rank.name}" if self.rank is not None else ""
            )

    def __repr__(self) -> str:
        ready = repr(self._snapshot) if self._snapshot is not None else "not fitted"
        return f"Recommender({self.name}; {ready})"

    @property
    def retrievers(self) -> tuple[Retriever, ...]:
        """The retrievers, always as a tuple."""
        return self.retrieve if isinstance(self.retrieve, tuple) else (self.retrieve,)

    @property
    def snapshot(self) -> Snapshot:
        """What train said: ids, catalogue, users, histories.

        Raises:
            NotReadyError: not fitted yet.
        """
        if self._snapshot is None:
            msg = "this Recommender is not fitted; call fit(train) first, or load a bundle"
            raise NotReadyError(msg)
        return self._snapshot

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Fit every part on train; validation only chooses (when to stop).

        Args:
            train: the rows to learn from, and to remember as histories.
            validate: later rows of the same users, or None.

        Returns:
            Itself, fitted.

        Raises:
            DataError: train is empty.
        """
        if not len(train):
            msg = "train has no rows; there is nothing to learn from"
            raise DataError(msg)
        for part in self.parts:
            part.fit(train, validate=validate)
        self._snapshot = Snapshot.of(train)
        for rule in self.rules:
            rule.mask(
                self._snapshot
            )  # a condition on a missing column fails here, not at the first question
        return self

    @classmethod
    def from_parts(
        cls,
        snapshot: Snapshot,
        *,
        retrieve: Sequence[Retriever],
        rank: Ranker | None,
        rules: Sequence[Rule],
        fallback: Retriever,
        candidates: int,
        name: str,
        metrics: dict[str, Json],
    ) -> "Recommender":
        """Join parts that are fitted already, on the same rows.

        Args:
            snapshot: of those rows.
            retrieve: fitted retrievers.
            rank: a fitted ranker, or None.
            rules: as for the constructor.
            fallback: a fitted retriever.
            candidates: as for the constructor.
            name: as for the constructor.
            metrics: figures measured earlier.

        Returns:
            A Recommender that answers.
        """
        joined = cls(retrieve, rank, rules, fallback, candidates, name)
        joined._snapshot, joined.metrics = snapshot, metrics
        return joined

    @property
    def parts(self) -> tuple[Retriever | Ranker, ...]:
        """Everything that is fitted: retrievers, ranker, fallback."""
        return (*self.retrievers, *(() if self.rank is None else (self.rank,)), self.fallback)

    def settled(self) -> "Recommender":
        """An unfitted copy with everything that validation chose written into its settings.

        Returns:
            A Recommender.
        """
        return replace(
            self,
            retrieve=[part.settled() for part in self.retrievers],
            rank=None if self.rank is None else self.rank.settled(),
            fallback=self.fallback.settled(),
        )

    def recommend(
        self,
        user: UserOrItemId | None = None,
        *,
        users: IdColumn | None = None,
        history: Iterable[UserOrItemId] | None = None,
        k: int = 10,
        where: str | None = None,
        allow: Iterable[UserOrItemId] | None = None,
        deny: Iterable[UserOrItemId] | None = None,
        keep_seen: bool = False,
    ) -> pl.DataFrame:
        """Shortlists, for one user, for many, or for a guest who brings a history.

        Args:
            user: one user's id; someone unknown gets the fallback.
            users: many ids, instead of ``user``.
            history: ids or unique titles that a guest likes, oldest first, instead of ``user``.
            k: how many items for each; fewer come back only where fewer are eligible.
            where: a condition on the catalogue, for this request only.
            allow: only these items, for this request only.
            deny: not these items, for this request only.
            keep_seen: whether to leave seen items in.

        Returns:
            One row per place: ``user_id`` (not for guests), ``rank`` from 1, ``item_id``,
            ``title``, ``score`` (of the last stage), ``source`` (the part that proposed it).

        Raises:
            ConfigError: not exactly one of ``user``, ``users`` and ``history`` is given.
        """
        if sum(given is not None for given in (user, users, history)) != 1:
            msg = "say who is asking: exactly one of user=, users= and history="
            raise ConfigError(msg)
        rules: list[Rule] = [] if where is None else [Where(where)]
        rules += [] if allow is None else [Allow(tuple(allow))]
        rules += [] if deny is None else [Deny(tuple(deny))]
        if history is not None:
            queries = self.snapshot.guest(history)
            return self.table(self.answer(queries, k, rules=rules, keep_seen=keep_seen))
        ids = id_series([user] if users is None else users, name="user_id")  # type: ignore[list-item]
        queries = self.snapshot.queries(ids)
        return self.table(self.answer(queries, k, rules=rules, keep_seen=keep_seen), ids)

    def top(self, users: pl.Series, k: int, *, keep_seen: bool = False) -> TopK:
        """The same answers as rows.

        Args:
            users: (n,) ids.
            k: how many items each.
            keep_seen: whether to leave seen items in.

        Returns:
            A TopK of rows of ``snapshot.item_vocabulary``.
        """
        return self.answer(self.snapshot.queries(users), k, keep_seen=keep_seen).top

    def answer(
        self, queries: Queries, k: int, *, rules: Sequence[Rule] = (), keep_seen: bool = False
    ) -> Answer:
        """The path that everything takes: rules, retrieval, merging, ranking, fallback.

        Args:
            queries: n askers.
            k: how many items each, at least 1.
            rules: further rules for this request.
            keep_seen: whether to leave seen items in.

        Returns:
            Rows, scores and sources, (n, k) each.
        """
        check_k(k)
        mask = self._mask([*self.rules, *rules])
        exclude = not keep_seen and any(
            isinstance(rule, Seen) for rule in [*self.rules, *rules]
        )
        stages = Stages(self.retrievers, self.rank, self.fallback, self.candidates)
        answers = []
        for start in range(0, len(queries), _BLOCK):
            block = queries.slice(start, min(start + _BLOCK, len(queries)))
            seen = (block.history_rows, block.offsets) if exclude else None
            answers.append(
                stages.answer(block, k, Eligible.of(len(block), excluded=seen, mask=mask))
            )
        if not answers:
            return Answer(TopK.nothing(0, k), np.empty((0, k), np.int32), stages.names)
        top = TopK.stack([one.top for one in answers])
        return Answer(top, np.concatenate([one.source for one in answers]), stages.names)

    def table(self, answer: Answer, users: pl.Series | None = None) -> pl.DataFrame:
        """An answer as a table.

        Args:
            answer: of n askers.
            users: (n,) their ids; None for guests.

        Returns:
            One row per filled place, as :meth:`recommend` describes.
        """
        line, place = np.nonzero(answer.top.rows >= 0)
        rows = answer.top.rows[line, place]
        parts = pl.Series("source", answer.parts)
        table = pl.DataFrame(
            {
                "rank": (place + 1).astype(np.int32),
                "item_id": self.snapshot.item_vocabulary.decode(rows),
                "title": self.snapshot.catalogue.titles.gather(rows),
                "score": answer.top.scores[line, place],
                "source": parts.gather(answer.source[line, place]),
            }
        )
        return (
            table
            if users is None
            else table.insert_column(0, users.gather(line).alias("user_id"))
        )

    def similar(
        self, item: UserOrItemId, *, k: int = 10, where: str | None = None
    ) -> pl.DataFrame:
        """Items like a given one, by the first retriever that knows likeness.

        Args:
            item: an id, or a title that only one item has.
            k: how many.
            where: a condition on the catalogue.

        Returns:
            ``rank``, ``item_id``, ``title``, ``score``; never the item itself.
        """
        check_k(k)
        row = np.array([self.snapshot.item_row(item)], np.int32)
        rules = [rule for rule in self.rules if not isinstance(rule, Seen)]
        mask = self._mask([*rules, *([] if where is None else [Where(where)])])
        able = [part for part in self.retrievers if not isinstance(part, Popularity)]
        top = (able or self.retrievers)[0].similar(row, k, Eligible.of(1, mask=mask))
        return self.table(Answer(top, np.zeros_like(top.rows), ("",))).drop("source")

    def audience(
        self, item: UserOrItemId, *, k: int = 1000, keep_seen: bool = False
    ) -> pl.DataFrame:
        """The users most likely to want an item.

        Scores of different users do not compare, so each is turned into the log of the item's
        share of the user's softmax over the whole catalogue; several retrievers are averaged.

        Args:
            item: an id, or a title that only one item has.
            k: how many users.
            keep_seen: whether to keep users who already have the item.

        Returns:
            ``rank``, ``user_id``, ``score`` (log share, at most 0).
        """
        return audience(self.retrievers, self.snapshot, item, k, keep_seen=keep_seen)

    def predict(
        self, user: UserOrItemId, items: Iterable[UserOrItemId] | None = None
    ) -> pl.DataFrame:
        """Predicted ratings for one user.

        Args:
            user: an id; someone unknown gets the prediction for the average user.
            items: ids or unique titles, answered in this order; None: the whole catalogue, best
                first.

        Returns:
            ``item_id``, ``title``, ``prediction``.
        """
        snapshot, ranker = self.snapshot, self._ranker()
        rows = (
            np.arange(snapshot.n_items, dtype=np.int32)
            if items is None
            else np.array([self.snapshot.item_row(item) for item in items], np.int32)
        )
        predicted = ranker.predict(snapshot.queries([user]), rows[None])[0]
        order = np.argsort(-predicted, kind="stable") if items is None else np.arange(len(rows))
        return pl.DataFrame(
            {
                "item_id": snapshot.item_vocabulary.decode(rows[order]),
                "title": snapshot.catalogue.titles.gather(rows[order]),
                "prediction": predicted[order],
            }
        )

    def predict_pairs(self, users: pl.Series, items: pl.Series) -> NDArray[np.float32] | None:
        """Predicted ratings of pairs, unknown ids included.

        Args:
            users: (n,) ids.
            items: (n,) ids.

        Returns:
            (n,) float32; None without a ranker.
        """
        if self.rank is None:
            return None
        user_rows = self.snapshot.user_vocabulary.rows(users)
        item_rows = self.snapshot.item_vocabulary.rows(items)
        predicted = np.empty(len(user_rows), np.float32)
        step = 8 * _BLOCK
        for start in range(0, len(user_rows), step):
            some = slice(start, start + step)
            queries = self.snapshot.queries_of_rows(user_rows[some])
            predicted[some] = self.rank.predict(queries, item_rows[some, None])[:, 0]
        return predicted

    def save(self, path: str | Path) -> Path:
        """Write a bundle, or a new version of one.

        Args:
            path: folder of the bundle.

        Returns:
            The folder of the version written.
        """
        from shortlist.recommender.bundle import save

        return save(self, Path(path))

    def _mask(self, rules: Sequence[Rule]) -> NDArray[np.bool_] | None:
        masks = [
            mask for mask in (rule.mask(self.snapshot) for rule in rules) if mask is not None
        ]
        return np.logical_and.reduce(masks) if masks else None

    def _ranker(self) -> Ranker:
        if self.rank is None:
            msg = "this Recommender has no ranker, so it predicts no ratings; give rank=RatingNetwork() or rank=Biases()"
            raise NotReadyError(msg)
        return self.rank
