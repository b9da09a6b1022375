"""How long it takes to judge 20,000 test rows of ML-100K, lists and intervals included."""

import statistics
import time

from common import parse_data, write

import shortlist as sl
from shortlist.evaluation.judge import judge

ROUNDS = 7


def main() -> None:
    """Time each kind of recommender; median of several runs after one that is not counted."""
    data = parse_data(__doc__ or "")
    train = sl.read(data / "splits/ml100k_train.parquet")
    test = sl.read(data / "splits/ml100k_test.parquet")
    results: dict[str, object] = {}
    for part in (
        sl.retrieval.Popularity(),
        sl.retrieval.EASE(),
        sl.retrieval.TwoTower(epochs=3),
    ):
        rec = sl.Recommender(part).fit(train)
        seconds = []
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            judge(rec, test, k=(1, 5, 10, 50, 100))
            seconds.append(time.perf_counter() - start)
        results[part.name] = round(statistics.median(seconds[1:]), 4)
    results["reached"] = all(value < 0.3 for value in results.values())  # type: ignore[operator]
    write("evaluation_speed", "20,000 rows judged in under 0.3 s", results)


if __name__ == "__main__":
    main()
