"""Towers and a loss of one's own, hard negatives, extra negatives."""

import torch
from example_data import tutorial
from torch import Tensor, nn

import shortlist as sl

train, test = tutorial()


def tower() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))


def pairwise(
    queries: Tensor, items: Tensor, query: Tensor, item: Tensor, **_: object
) -> Tensor:
    # pair i of the batch is (queries[query[i]], items[item[i]]): is it above an item drawn by lot?
    other = torch.randint(len(items), item.shape)
    asked = queries[query]
    gap = (asked * (items[item] - items[other])).sum(dim=1)
    return -nn.functional.logsigmoid(gap).mean()


fast = {"dim": 32, "epochs": 3, "batch_size": 2048, "learning_rate": 0.006}
variants = {
    "as it comes": sl.retrieval.TwoTower(**fast),
    "own towers": sl.retrieval.TwoTower(**fast, user_tower=tower(), item_tower=tower()),
    "own loss": sl.retrieval.TwoTower(**fast, loss=pairwise),
    "hard negatives": sl.retrieval.TwoTower(**fast, hard_negatives=100),
    "extra negatives": sl.retrieval.TwoTower(**fast, extra_negatives=500),
}
recs = [sl.Recommender(part, name=name).fit(train) for name, part in variants.items()]
print(sl.compare(recs, test, k=[10], metric="row_accuracy@10", baselines=False))
