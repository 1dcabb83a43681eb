"""Who reaches whom: the one description of an outage, which every part of the lab looks at.

A region is *up* or *down*, and the way between two regions is *open* or *cut*. AWS endpoints, functions, the network's
paths, health checkers and the quorum of the control table all ask here, so that no part of the lab believes in
another outage than the rest.

* Down: nothing answers there and nobody there calls; what a caller sees of it is the `Fault`.
* Cut: both ends live, and packets between them vanish, as in a partition: callers on either side wait in vain. Ways
  to other regions stay open, so two regions that do not see each other may both see a third.
* `OUTSIDE` is everybody who is in none of the regions: people, and Route 53's health checkers. An isolated region is
  cut off from them as well.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OUTSIDE = "outside"


class Fault(StrEnum):
    """What a caller sees of a region that it does not reach."""

    REFUSE = "refuse"
    HANG = "hang"
    UNAVAILABLE = "503"


class Reachability:
    """The state of all regions and of the ways between them; may be asked and changed from any thread."""

    def __init__(self, regions: Iterable[str]) -> None:
        """Everything is up and open. ``regions`` are all that may call or be called, the witness included."""
        self._places = (*regions, OUTSIDE)
        self._down: dict[str, Fault] = {}
        self._cut: set[frozenset[str]] = set()
        self._changed = threading.Condition()
        self._closed = False

    def is_up(self, region: str) -> bool:
        """Whether the region lives, whoever reaches it."""
        return region not in self._down

    def fault(self, caller: str, called: str) -> Fault | None:
        """Returns what ``caller`` (a region, or `OUTSIDE`) sees of the region ``called``; None when it is reached."""
        with self._changed:
            if frozenset({caller, called}) in self._cut:
                return Fault.HANG
            return self._down.get(called) or self._down.get(caller)

    def reaches(self, caller: str, called: str) -> bool:
        """Whether ``caller`` reaches the region ``called``."""
        return self.fault(caller, called) is None

    def take_down(self, region: str, fault: Fault) -> None:
        """Lets a region die: its callers see ``fault``."""
        self._change(lambda: self._down.update({region: fault}))

    def bring_back(self, region: str) -> None:
        """Lets a region live again."""
        self._change(lambda: self._down.pop(region, None))

    def cut(self, one: str, other: str) -> None:
        """Cuts the way between two regions, in both directions."""
        self._change(lambda: self._cut.add(frozenset({one, other})))

    def isolate(self, region: str) -> None:
        """Cuts a region off from every other and from the outside."""
        self._change(lambda: self._cut.update(frozenset({region, other}) for other in self._places if other != region))

    def mend(self) -> None:
        """Opens every way again."""
        self._change(self._cut.clear)

    def close(self) -> None:
        """Lets go of everyone who waits."""
        self._change(lambda: setattr(self, "_closed", True))

    def wait_for(self, holds: Callable[[], bool], at_most: float | None = None) -> None:
        """Waits until ``holds``, looking again after each change; at most so many real seconds, or until `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or holds(), at_most)

    def _change(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()
