"""What every ranker must do, as small checks over a world that any ranker can be fitted on."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from shortlist.data.protocols import Ranker
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates, TopK
from shortlist.errors import NotReadyError
from shortlist.testing.asking import (
    askers,
    fitted,
    insist,
    order_of,
    refuses,
    same_bits,
    through_bytes,
    world,
)
from shortlist.testing.forgetting import nothing_of_a_user_stays

MakeRanker: TypeAlias = Callable[[], Ranker]


def _candidates(n: int, n_items: int, k: int = 8) -> Candidates:
    # lists of 0 to k different items, in no order that a ranker could rely on
    rng = np.random.default_rng(3)
    rows = np.stack([rng.permutation(n_items)[:k] for _ in range(n)]).astype(np.int32)
    rows = np.where(np.arange(k) < rng.integers(0, k + 1, n)[:, None], rows, -1).astype(
        np.int32
    )
    steps = np.broadcast_to(np.arange(k, 0, -1), rows.shape)
    scores = np.where(rows >= 0, steps, -np.inf).astype(np.float32)
    ranks = np.where(rows >= 0, steps[:, ::-1], 0).astype(np.int32)
    own = np.where(rows >= 0, scores, np.nan)
    for array in (rows, scores, own, ranks):
        array.setflags(write=False)
    return Candidates(rows, scores, ("anyone",), own[None], ranks[None])


def _some(candidates: Candidates, order: slice) -> Candidates:
    return Candidates(
        candidates.rows[order],
        candidates.scores[order],
        candidates.sources,
        candidates.source_scores[:, order],
        candidates.source_ranks[:, order],
    )


def _asked() -> tuple[Queries, Candidates]:
    train = world()
    queries = askers(train)
    return queries, _candidates(len(queries), len(train.item_vocabulary))


def ranking_only_reorders(make: MakeRanker) -> None:
    """The same items in each list, best first, ties to the lower row; -1 stays last."""
    queries, candidates = _asked()
    top = fitted(make).rank(queries, candidates)
    insist(top.rows.dtype == np.int32 and top.scores.dtype == np.float32, "int32 and float32")
    np.testing.assert_array_equal(np.sort(top.rows, axis=1), np.sort(candidates.rows, axis=1))
    np.testing.assert_array_equal(top.rows < 0, np.isneginf(top.scores))
    filled = (candidates.rows >= 0).sum(axis=1)
    for line, scores, count in zip(top.rows, top.scores, filled, strict=True):
        insist((line[count:] == -1).all(), "-1 must stay last")
        want = sorted(zip(-scores[:count], line[:count], strict=True))
        insist([row for _, row in want] == line[:count].tolist(), "not best first")


def ranking_does_not_depend_on_the_batch(make: MakeRanker) -> None:
    """rank() and predict() give the same bits one by one, in blocks and shuffled."""
    queries, candidates = _asked()
    model, n = fitted(make), len(queries)
    whole, values = model.rank(queries, candidates), model.predict(queries, candidates.rows)
    insist(
        values.shape == candidates.rows.shape and values.dtype == np.float32, "(n, m) float32"
    )
    for step in (1, 7):
        ends = [(i, min(i + step, n)) for i in range(0, n, step)]
        parts = [
            model.rank(queries.slice(a, b), _some(candidates, slice(a, b))) for a, b in ends
        ]
        same_bits(TopK.stack(parts), whole, f"blocks of {step} give other bits")
        pieces = [model.predict(queries.slice(a, b), candidates.rows[a:b]) for a, b in ends]
        np.testing.assert_array_equal(np.concatenate(pieces), values)
    order = np.random.default_rng(0).permutation(n)
    shuffled = model.predict(order_of(queries, order), candidates.rows[order])
    np.testing.assert_array_equal(shuffled, values[order], err_msg="the order changes bits")
    alone = model.predict(queries, candidates.rows[:, 2:3])
    np.testing.assert_array_equal(alone, values[:, 2:3], err_msg="other items change bits")


def everyone_and_everything_is_predicted(make: MakeRanker) -> None:
    """Unknown users and the unknown item (row -1) get finite predictions; nobody gets none."""
    train = world()
    queries, n_items = askers(train), len(train.item_vocabulary)
    rows = np.broadcast_to(np.arange(-1, n_items, dtype=np.int32), (len(queries), n_items + 1))
    model = fitted(make)
    insist(np.isfinite(model.predict(queries, rows)).all(), "a prediction is not finite")
    bare = Snapshot.of(train).guest([])
    insist(np.isfinite(model.predict(bare, rows[:1])).all(), "a guest's is not finite")
    insist(model.predict(queries.slice(0, 0), rows[:0]).shape == (0, n_items + 1), "nobody")
    insist(model.predict(queries, rows[:, :0]).shape == (len(queries), 0), "nothing")
    nobody = _some(_candidates(1, n_items), slice(0, 0))
    empty = model.rank(queries.slice(0, 0), nobody)
    insist(empty.rows.shape == (0, 8), "ranking for nobody")


def unfitted_rankers_say_so(make: MakeRanker) -> None:
    """Asking before fit is a NotReadyError."""
    queries, candidates = _asked()
    model = make()
    for name, call in (
        ("rank", lambda: model.rank(queries, candidates)),
        ("predict", lambda: model.predict(queries, candidates.rows)),
        ("state", model.state),
    ):
        refuses(NotReadyError, call, f"{name} before fit must raise NotReadyError")


def the_same_seed_ranks_with_the_same_bits(make: MakeRanker) -> None:
    """Two fits, the same predictions; so does the unfitted twin that settled() gives."""
    queries, candidates = _asked()
    model = fitted(make)
    values = model.predict(queries, candidates.rows)
    again = make()
    insist(again.fit(world()) is again, "fit must return the model itself")
    np.testing.assert_array_equal(again.predict(queries, candidates.rows), values)
    twin = model.settled()
    insist(type(twin) is type(model), f"settled() of {type(model)} gave {type(twin)}")
    refuses(NotReadyError, lambda: twin.rank(queries, candidates), "settled() must be unfitted")
    twin.fit(world())
    np.testing.assert_array_equal(
        twin.predict(queries, candidates.rows), values, err_msg="settled() has other settings"
    )


def a_rankers_state_is_all_it_is(make: MakeRanker) -> None:
    """Rebuilt from plain arrays, bytes and JSON, it ranks with the same bits."""
    queries, candidates = _asked()
    model = fitted(make)
    rebuilt = type(model).from_state(through_bytes(model.state()))
    top = model.rank(queries, candidates)
    same_bits(rebuilt.rank(queries, candidates), top, "from_state() ranks otherwise")
    twice = type(model).from_state(through_bytes(rebuilt.state()))
    same_bits(twice.rank(queries, candidates), top, "saved twice, it ranks otherwise")


def rankers_take_validation(make: MakeRanker) -> None:
    """Validation rows are taken, also of users and items that train never saw."""
    everything = world()
    rows = np.arange(len(everything))
    known = everything.table["user_id"].to_numpy() != "u0"
    model = make().fit(
        everything.subset(known & (rows < 400)), validate=everything.subset(rows >= 400)
    )
    queries = Snapshot.of(everything.subset(known & (rows < 400))).queries(["u1", "u0"])
    insist(np.isfinite(model.predict(queries, np.zeros((2, 1), np.int32))).all(), "not finite")


RANKER_CHECKS: tuple[Callable[[MakeRanker], None], ...] = (
    ranking_only_reorders,
    ranking_does_not_depend_on_the_batch,
    everyone_and_everything_is_predicted,
    unfitted_rankers_say_so,
    the_same_seed_ranks_with_the_same_bits,
    a_rankers_state_is_all_it_is,
    rankers_take_validation,
    nothing_of_a_user_stays,
)
