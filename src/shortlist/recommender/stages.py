"""The path of a question through the stages: retrieve, merge, rank, fall back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.protocols import AnsweringRanker, AnsweringRetriever
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.recommender.merging import as_candidates, merge, proposed_by


@dataclass(frozen=True, eq=False)
class Answer:
    """What the stages answered.

    Attributes:
        top: (n, k) item rows and scores of the last stage.
        source: (n, k) int32, the part that proposed each item, a position in ``parts``; -1 where
            no item stands.
        parts: names of the retrievers, then of the fallback.
        propensity: (n, k) float64 probability with which each place showed what it shows; None
            where nothing was drawn.
    """

    top: TopK
    source: NDArray[np.int32]
    parts: tuple[str, ...]
    propensity: NDArray[np.float64] | None = None

    @classmethod
    def stack(cls, answers: Sequence["Answer"]) -> "Answer":
        """Put the answers to consecutive batches together.

        Args:
            answers: at least one, all with the same k and parts.

        Returns:
            One Answer with the askers in order.
        """
        drawn = [one.propensity for one in answers if one.propensity is not None]
        return cls(
            TopK.stack([one.top for one in answers]),
            np.concatenate([one.source for one in answers]),
            answers[0].parts,
            np.concatenate(drawn) if drawn else None,
        )


@dataclass(frozen=True, eq=False)
class Stages:
    """The parts that answer.

    Attributes:
        retrievers: propose.
        rank: puts the proposals in order; None keeps the order they were merged in.
        fallback: answers for whoever no retriever knows.
        candidates: how many items each retriever proposes where there is a next stage.
    """

    retrievers: Sequence[AnsweringRetriever]
    rank: AnsweringRanker | None
    fallback: AnsweringRetriever
    candidates: int

    @property
    def names(self) -> tuple[str, ...]:
        """The retrievers, then the fallback, as answers name them."""
        return (*(part.name for part in self.retrievers), f"{self.fallback.name} (fallback)")

    def answer(self, queries: Queries, k: int, eligible: Eligible) -> Answer:
        """Take one batch through the stages.

        Args:
            queries: n askers.
            k: how many items each, at least 1.
            eligible: what may be answered; every stage keeps to it.

        Returns:
            Rows, scores and sources, (n, k) each.
        """
        n, last = len(queries), len(self.retrievers)
        knows = self.knows(queries)
        helped = knows.any(axis=0)
        rows, scores = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
        source = np.full((n, k), -1, np.int32)
        if helped.any():
            found = self.candidates_for(queries, k, eligible, knows)
            ranked = found if self.rank is None else self.rank.rank(queries, found)
            rows, scores = ranked.rows[:, :k].copy(), ranked.scores[:, :k].copy()
            source = proposed_by(found, rows)
        lost = ~helped | (rows < 0).all(axis=1)  # or the rules left nothing that was proposed
        if lost.any():
            rest = self.fallback.retrieve(queries, k, eligible)
            rows[lost], scores[lost] = rest.rows[lost], rest.scores[lost]
            source[lost] = np.where(rows[lost] >= 0, last, -1)
        return Answer(TopK(rows, scores), source, self.names)

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Which askers each retriever has a personal answer for.

        Args:
            queries: n askers.

        Returns:
            (retrievers, n) bool.
        """
        return np.array([part.knows(queries) for part in self.retrievers])

    def candidates_for(
        self, queries: Queries, k: int, eligible: Eligible, knows: NDArray[np.bool_]
    ) -> Candidates:
        """What the ranker is handed.

        Args:
            queries: n askers.
            k: how many items each at least, where so many are eligible.
            eligible: what may be answered.
            knows: as :meth:`knows` says.

        Returns:
            Candidates (n, m), merged by reciprocal rank.
        """
        one_stage = len(self.retrievers) == 1 and self.rank is None
        width = k if one_stage else max(k, self.candidates)
        lists = []
        for part, known in zip(self.retrievers, knows, strict=True):
            top = part.retrieve(queries, width, eligible)
            there = known[:, None]
            lists.append(
                TopK(
                    np.where(there, top.rows, -1).astype(np.int32),
                    np.where(there, top.scores, -np.inf).astype(np.float32),
                )
            )
        names = [part.name for part in self.retrievers]
        if len(lists) == 1:
            return as_candidates(names[0], lists[0])
        merged = merge(names, lists)  # what several propose stands once, so places stay empty
        filled = max(k, int((merged.rows >= 0).sum(axis=1).max()))
        return Candidates(
            merged.rows[:, :filled],
            merged.scores[:, :filled],
            merged.sources,
            merged.source_scores[:, :, :filled],
            merged.source_ranks[:, :, :filled],
        )
