"""Approximate top-K with FAISS, behind the same contract as the exact index.

FAISS proposes, with exclusions and masks inside its search; what it proposes is scored again by the
exact index, so scores have the bits that exact search would give. Where it proposes fewer items than
are eligible, exact search answers: there are k items wherever k are eligible.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, MissingExtraError
from shortlist.index.exact import ExactIndex
from shortlist.index.select import check_asked, in_order


class FaissIndex:
    """A FAISS index over item vectors, by inner product.

    Args:
        vectors: (n_items, dim) float32, finite.
        factory: a FAISS factory string, such as ``"HNSW32"`` or ``"IVF256,Flat"``.
        effort: how much of the index a search visits: ``efSearch`` of HNSW, ``nprobe`` of IVF.
            Larger finds more of the true top-K, and takes longer.
        built: bytes of an index over the same vectors, from :meth:`to_bytes`; None builds it.

    Raises:
        MissingExtraError: faiss is not installed.
        ConfigError: as for :func:`check_factory`, or FAISS cannot train on so few vectors.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        factory: str = "HNSW32",
        *,
        effort: int = 128,
        built: NDArray[np.uint8] | None = None,
    ) -> None:
        self._faiss = _import_faiss()
        self._exact = ExactIndex(vectors)
        self._effort = effort
        if built is not None:
            self._index = self._faiss.deserialize_index(np.array(built, np.uint8))
            return
        self._index = check_factory(factory, vectors.shape[1])
        try:
            self._index.train(self._exact.vectors)
            self._index.add(self._exact.vectors)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            msg = f"FAISS cannot build {factory!r} over {vectors.shape} vectors: {reason}. Try 'HNSW32', or index='exact'"
            raise ConfigError(msg) from None

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n_items, dim) float32."""
        return self._exact.vectors

    def to_bytes(self) -> NDArray[np.uint8]:
        """The built index, to be kept beside its vectors.

        Returns:
            (bytes,) uint8.
        """
        return np.asarray(self._faiss.serialize_index(self._index), np.uint8)

    def search(
        self, queries: NDArray[np.float32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Return about the ``k`` highest dot products per query, with exact scores.

        Args:
            queries: (n, dim) float32.
            k: how many items, at least 1.
            eligible: what may be answered, n queries; None allows everything.

        Returns:
            A TopK (n, k). Most of the true top-K, more of it with more ``effort``.
        """
        check_asked(k, len(queries), eligible)
        queries = self._exact.checked(queries)
        n, items = len(queries), len(self.vectors)
        eligible = Eligible.of(n) if eligible is None else eligible
        rows = np.full((n, k), -1, np.int32)
        scores = np.full((n, k), -np.inf, np.float32)
        for query in range(n):
            one, limits = queries[query : query + 1], eligible.slice(query, query + 1)
            allowed = limits.allowed(items)
            wanted = min(k, int(allowed.sum()))
            if not wanted:
                continue
            found = self._propose(one, min(items, 2 * k), allowed)
            if len(found) < wanted:
                top = self._exact.search(one, k, limits)
            else:
                rising = np.sort(found)[None].astype(np.int32)
                top = in_order(rising, self._exact.score(one, rising), k)
            rows[query], scores[query] = top.rows[0], top.scores[0]
        return TopK(rows, scores)

    def score(
        self, queries: NDArray[np.float32], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Dot products with given items, as the exact index gives them.

        Args:
            queries: (n, dim) float32.
            rows: (n, m) int32; -1 scores -inf.

        Returns:
            (n, m) float32.
        """
        return self._exact.score(queries, rows)

    def _propose(
        self, query: NDArray[np.float32], k: int, allowed: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        faiss = self._faiss
        bits = np.packbits(allowed, bitorder="little")
        selector = None if allowed.all() else faiss.IDSelectorBitmap(bits)
        kind = faiss.SearchParametersIVF
        setting = {"nprobe": self._effort}
        if isinstance(self._index, faiss.IndexHNSW):
            kind, setting = faiss.SearchParametersHNSW, {"efSearch": max(self._effort, k)}
        elif not isinstance(self._index, faiss.IndexIVF):
            kind, setting = faiss.SearchParameters, {}
        parameters = kind(**setting) if selector is None else kind(sel=selector, **setting)
        found = self._index.search(query, k, params=parameters)[1][0]
        return np.asarray(np.unique(found[found >= 0]), np.int64)


def check_factory(factory: str, dim: int) -> Any:
    """Make an empty index: what cannot be built is known before there are vectors.

    Args:
        factory: a FAISS factory string.
        dim: width of the vectors.

    Returns:
        An empty FAISS index.

    Raises:
        ConfigError: FAISS cannot read the string, or searches such an index without exclusions.
    """
    faiss = _import_faiss()
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        msg = f"FAISS cannot make index={factory!r} for vectors of {dim}: {reason}. Try 'HNSW32', or 'exact'"
        raise ConfigError(msg) from None
    excluding = (faiss.IndexFlat, faiss.IndexHNSW, faiss.IndexIVF, faiss.IndexScalarQuantizer)
    if not isinstance(index, excluding):
        msg = f"FAISS cannot leave items out while it searches index={factory!r}; take one that begins with Flat, SQ, HNSW or IVF"
        raise ConfigError(msg)
    return index


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError:
        msg = "this index needs FAISS: pip install 'shortlist[faiss]', or use index='exact'"
        raise MissingExtraError(msg) from None
    return faiss
