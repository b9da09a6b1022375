"""What kind of lists are answered, whether or not they hit: how much of the catalogue, how new, how mixed.

All of them take ``rows`` (n, k), the answered item rows with -1 in empty places.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.errors import ShapeError
from shortlist.metrics.ranking import blocks


def coverage(rows: NDArray[np.integer], n_items: int) -> float:
    """Share of the catalogue that stands in at least one list.

    Args:
        rows: (n, k) answered item rows; -1 is ignored.
        n_items: size of the catalogue.

    Returns:
        A share in 0..1; NaN for an empty catalogue.
    """
    if not n_items:
        return float("nan")
    shown = np.zeros(n_items, bool)
    shown[rows[rows >= 0]] = True
    return float(shown.mean())


def novelty(rows: NDArray[np.integer], item_counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean surprise of the answered items: -log2 of an item's share of the train rows.

    Every count is raised by one, so that an item that train never saw is surprising, not infinite
    (after Zhou et al., PNAS 2010).

    Args:
        rows: (n, k) answered item rows; -1 is ignored.
        item_counts: (n_items,) train rows per item.

    Returns:
        (n,) bits; NaN for an empty list.
    """
    raised = item_counts + 1.0
    return _mean_of_list(rows, -np.log2(raised / raised.sum()))


def diversity(rows: NDArray[np.integer], tags: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intra-list diversity: 1 minus the mean cosine between the tags of two items of the list.

    The sum over pairs needs no pairs: with unit vectors v, it is (|sum of v|^2 - m) / 2.
    Items without a tag are left out (after Ziegler et al., WWW 2005).

    Args:
        rows: (n, k) answered item rows; -1 is ignored.
        tags: (n_items, n_tags) tag values such as genres, 0 or more.

    Returns:
        (n,) values in 0..1; NaN where fewer than two items of the list have tags.

    Raises:
        ShapeError: an answered row is beyond the tags.
    """
    if rows.max(initial=-1) >= len(tags):
        msg = f"item row {rows.max()} is answered but tags cover {len(tags)} items; is the catalogue another one?"
        raise ShapeError(msg)
    if not len(tags):
        return np.full(len(rows), np.nan)
    length = np.linalg.norm(tags.astype(np.float64), axis=1, keepdims=True)  # (n_items, 1)
    unit = np.divide(tags, length, out=np.zeros(tags.shape), where=length > 0)
    counted = (rows >= 0) & (length[:, 0] > 0)[rows]
    m = counted.sum(axis=1)  # (n,)
    ends = np.concatenate([[0], np.cumsum(m)])
    lists = sp.csr_array((np.ones(ends[-1]), rows[counted], ends), shape=(len(rows), len(tags)))
    total = (np.asarray(lists @ unit) ** 2).sum(axis=1)  # (n,) |sum of v|^2
    pairs = np.maximum(m * (m - 1), 1)
    return np.where(m > 1, np.clip(1.0 - (total - m) / pairs, 0.0, 1.0), np.nan)


def popularity_percentile(item_counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each item stands among all items by train rows.

    Args:
        item_counts: (n_items,) train rows per item.

    Returns:
        (n_items,) in 0..1, higher is more popular: the share of items with fewer rows, plus half of
        those with as many.
    """
    ordered = np.sort(item_counts)
    below = np.searchsorted(ordered, item_counts, side="left")
    upto = np.searchsorted(ordered, item_counts, side="right")
    return (below + upto) / (2.0 * max(len(item_counts), 1))


def popularity_bias(
    rows: NDArray[np.integer],
    item_counts: NDArray[np.int64],
    history_rows: NDArray[np.integer],
    history_offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """How much more popular the answers are than what the user chose before.

    The mean popularity percentile of the list minus that of the user's own train rows: 0 keeps the
    user's taste for the popular, above 0 pushes towards the popular
    (after Abdollahpouri et al., "user popularity deviation", 2019).

    Args:
        rows: (n, k) answered item rows; -1 is ignored.
        item_counts: (n_items,) train rows per item.
        history_rows: flat item rows that the users had in train.
        history_offsets: (n + 1,) int64; where each user's history begins and ends.

    Returns:
        (n,) differences in -1..1; NaN for an empty list or a user without history.

    Raises:
        ShapeError: there are not as many histories as lists.
    """
    if len(history_offsets) != len(rows) + 1:
        msg = f"history_offsets must be ({len(rows) + 1},), one more than lists; got ({len(history_offsets)},)"
        raise ShapeError(msg)
    percentile = popularity_percentile(item_counts)
    running = np.concatenate([[0.0], np.cumsum(percentile[history_rows])])
    length = np.diff(history_offsets)
    own = (running[history_offsets[1:]] - running[history_offsets[:-1]]) / np.maximum(length, 1)
    return np.where(length > 0, _mean_of_list(rows, percentile) - own, np.nan)


def _mean_of_list(
    rows: NDArray[np.integer], value_of_item: NDArray[np.float64]
) -> NDArray[np.float64]:
    # (n,): mean of the answered items' values; NaN for an empty list
    means = np.full(len(rows), np.nan)
    if not len(value_of_item):
        return means
    for part in blocks(*rows.shape):
        there = rows[part] >= 0
        total = np.where(there, value_of_item[rows[part]], 0.0).sum(axis=1)
        filled = there.sum(axis=1)
        np.divide(total, filled, out=means[part], where=filled > 0)
    return means
