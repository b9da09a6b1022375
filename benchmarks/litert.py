"""The rating network and the query tower as LiteRT files on ML-100K: size, and time in the interpreter.

One thread; the medians include setting the inputs and reading the outputs. Needs the extra ``litert``.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from common import parse_data, write

import shortlist as sl
from shortlist.export import Settings, export

PAIRS = 1_664  # titles of the tutorial: one user's predictions for all of them


def median_microseconds(run: Callable[[], object], times: int) -> float:
    """Of so many runs, after a tenth of them unmeasured."""
    for _ in range(times // 10):
        run()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds) * 1e6, 1)


def measured(bundle: Path, out: Path, part: str, batch: tuple[int, ...]) -> dict[str, Any]:
    """Write one part, and time it at each size of batch."""
    from ai_edge_litert.interpreter import Interpreter

    report = export(bundle, out, to="litert", settings=Settings(part=part, batch=batch))
    interpreter = Interpreter(model_path=str(out), num_threads=1)
    times = {}
    for size in batch:
        runner = interpreter.get_signature_runner(f"batch_{size}")
        inputs = {
            name: np.resize(np.arange(900, dtype=np.int32), held["shape"])
            for name, held in runner.get_input_details().items()
        }
        run = functools.partial(runner, **inputs)
        times[str(size)] = median_microseconds(run, 3_000 if size < 100 else 300)
    return {
        "kilobytes": round(out.stat().st_size / 1e3),
        "kilobytes_of_ids": round(out.with_suffix(".json").stat().st_size / 1e3),
        "microseconds_by_batch": times,
        "parity": str(report.parity),
    }


def main() -> None:
    """Fit both, write both."""
    data = parse_data(__doc__ or "")
    train = sl.read(data / "splits/ml100k_train.parquet")
    rec = sl.Recommender(
        sl.retrieval.TwoTower(dim=32, user=["user_id", sl.History(50)], epochs=3),
        sl.ranking.RatingNetwork(dim=32, epochs=3),  # time and size do not depend on the epochs
        rank_lists=False,
    ).fit(train)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "ml100k.bundle"
        rec.save(bundle)
        results = {
            "users": rec.snapshot.n_users,
            "items": rec.snapshot.n_items,
            "litert": version("ai-edge-litert"),
            "ranker": measured(
                bundle, Path(folder) / "ranker.tflite", "ranker", (1, 100, PAIRS)
            ),
            "user": measured(bundle, Path(folder) / "user.tflite", "user", (1,)),
        }
    write(
        "litert",
        "the tutorial's ranker answers in LiteRT within 20 us, all titles within 1.2 ms",
        results,
    )


if __name__ == "__main__":
    main()
