"""What a bundle can be asked for: a request for more is told what is missing, before anything is worked out."""

from collections.abc import Mapping

from shortlist.recommender.context import judged_context
from shortlist.rerank import Diverse
from shortlist.rerank.values import values_of
from shortlist.serving.refusals import Refused
from shortlist.serving.running import Running


def can_diversify(running: Running) -> bool:
    """Whether lists can be made diverse: the catalogue says how items differ.

    Args:
        running: would answer.

    Returns:
        Whether any item has a value of the column that :class:`~shortlist.rerank.Diverse` reads.
    """
    if Diverse.by not in running.snapshot.catalogue.table.columns:
        return False
    return bool(values_of(running.snapshot, Diverse.by).nnz)


def insist_answerable(
    running: Running, context: Mapping[str, object] | None, diversity: float | None
) -> None:
    """Insist that a context is whole, and that diversity is asked of a catalogue that can tell.

    Args:
        running: is asked.
        context: of a request; what another bundle of the service reads is no matter.
        diversity: of a request.

    Raises:
        Refused: some columns of a context are there, and some that a part was trained with are not;
            or the catalogue does not say how items differ.
    """
    if context and any(name in context for name in running.context_columns):
        needed = judged_context(running.listing_parts)
        if lacking := [name for name in needed if name not in context]:
            words = f"context lacks {' and '.join(lacking)}: this bundle was trained with {' and '.join(needed)}; give null for what is not known, or no context at all"
            raise Refused(422, "missing_column", words)
    if diversity and not can_diversify(running):
        words = f"this bundle cannot vary a list: its catalogue has no {Diverse.by}; leave diversity out"
        raise Refused(422, "cannot_answer", words)
