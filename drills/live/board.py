"""What the page shows: the happenings of the lab, kept as the picture that a person wants of them.

The board is told of every happening beside the narrator, from many threads. `Board.sections` is what the page gets, as
plain data: each section is small, and is sent again when it has changed.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from drills.world.reachability import OUTSIDE, Fault
from failoverctl.outlook import outlook
from handlers.core.claim import automation_is_off
from handlers.core.control import ControlRecord
from handlers.core.lease import LEASE_S
from handlers.gateways import items

if TYPE_CHECKING:
    from drills.aws.happenings import Happening
    from drills.lab import Lab
    from drills.verdict.events import Event
    from drills.world.pulse import Load

# How often the clients and the lease are looked at (real seconds), and for how long the page's chart goes back.
LOOK_SECONDS = 0.25
HISTORY_SECONDS = 120.0
# How many of each are kept for the page: what a person scrolls through.
RUNS, MESSAGES, LINES, CALLS = 12, 40, 150, 20
# States whose task waits for a person's answer, and what they ask.
ASKING = {"AskApproval": "whether writes may be lost", "AskRetirement": "whether the old cluster may be removed"}


@dataclass
class Run:
    """A run of a workflow: how it stands, where it has been, and where it is.

    ``machine`` is the name of its definition, ``failover`` or ``reprotect``.
    """

    name: str
    machine: str
    region: str
    started_at: float
    status: str = "RUNNING"
    ended_at: float | None = None
    visited: list[str] = field(default_factory=list)
    active: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """A call of ``failoverctl`` by the page's buttons, and what it printed."""

    at: float
    command: str
    code: int | None
    """None while it works."""
    printed: str


class Board:
    """The state of the lab as the page shows it; times in virtual seconds since 1970."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lab: Lab | None = None
        self._record: ControlRecord | None = None
        self._runs: dict[str, Run] = {}
        self._alarms: dict[tuple[str, str], tuple[str, float]] = {}
        self._messages: deque[dict[str, Any]] = deque(maxlen=MESSAGES)
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES)
        self._calls: deque[Call] = deque(maxlen=CALLS)
        self._pulses: deque[dict[str, Any]] = deque(maxlen=int(HISTORY_SECONDS / LOOK_SECONDS))
        self._lag_ms: float | None = None
        self._silent_since: float | None = None
        self._was_silent_s: float | None = None
        self.struck_at: float | None = None
        self.troubles: dict[str, str] = {}
        self.lacking = ["the lab is being built"]

    # --- what it is told

    def shows(self, lab: Lab) -> None:
        """Takes the lab that it shows, which is deployed by now."""
        with self._lock:
            self._lab = lab

    def observe(self, happening: Happening) -> None:
        """Keeps a happening."""
        keep = getattr(self, f"_{happening.kind.name.lower()}", None)
        if keep is not None:
            with self._lock:
                keep(happening)

    def line(self, event: Event) -> None:
        """Keeps a line of the timeline."""
        with self._lock:
            self._lines.append({"at": event.at, "kind": event.kind, "text": event.text})

    def call(self, call: Call) -> None:
        """Keeps a call of ``failoverctl``, in the place of the same call at work."""
        with self._lock:
            if self._calls and self._calls[-1].code is None and self._calls[-1].at == call.at:
                self._calls.pop()
            self._calls.append(call)

    def lag(self, lag_ms: float | None) -> None:
        """Keeps the standby's replication lag."""
        with self._lock:
            self._lag_ms = lag_ms

    def pulse(self, load: Load, now: float) -> None:
        """Keeps what the clients are doing at this moment."""
        with self._lock:
            writes = sum(load.commits_per_second.values()) > 0
            if not writes and self._silent_since is None and self._pulses:
                self._silent_since = now
            elif writes and self._silent_since is not None:
                self._was_silent_s = now - self._silent_since
                self._silent_since = None
            self._pulses.append(
                {"at": now, "rates": load.commits_per_second, "failing": load.failing_clients, "clients": load.clients}
            )

    def begin_outage(self, now: float) -> None:
        """Counts from now on; what was measured of the outage before is over."""
        with self._lock:
            self.struck_at, self._was_silent_s = now, None

    def lost(self, region: str) -> None:
        """Notes that the runs of a region have died with it: nobody there can tell of their end."""
        with self._lock:
            for run in self._runs.values():
                if run.region == region and run.status == "RUNNING":
                    run.status, run.ended_at, run.active = "ABORTED", self._now(), []

    # --- what happens in the lab

    def _record_changed(self, it: Happening) -> None:
        lab = self._lab
        if lab is None or it.subject == lab.specification.control_table.name:
            self._record = ControlRecord.read(items.plain(it.detail["item"]))

    def _execution_started(self, it: Happening) -> None:
        lab = self._lab
        reprotects = lab is not None and it.detail["machine"] == lab.specification.regions[it.region].reprotection.name
        machine = "reprotect" if reprotects else "failover"
        self._runs[it.subject] = Run(it.subject, machine, it.region, self._at(it))
        while len(self._runs) > RUNS:
            self._runs.pop(next(iter(self._runs)))

    def _state_entered(self, it: Happening) -> None:
        if run := self._runs.get(it.detail["execution"]):
            run.active = [*run.active, it.subject]
            run.visited = [*(each for each in run.visited if each != it.subject), it.subject]

    def _state_exited(self, it: Happening) -> None:
        if run := self._runs.get(it.detail["execution"]):
            run.active = [each for each in run.active if each != it.subject]

    def _execution_ended(self, it: Happening) -> None:
        if run := self._runs.get(it.subject):
            run.status, run.ended_at, run.active = str(it.detail["status"]), self._at(it), []

    def _alarm_changed(self, it: Happening) -> None:
        self._alarms[it.region, it.subject] = (it.detail["state"], self._at(it))

    def _message_published(self, it: Happening) -> None:
        message = {"at": self._at(it), "region": it.region, "subject": it.detail["subject"] or ""}
        self._messages.append({**message, "text": it.detail["message"]})

    # --- what it shows

    def sections(self) -> dict[str, Any]:
        """Returns what the page shows, by section."""
        with self._lock:
            pulse = {**(self._pulses[-1] if self._pulses else {}), **self._clocks()}
            return {
                "pulse": pulse,
                "headline": self._headline(),
                "regions": self._regions(),
                "control": self._control(),
                "alarms": self._shown_alarms(),
                "runs": [asdict(run) for run in reversed(self._runs.values())],
                "followed": self._followed(),
                "messages": list(reversed(self._messages)),
                "lines": list(reversed(self._lines)),
                "calls": [asdict(call) for call in reversed(self._calls)],
                "troubles": dict(self.troubles),
                "lacking": list(self.lacking),
            }

    def history(self) -> list[dict[str, Any]]:
        """Returns what the clients did in the last two minutes."""
        with self._lock:
            return list(self._pulses)

    def _clocks(self) -> dict[str, Any]:
        now, record = self._now(), self._record
        ends = record.lease_expires_at if record else None
        return {
            "now": now,
            "lease_left": None if ends is None else round(max(ends - now, 0.0), 2),
            "lease_of": LEASE_S,
            "silent_s": None if self._silent_since is None else round(now - self._silent_since, 1),
            "was_silent_s": None if self._was_silent_s is None else round(self._was_silent_s, 1),
            "struck_at": self.struck_at,
            "lag_ms": None if self._lag_ms is None else round(self._lag_ms),
        }

    def _headline(self) -> dict[str, str]:
        """Returns what ``failoverctl status`` says on top, by the same rules."""
        lab, record = self._lab, self._record
        if lab is None or record is None:
            return {"kind": "unknown", "sentence": "The lab is being built."}
        standby, held = lab.specification.regions[record.writer_region].peer, record.transition
        holder = self._runs.get(held.run) if held else None
        view = outlook(
            record,
            lab.settings,
            self._now(),
            holder_is_over=None if holder is None else holder.status != "RUNNING",
            lag_ms=self._lag_ms,
            standby_answers=lab.reachability.reaches(OUTSIDE, standby),
        )
        asked = ((run, ASKING[state]) for run in self._runs.values() for state in run.active if state in ASKING)
        for run, question in asked:
            return {"kind": "asks", "sentence": f"Run {run.name} asks {question}: approve or reject."}
        return asdict(view)

    def _regions(self) -> list[dict[str, Any]]:
        lab, record = self._lab, self._record
        if lab is None:
            return []
        return [self._region(lab, name, record) for name in lab.settings.regions]

    def _region(self, lab: Lab, name: str, record: ControlRecord | None) -> dict[str, Any]:
        peer = lab.specification.regions[name].peer
        if record is None:
            role = "unknown"
        elif record.writer_region == name:
            role = "writer"
        else:
            role = "standby" if record.protected else "old writer"
        return {
            "name": name,
            "role": role,
            "life": _life(lab, name),
            "sees_peer": lab.reachability.reaches(name, peer),
            "database": _database(lab, name),
            "fenced": lab.network.is_fenced(name),
        }

    def _control(self) -> dict[str, Any]:
        record = self._record
        if record is None:
            return {}
        held, now = record.transition, self._now()
        return {
            "writer": record.writer_region,
            "epoch": record.epoch,
            "protected": record.protected,
            "lock": None if held is None else {"run": held.run, "mode": held.mode, "phase": held.phase},
            "reprotection": record.reprotection.run if record.reprotection else None,
            "wanted": held.wanted if held else None,
            "automation_off": automation_is_off(record, now),
        }

    def _shown_alarms(self) -> list[dict[str, Any]]:
        lab = self._lab
        if lab is None:
            return []
        return [
            {
                "region": region.name,
                "name": alarm.name,
                "about": alarm.description,
                "state": self._alarms.get((region.name, alarm.name), ("INSUFFICIENT_DATA", 0.0))[0],
                "stands_still": not lab.cloud.is_up(region.name),
            }
            for region in lab.specification.regions.values()
            for alarm in region.alarms
        ]

    def _followed(self) -> str | None:
        """Returns the run that a person wants to see: the holder of the lock, else one at work, else the last one."""
        held = self._record.transition if self._record else None
        if held and held.run in self._runs:
            return held.run
        working = [run.name for run in self._runs.values() if run.status == "RUNNING"]
        changed = [run.name for run in self._runs.values() if "OutcomeRefused" not in run.visited]
        return next(iter(working[:1] or changed[-1:] or list(self._runs)[-1:]), None)

    def _now(self) -> float:
        return self._lab.clock.now() if self._lab else 0.0

    def _at(self, it: Happening) -> float:
        return self._lab.clock.virtual_time(it.at) if self._lab else it.at


def _life(lab: Lab, region: str) -> str:
    fault = lab.reachability.fault(OUTSIDE, region)
    if lab.cloud.is_up(region):
        return "up" if fault is None else "cut off"
    return "hangs" if fault is Fault.HANG else "dead"


def _database(lab: Lab, region: str) -> str:
    server = lab.servers[region]
    if not server.is_running():
        return "down"
    if _life(lab, region) == "hangs":
        return "frozen"
    return "follows" if server.is_standby else "takes writes"
