"""Two towers on large tables: milliseconds a step, beside plain torch with dense gradients.

Synthetic rows (popularity falls as one over the rank), batch 4,096, dim 64, in-batch softmax with
logQ and evenly drawn extra negatives. What is asked of the design: the cost of a step depends on the
rows it touches, not on the size of the tables. The peer is what a first torch program does: two
nn.Embedding tables, the batch's matrix of logits, cross_entropy, Adam over all rows.
"""

import time
from typing import Any

import numpy as np
import polars as pl
import torch
from common import parse_data, peak_megabytes, write

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.sides import encode_all
from shortlist.training.settings import TowerSettings
from shortlist.training.two_tower import TowerInputs, _Trainer  # noqa: PLC2701

BATCH, DIM, STEPS = 4096, 64, 30


def rows(users: int, items: int, n: int = 2_000_000) -> sl.Interactions:
    """Rows over a catalogue of which all items exist, and most are rare."""
    rng = np.random.default_rng(0)
    item = np.minimum((items ** rng.random(n)).astype(np.int64), items - 1)
    table = pl.DataFrame({"user_id": rng.integers(0, users, n), "item_id": item})
    return sl.Interactions(table, Catalogue.of_ids(pl.Series(range(items))))


def ours(train: sl.Interactions) -> float:
    """Median milliseconds of a step of the library's trainer."""
    chosen = TowerSettings(dim=DIM, batch_size=BATCH, extra_negatives=1024, progress=False)
    sides = encode_all(train, chosen.user, chosen.item, liked_only=True)
    trainer = _Trainer(chosen, train, TowerInputs(*sides, None))
    order = np.random.default_rng(1).permutation(len(trainer.table_rows))
    return timed(lambda at: trainer.step(order[at : at + BATCH]))


def plain(train: sl.Interactions) -> float:
    """Median milliseconds of a step of the plain loop, few steps: they are slow."""
    torch.manual_seed(0)
    users = torch.nn.Embedding(len(train.user_vocabulary), DIM)
    items = torch.nn.Embedding(len(train.item_vocabulary), DIM)
    optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=0.003)
    order = np.random.default_rng(1).permutation(len(train))

    def step(at: int) -> None:
        some = order[at : at + BATCH]
        user = users(torch.from_numpy(train.user_rows[some].astype(np.int64)))
        item = items(torch.from_numpy(train.item_rows[some].astype(np.int64)))
        loss = torch.nn.functional.cross_entropy(user @ item.T, torch.arange(len(some)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return timed(step, steps=5)


def timed(step: Any, steps: int = STEPS) -> float:
    """Median milliseconds, after one step to warm up."""
    taken = []
    for number in range(steps + 1):
        start = time.perf_counter()
        step(number * BATCH)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken[1:]))


def main() -> None:
    """Both sizes, ours and the peer's in the same minute."""
    parse_data(__doc__ or "")
    results: dict[str, Any] = {}
    for users, items in ((1_000_000, 200_000), (1_000_000, 5_000_000)):
        train = rows(users, items)
        name = f"{users:,} users x {items:,} items"
        mine = ours(train)
        results[name] = {
            "ours ms a step": round(mine, 1),
            "examples a second": int(1000 * BATCH / mine),
            "peak MB so far": peak_megabytes(),
        }
        if items < 1_000_000:  # beyond, the plain loop needs some 20 GB
            other = plain(train)
            results[name] |= {
                "plain torch ms": round(other, 1),
                "ratio": round(other / mine, 1),
            }
        print(name, results[name], flush=True)
    write("tower_scale", "the cost of a step does not depend on the tables' size", results)


if __name__ == "__main__":
    main()
