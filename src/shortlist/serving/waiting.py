"""Events about items that came later: they wait for their item, as no fit learned from them before it came."""

from shortlist.serving.events import Kept, Store
from shortlist.serving.running import Running


def n_fitted(running: Running) -> int:
    """How many items the last fit knew; those that came since have the rows from there on.

    Args:
        running: any.

    Returns:
        A number.
    """
    growth = running.recommender.growth
    return running.snapshot.n_items if growth is None else growth.n_items


def learned(running: Running, event: Kept) -> bool:
    """Whether a bundle was trained on an event.

    Args:
        running: of the bundle.
        event: with its place.

    Returns:
        True up to the last event that it was trained on, but for those about items that came since.
    """
    if event.seq > running.through:
        return False
    return running.snapshot.item_vocabulary.row(event.item_id) < n_fitted(running)


def posted(*runnings: Running) -> list[str]:
    """Items that came since the last fit.

    Args:
        *runnings: any.

    Returns:
        Ids of those that are new to one of them, as text.
    """
    new = {str(item) for one in runnings for item in one.item_ids[n_fitted(one) :]}
    return sorted(new)


def untold(store: Store, *runnings: Running) -> list[Kept]:
    """Events that not all bundles were trained on.

    Args:
        store: of the events.
        *runnings: of the bundles.

    Returns:
        In the order of arrival.
    """
    through = min(one.through for one in runnings)
    return [*store.events_about(posted(*runnings), through), *store.events_after(through)]
