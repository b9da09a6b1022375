"""What the examples read: the bundled MovieLens small, or more with ``--data FOLDER``.

FOLDER may hold splits/ml100k_{train,test,movies,users}.parquet, ml-latest-small/{interactions,
items,tags}.parquet and ml-1m/{interactions,items}.parquet.
"""

import sys
from pathlib import Path

import polars as pl

import shortlist as sl
from shortlist.testing.worlds import small_world


def folder() -> Path | None:
    return Path(sys.argv[sys.argv.index("--data") + 1]) if "--data" in sys.argv else None


def tutorial() -> tuple[sl.Interactions, sl.Interactions]:
    # 80/20 by lot: of ML-100K with --data, else of the bundled films.
    if (home := folder()) is None:
        parts = sl.split.random(sl.datasets.movielens(), test=0.2, seed=42)
        return parts.train, parts.test
    return _ml100k(home, "train"), _ml100k(home, "test")


def people() -> tuple[sl.Interactions, sl.Interactions]:
    # with a users' table, which no bundled data has: without --data a made-up world
    if (home := folder()) is not None:
        return _ml100k(home, "train"), _ml100k(home, "test")
    world = small_world(users=600, items=240, clusters=6, rows_per_user=12, positive=None)
    town = pl.col("town").fill_null("town 9").str.slice(5).cast(pl.Int64)
    users = world.users.select(
        *("user_id", "age"),
        gender=pl.when(town % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M")),
        occupation=pl.format("trade {}", town // 2),
        zip_code=pl.format("1000{}", town),
    )
    print("(a made-up world of 600 people and six tastes: no users' table is bundled)")
    made = sl.Interactions(world.table, world.catalogue, users)
    parts = sl.split.random(made, test=0.2, seed=42)
    return parts.train, parts.test


def films() -> sl.Interactions:
    # MovieLens: the 2018 snapshot with its tags with --data, else the bundled one without.
    if (home := folder()) is None:
        return sl.datasets.movielens()
    tags = pl.read_parquet(home / "ml-latest-small/tags.parquet")
    words = tags.group_by("item_id").agg(tags=pl.col("tag").str.to_lowercase().unique().sort())
    items = pl.read_parquet(home / "ml-latest-small/items.parquet")
    return sl.read(
        home / "ml-latest-small/interactions.parquet",
        items=items.join(words, on="item_id", how="left", maintain_order="left"),
    )


def many_people() -> sl.Interactions:
    # ML-1M with --data, else the bundled films.
    if (home := folder()) is None:
        return sl.datasets.movielens()
    return sl.read(home / "ml-1m/interactions.parquet", items=home / "ml-1m/items.parquet")


def _ml100k(home: Path, part: str) -> sl.Interactions:
    splits = home / "splits"
    rows = pl.read_parquet(splits / f"ml100k_{part}.parquet")
    return sl.read(
        rows.select("user_id", "movie_id", "user_rating", "timestamp"),
        items=splits / "ml100k_movies.parquet",
        users=splits / "ml100k_users.parquet",
    )
