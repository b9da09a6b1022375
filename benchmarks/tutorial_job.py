"""The retrieval job of the TensorFlow Recommenders tutorial: ML-100K, ids only, dim 32, batch 8192.

Adagrad 0.1, three epochs, plain in-batch softmax, then top-K accuracy over the whole catalogue.
"""

import time

START = time.perf_counter()

from common import parse_data  # noqa: E402

import shortlist as sl  # noqa: E402
from shortlist.evaluation.judge import judge  # noqa: E402


def tutorial_tower(epochs: int = 3) -> sl.retrieval.TwoTower:
    """The tutorial's model: nothing that this package would add by default."""
    return sl.retrieval.TwoTower(
        dim=32,
        user=["user_id"],
        item=["item_id"],
        optimizer="adagrad",
        learning_rate=0.1,
        batch_size=8192,
        epochs=epochs,
        dropout=0.0,
        weight_decay=0.0,
        unknown_share=0.0,
        logq=False,
        mask_repeats=False,
    )


def main() -> None:
    """Fit and print."""
    data = parse_data(__doc__ or "")
    train = sl.read(data / "splits/ml100k_train.parquet")
    test = sl.read(data / "splits/ml100k_test.parquet")
    tower = tutorial_tower()
    rec = sl.Recommender(tower).fit(train)
    print("loss", [round(epoch.loss, 4) for epoch in tower.epochs_run])
    for label, keep_seen in (("raw", True), ("unseen", False)):
        report = judge(rec, test, k=(1, 5, 10, 50, 100), keep_seen=keep_seen)
        print(
            label, {k: round(report[f"row_accuracy@{k}"].value, 4) for k in (1, 5, 10, 50, 100)}
        )
    print(f"seconds since imports began: {time.perf_counter() - START:.2f}")


if __name__ == "__main__":
    main()
