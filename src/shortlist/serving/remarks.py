"""What the log says of bundles that answer, but not as one might think."""

from collections.abc import Mapping

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


def items_left_out(refused: Mapping[str, str]) -> None:
    """Say how many posted items a bundle cannot hold, where there are any, and why.

    Args:
        refused: their ids, and the reasons.
    """
    if refused:
        logs.say(
            "items_left_out",
            level="warning",
            count=len(refused),
            reason="; ".join(sorted(set(refused.values()))),
        )
