"""Weights from every item of a history to every item of the catalogue, whole or pruned.

A matrix of items by items grows with the square of the catalogue. Up to ``LARGEST`` bytes a file holds it
whole, and a history is multiplied with it; above, each item keeps the largest of its weights, as many
as fit, and the lines of a history are gathered and added up.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shortlist.export.asking import Asking

LARGEST = 200_000_000  # bytes
_LINES = 256  # read at a time
Lines: TypeAlias = Callable[[NDArray[np.int32]], NDArray[np.float32]]


def fits(asking: Asking, numbers: int, *, of: int = 1) -> bool:
    """Whether numbers can be kept whole.

    Args:
        asking: who asks.
        numbers: how many.
        of: among how many such matrices the room is shared.

    Returns:
        Whether they take no more than their share of ``LARGEST``.
    """
    return numbers * asking.net.bytes_each <= LARGEST // of


def spoken_for(asking: Asking, decay: float, lines: Lines, *, of: int = 1) -> str:
    """What the histories speak for: their items' lines of weights, summed by recency.

    Args:
        asking: who asks.
        decay: per step back in a history.
        lines: from (b,) items to their (b, n_items) weights.
        of: among how many such matrices the room is shared.

    Returns:
        (n, n_items + 1) float32; the last column means nothing.
    """
    net, n = asking.net, asking.n_items
    if fits(asking, n * n, of=of):
        whole = np.zeros((n + 1, n + 1), np.float32)
        for some in _blocks(n):
            whole[some, :n] = lines(some)
        return net.op("MatMul", asking.signal(decay), net.learned(whole))
    small = np.uint16 if n < 1 << 16 else np.int32
    most = LARGEST // of // (n * (net.bytes_each + np.dtype(small).itemsize))
    most = min(max(most, 1), n)
    items, weights, lost = _largest(lines, n, most)
    if lost:
        net.approximations.append(
            f"each item keeps the {most:,} largest of its {n:,} weights; the rest had {lost:.1%} of their squares"
        )
    return _gathered(asking, decay, items.astype(small), weights)


def _gathered(
    asking: Asking, decay: float, items: NDArray[np.integer], weights: NDArray[np.float32]
) -> str:
    net = asking.net
    width = net.ints(asking.n_items + 1)
    cells, back, counts = asking.entries
    item = net.op("Mod", cells, width)
    start = net.op("Unsqueeze", net.op("Sub", cells, item), net.ints(1))
    near = net.cast(net.op("Gather", net.constant(items), item), "int64")  # (entries, most)
    said = net.op("Gather", net.learned(weights), item)
    entry = net.op("Unsqueeze", asking.weighed(back, counts, decay), net.ints(1))
    shape = net.op("Concat", asking.size, width, axis=0)
    total = net.op(
        "ScatterElements",
        net.zeros(net.op("ReduceProd", shape, keepdims=1), np.float32),
        net.op("Reshape", net.op("Add", near, start), net.ints(-1)),
        net.op("Reshape", net.op("Mul", said, entry), net.ints(-1)),
        axis=0,
        reduction="add",
    )
    return net.op("Reshape", total, shape)


def _largest(
    lines: Lines, n: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
    # (n + 1, most) items and weights of each line, and the share of all squares that is left out
    items = np.full((n + 1, most), n, np.int64)
    weights = np.zeros((n + 1, most), np.float32)
    kept, whole = 0.0, 0.0
    for some in _blocks(n):
        block = lines(some)
        size = np.abs(block)
        at = np.argpartition(-size, most - 1, axis=1)[:, :most]
        at = np.take_along_axis(at, np.argsort(-np.take_along_axis(size, at, 1), axis=1), 1)
        items[some], weights[some] = at, np.take_along_axis(block, at, axis=1)
        kept += float((weights[some].astype(np.float64) ** 2).sum())
        whole += float((block.astype(np.float64) ** 2).sum())
    left = max(0.0, 1 - kept / whole) if whole else 0.0
    used = max(1, int((weights != 0).any(axis=0).sum()))
    return items[:, :used], weights[:, :used], left if left > 1e-12 else 0.0


def _blocks(n: int) -> list[NDArray[np.int32]]:
    rows = np.arange(n, dtype=np.int32)
    return [rows[start : start + _LINES] for start in range(0, n, _LINES)]
