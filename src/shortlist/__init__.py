"""From a table of interactions to a served two-stage recommender.

::

    import shortlist as sl

    data = sl.datasets.movielens()
    parts = sl.split.latest(data, validation=0.1, test=0.1)
    rec = sl.Recommender(retrieve=[sl.retrieval.EASE()]).fit(parts.train)
    rec.recommend(user="42", k=10)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shortlist import ranking, rerank, retrieval
    from shortlist.data import datasets, split
    from shortlist.data.check import check, diagnose
    from shortlist.data.features import Bucket, Category, Hash, History, Number, Tags, Text
    from shortlist.data.interactions import Interactions
    from shortlist.data.read import read
    from shortlist.errors import ShortlistError
    from shortlist.evaluation.off_policy import off_policy
    from shortlist.recommender import Recommender, forget, load, rules, verify
    from shortlist.selection import Auto, compare, evaluate, gate, tune

_HOMES = {
    "Auto": "selection",
    "Bucket": "data.features",
    "Category": "data.features",
    "Hash": "data.features",
    "History": "data.features",
    "Interactions": "data.interactions",
    "Number": "data.features",
    "Recommender": "recommender",
    "ShortlistError": "errors",
    "Tags": "data.features",
    "Text": "data.features",
    "check": "data.check",
    "compare": "selection",
    "datasets": "data",
    "diagnose": "data.check",
    "evaluate": "selection",
    "forget": "recommender",
    "gate": "selection",
    "load": "recommender",
    "off_policy": "evaluation.off_policy",
    "ranking": "",
    "read": "data.read",
    "rerank": "",
    "retrieval": "",
    "rules": "recommender",
    "split": "data",
    "tune": "selection",
    "verify": "recommender",
}

__all__ = [
    "Auto",
    "Bucket",
    "Category",
    "Hash",
    "History",
    "Interactions",
    "Number",
    "Recommender",
    "ShortlistError",
    "Tags",
    "Text",
    "check",
    "compare",
    "datasets",
    "diagnose",
    "evaluate",
    "forget",
    "gate",
    "load",
    "off_policy",
    "ranking",
    "read",
    "rerank",
    "retrieval",
    "rules",
    "split",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    # names are looked up when first used, so that importing the package costs nothing
    if name not in _HOMES:
        msg = f"module 'shortlist' has no attribute {name!r}"
        raise AttributeError(msg)
    home = ".".join(part for part in ("shortlist", _HOMES[name]) if part)
    try:
        value = importlib.import_module(f"{home}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{home}.{name}":
            raise
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
