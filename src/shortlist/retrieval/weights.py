"""How much each of several retrievers should count: weights that put held-back rows highest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.data.snapshot import Snapshot
from shortlist.errors import DataError

_CALM = 60  # Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion", SIGIR 2009
_LEVEL = 1e-6  # a line that varies less than this, relative to its size, says nothing
_ASKERS = 2_000  # whose rows choose; more would cost time and change nothing
_CELLS = 1 << 22  # scores levelled at a time: 32 MB
_STEPS = (1 / 4, 1 / 8)  # of weight, moved from one part to another
_RESAMPLES = 16
_LEAST = 1 / 32  # of weight that is worth asking a part for


def level_scores(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each line's z-scores: in units of its own spread, from its own mean.

    Args:
        scores: (n, n_items).

    Returns:
        (n, n_items); a line that says nothing is 0.
    """
    exact = scores.astype(np.float64)  # contiguous, so that each line is added in one fixed way
    level: NDArray[np.float64] = exact - exact.mean(axis=1, keepdims=True)
    level *= 1 / spreads(exact)[:, None]
    return level


def spreads(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each line's standard deviation.

    Args:
        scores: (n, n_items) contiguous.

    Returns:
        (n,); infinite for a line that says nothing.
    """
    size = np.abs(scores).max(axis=1, initial=0.0)
    spread = scores.std(axis=1) if scores.shape[1] else np.zeros(len(scores))
    return np.asarray(np.where(spread > _LEVEL * size, spread, np.inf))


def level_ranks(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each line's reciprocal ranks, ``1 / (60 + rank)``.

    Args:
        scores: (n, n_items).

    Returns:
        (n, n_items); equal scores stand by row.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    level = np.empty(scores.shape)
    worth = 1 / (_CALM + np.arange(1, scores.shape[1] + 1))
    np.put_along_axis(level, order, np.broadcast_to(worth, scores.shape), axis=1)
    return level


LEVELS = {"scores": level_scores, "ranks": level_ranks}


@dataclass(frozen=True, eq=False)
class Proposals:
    """What each part says of the items that any of them would propose to each asker.

    Attributes:
        levels: (parts, n, width) float64; -inf in places that stay empty.
        line: (m,) the asker of each row that should be found.
        place: (m,) where its item stands among the asker's; -1 where it is not proposed.
    """

    levels: NDArray[np.float64]
    line: NDArray[np.int64]
    place: NDArray[np.int64]

    def ndcg(self, weights: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """How high the rows stand in lists made with some weights.

        Args:
            weights: (parts,).
            k: length of the lists.

        Returns:
            (askers with a row that should be found,) the sum of ``1 / log2(rank + 1)`` over the
            asker's rows within the top k, over the best possible sum: 0 to 1.
        """
        _, n, width = self.levels.shape
        mixed = np.zeros((n, width))
        for weight, level in zip(weights, self.levels, strict=True):
            if weight:
                mixed += weight * level
        there = self.place >= 0
        line, place = self.line[there], self.place[there]
        rank = np.empty(len(line), np.int64)
        step = max(1, _CELLS // max(width, 1))
        for start in range(0, len(line), step):
            some = slice(start, start + step)
            own = mixed[line[some], place[some]]
            # from 1; what ties stands before it, so that saying nothing is no merit
            rank[some] = (mixed[line[some]] >= own[:, None]).sum(axis=1)
        worth = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
        gained = np.bincount(line, np.where(rank <= k, 1 / np.log2(rank + 1), 0.0), minlength=n)
        wanted = np.bincount(self.line, minlength=n)
        asked = wanted > 0
        best = worth[np.minimum(wanted[asked], k) - 1]
        return np.asarray(gained[asked] / best)


def proposals(
    models: Sequence[Retriever],
    train: Interactions,
    held: Interactions,
    *,
    level: str,
    k: int,
) -> Proposals:
    """Ask fitted parts for what they would propose to the users of held-back rows.

    Args:
        models: fitted on train.
        train: what they know.
        held: rows they do not.
        level: ``"scores"`` or ``"ranks"``.
        k: length of list that will be judged; twice as many of each part take part.

    Returns:
        Proposals without what the users have in train.

    Raises:
        DataError: no liked row of ``held`` names a known user with a known item they lack.
    """
    snapshot = Snapshot.of(train)
    users = snapshot.user_vocabulary.rows(held.table["user_id"])
    items = snapshot.item_vocabulary.rows(held.table["item_id"])
    wanted = np.unique(np.stack([users, items])[:, held.liked & (users >= 0)], axis=1)
    asked = np.unique(wanted[0])
    if len(asked) > _ASKERS:
        asked = np.sort(np.random.default_rng(0).choice(asked, _ASKERS, replace=False))
    wanted = wanted[:, np.isin(wanted[0], asked) & (wanted[1] >= 0)]
    line, item = np.searchsorted(asked, wanted[0]), wanted[1].astype(np.int64)
    queries = snapshot.queries_of_rows(asked.astype(np.int32))
    eligible = Eligible.of(len(queries), excluded=(queries.history_rows, queries.offsets))
    found = []
    step = max(1, _CELLS // snapshot.n_items)
    for start in range(0, len(queries), step):
        stop = min(start + step, len(queries))
        block = queries.slice(start, stop)
        may = np.zeros((stop - start, snapshot.n_items), np.float32)
        eligible.slice(start, stop).apply(may)
        mine = (line >= start) & (line < stop)
        levels = [LEVELS[level](model.score_all(block)) for model in models]
        knows = [model.knows(block) for model in models]
        found.append(_block(levels, knows, may == 0, line[mine] - start, item[mine], 2 * k))
    width = max((levels.shape[2] for levels, _, _ in found), default=0)
    wide = [
        np.pad(levels, ((0, 0), (0, 0), (0, width - levels.shape[2])), constant_values=-np.inf)
        for levels, _, _ in found
    ]
    starts = [number * step for number in range(len(found))]
    lines = [start + at for start, (_, at, _) in zip(starts, found, strict=True)]
    places = [place for _, _, place in found]
    if not sum(map(len, lines)):
        msg = (
            "no liked row held back names a known user with an item that is new to them, so no weights can be "
            "learned; hold out rows of known users, as split.latest does, or give the weights"
        )
        raise DataError(msg)
    return Proposals(
        np.concatenate(wide, axis=1), np.concatenate(lines), np.concatenate(places)
    )


def _block(
    levels: list[NDArray[np.float64]],
    knows: list[NDArray[np.bool_]],
    may: NDArray[np.bool_],
    line: NDArray[np.int64],
    item: NDArray[np.int64],
    most: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    # what any part has among its best, and what should be found; a part that does not know an
    # asker says 0 of everything
    taken = np.zeros(may.shape, bool)
    for level, known in zip(levels, knows, strict=True):
        level[~known] = 0.0
        open_to = np.where(may, level, -np.inf)
        best = np.argpartition(-open_to, min(most, may.shape[1]) - 1, axis=1)[:, :most]
        np.put_along_axis(taken, best, values=True, axis=1)
    new = may[line, item]
    line, item = line[new], item[new]
    taken[line, item] = True
    taken &= may
    counts = taken.sum(axis=1)
    place = np.cumsum(taken, axis=1) - 1
    at = np.nonzero(taken)
    gathered = np.full((len(levels), len(may), int(counts.max(initial=0))), -np.inf)
    for number, level in enumerate(levels):
        gathered[number, at[0], place[at]] = level[at]
    return gathered, line, place[line, item].astype(np.int64)


def best_weights(asked: Proposals, *, k: int) -> tuple[float, ...]:
    """The mean of the weights that are best for the askers drawn again, several times.

    The best weights fit the noise of the rows that chose them. Where several are as good, resamples
    disagree and their mean lies between them; where one part is needed, all resamples say so
    (Breiman, "Bagging Predictors", Machine Learning 1996).

    Args:
        asked: what the parts propose.
        k: length of the lists whose NDCG counts.

    Returns:
        One weight per part, summing to 1; none between 0 and 1/32.
    """
    parts, known = len(asked.levels), dict[bytes, NDArray[np.float64]]()

    def values(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        key = weights.round(6).tobytes()
        if key not in known:
            known[key] = asked.ndcg(weights, k)
        return known[key]

    n = len(values(np.full(parts, 1 / parts)))
    rng = np.random.default_rng(0)
    found = np.zeros(parts)
    for _ in range(_RESAMPLES):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n) / n
        found += _climbed(lambda weights, drawn=drawn: float(values(weights) @ drawn), parts)  # type: ignore[misc]
    found /= _RESAMPLES
    found[found < _LEAST] = 0.0
    return tuple((found / found.sum()).tolist())


def _climbed(worth: Callable[[NDArray[np.float64]], float], parts: int) -> NDArray[np.float64]:
    # from equal weights, or from one part alone, moving weight between two parts at a time
    starts = [np.full(parts, 1 / parts), *np.eye(parts)]
    values = [worth(start) for start in starts]
    weights: NDArray[np.float64] = starts[int(np.argmax(values))]
    value = max(values)
    for step in _STEPS:
        better = True
        while better:
            moves = [
                _moved(weights, give, take, step)
                for give in range(parts)
                for take in range(parts)
                if give != take and weights[give] > 0
            ]
            tried = [worth(move) for move in moves]
            better = bool(tried) and max(tried) > value + 1e-9
            if better:
                weights, value = moves[int(np.argmax(tried))], max(tried)
    return weights


def _moved(
    weights: NDArray[np.float64], give: int, take: int, step: float
) -> NDArray[np.float64]:
    moved = weights.copy()
    amount = min(step, moved[give])
    moved[give] -= amount
    moved[take] += amount
    if moved[give] < 1e-9:
        moved[give] = 0.0
    return moved
