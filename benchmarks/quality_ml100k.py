"""P1 on the 80/20 split of ML-100K, by the command line with its defaults.

Share of test rows whose item is among the user's top K: raw (items of train stay in the list) and
unseen (they are left out, as in a product).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from common import parse_data, write

KS = (10, 100)
GOALS = {
    "ease": {"unseen@10": 0.172, "unseen@100": 0.620},
    "two-tower": {"raw@100": 0.38, "unseen@100": 0.58},
}


def shortlist(*words: str | Path) -> None:
    """Run the command line."""
    command = [sys.executable, "-m", "shortlist", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def shares(recs: Path, test: pl.DataFrame) -> dict[int, float]:
    """Row accuracy at each K from a file of recommendations."""
    keys = test.select(
        pl.col("user_id").cast(pl.String), pl.col("movie_id").cast(pl.String).alias("item_id")
    )
    ranks = keys.join(pl.read_parquet(recs), on=["user_id", "item_id"], how="left")["rank"]
    return {k: round(float((ranks <= k).fill_null(value=False).mean() or 0.0), 4) for k in KS}


def main() -> None:
    """Train, recommend and count, for each retriever."""
    data = parse_data(__doc__ or "")
    train, test_file = data / "splits/ml100k_train.parquet", data / "splits/ml100k_test.parquet"
    test = pl.read_parquet(test_file)
    results = {}
    for name in ("popularity", "ease", "two-tower"):
        with tempfile.TemporaryDirectory() as folder:
            bundle, recs = Path(folder) / "model.bundle", Path(folder) / "recs.parquet"
            start = time.perf_counter()
            shortlist("train", "--train", train, "--retrieve", name, "--out", bundle)
            figures: dict[str, float] = {"train_seconds": round(time.perf_counter() - start, 1)}
            for label, words in (("raw", ["--keep-seen"]), ("unseen", [])):
                shortlist(
                    "recommend",
                    bundle,
                    "--users",
                    test_file,
                    "--k",
                    "100",
                    "--out",
                    recs,
                    *words,
                )
                figures |= {f"{label}@{k}": share for k, share in shares(recs, test).items()}
            results[name] = figures
    for name, goals in GOALS.items():
        results[name]["reached"] = all(
            results[name][key] >= goal for key, goal in goals.items()
        )
    write("quality_ml100k", f"P1 on ML-100K with default settings; goals {GOALS}", results)


if __name__ == "__main__":
    main()
