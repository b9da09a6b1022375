"""Toy worlds whose right answer is known before anything is fitted."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions

_GENRES = ("Comedy", "Drama", "Horror", "Musical", "Western", "Documentary")
_WORDS = ("night", "river", "king", "ghost", "summer", "train", "garden", "letter")
_START = 1_000_000_000  # 2001, in seconds
_HOUR = 3600


@dataclass(frozen=True, eq=False)
class PlantedBiases:
    """What a rating world was made of: ``rating = mean + users[u] + items[i] + noise``.

    Attributes:
        mean: the middle of all.
        users: (n_users,) float64 how generous each is; user_id is the position.
        items: (n_items,) float64 how well liked each is; item_id is the position.
    """

    mean: float
    users: NDArray[np.float64]
    items: NDArray[np.float64]


def checkerboard(
    *, users: int = 20, items: int = 20, hidden: int = 2, seed: int = 0
) -> tuple[Interactions, Interactions]:
    """Even users take even items and odd users odd ones; some of it is held back.

    Whoever learned the pattern answers, once seen items are excluded, exactly what is held back.

    Args:
        users: how many; user_id 0 to users - 1.
        items: how many; item_id 0 to items - 1, row and id agree.
        hidden: rows held back of each user.
        seed: chooses them.

    Returns:
        Train rows and held-out rows, over one catalogue.
    """
    rng = np.random.default_rng(seed)
    shown: list[tuple[int, int]] = []
    held: list[tuple[int, int]] = []
    for user in range(users):
        taken = rng.permutation(np.arange(user % 2, items, 2)).tolist()
        held += [(user, item) for item in sorted(taken[:hidden])]
        shown += [(user, item) for item in taken[hidden:]]
    catalogue = Catalogue.of_ids(pl.Series(range(items)))
    return _pairs(shown, catalogue), _pairs(held, catalogue)


def ladder(*, items: int = 8, never_taken: int = 0) -> Interactions:
    """Item i is taken by ``items - i`` users, so that popularity is the order of the rows.

    Args:
        items: how many are taken; as many users.
        never_taken: further items that only the catalogue has; their rows come last.

    Returns:
        Interactions; row and id agree, user 0 took everything, the last user one item.
    """
    rows = [(user, item) for user in range(items) for item in range(items - user)]
    return _pairs(rows, Catalogue.of_ids(pl.Series(range(items + never_taken))))


def planted_ratings(
    *, users: int = 40, items: int = 30, share: float = 0.5, noise: float = 0.0, seed: int = 0
) -> tuple[Interactions, PlantedBiases]:
    """Ratings that are a mean plus a bias of the user plus a bias of the item.

    Args:
        users: how many.
        items: how many.
        share: of all pairs that are rated, 0 to 1.
        noise: standard deviation of what no model can know.
        seed: draws everything.

    Returns:
        The rated pairs, and the biases, each of which sums to 0.
    """
    rng = np.random.default_rng(seed)
    user_bias, item_bias = rng.normal(0, 0.5, users), rng.normal(0, 0.8, items)
    planted = PlantedBiases(3.5, user_bias - user_bias.mean(), item_bias - item_bias.mean())
    user, item = np.nonzero(rng.random((users, items)) < share)
    rating = planted.mean + planted.users[user] + planted.items[item]
    rating = rating + noise * rng.normal(size=len(rating))
    table = pl.DataFrame({"user_id": user, "item_id": item, "rating": rating})
    return Interactions(table, Catalogue.of_ids(pl.Series(range(items)))), planted


def small_world(
    *,
    users: int = 48,
    items: int = 36,
    clusters: int = 4,
    rows_per_user: int = 10,
    never_taken: int = 3,
    positive: str | None = "rating >= 3",
    seed: int = 0,
) -> Interactions:
    """Clusters of taste, with every column that a model may read.

    User u and item i belong to clusters ``u % clusters`` and ``i % clusters``; four rows in five
    stay in the user's cluster and are rated 4 or 5, the others 1 to 3.

    Args:
        users: how many; ids are text, ``"u0"`` and so on.
        items: how many; ids are text, ``"i0"`` and so on.
        clusters: how many, at most 6; each has its own genre and its own town.
        rows_per_user: distinct items each user takes, at most ``items``.
        never_taken: further items that only the catalogue has; they belong to clusters as well.
        positive: which rows count as liked.
        seed: draws everything.

    Returns:
        Interactions with ``rating`` and ``timestamp`` in the order of time; a catalogue with
        ``title``, ``genres`` (a list; some have two, some none) and ``year`` (some null); a users'
        table with ``town`` and ``age`` (some null).
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, float, int]] = []
    for user in range(users):
        left = rng.permutation(items)
        inside = left[left % clusters == user % clusters].tolist()
        outside = left[left % clusters != user % clusters].tolist()
        for _ in range(rows_per_user):
            home = (rng.random() < 0.8 and bool(inside)) or not outside
            item = (inside if home else outside).pop()
            rating = float(rng.integers(4, 6) if home else rng.integers(1, 4))
            time = _START + _HOUR * int(rng.integers(0, 24 * 365))
            rows.append((f"u{user}", f"i{item}", rating, time))
    table = pl.DataFrame(
        rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row"
    )
    return Interactions(
        table.sort("timestamp", maintain_order=True),
        _catalogue(items + never_taken, clusters, rng),
        _users_table(users, clusters, rng),
        positive,
    )


def _catalogue(items: int, clusters: int, rng: np.random.Generator) -> Catalogue:
    genres: list[list[str]] = []
    for item in range(items):
        own, other = _GENRES[item % clusters], _GENRES[int(rng.integers(len(_GENRES)))]
        genres.append([] if item % 11 == 10 else list(dict.fromkeys([own, other])))
    words = rng.choice(_WORDS, size=(items, 2))
    return Catalogue(
        pl.DataFrame(
            {
                "item_id": [f"i{item}" for item in range(items)],
                "title": [f"The {a} {b} ({i})" for i, (a, b) in enumerate(words.tolist())],
                "genres": genres,
                "year": [None if i % 9 == 8 else 1950 + 7 * (i % 10) for i in range(items)],
            },
            schema_overrides={"genres": pl.List(pl.String)},
        )
    )


def _users_table(users: int, clusters: int, rng: np.random.Generator) -> pl.DataFrame:
    age = rng.integers(10, 80, users).tolist()
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in range(users)],
            "town": [None if u % 10 == 9 else f"town {u % clusters}" for u in range(users)],
            "age": [None if user % 7 == 6 else age[user] for user in range(users)],
        }
    )


def _pairs(rows: list[tuple[int, int]], catalogue: Catalogue) -> Interactions:
    table = pl.DataFrame(rows, schema={"user_id": pl.Int64, "item_id": pl.Int64}, orient="row")
    return Interactions(table, catalogue)
