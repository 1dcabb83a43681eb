"""People: what they do to runs, by hand.

Limits: they read nothing; what they do is drawn with the faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.world import World


class People:
    """Whoever is on call."""

    def __init__(self, world: World) -> None:
        self._world = world

    def state_entered(self, run: str, state: str) -> None:
        """Is told of every state that a run enters."""
