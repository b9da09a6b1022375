"""How long fitting takes, roughly, so that nothing is begun that a budget of time cannot hold."""

from shortlist.data.interactions import Interactions

# seconds of one core for each row, and for the cube of a thousand items (or users, where fewer), as the
# benchmarks found them; towers with the epochs that early stopping usually takes
_A_ROW = {
    "neighbours": 2e-6,
    "ease": 1e-6,
    "als": 2e-6,
    "graph-filter": 4e-6,
    "next-item": 1.7e-5,
    "two-tower": 1.5e-4,
    "sequence": 7e-4,
}
_A_CUBE = {"ease": 0.04, "next-item": 0.1}


def rough_seconds(method: str, train: Interactions) -> float:
    """What a fit will take on one core: right to a factor of some two.

    Args:
        method: a name of ``selection.METHODS``.
        train: the rows.

    Returns:
        Seconds; 0 for methods that take next to nothing.
    """
    n_items = len(train.item_vocabulary)
    solved = min(n_items, len(train.user_vocabulary)) if method == "ease" else n_items
    cube = (solved / 1000) ** 3
    return _A_ROW.get(method, 0.0) * len(train) + _A_CUBE.get(method, 0.0) * cube
