"""R1: rating models beside one another, RMSE with intervals by user, CPU seconds of the fit.

The 80/20 split of ML-100K, MovieLens small (train and validation together as train), and ML-1M with
``fold`` 1 as test. All by their defaults; those were chosen on a tenth of the ML-100K train rows drawn by
lot, on the validation part of MovieLens small, and on a tenth of the rows of ML-1M's other folds: ``dim``
(4 to 24), ``side_dim`` (20 to 400), the number of sweeps and the time constants of the moods. The network
stops by a tenth of train, then learns from all of it; the stack learns its weights so.

Rows cut by lot have neighbours in time on both sides. ``factorisation`` is told when each test row was rated, as
a model that reads the time has to be; ``factorisation, no times`` is the same fit, asked without. Part
``later`` is what a product asks for: each user's latest tenth of the ML-100K train rows, from what came before.
Absolute times are known for few rows of ML-1M, the order for all: a rating every twenty seconds is assumed.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import parse_jobs, write, written

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.snapshot import Snapshot
from shortlist.metrics.intervals import Ratio, bootstrap, paired
from shortlist.metrics.rating import rating_errors
from shortlist.ranking import Biases, Factorisation, RatingNetwork, Stack

COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
GOALS = {"ml-100k": (0.884, 0.8825), "movielens-small": (0.86, None), "ml-1m": (0.838, None)}
JOBS = (*GOALS, "later")
Parts = tuple[sl.Interactions, sl.Interactions, dict[str, list[Any]]]


def ml_100k(data: Path) -> Parts:
    """The published rows; age, gender and occupation, genres and year."""
    users = pl.read_parquet(data / "splits/ml100k_users.parquet").cast({"age": pl.Float64})
    films = pl.read_parquet(data / "splits/ml100k_movies.parquet").rename(
        {"movie_id": "item_id", "movie_title": "title"}
    )
    films = films.with_columns(pl.col("genres").str.split(" "))
    names = {"movie_id": "item_id", "user_rating": "rating"}
    train, test = (
        pl.read_parquet(data / f"splits/ml100k_{part}.parquet").rename(names).select(COLUMNS)
        for part in ("train", "test")
    )
    features = {
        "user": [sl.Bucket("age", 10), "gender", "occupation"],
        "item": ["genres", "release_year"],
    }
    return interactions(train, films, users), interactions(test, films, users), features


def movielens_small(data: Path) -> Parts:
    """Train and validation, test; genres and year."""
    names = {"movieId": "item_id", "userId": "user_id"}
    train, valid, test = (
        pl.read_parquet(data / f"splits/mlsmall_{part}.parquet").rename(names)
        for part in ("train", "valid", "test")
    )
    films = (
        pl.concat([train, valid, test])
        .unique("item_id", maintain_order=True)
        .select(
            "item_id",
            "title",
            pl.col("genres").str.split("|"),
            year=pl.col("year").fill_nan(None).cast(pl.Int64).cast(pl.String),
        )
    )
    everything = pl.concat([train, valid]).select(COLUMNS)
    features: dict[str, list[Any]] = {"item": ["genres", "year"]}
    return interactions(everything, films), interactions(test.select(COLUMNS), films), features


def ml_1m(data: Path) -> Parts:
    """Folds 2 to 5, and fold 1; the place in a user's order is taken for a time."""
    rows = pl.read_parquet(data / "ml-1m/interactions.parquet").with_columns(
        timestamp=20 * pl.col("seq")
    )
    users = pl.read_parquet(data / "ml-1m/users.parquet").cast(
        {"age": pl.String, "occupation": pl.String}
    )
    films = pl.read_parquet(data / "ml-1m/items.parquet").cast({"year": pl.String})
    train = rows.filter(pl.col("fold") != 1).select(COLUMNS)
    test = rows.filter(pl.col("fold") == 1).select(COLUMNS)
    features = {"user": ["age", "gender", "occupation"], "item": ["genres", "year"]}
    return interactions(train, films, users), interactions(test, films, users), features


def interactions(
    rows: pl.DataFrame, films: pl.DataFrame, users: pl.DataFrame | None = None
) -> sl.Interactions:
    """Rows with what is known of films and users."""
    return sl.Interactions(rows, Catalogue(films), users)


def fitted(model: Any, train: sl.Interactions) -> tuple[Any, float]:
    """A model fitted on all of train, and the CPU seconds of that."""
    start = time.process_time()
    if isinstance(model, RatingNetwork):
        inner = sl.split.random(train, test=0.1, seed=0)
        model = model.fit(inner.train, validate=inner.test).settled()
    return model.fit(train), round(time.process_time() - start, 1)


def predicted(
    model: Any,
    train: sl.Interactions,
    test: sl.Interactions,
    *,
    timed: bool,
    what: str = "predict",
) -> np.ndarray[Any, Any]:
    """Predictions of the test rows; ``timed``: asked when they were rated."""
    known, found = Snapshot.of(train), []
    rows = known.item_vocabulary.rows(test.table["item_id"])[:, None]
    for start in range(0, len(test), 4096):
        some = slice(start, start + 4096)
        asked = known.queries(test.table["user_id"][some])
        if timed:
            asked = replace(asked, context=test.table.select("timestamp")[some])
        found.append(getattr(model, what)(asked, rows[some])[:, 0])
    return np.concatenate(found)


def errors(values: np.ndarray[Any, Any], test: sl.Interactions) -> Ratio:
    """The squared errors of each user."""
    given = np.asarray(test.ratings)
    found = rating_errors(values, given, test.user_rows, len(test.user_vocabulary))
    return Ratio(found.squared, found.rows.astype(np.float64), root=True)


def lines(parts: Parts, *, more: bool) -> dict[str, Any]:
    """RMSE of each model on one data set, and its gap to the biases."""
    train, test, features = parts
    models: dict[str, Any] = {"bias": Biases(), "factorisation": Factorisation(**features)}
    if more:
        read = {side: [f"{side}_id", *more] for side, more in features.items()}
        models["network"] = RatingNetwork(**read)
        models["stack"] = Stack([Factorisation(**features), Biases()])
    ratios: dict[str, Ratio] = {}
    found: dict[str, Any] = {}
    for name, model in models.items():
        ready, seconds = fitted(model, train)
        asked = {name: True}
        if name in {"factorisation", "stack"}:
            asked[f"{name}, no times"] = False
        for label, timed in asked.items():
            ratios[label] = errors(predicted(ready, train, test, timed=timed), test)
            found[label] = {"cpu_seconds": seconds}
        if name == "factorisation":
            found[name] |= calibration(ready, train, test)
        if name == "stack":
            found[name]["weights"] = {k: round(v, 3) for k, v in ready.chosen_weights.items()}
    for label, ratio in ratios.items():
        (one,) = bootstrap([ratio], np.random.default_rng(0))
        (gap,) = paired([ratio], [ratios["bias"]], np.random.default_rng(0))
        found[label] = {
            "rmse": round(one.value, 4),
            "interval": [round(one.low, 4), round(one.high, 4)],
            "less bias": [round(gap.value, 4), round(gap.low, 4), round(gap.high, 4)],
            **found[label],
        }
    return found


def calibration(
    model: Factorisation, train: sl.Interactions, test: sl.Interactions
) -> dict[str, float]:
    """Share of test ratings within 1.96 spreads of their prediction."""
    spread = predicted(model, train, test, timed=True, what="predict_spread")
    off = np.abs(np.asarray(test.ratings) - predicted(model, train, test, timed=True))
    return {"within_1.96_spreads": round(float(np.mean(off < 1.96 * spread)), 3)}


def main() -> None:
    """Every data set, then the later rows."""
    data, jobs = parse_jobs(__doc__ or "", JOBS)
    results = written("rating_models")
    if "ml-100k" in jobs:
        results["ml-100k"] = lines(ml_100k(data), more=True)
    if "movielens-small" in jobs:
        results["movielens-small"] = lines(movielens_small(data), more=True)
    if "ml-1m" in jobs:
        results["ml-1m"] = lines(ml_1m(data), more=False)
    if "later" in jobs:
        rows, _, features = ml_100k(data)
        later = sl.split.latest(rows, test=0.1)
        results["later"] = lines((later.train, later.test, features), more=False)
    for name, (single, stacked) in GOALS.items():
        results[name]["reached"] = results[name]["factorisation"]["rmse"] <= single and (
            stacked is None or results[name]["stack"]["rmse"] <= stacked
        )
    write("rating_models", f"R1 by defaults; goals (single, stack): {GOALS}", results)


if __name__ == "__main__":
    main()
