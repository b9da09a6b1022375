"""Which items may be answered, per query. Applied before the top-K, never after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ShapeError


@dataclass(frozen=True, eq=False, repr=False)
class Eligible:
    """Exclusions per query, and masks that queries share.

    Attributes:
        excluded_rows: flat int32 item rows that a query must not get; -1 is ignored.
        offsets: (n + 1,) int64; query i excludes ``excluded_rows[offsets[i]:offsets[i + 1]]``.
        masks: (m, n_items) bool; True where an item is allowed.
        mask_of_query: (n,) int32 number of the mask each query uses; -1 for none.
    """

    excluded_rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    masks: NDArray[np.bool_]
    mask_of_query: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.offsets) - 1
        if (
            n < 0
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.excluded_rows)
            or (np.diff(self.offsets) < 0).any()
        ):
            msg = "offsets must rise from 0 to the number of excluded rows"
            raise ShapeError(msg)
        if len(self.mask_of_query) != n:
            msg = f"{len(self.mask_of_query)} mask numbers for {n} queries"
            raise ShapeError(msg)
        if n and self.mask_of_query.max(initial=-1) >= len(self.masks):
            msg = f"mask number {self.mask_of_query.max()} but only {len(self.masks)} masks"
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Eligible({len(self):,} queries, {len(self.excluded_rows):,} exclusions, {len(self.masks)} masks)"

    @classmethod
    def of(
        cls,
        n: int,
        *,
        excluded: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> "Eligible":
        """Build the common forms.

        Args:
            n: number of queries.
            excluded: flat rows and (n + 1,) offsets, or None.
            mask: (n_items,) bool shared by all queries, or None.

        Returns:
            An Eligible over ``n`` queries; with neither argument, everything is allowed.
        """
        rows, offsets = (
            excluded
            if excluded is not None
            else (np.empty(0, np.int32), np.zeros(n + 1, np.int64))
        )
        masks = np.zeros((0, 0), bool) if mask is None else mask[None, :]
        return cls(rows, offsets, masks, np.full(n, -1 if mask is None else 0, np.int32))

    def excluding(self, rows: NDArray[np.int32], offsets: NDArray[np.int64]) -> "Eligible":
        """Exclude more rows.

        Args:
            rows: flat int32 item rows.
            offsets: (n + 1,) int64.

        Returns:
            A new Eligible with both sets of exclusions.
        """
        n = len(self)
        query = np.concatenate(
            [
                np.repeat(np.arange(n), np.diff(self.offsets)),
                np.repeat(np.arange(n), np.diff(offsets)),
            ]
        )
        order = np.argsort(query, kind="stable")
        both = np.concatenate([self.excluded_rows, rows])[order]
        return Eligible(both, self.offsets + offsets, self.masks, self.mask_of_query)

    def columns(self, start: int, stop: int) -> "Eligible":
        """The limits on some of the items, counted from the first of them.

        Args:
            start: first item row.
            stop: one past the last item row.

        Returns:
            An Eligible over items 0 to ``stop - start``.
        """
        inside = (self.excluded_rows >= start) & (self.excluded_rows < stop)
        rows = np.where(inside, self.excluded_rows - start, -1).astype(np.int32)
        return Eligible(rows, self.offsets, self.masks[:, start:stop], self.mask_of_query)

    def slice(self, start: int, stop: int) -> "Eligible":
        """The part that belongs to queries ``start`` to ``stop``.

        Args:
            start: first query.
            stop: one past the last query.

        Returns:
            An Eligible of ``stop - start`` queries.
        """
        first, last = self.offsets[start], self.offsets[stop]
        return Eligible(
            self.excluded_rows[first:last],
            self.offsets[start : stop + 1] - first,
            self.masks,
            self.mask_of_query[start:stop],
        )

    def allowed(self, n_items: int) -> NDArray[np.bool_]:
        """What a single query may be answered.

        Args:
            n_items: width of the catalogue.

        Returns:
            (n_items,) bool.

        Raises:
            ShapeError: there is more than one query.
        """
        if len(self) != 1:
            msg = f"allowed() is for one query; these are {len(self)}. Take a slice first"
            raise ShapeError(msg)
        scores = np.zeros((1, n_items), np.float32)
        self.apply(scores)
        return np.asarray(scores[0] == 0)

    def apply(self, scores: NDArray[np.floating]) -> None:
        """Set the scores of everything that is not allowed to -inf, in place.

        Args:
            scores: (n, n_items), one row per query.

        Raises:
            ShapeError: a mask has another number of items than the scores.
        """
        query = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        wanted = self.excluded_rows >= 0
        scores[query[wanted], self.excluded_rows[wanted]] = -np.inf
        if (self.mask_of_query >= 0).any():
            if self.masks.shape[1] != scores.shape[1]:
                msg = f"masks cover {self.masks.shape[1]} items but there are {scores.shape[1]} scores per query"
                raise ShapeError(msg)
            for number in np.unique(self.mask_of_query[self.mask_of_query >= 0]):
                scores[np.ix_(self.mask_of_query == number, ~self.masks[number])] = -np.inf
