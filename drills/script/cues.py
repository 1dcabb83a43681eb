"""When the troubles of a drill begin: each waits for its cue in a thread of its own, beside the drill."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from drills.troubles import Phase, When
from drills.verdict.events import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.lab import Lab
    from drills.script.options import Options
    from drills.show.narrator import Narrator
    from drills.show.timeline import Timeline
    from drills.troubles import Trouble
    from drills.verdict.seen import Seen


class Cues:
    """The troubles of one drill. Those of before the outage, and of after the move, are begun by the drill itself."""

    def __init__(self, options: Options, lab: Lab, narrator: Narrator, timeline: Timeline) -> None:
        self._troubles = options.troubles
        self._phase = options.phase or Phase.MOVING
        self._lab = lab
        self._narrator = narrator
        self._timeline = timeline
        self._begun: dict[str, float] = {}

    def all_begun(self) -> bool:
        """Returns whether every trouble has begun."""
        return self._begun.keys() >= {trouble.name for trouble in self._troubles}

    def broke_off_at(self) -> float | None:
        """Returns when a trouble first struck a run in its phase (real seconds since 1970); None if none did."""
        struck = (self._begun.get(trouble.name) for trouble in self._of(When.PHASE))
        return min((at for at in struck if at is not None), default=None)

    def deployed(self) -> None:
        """Begins the troubles of a new deployment, each after its time."""
        for trouble in self._of(When.DEPLOYED):
            with self._timeline.waiting("a while of the new deployment"):
                self._lab.clock.sleep(trouble.seconds)
            self._begin(trouble)

    def before(self) -> None:
        """Begins the troubles that are there before the outage, and waits for as long as one of them asks for."""
        for trouble in self._troubles:
            trouble.prepare(self._lab)
        troubles = self._of(When.BEFORE)
        for trouble in troubles:
            self._begin(trouble)
        if seconds := max((trouble.seconds for trouble in troubles), default=0.0):
            with self._timeline.waiting("the troubles to be felt"):
                self._lab.clock.sleep(seconds)

    def watch(self) -> None:
        """Begins the troubles that follow the outage, which is now, each when its cue comes."""
        for trouble in self._of(When.OUTAGE):
            self._lab.later(trouble.seconds, lambda trouble=trouble: self._begin(trouble))  # type: ignore[misc]
        for trouble in self._of(When.RUN):
            self._await(trouble, lambda seen: bool(seen.executions))
        for trouble in self._of(When.PHASE):
            self._await(trouble, lambda seen: self._phase in seen.phases)

    def after_the_move(self) -> None:
        """Begins the troubles that come after the move, and waits until they are over."""
        for trouble in self._of(When.MOVED):
            with self._timeline.waiting("a trouble after the move"):
                self._lab.clock.sleep(trouble.seconds)
            self._begin(trouble)
            with self._timeline.waiting("what becomes of it"):
                self._lab.clock.sleep(trouble.lasts_s)

    def _of(self, moment: When) -> list[Trouble]:
        return [trouble for trouble in self._troubles if trouble.when is moment]

    def _await(self, trouble: Trouble, holds: Callable[[Seen], bool]) -> None:
        def wait() -> None:
            if self._narrator.hold_until(holds, self._lab.is_closing):
                self._begin(trouble)

        threading.Thread(target=wait, name=trouble.name, daemon=True).start()

    def _begin(self, trouble: Trouble) -> None:
        regions = {"writer": self._lab.writer, "standby": self._lab.standby}
        self._timeline.event(Kind.OUTAGE, f"{trouble.name}: {trouble.sentence.format(**regions)}")
        self._begun[trouble.name] = time.time()
        trouble.begin(self._lab)
