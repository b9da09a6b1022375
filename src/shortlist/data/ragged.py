"""Ragged arrays: flat values with offsets, and how to take some of their lines."""

from typing import Any

import numpy as np
import scipy.sparse as sp
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
    starts = offsets[np.maximum(lines, 0)]
    counts = offsets[lines + 1] - starts  # of line -1: from the first start to the first start
    taken = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(taken[-1]) - np.repeat(taken[:-1], counts)
    return np.repeat(starts, counts) + within, taken


def binary_matrix(
    lines: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]
) -> sp.csr_array:
    """A matrix of ones from pairs; a pair that repeats counts once.

    Args:
        lines: (pairs,) line of each pair.
        columns: (pairs,) column of each pair.
        shape: of the matrix.

    Returns:
        float32 CSR, sorted columns, each entry 1.
    """
    matrix = sp.csr_array((np.ones(len(lines), np.float32), (lines, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def lines_of(
    values: NDArray[Any],
    columns: NDArray[np.integer],
    offsets: NDArray[np.integer],
    shape: tuple[int, int],
) -> sp.csr_array:
    """A matrix over arrays as they stand in a file.

    The constructor of SciPy copies an array that is a small part of another, such as one of several that
    are mapped from one file: every process would hold its own.

    Args:
        values: (entries,) of the matrix.
        columns: (entries,) of the same kind of integer as ``offsets``.
        offsets: (n + 1,) of the lines.
        shape: of the matrix.

    Returns:
        CSR that holds these very arrays.
    """
    matrix: Any = sp.csr_array(shape, dtype=values.dtype)
    matrix.data, matrix.indices, matrix.indptr = values, columns, offsets
    made: sp.csr_array = matrix
    return made


def mean_lines(matrix: sp.csr_array) -> sp.csr_array:
    """Divide each line by its number of entries.

    Args:
        matrix: (n, m) CSR of ones; changed in place.

    Returns:
        The matrix, whose lines now sum to 1 (empty lines to 0).
    """
    counts = np.diff(matrix.indptr)
    matrix.data /= np.repeat(np.maximum(counts, 1), counts).astype(matrix.data.dtype)
    return matrix


def beside(parts: list[sp.csr_array]) -> sp.csr_array:
    """Sparse matrices side by side.

    Args:
        parts: at least one (n, ...) CSR.

    Returns:
        One CSR of all their columns.
    """
    joined: sp.csr_array = sp.hstack(parts, format="csr")
    return joined


def times_table(matrix: sp.csr_array, table: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sparse lines times a dense table, in float64; only the table's touched rows are converted.

    Args:
        matrix: (n, m) CSR.
        table: (m, d), memory-mapped or not.

    Returns:
        (n, d) float64; each line is added in the order of its entries, whatever stands beside it.
    """
    touched, at = np.unique(matrix.indices, return_inverse=True)
    lines = sp.csr_array(
        (matrix.data.astype(np.float64), at.ravel(), matrix.indptr),
        shape=(matrix.shape[0], len(touched)),
    )
    return np.asarray(lines @ table[touched].astype(np.float64), np.float64)
