"""Context at query time: the tower reads when somebody asks, bucketed and normalised."""

from dataclasses import replace

import numpy as np
from example_data import films

import shortlist as sl

parts = sl.split.latest(films(), test=0.2)  # each user's own last fifth
train, test = parts.train, parts.test.subset(np.arange(0, len(parts.test), 2))
fast = {"dim": 32, "epochs": 5, "batch_size": 2048, "learning_rate": 0.006}
plain = sl.Recommender(sl.retrieval.TwoTower(**fast), name="ids alone").fit(train)
when = [sl.Bucket("timestamp", 30), sl.Number("timestamp")]
timed = sl.retrieval.TwoTower(**fast, context=when)
timed = sl.Recommender(timed, name="ids and the time").fit(train)

# everyone is asked once for each time in their test rows, with that time
untimed = replace(test, table=test.table.drop("timestamp"))
for label, keep_seen in (("raw", True), ("unseen", False)):
    judged = {
        "k": [100],
        "metric": "row_accuracy@100",
        "keep_seen": keep_seen,
        "baselines": False,
    }
    found = sl.compare([plain, timed], test, **judged)
    print(f"{label}, {found.summary}")
    for line in found.lines:
        print(f"  {line.name}: {line.estimate}, difference {line.difference or 'none'}")
    asked = sl.compare([timed], untimed, **judged).lines[0]
    print(f"  {asked.name}, asked without the time: {asked.estimate}")

times = train.table["timestamp"]
for name, when in (("first", times.min()), ("last", times.max())):
    found = timed.recommend("42", context={"timestamp": when}, k=3)
    print(f"user 42 asking on the {name} day:", *found["title"], sep="\n  ")
