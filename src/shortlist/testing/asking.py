"""Questions for contract checks: every kind of asker, limits of every kind, and how answers compare."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Fittable, State
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.testing.worlds import small_world

Model = TypeVar("Model", bound=Fittable)
_fitted_once: WeakKeyDictionary[Callable[[], Fittable], Fittable] = WeakKeyDictionary()


def insist(condition: object, message: str) -> None:
    """Fail a check.

    Args:
        condition: what must be true.
        message: what is wrong otherwise.

    Raises:
        AssertionError: it is not true.
    """
    if not condition:
        raise AssertionError(message)


def refuses(error: type[Exception], call: Callable[[], object], message: str) -> None:
    """Insist that a call raises.

    Args:
        error: what it must raise.
        call: the call.
        message: what is wrong where it does not.

    Raises:
        AssertionError: it raises nothing.
    """
    try:
        call()
    except error:
        return
    raise AssertionError(message)


def world() -> Interactions:
    """The world that models are fitted on in most checks.

    Returns:
        A small world with features, times, ratings, users and items that nobody took.
    """
    return small_world()


def fitted(make: Callable[[], Model]) -> Model:
    """A model fitted on :func:`world`, once for each ``make``: answering must not change it.

    Args:
        make: gives an unfitted model.

    Returns:
        The fitted model.
    """
    known = _fitted_once.get(make)
    if known is None:
        known = make().fit(world())
        _fitted_once[make] = known
    return known  # type: ignore[return-value]  # what make gave


def askers(train: Interactions) -> Queries:
    """Users of train, then a guest with a history, one with attributes, one with nothing.

    Args:
        train: what the model was fitted on.

    Returns:
        Queries of all users of train and three strangers; read-only arrays.
    """
    snapshot = Snapshot.of(train)
    n = snapshot.n_users
    rows = np.append(np.arange(n), [-1, -1, -1]).astype(np.int32)
    asked = snapshot.queries_of_rows(rows)
    guest = np.flatnonzero(snapshot.item_counts)[:3].astype(np.int32)
    end = asked.offsets[n]
    offsets = asked.offsets.copy()
    offsets[n + 1 :] += len(guest)
    users = asked.users
    if users is not None and len(users):
        users = pl.concat(
            [users[: n + 1], users[:1], users[n + 2 :]]
        )  # the second has attributes
    return frozen(
        replace(
            asked,
            history_rows=np.insert(asked.history_rows, end, guest),
            offsets=offsets,
            history_liked=np.insert(asked.history_liked, end, [True] * len(guest)),
            history_ages=None
            if asked.history_ages is None
            else np.insert(asked.history_ages, end, np.zeros(len(guest))),
            history_ratings=None
            if asked.history_ratings is None
            else np.insert(asked.history_ratings, end, np.full(len(guest), 5)),
            users=users,
        )
    )


def limits(n: int, n_items: int, *, seed: int = 0) -> Eligible:
    """Limits that differ from query to query.

    Args:
        n: queries.
        n_items: items.
        seed: draws them.

    Returns:
        Eligible with exclusions (some twice, some -1), three masks (the last allows two items),
        and queries that have neither; read-only arrays.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, max(2, n_items // 2), n)
    counts[::4] = 0
    masks = rng.random((3, n_items)) < np.array([[0.5], [0.9], [0.0]])
    masks[2, :: max(1, n_items // 2)] = True
    return frozen(
        Eligible(
            rng.integers(-1, n_items, counts.sum()).astype(np.int32),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            masks,
            rng.integers(-1, 3, n).astype(np.int32),
        )
    )


Frozen = TypeVar("Frozen", Queries, Eligible)


def frozen(question: Frozen) -> Frozen:
    """Copy a question so that writing into it is an error.

    Args:
        question: Queries or Eligible.

    Returns:
        The same, with read-only arrays.
    """
    arrays = {
        name: value.copy()
        for name, value in vars(question).items()
        if isinstance(value, np.ndarray) and name in type(question).__dataclass_fields__
    }
    for array in arrays.values():
        array.setflags(write=False)
    return replace(question, **arrays)  # type: ignore[arg-type]


def allowed(eligible: Eligible, n_items: int) -> NDArray[np.bool_]:
    """What each query may get.

    Args:
        eligible: limits of n queries.
        n_items: items.

    Returns:
        (n, n_items) bool.
    """
    scores = np.zeros((len(eligible), n_items))
    eligible.apply(scores)
    return np.isfinite(scores)


def order_of(queries: Queries, order: NDArray[np.integer]) -> Queries:
    """The same askers in another order.

    Args:
        queries: n askers.
        order: (m,) positions.

    Returns:
        m Queries.
    """
    parts = [queries.slice(int(i), int(i) + 1) for i in order]
    lengths = [len(part.history_rows) for part in parts]

    def joined(name: str) -> NDArray[np.generic] | None:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    return replace(
        queries,
        user_rows=queries.user_rows[order],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        users=None if queries.users is None else queries.users[order.tolist()],
        context=None if queries.context is None else queries.context[order.tolist()],
        **{
            name: joined(name)  # type: ignore[arg-type]
            for name in ("history_rows", "history_liked", "history_ages", "history_ratings")
        },
    )


def same_bits(first: TopK, second: TopK, message: str) -> None:
    """Insist that two answers are the same, bit for bit.

    Args:
        first: an answer.
        second: another.
        message: what is wrong otherwise.
    """
    np.testing.assert_array_equal(first.rows, second.rows, err_msg=message)
    np.testing.assert_array_equal(
        first.scores.view(np.int32), second.scores.view(np.int32), err_msg=message
    )


def well_formed(top: TopK, n: int, k: int, n_items: int) -> None:
    """Insist on shapes, kinds, order, padding, and no item twice.

    Args:
        top: the answer.
        n: queries asked.
        k: places asked for.
        n_items: items there are.
    """
    insist(
        top.rows.shape == top.scores.shape == (n, k),
        f"arrays must be {(n, k)}; got {top.rows.shape} and {top.scores.shape}",
    )
    insist(top.rows.dtype == np.int32, f"rows must be int32; got {top.rows.dtype}")
    insist(top.scores.dtype == np.float32, f"scores must be float32; got {top.scores.dtype}")
    insist(((top.rows >= -1) & (top.rows < n_items)).all(), "a row lies outside the catalogue")
    insist(not np.isnan(top.scores).any(), "a score is NaN")
    np.testing.assert_array_equal(
        top.rows < 0, np.isneginf(top.scores), err_msg="-1 and -inf must stand together"
    )
    before, after = top.scores[:, :-1], top.scores[:, 1:]
    insist((before >= after).all(), "scores must not rise along a line")
    tied = (before == after) & (top.rows[:, 1:] >= 0)
    insist(
        (top.rows[:, :-1] < top.rows[:, 1:])[tied].all(),
        "equal scores must keep the lower row first",
    )
    for line in top.rows:
        insist(
            len(np.unique(line[line >= 0])) == (line >= 0).sum(),
            "an item stands twice in a list",
        )


def through_bytes(state: State) -> State:
    """Send a state through JSON and bytes, as a bundle does.

    Args:
        state: of a fitted model.

    Returns:
        The state as it comes back: arrays are read-only, as from a memory-mapped file.
    """
    arrays = {}
    for name, array in state.arrays.items():
        insist(
            type(array) is np.ndarray, f"array {name!r} must be plain numpy; got {type(array)}"
        )
        insist(array.dtype.kind in "biuf", f"array {name!r} holds {array.dtype}, not numbers")
        raw = np.ascontiguousarray(array).tobytes()
        arrays[name] = np.frombuffer(raw, array.dtype).reshape(array.shape)
    for name, graph in state.graphs.items():
        insist(type(graph) is bytes, f"graph {name!r} must be bytes; got {type(graph)}")
    config = json.loads(json.dumps(state.config, allow_nan=False))
    insist(
        config == state.config,
        f"the config must be what JSON gives back (lists, not tuples); got {state.config}",
    )
    return State(config, arrays, dict(state.graphs))
