"""What the log says of bundles that answer, but not as one might think."""

from collections.abc import Sequence

from shortlist.serving import logs
from shortlist.serving.running import Running


def scales_differ(running: Running, champion: Running) -> None:
    """Say so where a bundle's ratings have another scale than the champion's.

    Args:
        running: answers in any arm.
        champion: its scale decides.
    """
    if running.scale is not None and running.scale != (champion.scale or running.scale):
        logs.say(
            "scales_differ",
            level="warning",
            arm=running.arm,
            scale=running.scale,
            champion=champion.scale,
        )


def items_left_out(refused: Sequence[str]) -> None:
    """Say how many posted items a bundle's catalogue cannot hold, where there are any.

    Args:
        refused: their ids.
    """
    if refused:
        logs.say(
            "items_left_out",
            level="warning",
            count=len(refused),
            reason="the bundle's catalogue has other columns, or other kinds of values, than these posted items",
        )
