"""People: what they do to runs and to the record, by the commands that the runbooks and messages give them.

Each thing that a person may do is a fault of its own, of those that begin with "person". They act at a moment of their
own choosing, and not always wisely: too early, twice, in the wrong mode, on a run that lives.

Limits: they wait for nothing but for a run to get somewhere, and read only who holds the lock, or the last message.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from handlers.core.conditional_write import after, allowed
from handlers.core.transitions import TRANSITIONS
from simulation.faults import DOES, GETS_TO, Fault
from simulation.happened import Approved, PersonDid, Refused, Told, Written
from simulation.interpreter import TaskFailed
from simulation.laptop import Laptop

if TYPE_CHECKING:
    from simulation.world import World

ADA, BOB = "ada", "bob"
LONG_PAUSE_S = 3600.0
COMMAND = re.compile(r"failoverctl (?:start|approve|reject) .*")


class People:
    """Whoever is on call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watching: list[Fault] = []

    def strike(self, fault: Fault) -> None:
        """Does what a fault says, if it is something that a person does once."""
        if act := self._acts.get(fault.kind):
            act(fault)

    @cached_property
    def _acts(self) -> dict[str, Callable[[Fault], None]]:
        return {
            "person fails over": lambda fault: self._start("failover", fault),
            "person switches over": lambda fault: self._start("switchover", fault),
            "person rehearses": lambda fault: self._start("rehearsal", fault),
            "person resumes": self._resume,
            "person stops a run": self._stop,
            "person wants a run to abort": lambda _: self._want("abort"),
            "person holds a run": lambda _: self._want("hold"),
            "person says no": self._say_no,
            "person pauses": self._pause,
            "person turns automation off": lambda _: self._turn_automation_off(),
            "person unlocks": self._unlock,
            "person obeys": lambda _: self._obey(),
            "person re-protects": self._reprotect,
            "person maintains": self._maintain,
            "person lets in": lambda fault: Laptop(self._world, ADA).let_in(fault.where),
            "person breaks the glass": self._break_glass,
            "person watches a run": self._watch,
        }

    def relent(self, fault: Fault) -> None:
        """Takes back what can be taken back."""
        if fault in self._watching:
            self._watching.remove(fault)
        holds = fault.kind == "person holds a run" or DOES[int(fault.how.get("does", 0))] == "hold"
        if holds and (lock := self._lock) is not None and lock.get("wanted") == "hold":
            self._change("let_run_go_on", run=lock["run"])
        if fault.kind == "person maintains" and fault.how["ends"]:
            Laptop(self._world, ADA).end_maintenance()
        if fault.kind == "person turns automation off" or fault.how.get("resumes"):
            self._resume_automation()
        no = self._world.table.item.get("ended_by_person")
        if fault.kind == "person says no" and no is not None:
            self._change("take_no_back", epoch=self._world.table.item["epoch"], said_at=no["at"])

    # --- answers to questions

    def asked(self, run: str) -> None:
        """A run waits for an approval; a person who answers does so after a while."""
        for kind, answers in (("person approves", True), ("person refuses", False)):
            fault = self._world.faults.acting(kind, "")
            if fault is not None:
                self._world.time.after(fault.how["takes"], lambda yes=answers: self._answer(run, yes=yes))  # type: ignore[misc]
                return

    def _answer(self, run: str, *, yes: bool) -> None:
        """As ``failoverctl approve`` and ``reject``."""
        execution = self._world.workflows.runs[run]
        for token in list(execution.questions):
            if yes:
                done = execution.answer(token, {"approved_by": ADA})
            else:
                done = execution.answer(token, failed=TaskFailed("Refused", f"{ADA}: not today"))
            if done and yes:
                self._world.tell(Approved(self._world.at, run))
            if done:
                self._did(f"{'approves' if yes else 'refuses'} what run {run} asks")

    # --- runs

    def _start(self, mode: str, fault: Fault) -> None:
        asked: dict[str, Any] = {"mode": mode, "started_by": ADA}
        if fault.how.get("accepts loss"):
            asked["accept_data_loss"] = True
        if fault.how.get("ignores cool-down"):
            asked["ignore_cool_down"] = True
        self._run(fault, asked)

    def _run(self, fault: Fault, asked: Mapping[str, Any]) -> None:
        name = f"{ADA}-{fault.start:.2f}"
        self._did(f"starts run {name} in {fault.where}: {dict(asked)}")
        self._world.workflows.start(fault.where, name, asked)

    def _resume(self, fault: Fault) -> None:
        lock = self._lock
        if lock is not None:
            mode = "switchover" if fault.how["switchover"] else "failover"
            self._run(fault, {"mode": mode, "started_by": ADA, "resumes": lock["run"]})

    def _reprotect(self, fault: Fault) -> None:
        """Starts the other workflow, in the writer's region; takes over from the run that holds its lock, if so."""
        world, item = self._world, self._world.table.item
        asked: dict[str, Any] = {"started_by": ADA, "retire_without_asking": not fault.how["asks"]}
        if fault.how["resumes"] and "reprotection" in item:
            asked["resumes"] = item["reprotection"]["run"]
        name, region = f"{ADA}-{fault.start:.2f}", item["writer_region"]
        self._did(f"starts the re-protection {name} in {region}: {asked}")
        world.workflows.start(region, name, asked, "reprotect")

    def _obey(self) -> None:
        """Does what the last message with a command says: its last way to start a run, or a yes or a no by chance."""
        for fact in reversed(self._world.happened):
            found = COMMAND.findall(fact.text) if isinstance(fact, Told) else []
            if found:
                starts = [command for command in found if command.split()[1] == "start"]
                command = starts[-1] if starts else self._world.chance.choice(found)
                self._did(f"obeys: {command}")
                if starts:
                    self._start_as_told(_options(command))
                else:
                    _, verb, run, *_ = shlex.split(command)
                    self._answer(run, yes=verb == "approve")
                return

    def _start_as_told(self, options: Mapping[str, str | bool]) -> None:
        """As ``failoverctl start``: a failover in the standby's region, a re-protection in the writer's."""
        world, mode = self._world, options["mode"]
        writer = world.table.item["writer_region"]
        asked, name = {**options, "started_by": ADA}, f"{ADA}-obeys"
        if mode == "reprotect":
            del asked["mode"]
            world.workflows.start(writer, name, asked, "reprotect")
        else:
            world.workflows.start(next(region for region in world.regions if region != writer), name, asked)

    def _stop(self, fault: Fault) -> None:
        del fault
        for name, run in self._world.workflows.runs.items():
            if run.ended is None:
                self._did(f"stops run {name}")
                self._world.workflows.stop(name)

    def _watch(self, fault: Fault) -> None:
        self._watching.append(fault)
        self.look()

    def look(self) -> None:
        """Has everybody who watches act, a little later, on a run that has got as far as they wait for."""
        lock = self._lock
        if lock is None or not self._watching:
            return
        reached = {lock["phase"], "asked RDS" if lock["move_requests"] else ""}
        for fault in [one for one in self._watching if GETS_TO[int(one.how["gets to"])] in reached]:
            self._watching.remove(fault)
            self._world.time.after(fault.how["after"], lambda fault=fault: self._meddle(fault))  # type: ignore[misc]

    def _meddle(self, fault: Fault) -> None:
        does = DOES[int(fault.how["does"])]
        if does == "stop and pause":
            self._pause(fault)
        if does.startswith("stop"):
            self._stop(fault)
        else:
            self._want(does)

    def _want(self, what: str) -> None:
        lock = self._lock
        if lock is not None:
            self._did(f"wants run {lock['run']} to {what}")
            self._change("ask_run", run=lock["run"], wanted=what)

    # --- the record

    @property
    def _lock(self) -> Mapping[str, Any] | None:
        return self._world.table.item.get("transition")

    def _say_no(self, fault: Fault) -> None:
        del fault
        self._did("says no to automatic attempts")
        no = {"by": ADA, "at": self._world.time.now, "reason": "not today"}
        self._change("say_no", epoch=self._world.table.item["epoch"], no=no)

    def _pause(self, fault: Fault) -> None:
        """``failoverctl pause``: for as long as the fault lasts, or for longer and ended by ``failoverctl resume``."""
        now = self._world.time.now
        until = now + (LONG_PAUSE_S if fault.how["resumes"] else fault.lasts)
        self._did(f"pauses automatic failover for {until - now:.0f} s")
        pause = {"by": ADA, "at": now, "until": until, "reason": "maintenance"}
        item = self._world.table.item
        self._change("pause", epoch=item["epoch"], pause=pause, paused_at=item.get("paused", {}).get("at"))

    def _maintain(self, fault: Fault) -> None:
        """For as long as the fault lasts, or for longer and ended; or two people begin one at the same moment."""
        lasts = LONG_PAUSE_S if fault.how["ends"] else fault.lasts
        Laptop(self._world, ADA).begin_maintenance(lasts)
        if fault.how["two"]:
            Laptop(self._world, BOB).begin_maintenance(fault.lasts)

    def _break_glass(self, fault: Fault) -> None:
        """On a machine whose clock is nearly right, or is not."""
        error = fault.how["clock"] if fault.how["right"] else fault.how["ahead"]
        Laptop(self._world, ADA, error).break_glass(fault)

    def _turn_automation_off(self) -> None:
        self._did("turns automatic failover off")
        self._world.table.change_by_hand({"automatic_failover": False})

    def _resume_automation(self) -> None:
        """``failoverctl resume``, of a pause."""
        item = self._world.table.item
        if "paused" in item or not item["automatic_failover"]:
            self._did("lets automatic failover come again")
            self._change("resume", epoch=item["epoch"], paused_at=item.get("paused", {}).get("at"))

    def _unlock(self, fault: Fault) -> None:
        """``failoverctl unlock`` of whoever holds the lock."""
        del fault
        if self._lock is not None:
            Laptop(self._world, ADA).unlock(self._lock["run"])

    def _change(self, row: str, **values: Any) -> None:
        """Carries a row out, as ``failoverctl`` does."""
        world = self._world
        before = world.table.item
        if not allowed(TRANSITIONS[row], before, values):
            world.tell(Refused(world.at, row, ADA, True))
            return
        item = after(TRANSITIONS[row], before, values)
        world.table.item = item
        world.tell(Written(world.at, row, ADA, before, item, True))
        world.record_changed(before, item)

    def _did(self, what: str) -> None:
        self._world.tell(PersonDid(self._world.at, f"{ADA} {what}"))


def _options(command: str) -> dict[str, str | bool]:
    """Returns the request that a call of ``failoverctl start`` makes."""
    words = shlex.split(command)[2:]
    names = [index for index, word in enumerate(words) if word.startswith("--")]
    options: dict[str, str | bool] = {}
    for index, following in zip(names, [*names[1:], len(words)], strict=True):
        options[words[index][2:].replace("-", "_")] = words[index + 1] if following > index + 1 else True
    options.pop("suffix", None)
    return options
