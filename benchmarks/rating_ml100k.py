"""R1 on the 80/20 split of ML-100K: RMSE of the rating network and of the bias model, defaults."""

import time

from common import parse_data, write

import shortlist as sl
from shortlist.evaluation.judge import judge
from shortlist.ranking import Biases, RatingNetwork


def main() -> None:
    """The network stops by a validation tenth of train, then learns from all of it."""
    data = parse_data(__doc__ or "")
    train = sl.read(data / "splits/ml100k_train.parquet")
    test = sl.read(data / "splits/ml100k_test.parquet")
    inner = sl.split.random(train, test=0.1, seed=0)
    results = {}
    for ranker in (Biases(), RatingNetwork()):
        start = time.perf_counter()
        rec = sl.Recommender(sl.retrieval.Popularity(), rank=ranker)
        rec = rec.fit(inner.train, validate=inner.test).settled().fit(train)
        seconds = time.perf_counter() - start
        rmse = judge(rec, test)["rmse"]
        results[ranker.name] = {
            "rmse": round(rmse.value, 4),
            "interval": [round(rmse.low, 4), round(rmse.high, 4)],
            "seconds": round(seconds, 1),
        }
    write("rating_ml100k", "the rating network beats the bias model", results)


if __name__ == "__main__":
    main()
