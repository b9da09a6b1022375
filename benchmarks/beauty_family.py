"""Amazon Beauty, the last item of every user: the whole family, with class defaults.

22,363 people with nine items each: little to learn from, so methods that shine on films may not here.
Towers choose their epoch on the last item but one, and then learn from all of train. A method that does
not beat popularity is named.
"""

from typing import Any

from common import parse_data, write
from next_item import beauty, figures

import shortlist as sl
from shortlist.data.protocols import Retriever
from shortlist.retrieval import (
    ALS,
    EASE,
    Blend,
    GraphFilter,
    Neighbours,
    NextItem,
    Popularity,
    SequenceTower,
    TwoTower,
)


def closed_forms() -> dict[str, Retriever]:
    """Those that need no torch."""
    return {
        "popularity": Popularity(),
        "neighbours": Neighbours(),
        "EASE": EASE(),
        "EASE that forgets": EASE(decay=0.1),
        "next-item": NextItem(decays=(0.35,)),
        "graph filter": GraphFilter(),
        "ALS": ALS(),
        "blend": Blend(),
    }


def settled(model: Retriever, train: sl.Interactions) -> Retriever:
    """The model with the epochs that the last item but one of every user chose."""
    inner = sl.split.last_out(train)
    return model.fit(inner.train, validate=inner.test).settled()


def main() -> None:
    """One after the other."""
    data = parse_data(__doc__ or "")
    ((_, train, test),) = beauty(data)
    found: dict[str, Any] = {}
    models = closed_forms()
    towers = {
        "two towers": TwoTower(progress=False),
        "sequence tower": SequenceTower(epochs=12, progress=False),
    }
    for name, model in (*models.items(), *towers.items()):
        found[name] = figures(settled(model, train) if name in towers else model, train, test)
        print(name, found[name], flush=True)
    low = found["popularity"]["ndcg@10 interval"][1]
    under = [
        name for name, one in found.items() if one["ndcg@10"] < low and name != "popularity"
    ]
    write(
        "beauty_family",
        "Amazon Beauty, last item out: the whole family beside popularity",
        {**found, "not clearly above popularity": under},
    )


if __name__ == "__main__":
    main()
