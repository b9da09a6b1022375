"""Which recommender answers whom: the champion, a challenger for a share of the users, a shadow for nobody."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from shortlist.serving.running import Running
from shortlist.serving.settings import Arm

_STEPS = 1 << 64  # of a hash's first eight bytes


@dataclass(frozen=True)
class Split:
    """A share of the users, the same ones every time and in every process.

    Attributes:
        share: of users who get the challenger, 0 to 1.
        salt: another one draws other users.
    """

    share: float
    salt: str

    def challenged(self, user_id: str) -> bool:
        """Whether a user gets the challenger.

        Args:
            user_id: as text.

        Returns:
            True or False.
        """
        digest = hashlib.sha256(f"{self.salt}\0{user_id}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * _STEPS


@dataclass(frozen=True)
class Arms:
    """The recommenders that answer. It never changes; another one replaces it in one assignment.

    Attributes:
        runnings: by arm; a champion is always there.
        split: of the users.
    """

    runnings: Mapping[Arm, Running]
    split: Split

    @property
    def champion(self) -> Running:
        """What answers guests, and everybody who is not in the challenger's share."""
        return self.runnings["champion"]

    @property
    def through(self) -> int:
        """The last event that every arm was trained on."""
        return min(one.through for one in self.runnings.values())

    @property
    def context_columns(self) -> list[str]:
        """Columns known at the time of asking that an answer can depend on, whoever asks."""
        answering = [one for arm, one in self.runnings.items() if arm != "shadow"]
        return sorted({name for one in answering for name in one.context_columns})

    def arm(self, user_id: object) -> Arm:
        """Which arm answers.

        Args:
            user_id: as given; None for a guest, whom no later request could be joined with.

        Returns:
            The arm.
        """
        if user_id is None or "challenger" not in self.runnings:
            return "champion"
        return "challenger" if self.split.challenged(str(user_id)) else "champion"

    def of(self, user_id: object) -> Running:
        """What answers a user.

        Args:
            user_id: as given; None for a guest.

        Returns:
            A Running.
        """
        return self.runnings[self.arm(user_id)]

    def with_one(self, arm: Arm, running: Running) -> "Arms":
        """The same with another recommender in one arm.

        Args:
            arm: which.
            running: answers there.

        Returns:
            Arms.
        """
        return Arms({**self.runnings, arm: running}, self.split)
