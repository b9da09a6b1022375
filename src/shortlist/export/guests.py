"""What goes into a file that answers guests only: nobody's id, history or vector."""

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shortlist.data.states import Part, without_users
from shortlist.recommender.forgetting import without_people
from shortlist.retrieval.blend import Blend
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.graph_filter import GraphFilter
from shortlist.retrieval.next_item import NextItem

if TYPE_CHECKING:
    from shortlist.recommender.recommender import Recommender


def for_guests(rec: "Recommender") -> "Recommender":
    """A recommender without its people, that answers guests as before.

    Args:
        rec: a fitted recommender.

    Returns:
        Another; EASE and graph filters keep the lines of what each user took: a graph for guests holds
        sums over them, not the lines.
    """
    return without_people(rec, rec.snapshot.user_vocabulary.ids, lines_out=_but_for_sums)


def _but_for_sums(models: Sequence[Part], rows: NDArray[np.int64]) -> tuple[Part, ...]:
    return tuple(_one(model, rows) for model in models)


def _one(model: Part, rows: NDArray[np.int64]) -> Part:
    if isinstance(model, Blend):
        left = copy(model)
        left._models = _but_for_sums(model._fitted()[0], rows)
        return left
    if isinstance(model, EASE | NextItem | GraphFilter):
        return model
    return without_users([model], rows)[0]
