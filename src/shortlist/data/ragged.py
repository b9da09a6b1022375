"""Ragged arrays: flat values with offsets, and how to take some of their lines."""

import numpy as np
from numpy.typing import NDArray


def take_lines(
    offsets: NDArray[np.integer], lines: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where some lines of a ragged array stand.

    Args:
        offsets: (n + 1,) line i is ``values[offsets[i]:offsets[i + 1]]``.
        lines: (m,) line numbers; -1 is an empty line.

    Returns:
        Flat positions into the values, and (m + 1,) offsets of the taken lines.
    """
    known = np.maximum(lines, 0)
    starts = offsets[known]
    counts = np.where(lines >= 0, offsets[known + 1] - starts, 0)
    taken = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(taken[-1]) - np.repeat(taken[:-1], counts)
    return np.repeat(starts, counts) + within, taken
