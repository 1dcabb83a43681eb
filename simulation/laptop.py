"""A person's machine, on which ``failoverctl`` runs: its own code, with a clock that may be wrong.

A verb that got no answer is tried again, and a command that it names is obeyed, as people do. A machine may be shut in
the middle of it.

Limits: whoever is asked says yes, after a while, whatever has happened meanwhile; nothing that is printed is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from handlers.core.errors import FailoverError
from simulation.happened import PersonDid
from simulation.virtual_time import Process

if TYPE_CHECKING:
    from simulation.faults import Fault
    from simulation.world import World

THINKS_S = (0.5, 8.0)  # before a yes
AGAIN_S = (1.0, 6.0)
MOST_TRIES = 10
COLLEAGUE_S = (5.0, 25.0)  # until somebody else goes on where a machine was shut
GO_ON = re.compile(r"Go on: `failoverctl break-glass --resumes (\S+)`")
LONGEST = 150  # characters of what a verb says

# A verb, as it is called with a session; raises what it ends in.
Verb = Callable[[Any], object]


class Laptop(Process):
    """The machine of ``person``. It is in neither region, and reaches both."""

    def __init__(self, world: World, person: str, clock_error: float = 0.0) -> None:
        super().__init__(f"{person}'s machine", clock_error)
        self._world = world
        self._person = person

    # --- the verbs

    def begin_maintenance(self, lasts_s: float) -> None:
        """``failoverctl maintenance begin``."""
        lasts = f"{max(1, round(lasts_s))}s"
        verb = self._world.product.verbs.maintenance.begin
        self._start(f"maintenance begin --for {lasts}", lambda at: verb(at, lasts=lasts, reason="an upgrade"))

    def end_maintenance(self) -> None:
        """``failoverctl maintenance end``."""
        self._start("maintenance end", self._world.product.verbs.maintenance.end)

    def let_in(self, region: str) -> None:
        """``failoverctl let-in``."""
        verb = self._world.product.verbs.let_in.let_in
        self._start(f"let-in {region}", lambda at: verb(at, region))

    def unlock(self, run: str) -> None:
        """``failoverctl unlock``."""
        verb = self._world.product.verbs.flags.unlock
        self._start(f"unlock {run}", lambda at: verb(at, run))

    def break_glass(self, fault: Fault) -> None:
        """``failoverctl break-glass``, again and again; ``fault`` says what the person and the machine are like."""
        world = self._world
        world.time.background(lambda: self._break_glass(None, takes_over=bool(fault.how["resumes"])), self)
        if fault.how["shut"]:
            world.time.after(fault.how["after"], self._shut)

    # --- how people use them

    def _start(self, command: str, verb: Verb) -> None:
        def again_and_again() -> None:
            for _ in range(MOST_TRIES):
                why = self._call(command, verb)
                if why is None or why.startswith("Refused"):
                    return
                self._world.time.sleep(self._world.chance.uniform(*AGAIN_S))

        self._world.time.background(again_and_again, self)

    def _break_glass(self, resumes: str | None, *, takes_over: bool) -> None:
        world, verb = self._world, self._world.product.verbs.break_glass.break_glass
        for _ in range(MOST_TRIES):
            command = f"break-glass{f' --resumes {resumes}' if resumes else ''}"
            why = self._call(command, partial(verb, resumes=resumes))
            if why is None:
                return
            if found := GO_ON.search(why):
                resumes = found[1]
            elif takes_over and (lock := world.table.item.get("transition")):
                resumes = lock["run"]
            world.time.sleep(world.chance.uniform(*AGAIN_S))

    def _shut(self) -> None:
        world = self._world
        world.time.kill(self)
        self._tell("shuts the machine")

        def go_on() -> None:
            lock = world.table.item.get("transition")
            if lock is not None and lock["run"].startswith("break-glass"):
                colleague = Laptop(world, "bob")
                world.time.background(lambda: colleague._break_glass(lock["run"], takes_over=True), colleague)

        world.time.after(world.chance.uniform(*COLLEAGUE_S), go_on)

    def _call(self, command: str, verb: Verb) -> str | None:
        """Carries a command out; returns why it was not done, None when it was."""
        errors = self._world.product.verbs.errors
        self._tell(f"calls failoverctl {command}")
        try:
            verb(_Terminal(self._world))
        except errors.Refused as error:
            why = f"Refused: {error}"
        except (errors.CannotTell, FailoverError) as error:
            why = f"Cannot tell: {error}"
        except Exception as error:  # noqa: BLE001 - whatever else a verb ends in is a defect
            self._world.defect(f"failoverctl {command} ended in {type(error).__name__}: {error}")
            return None
        else:
            self._tell(f"has done failoverctl {command}")
            return None
        self._tell(f"is told by failoverctl {command}: {why[:LONGEST]}")
        return why

    def _tell(self, what: str) -> None:
        self._world.tell(PersonDid(self._world.at, f"{self._person} {what}"))


class _Terminal:
    """As `failoverctl.command.Session`: one call of the program."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.deployment = world.product.verbs.deployment.Deployment(world.product.specification.settings)

    def say(self, *lines: str, style: str = "") -> None:
        """Prints nothing."""

    tell = show = say

    def confirm(self, question: str, *, yes: bool) -> None:
        """Is told to go on, after a while."""
        del question, yes
        self._world.time.sleep(self._world.chance.uniform(*THINKS_S))
