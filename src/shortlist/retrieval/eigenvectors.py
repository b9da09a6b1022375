"""Leading eigenvectors of a sparse matrix's Gram matrix, without the Gram matrix."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_SPARE = 16  # more directions than are kept make the kept ones settle sooner
_ROUNDS = 12


def width_for(rank: int, shape: tuple[int, ...]) -> int:
    """How many directions are held while ``rank`` eigenvectors are searched.

    Args:
        rank: how many are wanted.
        shape: of the matrix.

    Returns:
        A few more, and no more than the matrix has.
    """
    return min(rank + _SPARE, *shape)


def leading(
    matrix: sp.csr_array, rank: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenvectors of ``matrix' matrix`` by subspace iteration from random directions.

    Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011.

    Args:
        matrix: (n, m) CSR.
        rank: how many at most; fewer come back where the matrix has fewer.
        rng: of the directions it starts from.

    Returns:
        (r,) eigenvalues, falling, and (m, r) orthonormal vectors.
    """
    wide = matrix.astype(np.float64)
    tall = wide.T.tocsr()
    directions = rng.normal(size=(matrix.shape[1], width_for(rank, matrix.shape)))
    for _ in range(_ROUNDS):
        directions = _orthonormal(tall @ (wide @ directions))
    directions = _orthonormal(directions)  # again: one pass keeps the Gram matrix's rounding
    image = wide @ directions  # (n, width)
    values, turn = np.linalg.eigh(image.T @ image)
    best = np.argsort(-values, kind="stable")[:rank]
    return values[best], directions @ turn[:, best]


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    # By the eigenvectors of the small Gram matrix: quicker than QR on tall columns. Directions that
    # are only rounding are left out.
    values, turn = np.linalg.eigh(columns.T @ columns)
    kept = values > 1e-12 * values.max(initial=0.0)
    return np.asarray(columns @ (turn[:, kept] / np.sqrt(values[kept])))
