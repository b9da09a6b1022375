"""Content as a graph: the words of what an asker liked, beside the words of every item."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.export.asking import Asking
from shortlist.retrieval.content import Content


def cosines(asking: Asking, part: Content) -> str:
    """Cosines between the askers' histories and all items.

    Args:
        asking: who asks.
        part: a fitted Content.

    Returns:
        (n, n_items + 1) float32; the last column means nothing.
    """
    net, lines = asking.net, part.item_lines
    n_words = lines.shape[1]
    words, weights = _padded(lines)
    table, said = net.constant(words), net.learned(weights)
    signed = asking.queries.signed_matrix(asking.n_items, others=-part.dislike)
    cells, liked = _entries(asking, signed)
    width = net.ints(asking.n_items + 1)
    item = net.op("Mod", cells, width)
    asker = net.op("Unsqueeze", net.op("Div", cells, width), net.ints(1))
    start = net.op("Mul", asker, net.ints(n_words + 1))
    at = net.op("Add", net.cast(net.op("Gather", table, item), "int64"), start)
    told = net.op("Mul", net.op("Gather", said, item), net.op("Unsqueeze", liked, net.ints(1)))
    shape = net.op("Concat", asking.size, net.ints(n_words + 1), axis=0)
    flat = net.op(
        "ScatterElements",
        net.zeros(net.op("ReduceProd", shape, keepdims=1), np.float32),
        net.op("Reshape", at, net.ints(-1)),
        net.op("Reshape", told, net.ints(-1)),
        axis=0,
        reduction="add",
    )
    taste = net.op("Reshape", flat, shape)  # (n, words + 1)
    square = net.op("ReduceSum", net.op("Mul", taste, taste), net.ints(1))
    length = net.op("Max", net.op("Sqrt", square), net.number(1e-12))
    own = net.op("Gather", net.op("Div", taste, length), table, axis=1)  # (n, items + 1, most)
    return net.op("ReduceSum", net.op("Mul", own, said), net.ints(2), keepdims=0)


def _entries(asking: Asking, lines: sp.csr_array) -> tuple[str, str]:
    # cells and weights: of known users those of their lines, of guests 1 for each item
    net = asking.net
    cells, at = asking.kept_cells(lines.indptr.astype(np.int64), lines.indices)
    kept = net.op("Gather", net.constant(np.append(lines.data, 0).astype(np.float32)), at)
    rows = net.op("Where", asking.latest, asking.history, net.ints(asking.n_items))
    own = net.op("Reshape", net.cast(asking.latest, "float32"), net.ints(-1))
    return (
        net.op("Concat", cells, asking.cells(rows), axis=0),
        net.op("Concat", kept, own, axis=0),
    )


def _padded(lines: sp.csr_array) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    # (n_items + 1, most) words and weights of each item; one past the words where there are fewer
    counts = np.diff(lines.indptr)
    shape = (len(counts) + 1, max(1, int(counts.max(initial=0))))
    words = np.full(shape, lines.shape[1], np.int32)
    weights = np.zeros(shape, np.float32)
    line = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(line)) - np.repeat(lines.indptr[:-1], counts)
    words[line, place], weights[line, place] = lines.indices, lines.data
    return words, weights
