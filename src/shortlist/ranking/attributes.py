"""What is known of users or items beside their ratings, and how much of it was missing."""

import logging

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.features import Number, Tags, Text
from shortlist.data.learned import Learned
from shortlist.data.ragged import beside, binary_matrix
from shortlist.data.sides import Side

_log = logging.getLogger(__name__)


def attribute_lines(side: Side, table: pl.DataFrame | None, n: int, who: str) -> sp.csr_array:
    """Encode the declared columns; what is missing or was never seen counts as unknown, with a warning.

    Args:
        side: learned features.
        table: (n rows) their columns; None, or lacking some, where they are not known.
        n: how many lines.
        who: they are of, for the warning.

    Returns:
        (n, columns) float32 CSR, without the ids' columns.
    """
    parts: list[sp.csr_array] = [sp.csr_array(np.zeros((n, 0), np.float32))]
    for part in side.learned:
        name = part.feature.column
        there = table is not None and name in table.columns
        column = table[name] if table is not None and there else pl.Series([None] * n)
        lines = part.encode(column if there else column.cast(pl.String))
        missing = _unknown(part, column, lines)
        if missing:
            _log.warning(
                "feature %r is missing or new for %d of %d %s, and counts as unknown",
                name,
                missing,
                n,
                who,
            )
        parts.append(lines)
    return beside(parts)


def taken_lines(
    rows: NDArray[np.integer], others: NDArray[np.integer], shape: tuple[int, int]
) -> sp.csr_array:
    """Who rated what, each line of length 1.

    Args:
        rows: (pairs,) lines.
        others: (pairs,) columns.
        shape: of the matrix.

    Returns:
        float64 CSR whose entries are 1 / sqrt(entries of the line).
    """
    matrix = binary_matrix(rows, others, shape).astype(np.float64)
    counts = np.diff(matrix.indptr)
    matrix.data = 1 / np.sqrt(np.repeat(counts, counts))
    return matrix


def _unknown(part: Learned, column: pl.Series, lines: sp.csr_array) -> int:
    if isinstance(part.feature, Number):
        return column.cast(pl.Float64, strict=False).fill_nan(None).null_count()
    if isinstance(part.feature, Tags | Text):
        return int((np.diff(lines.indptr) == 0).sum())
    return int((lines.indices == part.size - 1).sum())
